/* Key pairs: describe, import, create, delete. */
#include "base/digest.h"
#include "sandbox/ec2_priv.h"
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

EC2_HANDLER(DescribeKeyPairs);
EC2_HANDLER(ImportKeyPair);
EC2_HANDLER(CreateKeyPair);
EC2_HANDLER(DeleteKeyPair);

#define KEY_NAME_MAX 255

#define KEY(res) ((const struct world_key_pair *)(const void *)(res))

static const char *name_of(const struct resource *res)
{
    return KEY(res)->name;
}

static void write_key(const struct world *w, const struct resource *res, struct buf *b)
{
    const struct world_key_pair *k = KEY(res);
    xml_text(b, "keyPairId", k->r.id);
    xml_text(b, "keyName", k->name);
    xml_text(b, "keyFingerprint", k->fingerprint);
    xml_text(b, "keyType", k->type);
    xml_time(b, "createTime", k->r.created);
    ec2_tag_set(b, res);
}

static void write_key_and_public(const struct world *w, const struct resource *res, struct buf *b)
{
    const struct world_key_pair *k = KEY(res);
    AUTO_FREE char *line = mem_printf("%s %s", k->public_key, k->name);
    write_key(w, res, b);
    xml_text(b, "publicKey", line);
}

static const struct filter_key key_filters[] = {
    {"key-pair-id", NULL, offsetof(struct resource, id)},
    {"key-name", NULL, offsetof(struct world_key_pair, name)},
    {"fingerprint", NULL, offsetof(struct world_key_pair, fingerprint)},
};

void ec2_DescribeKeyPairs(struct world *w, const struct api_request *q, struct api_reply *r)
{
    bool with_public;
    if (!ec2_bool(q, r, "IncludePublicKey", false, &with_public))
        return;
    const struct describe d = {
        .kind = KIND_KEY_PAIR,
        .ids = "KeyPairId",
        .names = "KeyName",
        .name_of = name_of,
        .set = "keySet",
        .filters = key_filters,
        .filter_count = COUNT_OF(key_filters),
        .write = with_public ? write_key_and_public : write_key,
    };
    ec2_describe(w, q, r, &d);
}

/* The name of a key pair to be. */
static const char *new_name(const struct world *w, const struct api_request *q, struct api_reply *r)
{
    const char *name = ec2_need(q, r, "KeyName");
    if (!name || !ec2_room(w, r, KIND_KEY_PAIR))
        return NULL;
    if (strlen(name) > KEY_NAME_MAX) {
        api_bad_value(r, "KeyName", name);
        return NULL;
    }
    if (key_pair_named(w, name)) {
        api_fail(r, 400, "InvalidKeyPair.Duplicate", "The keypair already exists");
        return NULL;
    }
    return name;
}

static struct world_key_pair *add_key(struct world *w, const char *name, struct key_facts *facts,
                                      const struct tag_list *tags)
{
    struct world_key_pair *k = resource_add(w, KIND_KEY_PAIR, NULL);
    k->name = mem_dup(name);
    k->type = TAKE(facts->type);
    k->fingerprint = TAKE(facts->fingerprint);
    k->public_key = TAKE(facts->line);
    ec2_tags_put(tags, &k->r);
    return k;
}

static void write_made(const struct api_request *q, struct api_reply *r,
                       const struct world_key_pair *k, const char *pem)
{
    struct buf *b = &r->body;
    ec2_open(q, r);
    xml_text(b, "keyName", k->name);
    xml_text(b, "keyFingerprint", k->fingerprint);
    xml_text(b, "keyMaterial", pem);
    xml_text(b, "keyPairId", k->r.id);
    ec2_tag_set(b, &k->r);
    ec2_close(q, r);
}

void ec2_ImportKeyPair(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct tag_list tags AUTO_TAGS = {0};
    const char *name = new_name(w, q, r);
    const char *material = name ? ec2_need(q, r, "PublicKeyMaterial") : NULL;
    if (!material || !ec2_tag_specification_of(q, r, KIND_KEY_PAIR, &tags))
        return;
    struct buf text AUTO_BUF = {0};
    struct key_facts facts;
    if (!digest_unbase64(str_of(material), &text) || !key_parse(buf_view(&text), &facts)) {
        api_fail(r, 400, "InvalidKey.Format", "Key is not in valid OpenSSH public key format");
        return;
    }
    if (!ec2_dry_run(q, r))
        write_made(q, r, add_key(w, name, &facts, &tags), NULL);
    key_facts_done(&facts);
}

void ec2_CreateKeyPair(struct world *w, const struct api_request *q, struct api_reply *r)
{
    static const char *const types[] = {"rsa", "ed25519", NULL};
    static const char *const formats[] = {"pem", "ppk", NULL};
    struct tag_list tags AUTO_TAGS = {0};
    const char *type, *format, *name = new_name(w, q, r);
    if (!name || !ec2_choice(q, r, "KeyType", types, &type) ||
        !ec2_choice(q, r, "KeyFormat", formats, &format) ||
        !ec2_tag_specification_of(q, r, KIND_KEY_PAIR, &tags))
        return;
    if (format && strcmp(format, "ppk") == 0) {
        api_fail(r, 400, "UnsupportedOperation", "The sandbox makes keys in the pem format only");
        return;
    }
    if (ec2_dry_run(q, r))
        return;
    struct key_facts facts = {0};
    char *pem = NULL;
    if (!key_generate(type ? type : "rsa", &facts, &pem)) {
        api_fail(r, 500, "InternalError", "The key could not be made");
        return;
    }
    write_made(q, r, add_key(w, name, &facts, &tags), pem);
    OPENSSL_cleanse(pem, strlen(pem));
    free(pem);
}

/* As in EC2, deleting what is not there is no error, unless it is named by id. */
void ec2_DeleteKeyPair(struct world *w, const struct api_request *q, struct api_reply *r)
{
    const char *name = param(q->params, "KeyName"), *id = param(q->params, "KeyPairId");
    if (!name && !id) {
        api_missing(r, "KeyName");
        return;
    }
    struct world_key_pair *k = id ? ec2_find(w, r, KIND_KEY_PAIR, id) : key_pair_named(w, name);
    if ((id && !k) || ec2_dry_run(q, r))
        return;
    struct buf *b = &r->body;
    ec2_open(q, r);
    xml_bool(b, "return", true);
    xml_text(b, "keyPairId", k ? k->r.id : NULL);
    ec2_close(q, r);
    if (k)
        resource_remove(w, &k->r);
}
