/* Views of bytes that somebody else owns, and lists of strings that own theirs. */
#ifndef FLAMBE_BASE_STR_H
#define FLAMBE_BASE_STR_H

#include "base/attr.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Not NUL-terminated; valid as long as its owner. Passed by value. */
struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
/* For printf's "%.*s". */
#define STR_FMT(s) (int)(s).n, (s).p

struct str str_of(const char *s); /* NULL gives an empty view */
bool str_eq(struct str a, struct str b);
bool str_is(struct str a, const char *b);
bool str_starts(struct str s, const char *prefix);
bool str_ends(struct str s, const char *suffix);
struct str str_trim(struct str s); /* ASCII white space at both ends */
/* Cuts *rest at the first `sep`: returns what stands before it and moves *rest behind it. Returns
 * all of it, and sets rest->p to NULL, where there is no `sep`. */
struct str str_cut(struct str *rest, char sep);
char *str_dup(struct str s);

/* The whole view as a decimal number within [min, max]; no sign but '-', no space, no overflow. */
bool str_to_i64(struct str s, int64_t min, int64_t max, int64_t *out);

/* Matches EC2's filter wildcards: '*' stands for zero or more characters, '?' for zero or one (the
 * EC2 User Guide, "List and filter your resources"), '\' takes the next as it is. Bytes, not
 * letters. */
bool str_match(struct str text, struct str pattern);
/* Edits from one to the other, transpositions counted as one: for "did you mean". */
size_t str_distance(const char *a, const char *b);
/* The candidate nearest to `word`, or NULL where none is near enough to suggest. */
const char *str_nearest(const char *word, const char *const *candidates, size_t count);
/* Whether the bytes are valid UTF-8 (RFC 3629) with no NUL; *bad gets the first wrong offset. */
bool str_is_utf8(struct str s, size_t *bad);

/* A list of owned strings. A zeroed list is empty and ready. */
struct strv {
    char **items;
    size_t count;
    size_t cap;
};

#define AUTO_STRV CLEANUP(strv_done)

void strv_add(struct strv *v, const char *s);
void strv_add_str(struct strv *v, struct str s);
void strv_take(struct strv *v, char *s); /* takes ownership of s */
bool strv_has(const struct strv *v, const char *s);
void strv_copy(struct strv *to, const struct strv *from); /* appends */
void strv_sort(struct strv *v);
char *strv_join(const struct strv *v, const char *separator); /* the caller frees */
void strv_done(struct strv *v);

#endif
