/* See sections_priv.h. */
#include "base/mem.h"
#include "experiment/refuse.h"
#include "experiment/sections_priv.h"
#include "experiment/tuner.h"
#include "os/fs.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static struct str text_of(const struct yaml_node *n)
{
    return (struct str){n->text, n->text_len};
}

static bool is_map(const struct yaml_node *n, const char *key, const char *fix, struct diags *diags)
{
    if (n->bad)
        return false;
    if (n->kind == YAML_MAP && !n->tag)
        return true;
    if (n->tag) {
        AUTO_FREE char *tag = diag_quote(str_of(n->tag));
        refuse(diags, n->at, mem_printf("the tag %s has no place at '%s'", tag, key),
               mem_dup("remove it"));
    } else {
        refuse(diags, n->at,
               mem_printf("'%s' must be a map of keys, not %s", key, yaml_kind_name(n->kind)),
               mem_dup(fix));
    }
    return false;
}

/* Where the caller has it, or NULL; where that is not there, NULL with a diagnostic. */
static const char *placed_at(const struct strtab *placed, const struct yaml_node *key,
                             struct diags *diags)
{
    const char *path = placed ? strtab_get(placed, text_of(key)) : NULL;
    if (!path || fs_exists(path))
        return path;
    AUTO_FREE char *name = diag_quote(text_of(key)), *shown = diag_quote(str_of(path));
    refuse(diags, key->at, mem_printf("%s was to be at %s, and is not there", name, shown), NULL);
    return NULL;
}

/* ---- extensions -------------------------------------------------------------------------------
 */

static bool is_module_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool letter = c == '_' || c >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return s.n > 0;
}

static enum extension_kind extension_kind(const char *source)
{
    struct str s = str_of(source);
    if (strstr(source, "://") || str_starts(s, "git@") || str_starts(s, "git+"))
        return EXTENSION_GIT;
    AUTO_FREE char *path = fs_expand_home(source);
    return strchr("./~", source[0]) || fs_exists(path) ? EXTENSION_PATH : EXTENSION_PIP;
}

static void add_extension(struct experiment *e, const struct yaml_node *key, struct str source,
                          enum extension_kind kind)
{
    MEM_PUSH_ROOM(e->extensions, e->extension_count, e->extension_cap);
    e->extensions[e->extension_count++] =
        (struct extension){str_dup(text_of(key)), str_dup(source), kind};
}

static void read_extension(struct experiment *e, const struct yaml_pair *pair,
                           const struct strtab *placed, struct diags *diags)
{
    const struct yaml_node *key = pair->key, *value = pair->value;
    if (value->bad)
        return;
    AUTO_FREE char *shown = diag_quote(text_of(key));
    if (!is_module_name(text_of(key))) {
        refuse(diags, key->at, mem_printf("%s cannot be a Python module", shown),
               mem_dup("allowed: letters, digits and '_', not beginning with a digit"));
        return;
    }
    if (value->kind != YAML_STRING || value->tag || value->text_len == 0) {
        refuse(diags, value->kind == YAML_NULL ? key->at : value->at,
               mem_printf("the extension %s must be a path, a git URL or a package", shown),
               mem_printf("such as '%s: ./%s'", key->text, key->text));
        return;
    }
    if (placed && strtab_get(placed, text_of(key))) {
        const char *at = placed_at(placed, key, diags);
        if (at)
            add_extension(e, key, str_of(at), EXTENSION_PATH);
        return;
    }
    enum extension_kind kind = extension_kind(value->text);
    AUTO_FREE char *path = fs_expand_home(value->text);
    if (kind == EXTENSION_PATH && !fs_exists(path)) {
        AUTO_FREE char *source = diag_quote(text_of(value));
        refuse(diags, value->at, mem_printf("there is no %s", source),
               mem_dup("paths begin where flambe is started"));
        return;
    }
    add_extension(e, key, text_of(value), kind);
}

void sections_extensions(struct experiment *e, const struct yaml_node *map,
                         const struct strtab *placed, struct diags *diags)
{
    if (map->kind == YAML_NULL && !map->tag)
        return;
    if (!is_map(map, "extensions", "write one 'module: path' a line", diags))
        return;
    for (size_t i = 0; i < map->count; i++)
        read_extension(e, &map->pairs[i], placed, diags);
}

/* ---- resources --------------------------------------------------------------------------------
 */

void sections_resources(struct experiment *e, const struct strtab *placed, struct diags *diags)
{
    const struct yaml_node *n = e->resources_node;
    if (!n || !is_map(n, "resources", "write one 'name: path' a line, indented", diags))
        return;
    for (size_t i = 0; i < n->count; i++) {
        const struct yaml_node *key = n->pairs[i].key;
        struct resource r = {0};
        if (placed && strtab_get(placed, text_of(key))) {
            const char *at = placed_at(placed, key, diags);
            if (!at)
                continue;
            r = (struct resource){str_dup(text_of(key)), mem_dup(at), RESOURCE_LOCAL, key->at};
        } else if (!resource_read(key, n->pairs[i].value, e->on_cluster, diags, &r)) {
            continue;
        }
        MEM_PUSH_ROOM(e->resources, e->resource_count, e->resource_cap);
        e->resources[e->resource_count++] = r;
    }
}

/* ---- the pipeline -----------------------------------------------------------------------------
 */

static void check_resource_names(const struct experiment *e, struct diags *diags)
{
    for (size_t i = 0; i < e->resource_count; i++) {
        const struct resource *r = &e->resources[i];
        if (experiment_stage(e, str_of(r->name)) == e->stage_count)
            continue;
        AUTO_FREE char *shown = diag_quote(str_of(r->name));
        refuse(diags, r->at, mem_printf("%s is the name of a stage too", shown),
               mem_dup("rename one of them: a link could mean either"));
    }
}

void sections_pipeline(struct experiment *e, struct diags *diags)
{
    const struct yaml_node *n = e->pipeline;
    if (!n || !is_map(n, "pipeline",
                      "write each stage on a line of its own, indented: 'name: !Script'", diags))
        return;
    if (n->count == 0) {
        refuse(diags, n->at, mem_dup("the pipeline is empty"),
               mem_dup("add a stage, such as 'train: !Script' and below it, indented, "
                       "'script: train.py'"));
        return;
    }
    if (n->count > STAGES_MAX) {
        refuse(diags, n->at, mem_printf("%zu stages; %d are allowed", n->count, STAGES_MAX),
               mem_dup("split the experiment"));
        return;
    }
    size_t options = 0;
    e->stages = mem_array(n->count, sizeof *e->stages);
    for (size_t i = 0; i < n->count; i++) {
        const struct yaml_pair *pair = &n->pairs[i];
        struct stage *s = &e->stages[e->stage_count++];
        stage_read(text_of(pair->key), pair->key, pair->value, e->drawn_with, &options, diags, s);
    }
    check_resource_names(e, diags);
}

/* ---- devices ----------------------------------------------------------------------------------
 */

static const struct schema_key device_keys[] = {
    {.name = "cpu",
     .type = SCHEMA_INT,
     .fallback = "1",
     .min = 1,
     .max = 8192,
     .help = "CPUs of each trial",
     .offset = offsetof(struct devices, cpu)},
    {.name = "gpu",
     .type = SCHEMA_INT,
     .fallback = "0",
     .min = 0,
     .max = 1024,
     .help = "GPUs of each trial",
     .offset = offsetof(struct devices, gpu)},
};
const struct schema devices_schema = {"", "devices", device_keys, COUNT_OF(device_keys)};

static void check_device(const char *what, int asked, int has, struct span at, struct diags *diags)
{
    if (asked <= has || diags_at(diags, at))
        return;
    refuse(diags, at,
           mem_printf("each trial asks for %d %s%s; this machine has %d", asked, what,
                      asked == 1 ? "" : "s", has),
           has ? mem_printf("write at most %d", has) : mem_dup("remove the line"));
}

void sections_devices(struct experiment *e, const struct machine *machine, struct diags *diags)
{
    const struct yaml_node *n = e->devices_node;
    e->devices = (struct devices){1, machine->gpus > 0 ? 1 : 0};
    if (!n || !is_map(n, "devices", "write '{cpu: 1, gpu: 0}'", diags))
        return;
    struct span spans[COUNT_OF(device_keys)];
    e->devices_given = true;
    schema_read(&devices_schema, n, diags, &e->devices, spans);
    check_device("CPU", e->devices.cpu, machine->cpus, spans[0], diags);
    check_device("GPU", e->devices.gpu, machine->gpus, spans[1], diags);
}

/* ---- what names stages ------------------------------------------------------------------------
 */

/* The stage that the node names, or NULL with a diagnostic. */
static struct stage *named_stage(struct experiment *e, const struct yaml_node *name,
                                 struct diags *diags)
{
    if (name->bad || !name->text)
        return NULL;
    size_t at = experiment_stage(e, text_of(name));
    if (at < e->stage_count)
        return &e->stages[at];
    const char *names[STAGES_MAX];
    for (size_t i = 0; i < e->stage_count; i++)
        names[i] = e->stages[i].name;
    const char *near = refuse_suggest(text_of(name), names, e->stage_count);
    AUTO_FREE char *shown = diag_quote(text_of(name)), *list = refuse_list(names, e->stage_count);
    refuse(diags, name->at, mem_printf("there is no stage %s", shown),
           near             ? mem_printf("did you mean '%s'?", near)
           : e->stage_count ? mem_printf("the stages: %s", list)
                            : NULL);
    return NULL;
}

static bool is_name(const struct yaml_node *n, struct diags *diags)
{
    if (n->bad || (n->text && !n->tag && n->kind != YAML_NULL))
        return !n->bad;
    refuse(diags, n->at, mem_printf("'resume' names stages, not %s", yaml_kind_name(n->kind)),
           mem_dup("write 'resume: STAGE' or 'resume: [STAGE, STAGE]'"));
    return false;
}

void sections_resume(struct experiment *e, struct diags *diags)
{
    const struct yaml_node *n = e->resume;
    if (!n || n->bad)
        return;
    if (n->kind == YAML_LIST && !n->tag) {
        for (size_t i = 0; i < n->count; i++) {
            struct stage *s =
                is_name(n->items[i], diags) ? named_stage(e, n->items[i], diags) : NULL;
            if (s)
                s->resumed = true;
        }
        return;
    }
    struct stage *last = is_name(n, diags) ? named_stage(e, n, diags) : NULL;
    for (struct stage *s = e->stages; last && s <= last; s++)
        s->resumed = true;
}

static void need_objective(const struct stage *s, const char *key, const struct yaml_node *at,
                           struct diags *diags)
{
    if (!s->understood || s->objective_node)
        return;
    refuse(diags, at->at,
           mem_printf("'%s' compares the trials of '%s', which does not say what is best", key,
                      s->name),
           mem_printf("add to '%s': 'objective: {metric: NAME, mode: max}'", s->name));
}

void sections_reduce(struct experiment *e, struct diags *diags)
{
    const struct yaml_node *n = e->reduce;
    if (!n || !is_map(n, "reduce", "write one 'stage: how many' a line, indented", diags))
        return;
    for (size_t i = 0; i < n->count; i++) {
        const struct yaml_node *value = n->pairs[i].value;
        struct stage *s = named_stage(e, n->pairs[i].key, diags);
        if (value->bad)
            continue;
        bool whole = value->kind == YAML_INT && !value->tag;
        if (!whole || value->integer < 1 || value->integer > INT_MAX) {
            AUTO_FREE char *shown = value->text && !value->tag && value->text_len
                                        ? diag_quote(text_of(value))
                                        : mem_dup(yaml_kind_name(value->kind));
            refuse(diags, value->kind == YAML_NULL ? n->pairs[i].key->at : value->at,
                   mem_printf("'reduce' keeps a number of trials, not %s", shown),
                   mem_dup("write a whole number, 1 or more"));
        } else if (s) {
            s->reduce = (int)value->integer;
            need_objective(s, "reduce", n->pairs[i].key, diags);
        }
    }
}

void sections_tuners(struct experiment *e, struct diags *diags)
{
    const struct yaml_node *n = e->schedulers;
    if (n && is_map(n, "schedulers", "write one 'stage: !asha' a line, indented", diags))
        for (size_t i = 0; i < n->count; i++) {
            struct stage *s = named_stage(e, n->pairs[i].key, diags);
            struct scheduler_spec spec = {0};
            tuner_scheduler(n->pairs[i].value, diags, &spec);
            if (!s) {
                scheduler_spec_done(&spec);
                continue;
            }
            s->scheduler = spec;
            if (scheduler_needs_metric(&spec))
                need_objective(s, "schedulers", n->pairs[i].key, diags);
        }
    n = e->search;
    if (n && is_map(n, "search", "write one 'stage: !grid' a line, indented", diags))
        for (size_t i = 0; i < n->count; i++) {
            struct stage *s = named_stage(e, n->pairs[i].key, diags);
            struct search_spec spec = {0};
            tuner_search(n->pairs[i].value, s, diags, &spec);
            if (!s) {
                search_spec_done(&spec);
                continue;
            }
            s->search = spec;
            if (search_needs_objective(&spec))
                need_objective(s, "search", n->pairs[i].key, diags);
        }
}
