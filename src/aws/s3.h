/* S3: what a resource's URL names, an object or all below a prefix, into files.
 *
 * The region of a bucket need not be the client's: S3 says which it is. Where no credentials are to
 * be found the requests go without a signature, which is enough for public buckets.
 *
 * These calls wait, on the program's main path; they are no futures. */
#ifndef FLAMBE_AWS_S3_H
#define FLAMBE_AWS_S3_H

#include "aws/aws.h"
#include "net/download.h"

#define S3_OBJECTS_MAX 1000000 /* below one prefix */
#define S3_KEY_MAX 1024        /* bytes; S3's own limit */
#define S3_IN_FLIGHT 8

struct s3_object {
    char *key;
    uint64_t size;
    char *etag;
};

struct s3_objects {
    struct s3_object *items;
    size_t count, cap;
};
void s3_objects_done(struct s3_objects *l);

/* "s3://BUCKET/KEY". *key is what stands behind the bucket and its '/', maybe "". The caller frees
 * both. ERR_FILE. */
int s3_parse_url(const char *url, char **bucket, char **key, struct err *err) MUST_CHECK;

struct s3_bucket;

/* Makes sure of credentials, or that there are none; asks S3 nothing yet. */
int s3_open(struct aws *aws, const char *bucket, struct s3_bucket **out,
            struct err *err) MUST_CHECK;
void s3_close(struct s3_bucket *b); /* before its aws; NULL is legal */

/* All objects whose keys begin with the prefix, by key. */
int s3_list(struct s3_bucket *b, const char *prefix, struct s3_objects *out,
            struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND where there is no such object. */
int s3_get(struct s3_bucket *b, const char *key, const char *path, download_progress_fn *progress,
           void *ctx, struct download_result *out, struct err *err) MUST_CHECK;
/* All of them into files below `directory`, which is made: where a key has more behind the prefix,
 * that is the file's path. What would not stay below it (an empty part, "." or "..") is
 * ERR_REJECTED before anything is fetched; a key that ends in '/' is a directory. Work under way is
 * in DIRECTORY.parts, with which the next call goes on; it is removed in the end. */
int s3_get_tree(struct s3_bucket *b, const char *prefix, const struct s3_objects *objects,
                const char *directory, download_progress_fn *progress, void *ctx,
                struct err *err) MUST_CHECK;

struct s3_fetched {
    bool is_tree;
    char *etag; /* of an object; NULL for a tree */
    uint64_t size, count;
};
void s3_fetched_done(struct s3_fetched *f);
/* An object, or, where the URL ends in '/' or is no object's, all below it. */
int s3_fetch(struct aws *aws, const char *url, const char *destination,
             download_progress_fn *progress, void *ctx, struct s3_fetched *out,
             struct err *err) MUST_CHECK;

#endif
