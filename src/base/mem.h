/* Allocation that cannot fail: where memory is out, the process ends with a message.
 *
 * Nothing useful can be done by a command line without memory, and whatever costs money is in the
 * journal before it is called, so ending is safe. Sizes that come from outside are bounded before
 * they reach these functions. */
#ifndef FLAMBE_BASE_MEM_H
#define FLAMBE_BASE_MEM_H

#include "base/attr.h"
#include <stddef.h>

void *mem_alloc(size_t size);                             /* zeroed */
void *mem_array(size_t count, size_t size);               /* zeroed; overflow ends the process */
void *mem_grow(void *p, size_t count, size_t size);       /* realloc; new bytes are not zeroed */
char *mem_dup(const char *s);                             /* NULL stays NULL */
char *mem_dup_n(const void *p, size_t n);                 /* n bytes and a NUL */
char *mem_printf(const char *fmt, ...) PRINTF_LIKE(1, 2); /* owned by the caller */

/* For CLEANUP on any pointer made above: CLEANUP(mem_freep) char *s = …; */
void mem_freep(void *pp);
#define AUTO_FREE CLEANUP(mem_freep)

/* Makes room for one more element in a growing array: doubles *cap when count reaches it. */
#define MEM_PUSH_ROOM(array, count, cap)                         \
    do {                                                         \
        if ((count) == (cap)) {                                  \
            (cap) = (cap) ? (cap)*2 : 8;                         \
            (array) = mem_grow((array), (cap), sizeof *(array)); \
        }                                                        \
    } while (0)

#endif
