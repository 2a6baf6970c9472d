/* Diagnostics: everything that is wrong with a file, collected, then shown at once as
 *
 *   aws-cluster.yaml:4:1: error: unknown key 'factorys_num'
 *      4 | factorys_num: 2
 *        | ^~~~~~~~~~~~
 *     fix: did you mean 'factories_num'?
 */
#ifndef FLAMBE_CONFIG_DIAG_H
#define FLAMBE_CONFIG_DIAG_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct span { /* 1-based line and column (in characters); length in characters, 0: a point */
    int line, column, length;
};

struct diag {
    struct span at; /* line 0: the file as a whole */
    char *problem;
    char *fix; /* what is allowed, or what to type; or NULL */
};

#define DIAGS_MAX 50 /* more are counted, not kept */

struct diags {
    char *path; /* as the user typed it */
    char *text; /* the file's bytes, for the excerpts; "" where they are unfit to show */
    struct diag *items;
    size_t count, cap, dropped;
};

/* Copies both. A text that is no UTF-8, or holds a NUL, is kept as "": its excerpts are not shown.
 */
void diags_init(struct diags *d, const char *path, struct str text);
void diags_done(struct diags *d);
/* Takes both strings, allocated; `fix` may be NULL. Past DIAGS_MAX they are freed and counted. */
void diags_add(struct diags *d, struct span at, char *problem, char *fix);
/* Whether one more would only be counted: whoever makes many, or dear, messages looks first and
 * calls diags_drop() instead. */
bool diags_full(const struct diags *d);
void diags_drop(struct diags *d);
/* Whether something is wrong with exactly this place already: for checks that build on others. */
bool diags_at(const struct diags *d, struct span at);
size_t diags_total(const struct diags *d); /* kept and dropped */
/* All of them, sorted by position, with a closing count. Control characters are shown escaped, and
 * secrets in URLs are not; nothing where there are none. */
void diags_print(const struct diags *d, bool color, struct buf *out);
/* As JSON, for -o json: [{"file":…,"line":…,"column":…,"problem":…,"fix":…}]; line 0 and column 0
 * for the file as a whole, "fix" null where there is none. */
void diags_json(const struct diags *d, struct buf *out);
/* ERR_FILE "'PATH' has N errors" where there are any, else 0. */
int diags_check(const struct diags *d, struct err *err) MUST_CHECK;
/* The text in single quotes, without secrets in URLs and cut with "…" where it is long, for a
 * message. The caller frees. */
#define DIAG_QUOTE_MAX 60 /* characters */
char *diag_quote(struct str text);

#endif
