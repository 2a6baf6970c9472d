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

void diags_init(struct diags *d, const char *path, struct str text);
void diags_done(struct diags *d);
/* `fix_fmt` may be NULL; both formats take their arguments in one list: problem's, then fix's. */
void diags_add(struct diags *d, struct span at, char *problem, char *fix); /* takes both strings */
/* All of them, sorted by position, with a closing count. Control characters are shown escaped. */
void diags_print(const struct diags *d, bool color, struct buf *out);
/* As JSON, for -o json: [{"file":…,"line":…,"column":…,"problem":…,"fix":…}] */
void diags_json(const struct diags *d, struct buf *out);
/* ERR_FILE "'PATH' has N errors" where there are any, else 0. */
int diags_check(const struct diags *d, struct err *err) MUST_CHECK;

#endif
