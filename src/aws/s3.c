/* See s3.h: requests, regions, failures, and listing. */
#include "aws/s3.h"
#include "aws/errors.h"
#include "aws/query.h"
#include "aws/s3_priv.h"
#include "aws/sigv4.h"
#include "aws/xml.h"
#include "base/digest.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

#define MOVES_MAX 3    /* between regions */
#define PAGES_MAX 2000 /* of a listing; a page has up to 1000 objects */
#define SKEW_MIN (4 * USEC_PER_MIN)

static const struct aws_service aws_s3 = {.name = "s3", .env = "S3", .host = "s3", .signing = "s3"};

void s3_objects_done(struct s3_objects *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->items[i].key);
        free(l->items[i].etag);
    }
    free(l->items);
    *l = (struct s3_objects){0};
}

/* Old buckets of us-east-1 have names that no host could bear; those are reached by path. */
static bool is_bucket_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alnum && (i == 0 || (c != '-' && c != '.' && c != '_')))
            return false;
    }
    return s.n >= 3 && s.n <= 255;
}

int s3_parse_url(const char *url, char **bucket, char **key, struct err *err)
{
    struct str rest = str_of(url);
    if (!str_starts(rest, "s3://"))
        return err_set(err, ERR_FILE, "'%s' is no s3:// URL", url);
    rest = (struct str){rest.p + 5, rest.n - 5};
    struct str name = str_cut(&rest, '/');
    if (!is_bucket_name(name))
        return err_set(err, ERR_FILE, "'%s' names no bucket: write s3://BUCKET/KEY", url);
    if (rest.n > S3_KEY_MAX)
        return err_set(err, ERR_FILE, "the key in '%s' is longer than the %d bytes that S3 allows",
                       url, S3_KEY_MAX);
    *bucket = str_dup(name);
    *key = rest.p ? str_dup(rest) : mem_dup("");
    return 0;
}

int s3_open(struct aws *aws, const char *bucket, struct s3_bucket **out, struct err *err)
{
    bool anonymous = false;
    struct err why = {0};
    credentials_try_now(aws);
    if (!credentials_usable(aws) && credentials_resolve(aws, &why) == -1) {
        if (!aws->no_credentials)
            return err_copy(err, &why);
        anonymous = true;
    }
    *out = mem_alloc(sizeof **out);
    **out = (struct s3_bucket){.aws = aws,
                               .name = mem_dup(bucket),
                               .region = mem_dup(aws->region),
                               .anonymous = anonymous};
    return 0;
}

void s3_close(struct s3_bucket *b)
{
    if (!b)
        return;
    free(b->name);
    free(b->region);
    free(b);
}

/* ---- one request ------------------------------------------------------------------------------
 */

/* Whether a certificate for *.s3.REGION.amazonaws.com covers it, and DNS takes it. */
static bool may_be_host(const char *bucket)
{
    size_t n = strlen(bucket);
    return n <= 63 && strspn(bucket, "abcdefghijklmnopqrstuvwxyz0123456789-") == n &&
           bucket[n - 1] != '-';
}

/* The host and the escaped path of a key, and the URL's part in front of that path. */
static int find_place(const struct s3_bucket *b, const char *key, char **origin, char **host,
                      struct buf *path, struct err *err)
{
    struct aws_url base;
    if (aws_find_endpoint(b->aws, &aws_s3, b->region, &base, err) == -1)
        return -1;
    bool by_host = !aws_has_endpoint(b->aws, &aws_s3) && may_be_host(b->name);
    size_t scheme = str_starts(str_of(base.url), "https://") ? 8 : 7;
    *host = by_host ? mem_printf("%s.%s", b->name, base.host) : mem_dup(base.host);
    *origin = mem_printf("%.*s%s", (int)scheme, base.url, *host);
    buf_adds(path, base.path);
    if (!str_ends(buf_view(path), "/"))
        buf_addc(path, '/');
    if (!by_host) {
        buf_adds(path, b->name);
        if (*key)
            buf_addc(path, '/');
    }
    sigv4_escape(str_of(key), "/", path);
    aws_url_done(&base);
    return 0;
}

static void add_line(struct s3_request *r, const char *name, struct str value)
{
    struct buf *b = &r->text[r->count];
    buf_adds(b, name);
    buf_adds(b, ": ");
    buf_add_str(b, value);
    r->lines[r->count++] = buf_text(b);
}

static void sign(const struct s3_bucket *b, const char *host, struct str path, const char *query,
                 struct s3_request *out)
{
    const struct credentials *by = &b->aws->credentials;
    char hash[SHA256_HEX_SIZE]; /* of no body */
    digest_sha256_hex(STR(""), hash);
    struct sigv4_header headers[] = {{STR("Host"), str_of(host)},
                                     {STR("X-Amz-Content-SHA256"), str_of(hash)}};
    struct sigv4_request request = {.method = STR("GET"),
                                    .path = path,
                                    .query = str_of(query),
                                    .headers = headers,
                                    .header_count = COUNT_OF(headers),
                                    .path_as_sent = true};
    struct sigv4_signer signer = {.access_key_id = str_of(by->access_key_id),
                                  .secret_key = by->secret_key,
                                  .session_token = by->session_token,
                                  .region = b->region,
                                  .service = aws_s3.signing,
                                  .time = aws_now(b->aws)};
    struct sigv4_result signature;
    sigv4_sign(&request, &signer, &signature);
    add_line(out, "X-Amz-Content-SHA256", str_of(hash));
    add_line(out, "X-Amz-Date", str_of(signature.date));
    add_line(out, "Authorization", buf_view(&signature.authorization));
    if (!secret_is_empty(by->session_token))
        add_line(out, "X-Amz-Security-Token", secret_expose(by->session_token));
    sigv4_result_done(&signature);
}

int s3_request_make(struct s3_bucket *b, const char *key, const char *query, struct s3_request *out,
                    struct err *err)
{
    AUTO_FREE char *origin = NULL, *host = NULL;
    AUTO_BUF struct buf path = {0};
    if (!b->anonymous && !credentials_usable(b->aws) && credentials_resolve(b->aws, err) == -1)
        return -1;
    if (find_place(b, key, &origin, &host, &path, err) == -1)
        return -1;
    *out = (struct s3_request){
        .url = mem_printf("%s%s%s%s", origin, buf_text(&path), *query ? "?" : "", query)};
    add_line(out, "Host", str_of(host));
    if (!b->anonymous)
        sign(b, host, buf_view(&path), query, out);
    return 0;
}

void s3_request_done(struct s3_request *r)
{
    for (size_t i = 0; i < r->count; i++)
        buf_wipe(&r->text[i]);
    free(r->url);
    *r = (struct s3_request){0};
}

/* ---- failures ---------------------------------------------------------------------------------
 */

void s3_set_error(const struct http_response *r, struct err *err)
{
    aws_error_set(err, r->status, buf_view(&r->body), STR(""));
    if (r->status == 404)
        err->code = ERR_NOT_FOUND;
}

/* Where the bucket is, by the header, or by the words of the error; the caller frees; or NULL. */
static char *region_told(const struct http_response *r)
{
    struct str header = http_header(r, "x-amz-bucket-region");
    if (header.n)
        return str_dup(header);
    CLEANUP(xml_freep) struct xml *x = NULL;
    if (xml_parse(buf_view(&r->body), &x, NULL) == -1)
        return NULL;
    return xml_dup(xml_root(x), "Region");
}

/* S3 refuses a request that came to, or was signed for, another region than the bucket's. */
static bool move(struct s3_bucket *b, struct s3_tries *t, const struct http_response *r)
{
    if (r->status != 301 && r->status != 307 && r->status != 400 && r->status != 403)
        return false;
    AUTO_FREE char *region = region_told(r);
    if (!region || !aws_region_is_sound(region) || strcmp(region, b->region) == 0 ||
        t->moves >= MOVES_MAX)
        return false;
    t->moves++;
    free(b->region);
    b->region = TAKE(region);
    return true;
}

static bool correct_clock(struct s3_bucket *b, struct s3_tries *t, const struct http_response *r,
                          const struct err *err)
{
    struct aws *aws = b->aws;
    usec_t theirs;
    if (t->clock_tried || !aws_error_may_be_skew(err) ||
        !aws_parse_http_date(http_header(r, "Date"), &theirs))
        return false;
    usec_t beyond = theirs - aws_now(aws);
    if (beyond < SKEW_MIN && beyond > -SKEW_MIN)
        return false;
    t->clock_tried = true;
    aws->clock_offset += beyond;
    return true;
}

static bool drop_credentials(struct s3_bucket *b, struct s3_tries *t, const struct err *err)
{
    struct aws *aws = b->aws;
    if (b->anonymous || t->refresh_tried || !aws_error_may_be_expired(err) || !aws->provider ||
        !aws->provider->waits)
        return false;
    t->refresh_tried = true;
    aws->credentials_stale = true;
    return true;
}

static void trace(struct s3_bucket *b, struct s3_tries *t, const char *action, int status,
                  const struct err *err, usec_t retry_in)
{
    struct aws *aws = b->aws;
    if (!aws->trace)
        return;
    struct aws_trace line = {.service = aws_s3.name,
                             .action = action,
                             .attempt = t->attempt,
                             .status = status,
                             .took = clock_mono(loop_clock(aws->loop)) - t->sent,
                             .err = err,
                             .retry_in = retry_in};
    aws->trace(aws->trace_ctx, &line);
}

void s3_succeeded(struct s3_bucket *b, struct s3_tries *t, const char *action, int status)
{
    retry_succeeded(&t->retry, &b->aws->quota);
    trace(b, t, action, status, NULL, 0);
}

static double chance(void)
{
    uint32_t raw;
    digest_random(&raw, sizeof raw);
    return raw / 4294967296.0;
}

bool s3_again(struct s3_bucket *b, struct s3_tries *t, const char *action,
              const struct http_response *r, struct err *err, usec_t *delay)
{
    struct aws *aws = b->aws;
    int status = r ? r->status : 0;
    *delay = 0;
    bool again = (r && (move(b, t, r) || correct_clock(b, t, r, err))) ||
                 drop_credentials(b, t, err) ||
                 retry_again(&t->retry, &aws->quota, aws->max_attempts, err, chance(), delay);
    trace(b, t, action, status, err, *delay);
    if (again)
        return true;
    if (err->code == ERR_CREDENTIALS && !b->anonymous)
        err_wrap(err, "the credentials of %s are refused", aws->credentials.source);
    if (err->code == ERR_PERMISSION && b->anonymous)
        err_wrap(err, "asked without AWS credentials, for there are none");
    err_wrap(err, "%s", action);
    return false;
}

/* ---- listing ----------------------------------------------------------------------------------
 */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Keys come escaped as in a form (encoding-type=url): XML has no room for some bytes of theirs. */
static char *unescape(const char *s)
{
    char *text = mem_dup(s), *out = text;
    for (const char *p = text; *p; p++) {
        if (*p == '%' && hex_value(p[1]) >= 0 && hex_value(p[2]) >= 0) {
            *out++ = (char)(hex_value(p[1]) << 4 | hex_value(p[2]));
            p += 2;
        } else {
            *out++ = *p == '+' ? ' ' : *p;
        }
    }
    *out = '\0';
    return text;
}

static int read_page(struct str text, struct s3_objects *out, char **token, struct err *err)
{
    CLEANUP(xml_freep) struct xml *x = NULL;
    if (xml_parse(text, &x, err) == -1)
        return -1;
    const struct xml_node *root = xml_root(x);
    if (strcmp(root->name, "ListBucketResult") != 0)
        return err_set(err, ERR_PARSE, "the answer is no listing of a bucket");
    const char *encoding = xml_text(root, "EncodingType");
    bool escaped = encoding && strcmp(encoding, "url") == 0;
    for (const struct xml_node *n = root->first; n; n = n->next) {
        const char *key = strcmp(n->name, "Contents") == 0 ? xml_text(n, "Key") : NULL;
        int64_t size = xml_int(n, "Size", 0);
        if (!key)
            continue;
        if (out->count >= S3_OBJECTS_MAX)
            return err_set(err, ERR_LIMIT, "more than %d objects", S3_OBJECTS_MAX);
        MEM_PUSH_ROOM(out->items, out->count, out->cap);
        out->items[out->count++] = (struct s3_object){.key = escaped ? unescape(key) : mem_dup(key),
                                                      .size = size > 0 ? (uint64_t)size : 0,
                                                      .etag = xml_dup(n, "ETag")};
    }
    free(*token);
    *token = xml_is_true(root, "IsTruncated") ? xml_dup(root, "NextContinuationToken") : NULL;
    return 0;
}

/* One page, with its retries. */
static int get_page(struct s3_bucket *b, const char *query, struct s3_objects *out, char **token,
                    struct err *err)
{
    struct s3_tries t = {0};
    for (;;) {
        struct s3_request q;
        CLEANUP(http_response_done) struct http_response r = {0};
        struct http *http = aws_http(b->aws, err);
        if (!http || s3_request_make(b, "", query, &q, err) == -1)
            return -1;
        struct http_request request = {.method = "GET", .url = q.url, .headers = q.lines};
        struct err why = {0};
        t.attempt++;
        t.sent = clock_mono(loop_clock(b->aws->loop));
        int rc = http_run(http, &request, &r, &why);
        s3_request_done(&q);
        if (rc == 0 && r.status == 200) {
            s3_succeeded(b, &t, "ListObjectsV2", r.status);
            if (read_page(buf_view(&r.body), out, token, err) == -1)
                return err_wrap(err, "ListObjectsV2");
            return 0;
        }
        usec_t delay;
        if (rc == 0)
            s3_set_error(&r, &why);
        if (!s3_again(b, &t, "ListObjectsV2", rc == 0 ? &r : NULL, &why, &delay))
            return err_copy(err, &why);
        if (loop_pause(b->aws->loop, delay, err) == -1)
            return -1;
    }
}

int s3_list(struct s3_bucket *b, const char *prefix, struct s3_objects *out, struct err *err)
{
    struct s3_objects l = {0};
    AUTO_FREE char *token = NULL;
    for (int page = 0; page < PAGES_MAX; page++) {
        AUTO_BUF struct buf query = {0};
        query_add(&query, "continuation-token", token);
        query_add(&query, "encoding-type", "url");
        query_add(&query, "list-type", "2");
        query_add(&query, "prefix", prefix);
        if (get_page(b, buf_text(&query), &l, &token, err) == -1) {
            s3_objects_done(&l);
            return -1;
        }
        if (!token) {
            *out = l;
            return 0;
        }
    }
    s3_objects_done(&l);
    return err_set(err, ERR_LIMIT, "the listing of 's3://%s/%s' has more than %d pages", b->name,
                   prefix, PAGES_MAX);
}
