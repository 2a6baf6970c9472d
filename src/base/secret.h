/* A secret: bytes that are wiped when freed, and for which there is no way to print them.
 *
 * The struct is opaque so that no format string, JSON writer or debugger helper takes it by
 * accident; secret_expose() is the one door, and a reviewer greps for it. */
#ifndef FLAMBE_BASE_SECRET_H
#define FLAMBE_BASE_SECRET_H

#include "base/attr.h"
#include "base/str.h"
#include <stdbool.h>

struct secret;

struct secret *secret_new(struct str bytes); /* copies */
struct secret *secret_copy(const struct secret *s);
void secret_free(struct secret *s); /* wipes; NULL is legal */
void secret_freep(struct secret **s);
/* Valid until the secret is freed; the bytes are followed by a NUL. Empty for NULL. */
struct str secret_expose(const struct secret *s);
bool secret_is_empty(const struct secret *s);

#endif
