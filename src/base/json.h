/* JSON over jansson, with the checks that every reader of outside bytes needs. Own a value with
 * jansson's json_auto_t. */
#ifndef FLAMBE_BASE_JSON_H
#define FLAMBE_BASE_JSON_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include <jansson.h>

/* Duplicate keys, trailing bytes and more than `max` bytes are errors (ERR_PARSE, with line and
 * column). The caller owns *out. */
int json_parse(struct str text, size_t max, json_t **out, struct err *err) MUST_CHECK;
/* Appends the compact form, or, for people, an indented one with a final newline. A fraction has
 * the shortest digits that read back as the same number. A byte that is no UTF-8, as a path may
 * have it, is written as \udcXX, which Python's json takes for that byte of a path. */
void json_write(const json_t *value, bool pretty, struct buf *out);
/* A number, or, where JSON has none for it, the text "nan", "inf" or "-inf", which float() of
 * Python takes. */
json_t *json_number(double x);
/* Rounded to 1e-6: for sums and products of decimals, such as prices, of which people expect no
 * 0.30000000000000004. */
json_t *json_rounded(double x);
/* The text as a string, whatever its bytes are: those that are not UTF-8 become U+FFFD, each its
 * own. NULL becomes null. */
json_t *json_lossy(const char *text);
/* The string member `key` of an object, or NULL where it is absent or no string. */
const char *json_text(const json_t *object, const char *key);

#endif
