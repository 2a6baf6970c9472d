/* See stage.h. */
#include "experiment/stage.h"
#include "base/mem.h"
#include "experiment/program.h"
#include "experiment/refuse.h"
#include "experiment/shell_line.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(struct stage, field)

#define OUTPUTS_HELP                                                                               \
    "Files that the program leaves in its trial's directory, by name, for links of later stages: " \
    "'!@ STAGE.NAME'"

#define OUTCOME_KEYS                                                                             \
    {.name = "outputs", .type = SCHEMA_STRING_MAP, .help = OUTPUTS_HELP, .offset = AT(outputs)}, \
        {.name = "objective",                                                                    \
         .type = SCHEMA_NODE,                                                                    \
         .kind = "a map of metric and mode",                                                     \
         .help = "What the trials are compared by: {metric: loss, mode: min}",                   \
         .offset = AT(objective_node)},                                                          \
        {.name = "metrics",                                                                      \
         .type = SCHEMA_STRING,                                                                  \
         .min = 1,                                                                               \
         .max = 255,                                                                             \
         .help = "The file of JSON lines in the trial's directory in which the program reports " \
                 "metrics; without it metrics.jsonl",                                            \
         .offset = AT(metrics)},                                                                 \
        {.name = "time_limit",                                                                   \
         .type = SCHEMA_NODE,                                                                    \
         .kind = "a span of time",                                                               \
         .help = "A trial that runs longer is ended and has failed: '90 s', '30 min', '2 h'",    \
         .offset = AT(time_node)},                                                               \
    {                                                                                            \
        .name = "memory_limit", .type = SCHEMA_NODE, .kind = "an amount of memory",              \
        .help = "A trial whose processes take more memory together is ended and has failed: "    \
                "'512 MB', '4 GiB'",                                                             \
        .offset = AT(memory_node)                                                                \
    }

static const struct schema_key script_keys[] = {
    {.name = "script",
     .type = SCHEMA_NODE,
     .required = true,
     .kind = "a file or module",
     .example = "train.py",
     .help = "The Python script, the program, or the module with its dots, to run; paths begin "
             "where flambe is started",
     .offset = AT(script)},
    {.name = "args",
     .type = SCHEMA_NODE,
     .kind = "a list",
     .help = "Arguments, in this order",
     .offset = AT(args)},
    {.name = "kwargs",
     .type = SCHEMA_NODE,
     .kind = "a map of keys",
     .help = "Arguments with names, behind the others, each as '--key value' in the file's order",
     .offset = AT(kwargs)},
    {.name = "output_dir_arg",
     .type = SCHEMA_STRING,
     .pattern = "^[^-= \t\r\n][^= \t\r\n]*$",
     .pattern_help = "the argument's name without '--'",
     .help = "The argument that gets the trial's directory, as '--NAME DIRECTORY'",
     .offset = AT(output_dir_arg)},
    OUTCOME_KEYS,
};
const struct schema script_schema = {"!Script", "a script", script_keys, COUNT_OF(script_keys)};

static const struct schema_key command_keys[] = {
    {.name = "command",
     .type = SCHEMA_NODE,
     .required = true,
     .kind = "a list, or text",
     .example = "[./train, --lr, \"{lr}\"]",
     .help = "A program and its arguments as a list, or a line for the shell; {NAME} is a "
             "parameter's value, {dir} the trial's directory, {{ and }} are braces",
     .offset = AT(command)},
    {.name = "params",
     .type = SCHEMA_NODE,
     .kind = "a map of keys",
     .help = "The parameters",
     .offset = AT(params)},
    {.name = "env",
     .type = SCHEMA_NODE,
     .kind = "a map of keys",
     .help = "Environment variables for the program, beside those that flambe was started with",
     .offset = AT(env)},
    OUTCOME_KEYS,
};
const struct schema command_schema = {"!Command", "a command", command_keys,
                                      COUNT_OF(command_keys)};

static bool is_open(const struct yaml_node *n)
{
    return space_is_option(n) || link_is_tag(n->tag);
}

/* ---- the shapes of the values ---------------------------------------------------------------- */

/* Whether the value is of the kind, in every option; reports where it is not. */
static bool check_kind(const char *key, const struct yaml_node *n, enum yaml_kind kind,
                       const char *fix, struct diags *diags)
{
    if (n->bad || link_is_tag(n->tag))
        return false;
    if (space_is_option(n)) {
        for (size_t i = 0; n->kind == YAML_LIST && i < n->count; i++)
            if (!check_kind(key, n->items[i], kind, fix, diags))
                return false;
        return false; /* its parts are not known by name */
    }
    if (n->kind == kind)
        return true;
    refuse(
        diags, n->at,
        mem_printf("'%s' must be %s, not %s", key, yaml_kind_name(kind), yaml_kind_name(n->kind)),
        mem_dup(fix));
    return false;
}

static bool is_identifier(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c != '_' && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
            !(i && c >= '0' && c <= '9'))
            return false;
    }
    return s.n > 0;
}

static void check_env(const struct yaml_node *env, struct diags *diags)
{
    if (!env || !check_kind("env", env, YAML_MAP,
                            "write each on a line of its own, indented: 'NAME: value'", diags))
        return;
    for (size_t i = 0; i < env->count; i++) {
        const struct yaml_node *key = env->pairs[i].key, *value = env->pairs[i].value;
        struct str name = {key->text, key->text_len};
        AUTO_FREE char *shown = diag_quote(name);
        if (!is_identifier(name))
            refuse(diags, key->at, mem_printf("%s cannot be an environment variable", shown),
                   mem_dup("allowed: letters, digits and '_', not beginning with a digit"));
        else if (str_starts(name, "FLAMBE_"))
            refuse(diags, key->at, mem_printf("the variable %s is flambe's own", shown),
                   mem_dup("choose another name"));
        if (!value->bad && !value->tag && (value->kind == YAML_LIST || value->kind == YAML_MAP))
            refuse(diags, value->at,
                   mem_printf("the variable %s is text or a number, not %s", shown,
                              yaml_kind_name(value->kind)),
                   mem_dup("put it in quotes"));
    }
}

static bool is_within(const char *path)
{
    struct str rest = str_of(path);
    if (path[0] == '/' || path[0] == '~')
        return false;
    while (rest.p)
        if (str_is(str_cut(&rest, '/'), ".."))
            return false;
    return true;
}

static void check_outputs(const struct stage *s, struct diags *diags)
{
    for (size_t i = 0; i < s->outputs.count; i++) {
        const struct schema_entry *e = &s->outputs.items[i];
        AUTO_FREE char *shown = diag_quote(str_of(e->key));
        if (strpbrk(e->key, ".[]") || isspace((unsigned char)e->key[0]))
            refuse(diags, e->at, mem_printf("%s cannot be the name of an output", shown),
                   mem_dup("a link could not name it: use letters, digits, '-' and '_'"));
        if (strcmp(e->key, "dir") == 0)
            refuse(diags, e->at, mem_dup("the output 'dir' is flambe's own"),
                   mem_dup("choose another name: it stands for the trial's directory"));
        if (!is_within(e->value))
            refuse(diags, e->at, mem_printf("the output %s is not in the trial's directory", shown),
                   mem_dup("write a path that begins there, without '..'"));
    }
}

/* ---- {param} places ---------------------------------------------------------------------------
 */

static const char *const own_places[] = {"dir", "stage", "variant"};

static void unknown_place(const struct stage *s, const struct yaml_node *at, struct str name,
                          struct diags *diags)
{
    size_t count = s->params && s->params->kind == YAML_MAP ? s->params->count : 0;
    const char **names = mem_array(count + COUNT_OF(own_places), sizeof *names);
    for (size_t i = 0; i < count; i++)
        names[i] = s->params->pairs[i].key->text;
    for (size_t i = 0; i < COUNT_OF(own_places); i++)
        names[count + i] = own_places[i];
    const char *near = refuse_suggest(name, names, count + COUNT_OF(own_places));
    AUTO_FREE char *shown = diag_quote(name);
    refuse(diags, at->at, mem_printf("no parameter %s for the place {%.*s}", shown, STR_FMT(name)),
           near ? mem_printf("did you mean {%s}?", near)
                : mem_printf("add it under 'params:', or write {{%.*s}} for braces as they are",
                             STR_FMT(name)));
    free(names);
}

static bool is_known_place(const struct stage *s, struct str name)
{
    for (size_t i = 0; i < COUNT_OF(own_places); i++)
        if (str_is(name, own_places[i]))
            return true;
    for (size_t i = 0; s->params && s->params->kind == YAML_MAP && i < s->params->count; i++) {
        const struct yaml_node *key = s->params->pairs[i].key;
        if (str_eq(name, (struct str){key->text, key->text_len}))
            return true;
    }
    return false;
}

static void refuse_place(const struct yaml_node *n, struct str name, const char *why,
                         const char *fix, struct diags *diags)
{
    size_t row = 1;
    for (const char *p = n->text; p < name.p; p++)
        row += *p == '\n';
    refuse(diags, n->at,
           mem_printf("no value can be put in for {%.*s} in line %zu of the command: %s",
                      STR_FMT(name), row, why),
           mem_dup(fix));
}

/* `${NAME}` is the shell's, and `{ …` without a name is nobody's: both stay as they are. `line`:
 * the text is one for the shell. */
static void check_places(const struct stage *s, const struct yaml_node *n, bool line,
                         struct diags *diags)
{
    struct str text = {n->text, n->text_len};
    struct shell_line shell = {0};
    for (size_t i = 0; i < text.n && !diags_full(diags); i++) {
        struct str name = place_name(text, i);
        bool brace = place_is_brace(text, i), known = name.p && is_known_place(s, name);
        const char *fix, *why = !brace && known && line ? shell_refusal(&shell, &fix) : NULL;
        if (why) {
            refuse_place(n, name, why, fix, diags);
            return; /* one tells of those behind it */
        }
        if (!brace && name.p && !known && is_identifier(name))
            unknown_place(s, n, name, diags);
        if (!brace && known) {
            shell_pass(&shell);
            i += name.n + 1;
            continue;
        }
        shell_step(&shell, text.p[i]);
        i += brace;
    }
}

/* `line`: what is text is for the shell. */
static void check_command_text(const struct stage *s, const struct yaml_node *n, bool line,
                               struct diags *diags)
{
    if (n->bad || link_is_tag(n->tag))
        return;
    if (n->kind == YAML_STRING && !n->tag)
        check_places(s, n, line, diags);
    for (size_t i = 0; n->kind == YAML_LIST && i < n->count; i++)
        check_command_text(s, n->items[i], line && space_is_option(n), diags);
}

static void check_command(const struct stage *s, struct diags *diags)
{
    const struct yaml_node *n = s->command;
    if (!n || n->bad)
        return;
    check_command_text(s, n, true, diags);
    if (is_open(n))
        return;
    if (n->kind != YAML_STRING && n->kind != YAML_LIST) {
        refuse(
            diags, n->at,
            mem_printf("'command' must be text or a list, not %s", yaml_kind_name(n->kind)),
            mem_dup("write the program and its arguments: 'command: [./train, --lr, \"{lr}\"]'"));
        return;
    }
    if (n->kind == YAML_LIST ? n->count == 0
                             : str_trim((struct str){n->text, n->text_len}).n == 0) {
        refuse(
            diags, n->at, mem_dup("'command' is empty"),
            mem_dup("write the program and its arguments: 'command: [./train, --lr, \"{lr}\"]'"));
        return;
    }
    for (size_t i = 0; n->kind == YAML_LIST && i < n->count; i++) {
        const struct yaml_node *word = n->items[i];
        if (!word->bad && !word->tag && (word->kind == YAML_LIST || word->kind == YAML_MAP))
            refuse(diags, word->at,
                   mem_printf("a word of 'command' cannot be %s", yaml_kind_name(word->kind)),
                   mem_dup("put it in quotes"));
    }
    if (n->kind == YAML_LIST && !is_open(n->items[0]))
        program_check_command(n->items[0], diags);
}

static void check_script(const struct yaml_node *n, struct diags *diags)
{
    if (!n || n->bad || link_is_tag(n->tag))
        return;
    for (size_t i = 0; space_is_option(n) && n->kind == YAML_LIST && i < n->count; i++)
        check_script(n->items[i], diags);
    if (!n->tag)
        program_check_script(n, diags);
}

/* ---- the whole --------------------------------------------------------------------------------
 */

static void read_script(struct stage *s, const struct space_reader *r)
{
    struct diags *diags = r->diags;
    schema_read(&script_schema, s->node, diags, s, NULL);
    check_script(s->script, diags);
    if (s->args)
        check_kind("args", s->args, YAML_LIST,
                   "write '[first, second]'; arguments with names go under 'kwargs:'", diags);
    if (s->kwargs)
        check_kind("kwargs", s->kwargs, YAML_MAP,
                   "write each on a line of its own, indented: 'key: value'; arguments without "
                   "names go under 'args:'",
                   diags);
    if (s->script)
        space_read(r, "script", s->script);
    if (s->args)
        space_read(r, "args", s->args);
    if (s->kwargs)
        space_read(r, "kwargs", s->kwargs);
}

static void read_command(struct stage *s, const struct space_reader *r)
{
    struct diags *diags = r->diags;
    schema_read(&command_schema, s->node, diags, s, NULL);
    if (s->params)
        check_kind("params", s->params, YAML_MAP,
                   "write each on a line of its own, indented: 'key: value'", diags);
    check_env(s->env, diags);
    check_command(s, diags);
    if (s->command)
        space_read(r, "command", s->command);
    if (s->params)
        space_read(r, "params", s->params);
    if (s->env)
        space_read(r, "env", s->env);
}

static void check_name(struct str name, const struct yaml_node *key, struct diags *diags)
{
    AUTO_FREE char *shown = diag_quote(name);
    size_t characters = 0;
    bool bad = name.n == 0;
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        bad = bad || c <= ' ' || c == 0x7f || strchr("./[],=%", c);
        characters += (c & 0xc0) != 0x80;
    }
    static const char *const taken[] = {"lock", "ends", "extensions", "resources"};
    for (size_t i = 0; i < COUNT_OF(taken); i++)
        if (str_is(name, taken[i])) {
            refuse(
                diags, key->at, mem_printf("%s cannot be a stage's name", shown),
                mem_dup("choose another: flambe keeps something of that name beside the stages"));
            return;
        }
    if (bad)
        refuse(diags, key->at, mem_printf("%s cannot be a stage's name", shown),
               mem_dup("it names a directory and links: use letters, digits, '-' and '_'"));
    else if (characters > STAGE_NAME_MAX)
        refuse(diags, key->at,
               mem_printf("a stage's name has %zu characters; allowed: %d", characters,
                          STAGE_NAME_MAX),
               mem_dup("shorten it"));
}

void stage_read(struct str name, const struct yaml_node *key, const struct yaml_node *node,
                uint64_t seed, size_t *options, struct diags *diags, struct stage *out)
{
    out->name = str_dup(name);
    out->at = key->at;
    out->node = node;
    check_name(name, key, diags);
    if (node->bad)
        return;
    const struct schema *schemas[] = {&script_schema, &command_schema};
    size_t kind = 0;
    while (kind < COUNT_OF(schemas) && !(node->tag && strcmp(node->tag, schemas[kind]->tag) == 0))
        kind++;
    if (kind == COUNT_OF(schemas)) {
        refuse_stage(node, name, diags);
        return;
    }
    out->understood = true;
    out->kind = (enum stage_kind)kind;
    struct space_reader r = {diags, seed, out->name, options, &out->space};
    if (out->kind == STAGE_SCRIPT)
        read_script(out, &r);
    else
        read_command(out, &r);
    check_outputs(out, diags);
    if (out->metrics && !is_within(out->metrics))
        refuse(diags, node->at, mem_dup("'metrics' is not in the trial's directory"),
               mem_dup("write a path that begins there, without '..'"));
    objective_read(out->objective_node, diags, &out->objective);
    out->time_limit = limit_time(out->time_node, diags);
    out->memory_limit = limit_memory(out->memory_node, diags);
}

void stage_done(struct stage *s)
{
    schema_free(s->kind == STAGE_SCRIPT ? &script_schema : &command_schema, s);
    space_done(&s->space);
    objective_done(&s->objective);
    search_spec_done(&s->search);
    scheduler_spec_done(&s->scheduler);
    free(s->name);
}

static void add_word(const struct yaml_node *n, struct buf *out)
{
    if (n->tag || !n->text)
        buf_adds(out, "…");
    else
        buf_add(out, n->text, n->text_len);
}

void stage_program(const struct stage *s, struct buf *out)
{
    const struct yaml_node *n = s->kind == STAGE_SCRIPT ? s->script : s->command;
    for (size_t i = 0; !n->tag && n->kind == YAML_LIST && i < n->count; i++) {
        if (i)
            buf_addc(out, ' ');
        add_word(n->items[i], out);
    }
    if (n->tag || n->kind != YAML_LIST)
        add_word(n, out);
}
