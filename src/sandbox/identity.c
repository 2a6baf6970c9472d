/* See identity.h. */
#include "sandbox/identity.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include "os/fs.h"
#include <stdlib.h>
#include <string.h>

#define FILE_MAX ((size_t)16 << 10)
#define TOKEN_MAX ((size_t)4096)
#define SECRET_LENGTH 40
#define SEAL_SIZE 32

struct identities {
    char *access_key, *arn, *user_id;
    struct secret *secret;
    uint8_t seal[SEAL_SIZE];
};

static struct str seal_of(const struct identities *ids)
{
    return (struct str){(const char *)ids->seal, sizeof ids->seal};
}

/* "AKIA" and 16 random characters of base32. */
static char *new_key_id(const char *prefix)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint8_t raw[16];
    digest_random(raw, sizeof raw);
    char *id = mem_printf("%s................", prefix);
    for (size_t i = 0; i < sizeof raw; i++)
        id[strlen(prefix) + i] = alphabet[raw[i] & 31];
    return id;
}

static struct secret *secret_from(struct str bytes)
{
    struct buf text = {0};
    digest_base64(bytes, &text);
    struct secret *s = secret_new((struct str){text.data, SECRET_LENGTH});
    buf_wipe(&text);
    return s;
}

static struct secret *new_secret(void)
{
    uint8_t raw[30];
    digest_random(raw, sizeof raw);
    struct secret *s = secret_from((struct str){(char *)raw, sizeof raw});
    explicit_bzero(raw, sizeof raw);
    return s;
}

static int save(const struct identities *ids, const char *path, struct err *err)
{
    struct buf text = {0}, seal = {0};
    digest_base64(seal_of(ids), &seal);
    json_auto_t *j = json_object();
    json_object_set_new(j, "access_key", json_string(ids->access_key));
    json_object_set_new(j, "secret", json_string(secret_expose(ids->secret).p));
    json_object_set_new(j, "user_id", json_string(ids->user_id));
    json_object_set_new(j, "seal", json_string(buf_text(&seal)));
    json_write(j, true, &text);
    int rc = fs_write_atomic(path, 0600, buf_view(&text), err);
    buf_wipe(&text);
    buf_wipe(&seal);
    return rc;
}

static int load(struct identities *ids, const char *path, struct err *err)
{
    struct buf text = {0};
    if (fs_read(path, FILE_MAX, &text, err) == -1)
        return -1;
    json_auto_t *j = NULL;
    int rc = json_parse(buf_view(&text), FILE_MAX, &j, err);
    buf_wipe(&text);
    if (rc == -1)
        return err_wrap(err, "'%s'", path);
    const char *key = json_text(j, "access_key"), *secret = json_text(j, "secret"),
               *user_id = json_text(j, "user_id"), *seal = json_text(j, "seal");
    struct buf raw = {0};
    bool good = key && secret && user_id && seal && digest_unbase64(str_of(seal), &raw) &&
                raw.len == SEAL_SIZE;
    if (good) {
        memcpy(ids->seal, raw.data, SEAL_SIZE);
        ids->access_key = mem_dup(key);
        ids->user_id = mem_dup(user_id);
        ids->secret = secret_new(str_of(secret));
    }
    buf_wipe(&raw);
    return good ? 0 : err_set(err, ERR_PARSE, "'%s' is damaged", path);
}

int identities_open(const char *path, const char *account, struct identities **out, struct err *err)
{
    struct identities *ids = mem_alloc(sizeof *ids);
    ids->arn = mem_printf("arn:aws:iam::%s:user/sandbox", account);
    struct err why = {0};
    int rc = load(ids, path, &why);
    if (rc == -1 && why.code == ERR_NOT_FOUND) {
        ids->access_key = new_key_id("AKIA");
        ids->user_id = new_key_id("AIDA");
        ids->secret = new_secret();
        digest_random(ids->seal, sizeof ids->seal);
        rc = save(ids, path, &why);
    }
    if (rc == -1) {
        identities_free(ids);
        return err_copy(err, &why);
    }
    *out = ids;
    return 0;
}

void identities_free(struct identities *ids)
{
    if (!ids)
        return;
    free(ids->access_key);
    free(ids->arn);
    free(ids->user_id);
    secret_free(ids->secret);
    explicit_bzero(ids->seal, sizeof ids->seal);
    free(ids);
}

const char *identities_access_key(const struct identities *ids)
{
    return ids->access_key;
}

const struct secret *identities_secret(const struct identities *ids)
{
    return ids->secret;
}

void identity_done(struct identity *i)
{
    secret_free(i->secret);
    free(i->arn);
    free(i->user_id);
    free(i->access_key);
    *i = (struct identity){0};
}

void identity_grant_done(struct identity_grant *g)
{
    free(g->access_key);
    free(g->token);
    secret_free(g->secret);
    *g = (struct identity_grant){0};
}

/* ---- temporary credentials ------------------------------------------------------------------ */

static struct secret *session_secret(const struct identities *ids, const char *access_key)
{
    AUTO_FREE char *text = mem_printf("secret of %s", access_key);
    uint8_t mac[SHA256_SIZE];
    digest_hmac_sha256(seal_of(ids), str_of(text), mac);
    struct secret *s = secret_from((struct str){(char *)mac, sizeof mac});
    explicit_bzero(mac, sizeof mac);
    return s;
}

void identities_issue(const struct identities *ids, const char *arn, const char *user_id,
                      usec_t expires, struct identity_grant *out)
{
    AUTO_BUF struct buf facts = {0};
    struct buf token = {0};
    uint8_t mac[SHA256_SIZE];
    out->access_key = new_key_id("ASIA");
    out->secret = session_secret(ids, out->access_key);
    json_auto_t *j = json_object();
    json_object_set_new(j, "key", json_string(out->access_key));
    json_object_set_new(j, "arn", json_string(arn));
    json_object_set_new(j, "id", json_string(user_id));
    json_object_set_new(j, "expires", json_integer(expires));
    json_write(j, false, &facts);
    digest_hmac_sha256(seal_of(ids), buf_view(&facts), mac);
    buf_add(&facts, mac, sizeof mac);
    digest_base64(buf_view(&facts), &token);
    out->token = buf_take(&token);
}

/* The facts under a token's seal, or NULL. */
static json_t *open_token(const struct identities *ids, struct str token)
{
    AUTO_BUF struct buf raw = {.max = TOKEN_MAX};
    uint8_t mac[SHA256_SIZE];
    if (token.n > TOKEN_MAX || !digest_unbase64(token, &raw) || raw.len <= sizeof mac)
        return NULL;
    struct str facts = {raw.data, raw.len - sizeof mac};
    digest_hmac_sha256(seal_of(ids), facts, mac);
    if (!digest_equal((struct str){(char *)mac, sizeof mac},
                      (struct str){raw.data + facts.n, sizeof mac}))
        return NULL;
    json_t *j = NULL;
    return json_parse(facts, TOKEN_MAX, &j, NULL) == 0 ? j : NULL;
}

static enum identity_status find_session(const struct identities *ids, struct str access_key,
                                         struct str token, usec_t now, struct identity *out)
{
    json_auto_t *facts = open_token(ids, token);
    if (!facts)
        return IDENTITY_BAD_TOKEN;
    const char *key = json_text(facts, "key"), *arn = json_text(facts, "arn"),
               *id = json_text(facts, "id");
    if (!key || !arn || !id || !str_is(access_key, key))
        return IDENTITY_BAD_TOKEN;
    if (json_integer_value(json_object_get(facts, "expires")) <= now)
        return IDENTITY_EXPIRED;
    *out = (struct identity){.secret = session_secret(ids, key),
                             .arn = mem_dup(arn),
                             .user_id = mem_dup(id),
                             .access_key = mem_dup(key)};
    return IDENTITY_OK;
}

enum identity_status identities_find(const struct identities *ids, struct str access_key,
                                     struct str token, usec_t now, struct identity *out)
{
    if (str_starts(access_key, "ASIA"))
        return find_session(ids, access_key, token, now, out);
    if (!str_is(access_key, ids->access_key))
        return IDENTITY_UNKNOWN;
    if (token.n)
        return IDENTITY_BAD_TOKEN;
    *out = (struct identity){.secret = secret_copy(ids->secret),
                             .arn = mem_dup(ids->arn),
                             .user_id = mem_dup(ids->user_id),
                             .access_key = mem_dup(ids->access_key)};
    return IDENTITY_OK;
}
