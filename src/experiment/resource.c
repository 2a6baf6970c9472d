/* See resource.h. */
#include "experiment/resource.h"
#include "base/mem.h"
#include "experiment/refuse.h"
#include "os/fs.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct {
    const char *scheme;
    enum resource_kind kind;
} schemes[] = {{"http://", RESOURCE_HTTP}, {"https://", RESOURCE_HTTP}, {"s3://", RESOURCE_S3}};

const char *resource_kind_name(enum resource_kind k)
{
    static const char *const names[] = {"local", "http", "s3", "cluster"};
    return names[k];
}

static bool check_name(const struct yaml_node *key, struct diags *diags)
{
    bool bad = key->text_len == 0;
    for (size_t i = 0; i < key->text_len; i++) {
        unsigned char c = (unsigned char)key->text[i];
        bad = bad || c <= ' ' || c == 0x7f || strchr(".[]", c);
    }
    if (!bad)
        return true;
    AUTO_FREE char *shown = diag_quote((struct str){key->text, key->text_len});
    refuse(diags, key->at, mem_printf("%s cannot be a resource's name", shown),
           mem_dup("a link could not name it: use letters, digits, '-' and '_'"));
    return false;
}

static bool is_cluster(const struct yaml_node *value)
{
    return value->tag && strcmp(value->tag, "!cluster") == 0;
}

static bool check_value(const struct yaml_node *key, const struct yaml_node *value, bool on_cluster,
                        struct diags *diags)
{
    AUTO_FREE char *shown = diag_quote((struct str){key->text, key->text_len});
    if (is_cluster(value) && !on_cluster) {
        refuse(
            diags, value->at, mem_printf("the resource %s is on a cluster's hosts", shown),
            mem_dup("an experiment on this machine needs a path here: remove '!cluster' and name "
                    "one"));
        return false;
    }
    if (value->tag && !is_cluster(value)) {
        AUTO_FREE char *tag = diag_quote(str_of(value->tag));
        refuse(diags, value->at, mem_printf("the tag %s has no place at a resource", tag),
               mem_dup("write a path, a URL, or '!cluster PATH'"));
        return false;
    }
    if (value->kind == YAML_STRING && value->text_len > 0 &&
        !memchr(value->text, '\0', value->text_len)) {
        if (!is_cluster(value) || value->text[0] == '/')
            return true;
        refuse(diags, value->at, mem_printf("the resource %s has no whole path", shown),
               mem_dup("write it from the root on, such as '!cluster /data'"));
        return false;
    }
    bool halves = value->kind == YAML_MAP &&
                  (strcmp(key->text, "local") == 0 || strcmp(key->text, "remote") == 0);
    refuse(diags, value->kind == YAML_NULL ? key->at : value->at,
           mem_printf("the resource %s must be a path or URL, not %s", shown,
                      yaml_kind_name(value->kind)),
           halves ? mem_dup("name the resources directly under 'resources:', without 'local' and "
                            "'remote'")
                  : mem_dup("write 'name: path'; a number goes in quotes"));
    return false;
}

static bool check_local(const struct yaml_node *value, struct diags *diags)
{
    AUTO_FREE char *path = fs_expand_home(value->text);
    struct stat st;
    if (stat(path, &st) == 0)
        return true;
    AUTO_FREE char *shown = diag_quote((struct str){value->text, value->text_len});
    bool missing = errno == ENOENT || errno == ENOTDIR;
    refuse(
        diags, value->at,
        missing ? mem_printf("there is no %s", shown)
                : mem_printf("%s cannot be looked at: %s", shown, strerror(errno)),
        mem_dup("paths begin where flambe is started; URLs begin with http://, https:// or s3://"));
    return false;
}

bool resource_read(const struct yaml_node *key, const struct yaml_node *value, bool on_cluster,
                   struct diags *diags, struct resource *out)
{
    if (value->bad || !check_name(key, diags) || !check_value(key, value, on_cluster, diags))
        return false;
    struct str text = {value->text, value->text_len};
    enum resource_kind kind = is_cluster(value) ? RESOURCE_CLUSTER : RESOURCE_LOCAL;
    for (size_t i = 0; kind != RESOURCE_CLUSTER && i < COUNT_OF(schemes); i++)
        if (str_starts(text, schemes[i].scheme))
            kind = schemes[i].kind;
    if (kind == RESOURCE_LOCAL && strstr(value->text, "://")) {
        AUTO_FREE char *shown = diag_quote(text);
        refuse(diags, value->at, mem_printf("%s cannot be fetched", shown),
               mem_dup("allowed: http://, https://, s3:// and local paths"));
        return false;
    }
    if (kind == RESOURCE_LOCAL && !check_local(value, diags))
        return false;
    *out = (struct resource){str_dup((struct str){key->text, key->text_len}), str_dup(text), kind,
                             key->at};
    return true;
}

void resource_done(struct resource *r)
{
    free(r->name);
    free(r->location);
}
