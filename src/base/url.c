/* See url.h. Where a text could be read in two ways, more of it is a secret. */
#include "base/url.h"
#include "base/mem.h"
#include <ctype.h>
#include <string.h>

#define TOKEN_LENGTH 20 /* a user's name of so many bytes may be a token */
#define SHORT_SECRET 4  /* shorter ones are not looked for in other texts */
#define SECRETS_MAX 64  /* of one text that are looked for in another */

struct range {
    size_t start, end;
};

/* One text, read from its start on: each call of next() gives its next secret. */
struct reader {
    struct str text;
    size_t at;                   /* where to look for the next URL */
    size_t part, end;            /* within one: the next parameter, and the URL's end */
    struct range waiting[2];     /* found at once, and not given yet */
    size_t waiting_count, given; /* … */
};

/* ---- parameters ------------------------------------------------------------------------------ */

static bool is_secret_name(struct str name)
{
    static const char *const within[] = {"token",     "secret",     "passw",   "pwd",     "signat",
                                         "credent",   "apikey",     "api_key", "api-key", "session",
                                         "accesskey", "access_key", "auth",    "jwt"};
    static const char *const whole[] = {"key", "sig", "code", "sas", "pass"};
    char lower[128];
    size_t n = name.n < sizeof lower - 1 ? name.n : sizeof lower - 1;
    for (size_t i = 0; i < n; i++)
        lower[i] = (char)tolower((unsigned char)name.p[i]);
    lower[n] = '\0';
    for (size_t i = 0; i < COUNT_OF(within); i++)
        if (strstr(lower, within[i]))
            return true;
    for (size_t i = 0; i < COUNT_OF(whole); i++)
        if (strcmp(lower, whole[i]) == 0)
            return true;
    return false;
}

static bool next_parameter(struct reader *r, struct range *out)
{
    while (r->part < r->end) {
        size_t start = r->part, stop = start;
        while (stop < r->end && !strchr("?#&;", r->text.p[stop]))
            stop++;
        r->part = stop + 1;
        const char *equals = memchr(r->text.p + start, '=', stop - start);
        size_t name = equals ? (size_t)(equals - r->text.p) : stop;
        if (equals && name + 1 < stop &&
            is_secret_name((struct str){r->text.p + start, name - start})) {
            *out = (struct range){name + 1, stop};
            return true;
        }
    }
    return false;
}

/* ---- before the host ------------------------------------------------------------------------- */

static bool is_digits(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isdigit((unsigned char)p[i]))
            return false;
    return true;
}

static size_t last_at(const struct reader *r, size_t start, size_t end)
{
    while (end > start && r->text.p[end - 1] != '@')
        end--;
    return end; /* behind it; `start`: there is none */
}

/* The userinfo's end, or `start` where the URL has none. A password with a raw '/', '?' or '#' in
 * it makes what stands behind its ':' no port. */
static size_t userinfo_end(const struct reader *r, size_t start, size_t *authority)
{
    size_t stop = start;
    while (stop < r->end && !strchr("/?#", r->text.p[stop]))
        stop++;
    *authority = stop;
    size_t at = last_at(r, start, stop);
    if (at > start)
        return at - 1;
    const char *colon = memchr(r->text.p + start, ':', stop - start);
    size_t port = colon ? (size_t)(colon - r->text.p) + 1 : stop;
    if (!colon || is_digits(colon + 1, stop - port) || r->text.p[start] == '[')
        return start;
    at = last_at(r, start, r->end);
    return at > start ? at - 1 : start;
}

static bool is_ssh(struct str scheme)
{
    return str_ends(scheme, "ssh") || str_is(scheme, "sftp") || str_is(scheme, "scp");
}

static void find_userinfo(struct reader *r, struct str scheme, size_t start)
{
    size_t authority, end = userinfo_end(r, start, &authority);
    r->waiting_count = r->given = 0;
    r->part = end > authority ? end : authority;
    if (end == start)
        return;
    const char *colon = memchr(r->text.p + start, ':', end - start);
    size_t user_end = colon ? (size_t)(colon - r->text.p) : end;
    size_t password = colon ? user_end + 1 : end;
    struct str word = {r->text.p + password, end - password};
    bool token = (!colon && !is_ssh(scheme)) || (colon && !word.n) || /* "TOKEN@", "TOKEN:@" */
                 str_is(word, "x-oauth-basic") || user_end - start >= TOKEN_LENGTH;
    if (token && user_end > start)
        r->waiting[r->waiting_count++] = (struct range){start, user_end};
    if (word.n)
        r->waiting[r->waiting_count++] = (struct range){password, end};
}

/* ---- URLs ------------------------------------------------------------------------------------ */

static bool is_scheme(char c)
{
    return isalnum((unsigned char)c) || c == '+' || c == '-' || c == '.';
}

static bool ends_url(char c)
{
    return (unsigned char)c <= ' ' || c == 0x7f || strchr("\"'<>`", c);
}

/* Goes to the next "scheme://". */
static bool next_url(struct reader *r)
{
    while (r->at + 3 < r->text.n) {
        const char *p = memchr(r->text.p + r->at, ':', r->text.n - r->at);
        size_t colon = p ? (size_t)(p - r->text.p) : r->text.n;
        r->at = colon + 1;
        if (colon + 3 >= r->text.n)
            return false;
        if (memcmp(p, "://", 3) != 0)
            continue;
        size_t scheme = colon, start = colon + 3;
        while (scheme > 0 && is_scheme(r->text.p[scheme - 1]))
            scheme--;
        if (scheme == colon)
            continue;
        r->end = start;
        while (r->end < r->text.n && !ends_url(r->text.p[r->end]))
            r->end++;
        r->at = r->end;
        while (r->end > start && strchr(",;.)]}", r->text.p[r->end - 1]))
            r->end--; /* of the text around it */
        find_userinfo(r, (struct str){r->text.p + scheme, colon - scheme}, start);
        return true;
    }
    return false;
}

static bool next(struct reader *r, struct range *out)
{
    for (;;) {
        if (r->given < r->waiting_count) {
            *out = r->waiting[r->given++];
            return true;
        }
        if (next_parameter(r, out))
            return true;
        if (!next_url(r))
            return false;
    }
}

/* ---- out --------------------------------------------------------------------------------------
 */

void url_mask(struct str text, struct buf *out)
{
    struct reader r = {.text = text};
    struct range secret;
    size_t at = 0;
    while (next(&r, &secret)) {
        buf_add(out, text.p + at, secret.start - at);
        buf_adds(out, URL_MASK);
        at = secret.end;
    }
    if (text.n > at)
        buf_add(out, text.p + at, text.n - at);
}

char *url_masked(const char *text)
{
    struct buf out = {0};
    url_mask(str_of(text), &out);
    return buf_take(&out);
}

void url_hide(char *text, size_t n)
{
    struct reader r = {.text = {text, n}};
    struct range secret;
    while (next(&r, &secret))
        memset(text + secret.start, '*', secret.end - secret.start);
}

bool url_has_secret(struct str text)
{
    struct reader r = {.text = text};
    struct range secret;
    return next(&r, &secret);
}

void url_mask_of(struct str source, struct str text, struct buf *out)
{
    struct str secrets[SECRETS_MAX];
    size_t count = 0;
    struct reader r = {.text = source};
    struct range found;
    while (count < SECRETS_MAX && next(&r, &found))
        if (found.end - found.start >= SHORT_SECRET)
            secrets[count++] = (struct str){source.p + found.start, found.end - found.start};
    AUTO_BUF struct buf clean = {0};
    for (size_t i = 0; i < text.n;) {
        size_t skip = 0;
        for (size_t k = 0; k < count; k++)
            if (secrets[k].n <= text.n - i && secrets[k].n > skip &&
                memcmp(text.p + i, secrets[k].p, secrets[k].n) == 0)
                skip = secrets[k].n;
        if (skip)
            buf_adds(&clean, URL_MASK);
        else
            buf_addc(&clean, text.p[i]);
        i += skip ? skip : 1;
    }
    url_mask(buf_view(&clean), out);
}
