/* See userdata.h. */
#include "sandbox/userdata.h"
#include "base/mem.h"
#include "config/yaml.h"
#include <stdlib.h>
#include <string.h>

void userdata_done(struct userdata *u)
{
    secret_freep(&u->host_key_private);
    mem_freep(&u->host_key_public);
    strv_done(&u->authorized_keys);
}

/* The cloud-config within the user data: all of it, or one part of a multipart message, from its
 * "#cloud-config" line to the next boundary. Empty where there is none. */
static struct str find_cloud_config(struct str data)
{
    if (str_starts(data, "#cloud-config"))
        return data;
    struct str rest = data;
    while (rest.p) {
        struct str line = str_cut(&rest, '\n');
        if (!str_starts(line, "#cloud-config"))
            continue;
        struct str part = {line.p, line.n};
        while (rest.p) {
            struct str next = str_cut(&rest, '\n');
            if (str_starts(next, "--"))
                break;
            part.n = (size_t)(next.p + next.n - part.p);
        }
        return part;
    }
    return (struct str){NULL, 0};
}

static const struct yaml_node *text_of(const struct yaml_node *map, const char *key)
{
    const struct yaml_node *n = yaml_get(map, key);
    return n && n->kind == YAML_STRING && n->text ? n : NULL;
}

static void read_host_key(const struct yaml_node *keys, struct userdata *out)
{
    if (!keys || keys->kind != YAML_MAP)
        return;
    const struct yaml_node *private_key = text_of(keys, "ed25519_private");
    const struct yaml_node *public_key = text_of(keys, "ed25519_public");
    if (!private_key || !public_key)
        return;
    out->host_key_private = secret_new((struct str){private_key->text, private_key->text_len});
    out->host_key_public = str_dup(str_trim((struct str){public_key->text, public_key->text_len}));
}

static void read_authorized_keys(const struct yaml_node *list, struct userdata *out)
{
    if (!list || list->kind != YAML_LIST)
        return;
    for (size_t i = 0; i < list->count && i < USERDATA_KEYS_MAX; i++) {
        const struct yaml_node *n = list->items[i];
        struct str line = {n->text, n->text ? n->text_len : 0};
        line = str_trim(line);
        if (n->kind == YAML_STRING && line.n && !memchr(line.p, '\n', line.n))
            strv_add_str(&out->authorized_keys, line);
    }
}

void userdata_read(struct str user_data, struct userdata *out)
{
    *out = (struct userdata){0};
    struct str text = find_cloud_config(user_data);
    if (!text.n)
        return;
    struct diags diags;
    diags_init(&diags, "user data", text);
    struct yaml_file file = {0};
    if (yaml_parse(text, &diags, &file, NULL) == 0) {
        const struct yaml_node *root = file.document_count ? file.documents[0] : NULL;
        if (root && root->kind == YAML_MAP) {
            read_host_key(yaml_get(root, "ssh_keys"), out);
            read_authorized_keys(yaml_get(root, "ssh_authorized_keys"), out);
        }
        yaml_done(&file);
    }
    diags_done(&diags);
}
