/* The keys of an `!SSHCluster`: machines that exist already. One row each, and what a row cannot
 * say. The keys are the original's (flambé 0.4.18) where it had them. */
#include "base/mem.h"
#include "cluster/spec_priv.h"
#include <arpa/inet.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    KEY_NAME,
    KEY_ORCHESTRATOR_IP,
    KEY_FACTORIES_IPS,
    KEY_KEY,
    KEY_USERNAME,
    KEY_SETUP_CMDS,
    KEY_CREATOR,
    KEY_SSH_PORT,
    KEY_ENGINE,
    KEY_SHARED,
    KEY_COUNT,
};

#define FACTORIES_MAX 1000
#define ADDRESS_MAX 253

static const struct schema_key keys[KEY_COUNT] = {
    [KEY_NAME] = SPEC_ROW_NAME,
    [KEY_ORCHESTRATOR_IP] = {.name = "orchestrator_ip",
                             .type = SCHEMA_NODE,
                             .kind = "an address, or a pair [public, private]",
                             .required = true,
                             .example = "10.0.0.10",
                             .help = "The orchestrator's address; or a pair, [public, private]: "
                                     "where you reach it, as an address or a name, and where the "
                                     "other machines do",
                             .offset = SPEC_AT(orchestrator_ip)},
    [KEY_FACTORIES_IPS] = {.name = "factories_ips",
                           .type = SCHEMA_NODE,
                           .kind = "a list of addresses, or of pairs [public, private]",
                           .required = true,
                           .example = "[10.0.0.11, 10.0.0.12]",
                           .help = "The addresses of the factories, the machines that do the "
                                   "work, each as the orchestrator's; [] for an orchestrator "
                                   "alone",
                           .offset = SPEC_AT(factories_ips)},
    [KEY_KEY] = {.name = "key",
                 .type = SCHEMA_STRING,
                 .required = true,
                 .min = 1,
                 .max = 4096,
                 .example = "~/.ssh/id_ed25519",
                 .help = "The private key that opens the machines; '~' is your home directory, "
                         "and a relative path begins at this file; it never leaves your machine",
                 .offset = SPEC_AT(key)},
    [KEY_USERNAME] = SPEC_ROW_USERNAME,
    [KEY_SETUP_CMDS] = SPEC_ROW_SETUP_CMDS,
    [KEY_CREATOR] = {.name = "creator",
                     .type = SCHEMA_STRING,
                     .min = 1,
                     .max = 256,
                     .pattern = SPEC_CREATOR_PATTERN,
                     .pattern_help = SPEC_CREATOR_HELP,
                     .example = "user@company.com",
                     .help = "Whose cluster it is, which tells clusters of one name apart; without "
                             "it, your user name on this machine",
                     .offset = SPEC_AT(creator)},
    [KEY_SSH_PORT] = SPEC_ROW_SSH_PORT,
    [KEY_ENGINE] = SPEC_ROW_ENGINE,
    [KEY_SHARED] = SPEC_ROW_SHARED,
};

const struct schema ssh_cluster_schema = {.tag = "!SSHCluster",
                                          .title = "a cluster of machines that exist already",
                                          .keys = keys,
                                          .count = KEY_COUNT};

void spec_ssh_refine(json_t *schema)
{
    json_t *properties = json_object_get(schema, "properties");
    json_t *address = json_pack("[{s:s}, {s:s, s:{s:s}, s:i, s:i}]", "type", "string", "type",
                                "array", "items", "type", "string", "minItems", 2, "maxItems", 2);
    json_t *one = json_object_get(properties, "orchestrator_ip");
    json_t *list = json_object_get(properties, "factories_ips");
    json_object_set(one, "anyOf", address);
    json_object_set_new(list, "type", json_string("array"));
    json_object_set_new(list, "items", json_pack("{s:O}", "anyOf", address));
    json_object_set_new(list, "examples",
                        json_pack("[[s, [s, s]]]", "10.0.0.11", "203.0.113.12", "10.0.0.12"));
    json_decref(address);
}

/* ---- addresses --------------------------------------------------------------------------------
 */

static bool is_numeric(const char *s)
{
    unsigned char room[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, s, room) == 1 || inet_pton(AF_INET6, s, room) == 1;
}

static bool is_loopback(const char *s)
{
    return strncmp(s, "127.", 4) == 0 || strcmp(s, "::1") == 0;
}

/* Letters, digits, '-' and '.'; not only digits and dots, which is an address with a mistake. */
static bool is_host_name(const char *s)
{
    bool letter = false;
    if (s[0] == '-' || s[0] == '.' || strlen(s) > ADDRESS_MAX)
        return false;
    for (const char *p = s; *p; p++) {
        bool alpha = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');
        letter = letter || alpha;
        if (!alpha && (*p < '0' || *p > '9') && *p != '-' && *p != '.')
            return false;
    }
    return letter;
}

/* The scalar as text fit for an address, or NULL with what is wrong. */
static const char *read_text(const char *key, const struct yaml_node *n, struct diags *diags)
{
    if (n->bad)
        return NULL;
    if (n->kind == YAML_STRING && !n->tag && n->text_len && !memchr(n->text, 0, n->text_len) &&
        (is_numeric(n->text) || is_host_name(n->text)))
        return n->text;
    AUTO_FREE char *shown =
        n->text ? diag_quote((struct str){n->text, n->text_len}) : mem_dup(yaml_kind_name(n->kind));
    diags_add(diags, n->at, mem_printf("%s cannot be an address of '%s'", shown, key),
              mem_dup("write an IP address, such as 10.0.0.10"));
    return NULL;
}

static void read_one(const char *key, const struct yaml_node *n, struct diags *diags,
                     struct cluster_machines *out)
{
    const char *address = read_text(key, n, diags);
    if (!address)
        return;
    if (is_numeric(address)) {
        cluster_machines_add(out, address, address);
        return;
    }
    AUTO_FREE char *shown = diag_quote(str_of(address));
    diags_add(diags, n->at, mem_printf("%s is a name, and not enough alone", shown),
              mem_printf("add the address at which the other machines reach it: [%s, 10.0.0.10]",
                         address));
}

static void read_pair(const char *key, const struct yaml_node *n, struct diags *diags,
                      struct cluster_machines *out)
{
    if (n->count != 2) {
        diags_add(diags, n->at,
                  mem_printf("a machine of '%s' has %zu address%s here", key, n->count,
                             n->count == 1 ? "" : "es"),
                  mem_dup("write one address, or two: [public, private]"));
        return;
    }
    const char *public = read_text(key, n->items[0], diags);
    const char *private = read_text(key, n->items[1], diags);
    if (!public || !private)
        return;
    if (is_numeric(private)) {
        cluster_machines_add(out, public, private);
        return;
    }
    AUTO_FREE char *shown = diag_quote(str_of(private));
    diags_add(diags, n->items[1]->at,
              mem_printf("%s is a name; the second of a pair is an IP address", shown),
              mem_dup("write the address at which the other machines reach it"));
}

static const struct cluster_machine *find(const struct cluster_machines *m, const char *address)
{
    for (size_t i = 0; i + 1 < m->count; i++)
        if (strcmp(m->items[i].address, address) == 0 || strcmp(m->items[i].inside, address) == 0)
            return &m->items[i];
    return NULL;
}

/* One that all other machines can be told of. */
static void check_machine(const struct yaml_node *n, bool alone, const struct cluster_machines *m,
                          struct diags *diags)
{
    const struct cluster_machine *last = &m->items[m->count - 1];
    const char *twice = find(m, last->address)  ? last->address
                        : find(m, last->inside) ? last->inside
                                                : NULL;
    if (twice)
        diags_add(diags, n->at, mem_printf("the address %s is there twice", twice),
                  mem_dup("name each machine once"));
    else if (!alone && is_loopback(last->inside))
        diags_add(diags, n->at,
                  mem_printf("the machines cannot reach one another at %s", last->inside),
                  mem_dup("write the address that it has on their common network"));
}

static void read_machine(const char *key, const struct yaml_node *n, bool alone,
                         struct diags *diags, struct cluster_machines *out)
{
    size_t before = out->count;
    if (n->kind == YAML_LIST && !n->bad && !n->tag)
        read_pair(key, n, diags, out);
    else
        read_one(key, n, diags, out);
    if (out->count > before)
        check_machine(n, alone, out, diags);
}

static void read_factories(const struct yaml_node *n, struct diags *diags,
                           struct cluster_machines *out)
{
    if (n->bad)
        return;
    if (n->kind != YAML_LIST || n->tag) {
        diags_add(diags, n->at,
                  mem_printf("'factories_ips' must be a list, not %s", yaml_kind_name(n->kind)),
                  mem_dup("write each address on a line of its own behind '- '; [] for none"));
        return;
    }
    if (n->count > FACTORIES_MAX) {
        diags_add(diags, n->at,
                  mem_printf("%zu factories; %d are allowed", n->count, FACTORIES_MAX),
                  mem_dup("remove some"));
        return;
    }
    for (size_t i = 0; i < n->count && !diags_full(diags); i++)
        read_machine("factories_ips", n->items[i], false, diags, out);
}

/* ---- rules ------------------------------------------------------------------------------------
 */

static char *local_user(void)
{
    const struct passwd *pw = getpwuid(getuid());
    return pw && pw->pw_name && *pw->pw_name ? mem_dup(pw->pw_name)
                                             : mem_printf("user-%u", (unsigned)getuid());
}

void spec_read_ssh(const struct yaml_node *root, struct diags *diags, struct cluster_spec *spec,
                   struct span *key_at)
{
    struct span spans[KEY_COUNT];
    schema_read(&ssh_cluster_schema, root, diags, spec, spans);
    *key_at = spans[KEY_KEY];
    /* No alarm ends these. */
    spec->orchestrator_timeout = spec->factories_timeout = -1;
    if (root->kind != YAML_MAP)
        return;
    const struct yaml_node *factories = spec->factories_ips;
    bool alone = !factories || factories->kind != YAML_LIST || !factories->count;
    if (spec->orchestrator_ip)
        read_machine("orchestrator_ip", spec->orchestrator_ip, alone, diags, &spec->machines);
    if (spec->factories_ips)
        read_factories(spec->factories_ips, diags, &spec->machines);
    spec->orchestrator_ip = spec->factories_ips = NULL; /* they end with the document */
    spec->factories_num = spec->machines.count ? (int)spec->machines.count - 1 : 0;
    if (!spec->creator)
        spec->creator = local_user();
    if (!cluster_has_slurm(spec) && spec->factories_num > 0 && !diags_at(diags, spans[KEY_ENGINE]))
        diags_add(diags, spans[KEY_ENGINE],
                  mem_printf("the engine 'local' runs trials on the orchestrator alone; there "
                             "%s %d factor%s",
                             spec->factories_num == 1 ? "is" : "are", spec->factories_num,
                             spec->factories_num == 1 ? "y" : "ies"),
                  mem_dup("write 'factories_ips: []', or 'engine: slurm'"));
    spec_check_home(spec, spans[KEY_KEY], diags);
}
