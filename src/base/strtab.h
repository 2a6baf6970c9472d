/* A hash table from strings to pointers; keys are copied, values belong to the caller.
 * Keyed with a random seed, so that keys from outside cannot be chosen to collide. */
#ifndef FLAMBE_BASE_STRTAB_H
#define FLAMBE_BASE_STRTAB_H

#include "base/str.h"
#include <stdbool.h>

struct strtab;

struct strtab *strtab_new(void);
void strtab_free(struct strtab *t); /* NULL is legal; values are not freed */
void strtab_freep(struct strtab **t);
/* Adds or replaces; returns the value that was there before, or NULL. `value` is not NULL. */
void *strtab_put(struct strtab *t, struct str key, void *value);
void *strtab_get(const struct strtab *t, struct str key); /* NULL if absent */
void *strtab_remove(struct strtab *t, struct str key);    /* the value that was there, or NULL */
size_t strtab_count(const struct strtab *t);
/* Visits every entry, in no order: start with *at = 0, stop at false. No change while visiting. */
bool strtab_next(const struct strtab *t, size_t *at, struct str *key, void **value);

#endif
