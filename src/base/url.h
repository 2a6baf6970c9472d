/* What a URL keeps to itself: a password or token before its host, and the values of parameters
 * whose names say that they are secrets ("token", "X-Amz-Signature"). A user's name stays, unless
 * it may be a token itself. */
#ifndef FLAMBE_BASE_URL_H
#define FLAMBE_BASE_URL_H

#include "base/buf.h"
#include "base/str.h"
#include <stdbool.h>

#define URL_MASK "***"

/* Appends the text with URL_MASK in the place of each secret of the URLs in it. Two URLs that
 * differ in nothing else come out the same. */
void url_mask(struct str text, struct buf *out);
char *url_masked(const char *text); /* the same; the caller frees */
/* In place, with a '*' for each byte, so that columns stay where they are. */
void url_hide(char *text, size_t n);
bool url_has_secret(struct str text);
/* Appends `text`, which somebody else wrote, without the secrets of `source`'s URLs, wherever they
 * stand in it, and without those of its own URLs. */
void url_mask_of(struct str source, struct str text, struct buf *out);

#endif
