/* The keys of a cluster file, one row each, and the rules that a single row cannot say. The rules
 * are the original's (flambé 0.4.18) where it had one; EC2's limits otherwise. */
#include "cluster/spec.h"
#include "base/mem.h"
#include "cluster/spec_priv.h"
#include "os/fs.h"
#include <stdlib.h>
#include <string.h>

#define AT SPEC_AT

/* Their places in the table, for the rules below. */
enum {
    KEY_NAME,
    KEY_FACTORIES_NUM,
    KEY_FACTORIES_TYPE,
    KEY_ORCHESTRATOR_TYPE,
    KEY_ORCHESTRATOR_TIMEOUT,
    KEY_FACTORIES_TIMEOUT,
    KEY_CREATOR,
    KEY_KEY_NAME,
    KEY_KEY,
    KEY_TAGS,
    KEY_SUBNET_ID,
    KEY_VOLUME_SIZE,
    KEY_VOLUME_TYPE,
    KEY_SECURITY_GROUP,
    KEY_REGION_NAME,
    KEY_USERNAME,
    KEY_ORCHESTRATOR_AMI,
    KEY_FACTORY_AMI,
    KEY_DEDICATED,
    KEY_SETUP_CMDS,
    KEY_SSH_PORT,
    KEY_ENGINE,
    KEY_SHARED,
    KEY_COUNT,
};

const char *const spec_engines[] = {"slurm", "local", NULL};
static const char *const volume_types[] = {"gp3", "gp2", "io1", "io2", NULL};

#define INSTANCE_TYPE_PATTERN "^[a-z][a-z0-9-]*\\.[a-z0-9-]+$"
#define INSTANCE_TYPE_HELP "an EC2 instance type such as t3.small or g4dn.xlarge"
#define AMI_PATTERN "^ami-[0-9a-f]{8,17}$"
#define AMI_HELP "an image's id, 'ami-' and 8 to 17 of 0-9 and a-f"
#define TIMEOUT_HOURS_MAX 168 /* CloudWatch evaluates an alarm over 7 days at most */

static const struct schema_key keys[KEY_COUNT] = {
    [KEY_NAME] = SPEC_ROW_NAME,
    [KEY_FACTORIES_NUM] = {.name = "factories_num",
                           .type = SCHEMA_INT,
                           .required = true,
                           .min = 0,
                           .max = 1000,
                           .example = "2",
                           .help = "How many factories, the machines that do the work; 0 for an "
                                   "orchestrator alone",
                           .offset = AT(factories_num)},
    [KEY_FACTORIES_TYPE] = {.name = "factories_type",
                            .type = SCHEMA_STRING,
                            .required = true,
                            .min = 1,
                            .max = 64,
                            .pattern = INSTANCE_TYPE_PATTERN,
                            .pattern_help = INSTANCE_TYPE_HELP,
                            .example = "t3.small",
                            .help = "The factories' EC2 instance type",
                            .offset = AT(factories_type)},
    [KEY_ORCHESTRATOR_TYPE] = {.name = "orchestrator_type",
                               .type = SCHEMA_STRING,
                               .required = true,
                               .min = 1,
                               .max = 64,
                               .pattern = INSTANCE_TYPE_PATTERN,
                               .pattern_help = INSTANCE_TYPE_HELP,
                               .example = "t3.small",
                               .help = "The orchestrator's EC2 instance type; it needs no GPU",
                               .offset = AT(orchestrator_type)},
    [KEY_ORCHESTRATOR_TIMEOUT] = {.name = "orchestrator_timeout",
                                  .type = SCHEMA_INT,
                                  .fallback = "-1",
                                  .min = -1,
                                  .max = TIMEOUT_HOURS_MAX,
                                  .unit = "hours",
                                  .help = "Terminate the orchestrator after so many idle hours; 0 "
                                          "means 5 minutes, -1 never",
                                  .offset = AT(orchestrator_timeout)},
    [KEY_FACTORIES_TIMEOUT] = {.name = "factories_timeout",
                               .type = SCHEMA_INT,
                               .fallback = "1",
                               .min = -1,
                               .max = TIMEOUT_HOURS_MAX,
                               .unit = "hours",
                               .help = "Terminate a factory after so many idle hours; 0 means 5 "
                                       "minutes, -1 never; no longer than the orchestrator's",
                               .offset = AT(factories_timeout)},
    /* EC2's filters, by which a cluster is found again, take '*', '?' and '\' as wildcards. */
    [KEY_CREATOR] = {.name = "creator",
                     .type = SCHEMA_STRING,
                     .required = true,
                     .min = 1,
                     .max = 256,
                     .pattern = SPEC_CREATOR_PATTERN,
                     .pattern_help = SPEC_CREATOR_HELP,
                     .example = "user@company.com",
                     .help = "Who makes the cluster, such as an e-mail address; a tag on every "
                             "machine",
                     .offset = AT(creator)},
    [KEY_KEY_NAME] = {.name = "key_name",
                      .type = SCHEMA_STRING,
                      .required = true,
                      .min = 1,
                      .max = 255,
                      .pattern = "^[!-~]([ -~]*[!-~])?$",
                      .pattern_help = "the name of an EC2 key pair, in ASCII",
                      .example = "my-pair",
                      .help = "The name of the EC2 key pair whose private half is 'key'",
                      .offset = AT(key_name)},
    [KEY_KEY] = {.name = "key",
                 .type = SCHEMA_STRING,
                 .required = true,
                 .min = 1,
                 .max = 4096,
                 .example = "~/.ssh/my-pair.pem",
                 .help = "The pem file of the key pair; '~' is your home directory, and a relative "
                         "path begins at this file; it never leaves your machine",
                 .offset = AT(key)},
    [KEY_TAGS] = {.name = "tags",
                  .type = SCHEMA_STRING_MAP,
                  .help = "Tags of your own for every machine and volume",
                  .offset = AT(tags)},
    [KEY_SUBNET_ID] = {.name = "subnet_id",
                       .type = SCHEMA_STRING,
                       .required = true,
                       .pattern = "^subnet-[0-9a-f]{8,17}$",
                       .pattern_help = "a subnet's id, 'subnet-' and 8 to 17 of 0-9 and a-f",
                       .example = "subnet-0123456789abcdef0",
                       .help = "The subnet in which the machines live; it gives public addresses",
                       .offset = AT(subnet_id)},
    [KEY_VOLUME_SIZE] = {.name = "volume_size",
                         .type = SCHEMA_INT,
                         .fallback = "100",
                         .min = 1,
                         .max = 65536,
                         .unit = "GiB",
                         .help = "The size of each machine's disk",
                         .offset = AT(volume_size)},
    [KEY_VOLUME_TYPE] = {.name = "volume_type",
                         .type = SCHEMA_STRING,
                         .fallback = "gp3",
                         .choices = volume_types,
                         .help = "The kind of disk; io1 and io2 are faster and cost much more",
                         .offset = AT(volume_type)},
    [KEY_SECURITY_GROUP] = {.name = "security_group",
                            .type = SCHEMA_STRING,
                            .required = true,
                            .pattern = "^sg-[0-9a-f]{8,17}$",
                            .pattern_help =
                                "a security group's id, 'sg-' and 8 to 17 of 0-9 and a-f",
                            .example = "sg-0123456789abcdef0",
                            .help = "The security group of every machine; it lets you in by SSH",
                            .offset = AT(security_group)},
    [KEY_REGION_NAME] = {.name = "region_name",
                         .type = SCHEMA_STRING,
                         .min = 1,
                         .max = 64,
                         .pattern = "^[a-z]{2,}(-[a-z]+)+-[0-9]+$",
                         .pattern_help = "a region's name such as us-east-1",
                         .example = "us-east-1",
                         .help = "The AWS region; without it, the one that your AWS configuration "
                                 "names, else us-east-1",
                         .offset = AT(region_name)},
    [KEY_USERNAME] = SPEC_ROW_USERNAME,
    [KEY_ORCHESTRATOR_AMI] = {.name = "orchestrator_ami",
                              .type = SCHEMA_STRING,
                              .pattern = AMI_PATTERN,
                              .pattern_help = AMI_HELP,
                              .example = "ami-0123456789abcdef0",
                              .help = "The orchestrator's image; without it, Ubuntu 24.04",
                              .offset = AT(orchestrator_ami)},
    [KEY_FACTORY_AMI] = {.name = "factory_ami",
                         .type = SCHEMA_STRING,
                         .pattern = AMI_PATTERN,
                         .pattern_help = AMI_HELP,
                         .example = "ami-0123456789abcdef0",
                         .help = "The factories' image; without it, Ubuntu 24.04, or for GPU types "
                                 "the Deep Learning base image",
                         .offset = AT(factory_ami)},
    [KEY_DEDICATED] = {.name = "dedicated",
                       .type = SCHEMA_BOOL,
                       .fallback = "false",
                       .help = "Whether the machines share no hardware with other accounts; costs "
                               "more, and not every type can",
                       .offset = AT(dedicated)},
    [KEY_SETUP_CMDS] = SPEC_ROW_SETUP_CMDS,
    [KEY_SSH_PORT] = SPEC_ROW_SSH_PORT,
    [KEY_ENGINE] = SPEC_ROW_ENGINE,
    [KEY_SHARED] = SPEC_ROW_SHARED,
};

const struct schema cluster_schema = {
    .tag = "!AWSCluster", .title = "a cluster on AWS", .keys = keys, .count = KEY_COUNT};

/* ---- one key: more help than the row's pattern gives ------------------------------------------
 */

/* What the user most likely had in hand when an id was wanted, with where the id is to be found. */
static char *id_fix(const char *text, const char *prefix, const char *list)
{
    struct str s = str_of(text);
    if (str_starts(s, prefix) && strstr(text, "XXXX"))
        return mem_printf("this is the template's placeholder; to see yours: aws ec2 %s", list);
    if (!str_starts(s, prefix))
        return mem_printf("an id begins with '%s'; to see yours: aws ec2 %s", prefix, list);
    return NULL;
}

static char *better_fix(const struct schema_key *k, const char *text)
{
    size_t n = strlen(text);
    switch (k - keys) {
    case KEY_SUBNET_ID:
        return id_fix(text, "subnet-", "describe-subnets");
    case KEY_SECURITY_GROUP:
        return id_fix(text, "sg-", "describe-security-groups");
    case KEY_ORCHESTRATOR_AMI:
    case KEY_FACTORY_AMI:
        return id_fix(text, "ami-", "describe-images --owners self amazon");
    case KEY_REGION_NAME:
        if (n > 2 && text[n - 1] >= 'a' && text[n - 1] <= 'z' && text[n - 2] >= '0' &&
            text[n - 2] <= '9')
            return mem_printf("that is an availability zone; its region is '%.*s'", (int)n - 1,
                              text);
        return NULL;
    default:
        return NULL;
    }
}

/* Where the schema has refused a value, its fix gives way to a better one. */
static void sharpen(const struct yaml_node *root, struct diags *diags)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        const struct yaml_node *n = yaml_get(root, keys[i].name);
        if (!n || n->kind != YAML_STRING)
            continue;
        for (size_t d = 0; d < diags->count; d++) {
            struct diag *item = &diags->items[d];
            if (item->at.line != n->at.line || item->at.column != n->at.column)
                continue;
            char *fix = better_fix(&keys[i], n->text);
            if (!fix)
                continue;
            mem_freep(&item->fix);
            item->fix = fix;
        }
    }
}

/* ---- rules across keys ------------------------------------------------------------------------
 */

struct rules {
    const struct cluster_spec *spec;
    const struct span *spans; /* of the values, by key */
    struct diags *diags;
};

/* Whether the key's value is one that the schema took: a rule says nothing about others. */
static bool sound(const struct rules *r, int key)
{
    return r->spans[key].line == 0 || !diags_at(r->diags, r->spans[key]);
}

static char *hours(int timeout, bool given)
{
    const char *whose = given ? "" : ", the default";
    if (timeout < 0)
        return mem_printf("-1 (never%s)", whose);
    if (timeout == 0)
        return mem_printf("0 (5 minutes%s)", whose);
    return mem_printf("%d hour%s%s", timeout, timeout == 1 ? "" : "s", whose);
}

/* The original's rule: factories without an orchestrator are of no use, and cost money. */
static void check_timeouts(const struct rules *r)
{
    int orchestrator = r->spec->orchestrator_timeout, factories = r->spec->factories_timeout;
    if (!sound(r, KEY_ORCHESTRATOR_TIMEOUT) || !sound(r, KEY_FACTORIES_TIMEOUT))
        return;
    if (orchestrator < 0 || (factories >= 0 && factories <= orchestrator))
        return;
    struct span at = r->spans[KEY_FACTORIES_TIMEOUT];
    bool given = at.line > 0;
    if (!given)
        at = r->spans[KEY_ORCHESTRATOR_TIMEOUT];
    AUTO_FREE char *theirs = hours(factories, given);
    AUTO_FREE char *its = hours(orchestrator, true);
    diags_add(
        r->diags, at,
        mem_printf("the factories would outlive the orchestrator: factories_timeout is %s; "
                   "orchestrator_timeout is %s",
                   theirs, its),
        mem_printf("write 'factories_timeout: %d', or 'orchestrator_timeout: -1'", orchestrator));
}

/* https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volume-types.html */
static const struct {
    const char *type;
    int min, max; /* GiB */
} volume_bounds[] = {{"gp2", 1, 16384}, {"gp3", 1, 65536}, {"io1", 4, 16384}, {"io2", 4, 65536}};

static void check_volume(const struct rules *r)
{
    if (!sound(r, KEY_VOLUME_SIZE) || !sound(r, KEY_VOLUME_TYPE))
        return;
    int size = r->spec->volume_size;
    for (size_t i = 0; i < COUNT_OF(volume_bounds); i++) {
        if (strcmp(volume_bounds[i].type, r->spec->volume_type) != 0 ||
            (size >= volume_bounds[i].min && size <= volume_bounds[i].max))
            continue;
        diags_add(r->diags, r->spans[KEY_VOLUME_SIZE],
                  mem_printf("a volume of type %s cannot have %d GiB", r->spec->volume_type, size),
                  mem_printf("allowed for %s: %d to %d GiB", r->spec->volume_type,
                             volume_bounds[i].min, volume_bounds[i].max));
    }
}

/* Without Slurm nothing would ever reach a factory, and each costs money. */
static void check_engine(const struct rules *r)
{
    if (!sound(r, KEY_ENGINE) || !sound(r, KEY_FACTORIES_NUM) || cluster_has_slurm(r->spec) ||
        r->spec->factories_num == 0)
        return;
    diags_add(r->diags, r->spans[KEY_ENGINE],
              mem_printf("the engine 'local' runs trials on the orchestrator alone; factories_num "
                         "is %d",
                         r->spec->factories_num),
              mem_dup("write 'factories_num: 0', or 'engine: slurm'"));
}

static size_t characters(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += (*s & 0xc0) != 0x80;
    return n;
}

#define TAG_KEY_MAX 127
#define TAG_VALUE_MAX 256

static const struct {
    const char *name, *where;
} own_tags[] = {
    {"creator", "the file's key 'creator' sets it"},
    {"name", "flambe names each machine after the file's key 'name'"},
    {"purpose", "flambe finds its machines by it"},
    {"cluster-name", "the file's key 'name' sets it"},
    {"role", "flambe tells orchestrator and factories apart by it"},
};

static void check_tag(const struct rules *r, const struct schema_entry *e)
{
    AUTO_FREE char *shown = diag_quote(str_of(e->key));
    for (size_t i = 0; i < COUNT_OF(own_tags); i++)
        if (strcasecmp(e->key, own_tags[i].name) == 0)
            diags_add(r->diags, e->at, mem_printf("the tag %s is flambe's own", shown),
                      mem_printf("remove it, or choose another name: %s", own_tags[i].where));
    if (strncasecmp(e->key, "aws:", 4) == 0)
        diags_add(r->diags, e->at, mem_printf("the tag %s begins with 'aws:'", shown),
                  mem_dup("choose another name: AWS keeps these for itself"));
    if (characters(e->key) > TAG_KEY_MAX)
        diags_add(r->diags, e->at,
                  mem_printf("a tag's name has %zu characters; EC2 takes %d", characters(e->key),
                             TAG_KEY_MAX),
                  mem_dup("shorten it"));
    if (characters(e->value) > TAG_VALUE_MAX)
        diags_add(r->diags, e->at,
                  mem_printf("the tag %s has a value of %zu characters; EC2 takes %d", shown,
                             characters(e->value), TAG_VALUE_MAX),
                  mem_dup("shorten it"));
}

static void check_tags(const struct rules *r)
{
    const struct schema_map *tags = &r->spec->tags;
    for (size_t i = 0; i < tags->count && !diags_full(r->diags); i++)
        check_tag(r, &tags->items[i]);
    if (tags->count > CLUSTER_USER_TAGS_MAX)
        diags_add(r->diags, tags->items[CLUSTER_USER_TAGS_MAX].at,
                  mem_printf("%zu tags; %d are allowed beside flambe's own", tags->count,
                             CLUSTER_USER_TAGS_MAX),
                  mem_dup("remove some"));
}

void spec_check_home(const struct cluster_spec *spec, struct span at, struct diags *diags)
{
    if (spec->key && spec->key[0] == '~' && spec->key[1] != '/')
        diags_add(diags, at, mem_dup("'~' stands for your own home directory only"),
                  mem_dup("write the whole path, or one that begins with '~/'"));
}

static void check_rules(const struct cluster_spec *spec, const struct span *spans,
                        struct diags *diags)
{
    struct rules r = {spec, spans, diags};
    check_timeouts(&r);
    check_volume(&r);
    check_engine(&r);
    check_tags(&r);
    spec_check_home(spec, spans[KEY_KEY], diags);
}

static void read_aws(const struct yaml_node *root, struct diags *diags, struct cluster_spec *spec,
                     struct span *key_at)
{
    struct span spans[KEY_COUNT];
    schema_read(&cluster_schema, root, diags, spec, spans);
    *key_at = spans[KEY_KEY];
    if (root->kind != YAML_MAP)
        return;
    sharpen(root, diags);
    check_rules(spec, spans, diags);
}

/* ---- the document -----------------------------------------------------------------------------
 */

static const struct schema *const schemas[] = {
    [CLUSTER_AWS] = &cluster_schema,
    [CLUSTER_SSH] = &ssh_cluster_schema,
};

static enum cluster_kind check_no_tag(const struct yaml_node *root, struct diags *diags)
{
    struct span at = {root->at.line, root->at.column, root->at.length};
    bool ssh = root->kind == YAML_MAP && yaml_get(root, "orchestrator_ip");
    enum cluster_kind kind = ssh ? CLUSTER_SSH : CLUSTER_AWS;
    diags_add(diags, at, mem_dup("the file does not say what it describes"),
              mem_printf("write %s on a line of its own above the first key", schemas[kind]->tag));
    return kind;
}

static bool find_kind(const char *tag, enum cluster_kind *kind)
{
    for (size_t i = 0; i < COUNT_OF(schemas); i++)
        if (strcmp(tag, schemas[i]->tag) == 0) {
            *kind = (enum cluster_kind)i;
            return true;
        }
    return false;
}

/* The kind whose tag was most likely meant. */
static bool guess_kind(const char *tag, enum cluster_kind *kind)
{
    const char *const tags[] = {cluster_schema.tag, ssh_cluster_schema.tag};
    for (size_t i = 0; i < COUNT_OF(schemas); i++)
        if (strcasestr(tag, schemas[i]->tag + 1)) {
            *kind = (enum cluster_kind)i;
            return true;
        }
    const char *near = str_nearest(tag, tags, COUNT_OF(tags));
    return near && find_kind(near, kind);
}

/* Whether the document is meant to be a cluster, well or badly spelt; says what is wrong with it.
 */
static bool check_document_tag(const struct yaml_node *root, enum cluster_kind *kind,
                               struct diags *diags)
{
    const char *tag = root->tag;
    if (!tag) {
        *kind = check_no_tag(root, diags);
        return true;
    }
    if (find_kind(tag, kind))
        return true;
    AUTO_FREE char *shown = diag_quote(str_of(tag));
    if (guess_kind(tag, kind)) {
        diags_add(diags, root->at, mem_printf("unknown tag %s", shown),
                  mem_printf("did you mean '%s'?", schemas[*kind]->tag));
        return true;
    }
    if (strcmp(tag, "!Experiment") == 0)
        diags_add(
            diags, root->at, mem_dup("this is an experiment, not a cluster"),
            mem_printf("name a file that begins with %s or %s", schemas[0]->tag, schemas[1]->tag));
    else
        diags_add(diags, root->at, mem_printf("%s is no cluster that flambe can make", shown),
                  mem_printf("allowed: %s, %s", schemas[0]->tag, schemas[1]->tag));
    return false;
}

static void read_document(const struct yaml_file *file, spec_key_fn *check_key,
                          struct cluster_spec *spec, struct diags *diags)
{
    if (file->document_count == 0) {
        diags_add(diags, (struct span){0}, mem_dup("the file is empty"),
                  mem_dup("begin with examples/aws-cluster.yaml"));
        return;
    }
    const struct yaml_node *root = file->documents[0];
    if (file->document_count > 1)
        diags_add(diags, file->documents[1]->at, mem_dup("a second document in a cluster's file"),
                  mem_dup("remove the '---' above it, or put it into a file of its own"));
    if (!check_document_tag(root, &spec->kind, diags))
        return;
    if (!root->tag && root->kind != YAML_MAP)
        return;
    struct span key_at = {0};
    if (spec->kind == CLUSTER_SSH)
        spec_read_ssh(root, diags, spec, &key_at);
    else
        read_aws(root, diags, spec, &key_at);
    if (check_key && spec->key && key_at.line && !diags_at(diags, key_at))
        check_key(spec, key_at, diags);
}

static int parse(const char *path, struct str text, spec_key_fn *check_key,
                 struct cluster_spec *out, struct diags *diags, struct err *err)
{
    diags_init(diags, path, text);
    struct yaml_file file;
    if (yaml_parse(text, diags, &file, err) != 0)
        return -1;
    struct cluster_spec spec = {.path = mem_dup(path)};
    read_document(&file, check_key, &spec, diags);
    yaml_done(&file);
    if (diags_check(diags, err) != 0) {
        cluster_spec_done(&spec);
        return -1;
    }
    AUTO_FREE char *expanded = fs_expand_home(spec.key);
    mem_freep(&spec.key);
    spec.key = fs_relative_to(path, expanded);
    *out = spec;
    return 0;
}

int cluster_spec_parse(const char *path, struct str text, struct cluster_spec *out,
                       struct diags *diags, struct err *err)
{
    return parse(path, text, NULL, out, diags, err);
}

int spec_load(const char *path, spec_key_fn *check_key, struct cluster_spec *out,
              struct diags *diags, struct err *err)
{
    AUTO_BUF struct buf text = {0};
    if (fs_read_user_file(path, "a cluster's file", YAML_BYTES_MAX, &text, err) != 0) {
        diags_init(diags, path, STR(""));
        return -1;
    }
    return parse(path, buf_view(&text), check_key, out, diags, err);
}

int cluster_spec_load(const char *path, struct cluster_spec *out, struct diags *diags,
                      struct err *err)
{
    return spec_load(path, NULL, out, diags, err);
}

bool cluster_has_slurm(const struct cluster_spec *s)
{
    return !s->engine || strcmp(s->engine, "slurm") == 0;
}

void cluster_machines_add(struct cluster_machines *m, const char *address, const char *inside)
{
    MEM_PUSH_ROOM(m->items, m->count, m->cap);
    m->items[m->count++] = (struct cluster_machine){mem_dup(address), mem_dup(inside)};
}

void cluster_machines_done(struct cluster_machines *m)
{
    for (size_t i = 0; i < m->count; i++) {
        free(m->items[i].address);
        free(m->items[i].inside);
    }
    free(m->items);
    *m = (struct cluster_machines){0};
}

void cluster_spec_done(struct cluster_spec *s)
{
    schema_free(schemas[s->kind], s);
    cluster_machines_done(&s->machines);
    mem_freep(&s->path);
}

json_t *cluster_schema_json(void)
{
    json_t *kinds = json_array(), *dialect = NULL;
    for (size_t i = 0; i < COUNT_OF(schemas); i++) {
        json_t *one = schema_to_json(schemas[i]);
        json_decref(dialect);
        dialect = json_incref(json_object_get(one, "$schema"));
        json_object_del(one, "$schema");
        if (i == CLUSTER_SSH)
            spec_ssh_refine(one);
        json_array_append_new(kinds, one);
    }
    return json_pack("{s:o, s:s, s:o}", "$schema", dialect, "title", "a cluster", "anyOf", kinds);
}
