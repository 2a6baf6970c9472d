/* Resources as local paths: what is elsewhere is fetched, once, into the results' directory.
 *
 *   DIRECTORY/resources/NAME/FILE   what was fetched: a file, or a directory
 *   DIRECTORY/resources/NAME.json   {"url", "etag", "size", "file", "whole"}
 *
 * "url" is without passwords and tokens (base/url.h): another one is the same URL. A run that finds
 * it whole, and of the same URL, takes what is there. Half of it is gone on with;
 * what is another URL's is removed. */
#ifndef FLAMBE_EXPERIMENT_FETCH_H
#define FLAMBE_EXPERIMENT_FETCH_H

#include "base/err.h"
#include "base/str.h"
#include "experiment/spec.h"
#include <stdint.h>

/* `total` is 0 where it is not known. */
typedef void fetch_progress_fn(void *ctx, uint64_t so_far, uint64_t total);

struct fetched {
    char *etag; /* or NULL */
    uint64_t size;
};

/* The way out to the net, which this room does not have. */
struct fetcher {
    /* Brings what the URL (http, https, s3) names to `destination`, whose parent is there: a file,
     * or a directory with all below an S3 prefix. What an earlier call left half done beside it, it
     * may go on with. It waits, and calls `progress` from the loop, often. */
    int (*fetch)(void *ctx, const char *url, const char *destination, fetch_progress_fn *progress,
                 void *progress_ctx, struct fetched *out, struct err *err);
    void *ctx;
};

struct fetch_watch {
    /* Before one is fetched; not called for what is there already. */
    void (*begin)(void *ctx, const struct resource *r);
    void (*progress)(void *ctx, const struct resource *r, uint64_t so_far, uint64_t total);
    void (*end)(void *ctx, const struct resource *r, uint64_t size);
    void *ctx;
};

/* Adds to `paths` the absolute path of each of e->resources, in their order, as of this machine;
 * of a `!cluster` one, which is looked at nowhere here, as of the hosts. `watch` may be NULL.
 * The errors are the fetcher's, without the URL's
 * secrets, wrapped with the resource's name; ERR_NOT_FOUND for a local one that is gone. */
int resources_fetch(const struct experiment *e, const char *directory,
                    const struct fetcher *fetcher, const struct fetch_watch *watch,
                    struct strv *paths, struct err *err) MUST_CHECK;

#endif
