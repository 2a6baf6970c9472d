/* See sigv4.h. */
#include "aws/sigv4.h"
#include "base/digest.h"
#include "base/mem.h"
#include "base/port.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static bool is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

void sigv4_escape(struct str s, const char *keep, struct buf *out)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (is_unreserved(c) || (c && strchr(keep, c))) {
            buf_addc(out, c);
            continue;
        }
        char three[3] = {'%', digits[(unsigned char)c >> 4], digits[c & 15]};
        buf_add(out, three, 3);
    }
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* %XX becomes its byte; a '%' without two digits stays. '+' is a plus: AWS escapes spaces as %20.
 */
static void unescape(struct str s, struct buf *out)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '%' && i + 2 < s.n && hex_value(s.p[i + 1]) >= 0 &&
            hex_value(s.p[i + 2]) >= 0) {
            buf_addc(out, (char)(hex_value(s.p[i + 1]) << 4 | hex_value(s.p[i + 2])));
            i += 2;
        } else {
            buf_addc(out, s.p[i]);
        }
    }
}

/* RFC 3986, 5.2.4, and no empty segments: "/a/./b//../c/" is "/a/c/". */
static void add_path(struct str path, bool raw, struct buf *out)
{
    if (raw || path.n == 0) {
        sigv4_escape(path.n ? path : STR("/"), "/", out);
        return;
    }
    size_t start = out->len;
    struct str rest = path, last = {NULL, 0};
    while (rest.p) {
        last = str_cut(&rest, '/');
        if (last.n == 0 || str_is(last, "."))
            continue;
        if (str_is(last, "..")) {
            while (out->len > start && out->data[--out->len] != '/')
                ;
            continue;
        }
        buf_addc(out, '/');
        sigv4_escape(last, "", out);
    }
    bool is_directory = last.n == 0 || str_is(last, ".") || str_is(last, "..");
    if (out->len == start || is_directory)
        buf_addc(out, '/');
    out->data[out->len] = '\0';
}

struct pair {
    char *key, *value;
};

static int compare_pairs(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    int order = strcmp(x->key, y->key);
    return order ? order : strcmp(x->value, y->value);
}

static char *reescaped(struct str s)
{
    AUTO_BUF struct buf plain = {0};
    struct buf text = {0};
    unescape(s, &plain);
    sigv4_escape(buf_view(&plain), "", &text);
    return buf_take(&text);
}

static void add_query(struct str query, struct buf *out)
{
    struct pair *pairs = NULL;
    size_t count = 0, cap = 0;
    while (query.p && query.n) {
        struct str value = str_cut(&query, '&');
        if (value.n == 0)
            continue;
        struct str key = str_cut(&value, '=');
        MEM_PUSH_ROOM(pairs, count, cap);
        pairs[count++] = (struct pair){reescaped(key), reescaped(value)};
    }
    if (count)
        qsort(pairs, count, sizeof *pairs, compare_pairs);
    for (size_t i = 0; i < count; i++) {
        buf_addf(out, "%s%s=%s", i ? "&" : "", pairs[i].key, pairs[i].value);
        free(pairs[i].key);
        free(pairs[i].value);
    }
    free(pairs);
}

/* A header under its lower-case name; `order` keeps equal names in the order of the request. */
struct header {
    char *name;
    struct str value;
    size_t order;
};

static int compare_headers(const void *a, const void *b)
{
    const struct header *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : x->order < y->order ? -1 : 1;
}

/* What proxies and the HTTP client itself set or change is not signed. */
static bool is_signed(struct str name)
{
    static const char *const not_signed[] = {"authorization",     "connection",      "expect",
                                             "transfer-encoding", "user-agent",      "te",
                                             "upgrade",           "x-amzn-trace-id", "keep-alive"};
    for (size_t i = 0; i < COUNT_OF(not_signed); i++)
        if (name.n == strlen(not_signed[i]) && strncasecmp(name.p, not_signed[i], name.n) == 0)
            return false;
    return true;
}

static char *lowered(struct str s)
{
    char *p = str_dup(s);
    for (size_t i = 0; i < s.n; i++)
        if (p[i] >= 'A' && p[i] <= 'Z')
            p[i] |= 0x20;
    return p;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Trimmed, each run of white space one space. */
static void add_collapsed(struct str value, struct buf *out)
{
    value = str_trim(value);
    for (size_t i = 0; i < value.n; i++) {
        if (!is_space(value.p[i]))
            buf_addc(out, value.p[i]);
        else if (!is_space(value.p[i - 1]))
            buf_addc(out, ' ');
    }
}

/* Appends the canonical headers to `out` and their names to `names`, joined by ';'. */
static void add_headers(const struct sigv4_request *r, const struct sigv4_signer *s,
                        const char *date, struct buf *out, struct buf *names)
{
    struct header list[SIGV4_HEADERS_MAX + 2];
    size_t count = 0;
    assert(r->header_count <= SIGV4_HEADERS_MAX);
    for (size_t i = 0; i < r->header_count; i++)
        if (is_signed(r->headers[i].name))
            list[count++] = (struct header){lowered(r->headers[i].name), r->headers[i].value, i};
    list[count++] = (struct header){mem_dup("x-amz-date"), str_of(date), r->header_count};
    if (!secret_is_empty(s->session_token))
        list[count++] = (struct header){mem_dup("x-amz-security-token"),
                                        secret_expose(s->session_token), r->header_count + 1};
    qsort(list, count, sizeof *list, compare_headers);
    for (size_t i = 0; i < count; i++) {
        bool again = i > 0 && strcmp(list[i].name, list[i - 1].name) == 0;
        if (again) {
            out->data[out->len - 1] = ','; /* in place of the line's end */
        } else {
            buf_addf(out, "%s:", list[i].name);
            buf_addf(names, "%s%s", names->len ? ";" : "", list[i].name);
        }
        add_collapsed(list[i].value, out);
        buf_addc(out, '\n');
    }
    for (size_t i = 0; i < count; i++)
        free(list[i].name);
}

static void add_canonical_request(const struct sigv4_request *r, const struct sigv4_signer *s,
                                  const char *date, struct buf *out, struct buf *names)
{
    buf_add_str(out, r->method);
    buf_addc(out, '\n');
    if (r->path_as_sent)
        buf_add_str(out, r->path.n ? r->path : STR("/"));
    else
        add_path(r->path, r->raw_path, out);
    buf_addc(out, '\n');
    add_query(r->query, out);
    buf_addc(out, '\n');
    add_headers(r, s, date, out, names);
    char hash[SHA256_HEX_SIZE];
    digest_sha256_hex(r->body, hash);
    buf_addf(out, "\n%s\n%s", buf_text(names), hash);
}

/* HMAC over HMAC from the secret key: it signs for one day, region and service only. */
static void signing_key(const struct sigv4_signer *s, const char *date, uint8_t key[SHA256_SIZE])
{
    struct buf first = {0};
    buf_adds(&first, "AWS4");
    buf_add_str(&first, secret_expose(s->secret_key));
    digest_hmac_sha256(buf_view(&first), (struct str){date, 8}, key);
    buf_wipe(&first);
    const char *const parts[] = {s->region, s->service, "aws4_request"};
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        uint8_t next[SHA256_SIZE];
        digest_hmac_sha256((struct str){(char *)key, SHA256_SIZE}, str_of(parts[i]), next);
        memcpy(key, next, sizeof next);
        port_wipe(next, sizeof next);
    }
}

void sigv4_sign(const struct sigv4_request *r, const struct sigv4_signer *s,
                struct sigv4_result *out)
{
    *out = (struct sigv4_result){0};
    time_t seconds = (time_t)(s->time / USEC_PER_SEC);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    strftime(out->date, sizeof out->date, "%Y%m%dT%H%M%SZ", &tm);

    AUTO_BUF struct buf names = {0};
    add_canonical_request(r, s, out->date, &out->canonical_request, &names);
    AUTO_FREE char *scope = mem_printf("%.8s/%s/%s/aws4_request", out->date, s->region, s->service);
    char hash[SHA256_HEX_SIZE];
    digest_sha256_hex(buf_view(&out->canonical_request), hash);
    buf_addf(&out->string_to_sign, "AWS4-HMAC-SHA256\n%s\n%s\n%s", out->date, scope, hash);

    uint8_t key[SHA256_SIZE], raw[SHA256_SIZE];
    char signature[SHA256_HEX_SIZE];
    signing_key(s, out->date, key);
    digest_hmac_sha256((struct str){(char *)key, sizeof key}, buf_view(&out->string_to_sign), raw);
    port_wipe(key, sizeof key);
    digest_hex(raw, sizeof raw, signature);
    buf_addf(&out->authorization,
             "AWS4-HMAC-SHA256 Credential=%.*s/%s, SignedHeaders=%s, Signature=%s",
             STR_FMT(s->access_key_id), scope, buf_text(&names), signature);
}

void sigv4_result_done(struct sigv4_result *r)
{
    buf_wipe(&r->authorization);
    buf_wipe(&r->canonical_request);
    buf_wipe(&r->string_to_sign);
}
