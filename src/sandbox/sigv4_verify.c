/* See sigv4_verify.h. The order of checks is AWS's: form, date, signed headers, then the signature.
 */
#include "sandbox/sigv4_verify.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ALGORITHM "AWS4-HMAC-SHA256"
#define QUERY_PAIRS_MAX 1000

static bool is_name(struct str name, const char *lower)
{
    return name.n == strlen(lower) && strncasecmp(name.p, lower, name.n) == 0;
}

static bool all_digits(struct str s, size_t n)
{
    if (s.n != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    }
    return true;
}

static bool is_hex(struct str s, size_t n)
{
    if (s.n != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!strchr("0123456789abcdef", s.p[i]) || !s.p[i])
            return false;
    }
    return true;
}

/* ---- the Authorization header --------------------------------------------------------------- */

static bool parse_credential(struct str value, struct sigv4_auth *out)
{
    struct str rest = value;
    out->access_key = str_cut(&rest, '/');
    out->date = str_cut(&rest, '/');
    out->region = str_cut(&rest, '/');
    out->service = str_cut(&rest, '/');
    return out->access_key.n && all_digits(out->date, 8) && out->region.n && out->service.n &&
           rest.p && str_is(rest, "aws4_request");
}

enum sigv4_result sigv4_parse(struct str authorization, struct sigv4_auth *out,
                              char why[SIGV4_WHY_SIZE])
{
    struct str rest = str_trim(authorization);
    if (!str_starts(rest, ALGORITHM) || rest.n > SIGV4_AUTHORIZATION_MAX) {
        snprintf(why, SIGV4_WHY_SIZE, "Missing Authentication Token");
        return SIGV4_MISSING;
    }
    rest.p += sizeof ALGORITHM - 1;
    rest.n -= sizeof ALGORITHM - 1;
    struct sigv4_auth auth = {0};
    struct str credential = {0};
    while (rest.p) {
        struct str value = str_trim(str_cut(&rest, ','));
        struct str name = str_cut(&value, '=');
        if (!value.p)
            continue;
        if (str_is(name, "Credential"))
            credential = value;
        else if (str_is(name, "SignedHeaders"))
            auth.signed_headers = value;
        else if (str_is(name, "Signature"))
            auth.signature = value;
    }
    if (!credential.n || !auth.signed_headers.n || !auth.signature.n) {
        snprintf(why, SIGV4_WHY_SIZE, "Authorization header requires%s%s%s",
                 credential.n ? "" : " 'Credential' parameter.",
                 auth.signature.n ? "" : " 'Signature' parameter.",
                 auth.signed_headers.n ? "" : " 'SignedHeaders' parameter.");
        return SIGV4_INCOMPLETE;
    }
    if (!parse_credential(credential, &auth)) {
        snprintf(why, SIGV4_WHY_SIZE,
                 "Credential must have exactly 5 slash-delimited elements, e.g. "
                 "keyid/date/region/service/term");
        return SIGV4_INCOMPLETE;
    }
    if (!is_hex(auth.signature, 64)) {
        snprintf(why, SIGV4_WHY_SIZE, "The signature is not 64 lower-case hexadecimal digits");
        return SIGV4_INCOMPLETE;
    }
    *out = auth;
    return SIGV4_OK;
}

/* ---- the canonical request ------------------------------------------------------------------ */

static void add_escaped(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                     (c && strchr("-_.~", c));
        if (plain)
            buf_addc(b, (char)c);
        else
            buf_addf(b, "%%%02X", c);
    }
}

/* Dots and empty segments are resolved; what is left is escaped once more. */
static void add_path(struct buf *b, struct str path)
{
    AUTO_STRV struct strv segments = {0};
    struct str rest = path;
    while (rest.p) {
        struct str segment = str_cut(&rest, '/');
        if (segment.n == 0 || str_is(segment, "."))
            continue;
        if (!str_is(segment, "..")) {
            strv_add_str(&segments, segment);
        } else if (segments.count) {
            free(segments.items[--segments.count]);
            segments.items[segments.count] = NULL;
        }
    }
    for (size_t i = 0; i < segments.count; i++) {
        buf_addc(b, '/');
        add_escaped(b, str_of(segments.items[i]));
    }
    if (segments.count == 0 || str_ends(path, "/"))
        buf_addc(b, '/');
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Unescapes and escapes again, so that every way to write a byte becomes one. */
static void add_query_part(struct buf *b, struct str s)
{
    AUTO_BUF struct buf plain = {0};
    for (size_t i = 0; i < s.n; i++) {
        int high = s.p[i] == '%' && i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(s.p[i + 2]) : -1;
        if (low >= 0) {
            buf_addc(&plain, (char)(high << 4 | low));
            i += 2;
        } else {
            buf_addc(&plain, s.p[i]);
        }
    }
    add_escaped(b, buf_view(&plain));
}

struct query_pair {
    char *name, *value;
};

static int compare_pairs(const void *a, const void *b)
{
    const struct query_pair *x = a, *y = b;
    int by_name = strcmp(x->name, y->name);
    return by_name ? by_name : strcmp(x->value, y->value);
}

static void add_query(struct buf *b, struct str query)
{
    struct query_pair *pairs = NULL;
    size_t count = 0, cap = 0;
    struct str rest = query;
    while (rest.p && count < QUERY_PAIRS_MAX) {
        struct str value = str_cut(&rest, '&');
        if (value.n == 0)
            continue;
        struct buf name_text = {0}, value_text = {0};
        add_query_part(&name_text, str_cut(&value, '='));
        add_query_part(&value_text, value);
        MEM_PUSH_ROOM(pairs, count, cap);
        pairs[count++] = (struct query_pair){buf_take(&name_text), buf_take(&value_text)};
    }
    if (count)
        qsort(pairs, count, sizeof *pairs, compare_pairs);
    for (size_t i = 0; i < count; i++) {
        buf_addf(b, "%s%s=%s", i ? "&" : "", pairs[i].name, pairs[i].value);
        free(pairs[i].name);
        free(pairs[i].value);
    }
    free(pairs);
}

static void add_header_value(struct buf *b, struct str value)
{
    struct str v = str_trim(value);
    bool space = false;
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == ' ' || v.p[i] == '\t') {
            space = true;
            continue;
        }
        if (space)
            buf_addc(b, ' ');
        space = false;
        buf_addc(b, v.p[i]);
    }
}

/* All of that name, in the order of arrival, with commas between; false where there is none. */
static bool add_header(struct buf *b, const struct sigv4_request *q, struct str name)
{
    AUTO_FREE char *lower = str_dup(name);
    bool found = false;
    for (size_t i = 0; i < q->header_count; i++) {
        if (!is_name(q->headers[i].name, lower))
            continue;
        if (found)
            buf_addc(b, ',');
        else
            buf_addf(b, "%s:", lower);
        found = true;
        add_header_value(b, q->headers[i].value);
    }
    if (found)
        buf_addc(b, '\n');
    return found;
}

static struct str header(const struct sigv4_request *q, const char *lower)
{
    for (size_t i = 0; i < q->header_count; i++) {
        if (is_name(q->headers[i].name, lower))
            return str_trim(q->headers[i].value);
    }
    return STR("");
}

static bool canonical_request(const struct sigv4_request *q, const struct sigv4_auth *auth,
                              struct buf *out)
{
    char hash[SHA256_HEX_SIZE];
    digest_sha256_hex(q->body, hash);
    buf_add_str(out, q->method);
    buf_addc(out, '\n');
    add_path(out, q->path);
    buf_addc(out, '\n');
    add_query(out, q->query);
    buf_addc(out, '\n');
    struct str rest = auth->signed_headers;
    while (rest.p) {
        if (!add_header(out, q, str_cut(&rest, ';')))
            return false;
    }
    buf_addc(out, '\n');
    buf_add_str(out, auth->signed_headers);
    buf_addc(out, '\n');
    buf_adds(out, hash);
    return true;
}

/* ---- the checks ----------------------------------------------------------------------------- */

static bool is_signed(const struct sigv4_auth *auth, struct str name)
{
    struct str rest = auth->signed_headers;
    while (rest.p) {
        struct str one = str_cut(&rest, ';');
        if (one.n == name.n && strncasecmp(one.p, name.p, one.n) == 0)
            return true;
    }
    return false;
}

/* The host and every x-amz-* header must be signed, or they could be changed on the way. */
static enum sigv4_result check_signed(const struct sigv4_request *q, const struct sigv4_auth *auth,
                                      char *why)
{
    for (size_t i = 0; i < q->header_count; i++) {
        struct str name = q->headers[i].name;
        bool must = is_name(name, "host") || (name.n > 6 && strncasecmp(name.p, "x-amz-", 6) == 0);
        if (!must || is_signed(auth, name))
            continue;
        snprintf(why, SIGV4_WHY_SIZE, "'%.*s' must be a 'SignedHeader' in the AWS Authorization.",
                 (int)(name.n < 100 ? name.n : 100), name.p);
        return SIGV4_UNSIGNED_HEADER;
    }
    return SIGV4_OK;
}

static bool parse_compact(struct str s, usec_t *out)
{
    if (s.n != 16 || s.p[8] != 'T' || s.p[15] != 'Z' || !all_digits((struct str){s.p, 8}, 8) ||
        !all_digits((struct str){s.p + 9, 6}, 6))
        return false;
    char iso[CLOCK_ISO_SIZE];
    snprintf(iso, sizeof iso, "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", s.p, s.p + 4, s.p + 6, s.p + 9,
             s.p + 11, s.p + 13);
    return clock_parse_iso(str_of(iso), out);
}

static void compact(usec_t wall, char out[20])
{
    char iso[CLOCK_ISO_SIZE];
    clock_iso(wall, iso);
    size_t n = 0;
    for (const char *p = iso; *p && n < 19; p++) {
        if (*p != '-' && *p != ':')
            out[n++] = *p;
    }
    out[n] = '\0';
}

static enum sigv4_result check_date(struct str date, const struct sigv4_auth *auth, usec_t now,
                                    char *why)
{
    usec_t signed_at = 0;
    if (!parse_compact(date, &signed_at)) {
        snprintf(why, SIGV4_WHY_SIZE,
                 "Date must be in ISO-8601 'basic format'. Got '%.*s'. See "
                 "http://en.wikipedia.org/wiki/ISO_8601",
                 (int)(date.n < 40 ? date.n : 40), date.p);
        return SIGV4_INCOMPLETE;
    }
    char now_text[20], edge[20];
    compact(now, now_text);
    if (signed_at < now - SIGV4_SKEW) {
        compact(now - SIGV4_SKEW, edge);
        snprintf(why, SIGV4_WHY_SIZE,
                 "Signature expired: %.*s is now earlier than %s (%s - 15 min.)", STR_FMT(date),
                 edge, now_text);
        return SIGV4_EXPIRED;
    }
    if (signed_at > now + SIGV4_SKEW) {
        compact(now + SIGV4_SKEW, edge);
        snprintf(why, SIGV4_WHY_SIZE,
                 "Signature not yet current: %.*s is still later than %s (%s + 15 min.)",
                 STR_FMT(date), edge, now_text);
        return SIGV4_EARLY;
    }
    if (memcmp(date.p, auth->date.p, 8) != 0) {
        snprintf(why, SIGV4_WHY_SIZE,
                 "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date "
                 "from HTTP: '%.*s' != '%.8s', from '%.*s'.",
                 STR_FMT(auth->date), date.p, STR_FMT(date));
        return SIGV4_MISMATCH;
    }
    return SIGV4_OK;
}

static void sign(const struct sigv4_auth *auth, const struct secret *secret, struct str date,
                 struct str canonical, char out[SHA256_HEX_SIZE])
{
    uint8_t key[SHA256_SIZE];
    char hash[SHA256_HEX_SIZE];
    AUTO_BUF struct buf text = {0};
    struct buf seed = {0};
    buf_adds(&seed, "AWS4");
    buf_add_str(&seed, secret_expose(secret));
    digest_hmac_sha256(buf_view(&seed), auth->date, key);
    buf_wipe(&seed);
    const struct str steps[] = {auth->region, auth->service, STR("aws4_request")};
    for (size_t i = 0; i < COUNT_OF(steps); i++)
        digest_hmac_sha256((struct str){(char *)key, sizeof key}, steps[i], key);
    digest_sha256_hex(canonical, hash);
    buf_addf(&text, ALGORITHM "\n%.*s\n%.*s/%.*s/%.*s/aws4_request\n%s", STR_FMT(date),
             STR_FMT(auth->date), STR_FMT(auth->region), STR_FMT(auth->service), hash);
    digest_hmac_sha256((struct str){(char *)key, sizeof key}, buf_view(&text), key);
    digest_hex(key, sizeof key, out);
    explicit_bzero(key, sizeof key);
}

static enum sigv4_result mismatch(char *why)
{
    snprintf(why, SIGV4_WHY_SIZE,
             "The request signature we calculated does not match the signature you provided. Check "
             "your AWS Secret Access Key and signing method. Consult the service documentation for "
             "details.");
    return SIGV4_MISMATCH;
}

enum sigv4_result sigv4_check(const struct sigv4_request *q, const struct sigv4_auth *auth,
                              const struct secret *secret, usec_t now, char why[SIGV4_WHY_SIZE])
{
    struct str date = header(q, "x-amz-date");
    enum sigv4_result result = check_date(date, auth, now, why);
    if (result != SIGV4_OK)
        return result;
    if (!is_signed(auth, STR("host"))) {
        snprintf(why, SIGV4_WHY_SIZE, "'Host' must be a 'SignedHeader' in the AWS Authorization.");
        return SIGV4_UNSIGNED_HEADER;
    }
    result = check_signed(q, auth, why);
    if (result != SIGV4_OK)
        return result;
    struct str declared = header(q, "x-amz-content-sha256");
    char hash[SHA256_HEX_SIZE];
    digest_sha256_hex(q->body, hash);
    if (declared.n && !str_is(declared, hash)) {
        snprintf(why, SIGV4_WHY_SIZE,
                 "The value passed in as x-amz-content-sha256 does not match the computed payload "
                 "hash.");
        return SIGV4_BODY;
    }
    AUTO_BUF struct buf canonical = {0};
    if (!canonical_request(q, auth, &canonical))
        return mismatch(why);
    char expected[SHA256_HEX_SIZE];
    sign(auth, secret, date, buf_view(&canonical), expected);
    return digest_equal(str_of(expected), auth->signature) ? SIGV4_OK : mismatch(why);
}
