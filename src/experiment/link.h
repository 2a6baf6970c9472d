/* Links: `!@ stage[key][key].attribute`, `!@ stage.dir`, `!@ resource`.
 *
 * The keys in brackets lead through the file to a parameter; the names behind dots are what the
 * stage leaves behind when it has run: `dir`, its directory, or one of its `outputs`. */
#ifndef FLAMBE_EXPERIMENT_LINK_H
#define FLAMBE_EXPERIMENT_LINK_H

#include "base/buf.h"
#include "base/str.h"
#include <stdbool.h>

struct link_path {
    struct strv keys;       /* the root first, then the keys in brackets */
    struct strv attributes; /* behind the dots */
};

/* Returns NULL, or what is wrong with the path (static), and then leaves `out` untouched. */
const char *link_parse(struct str text, struct link_path *out);
/* The path as text again. */
void link_write(const struct link_path *p, struct buf *out);
void link_path_done(struct link_path *p);
bool link_is_tag(const char *tag); /* "!@" or "!link"; NULL is none */

#endif
