/* Compiler attributes under short names, and cleanup helpers.
 *
 * CLEANUP(fn) runs fn(&variable) when the variable leaves its scope; TAKE(p) moves a pointer out of
 * a variable and leaves NULL behind, so that the cleanup then frees nothing. */
#ifndef FLAMBE_BASE_ATTR_H
#define FLAMBE_BASE_ATTR_H

#include <stddef.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#define NORETURN __attribute__((noreturn))
#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define TAKE(p)                           \
    __extension__({                       \
        __typeof__(p) *take_from = &(p);  \
        __typeof__(p) taken = *take_from; \
        *take_from = NULL;                \
        taken;                            \
    })
#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
