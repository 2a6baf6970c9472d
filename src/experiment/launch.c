/* See launch.h. No shell is between flambe and a program, except for a !Command that is a line: its
 * values are arguments of the shell, see shell_line.h. */
#include "experiment/launch.h"
#include "base/mem.h"
#include "experiment/metrics.h"
#include "experiment/shell_line.h"
#include "experiment/trial_files.h"
#include "experiment/value.h"
#include <stdlib.h>
#include <string.h>

struct maker {
    const struct trial_values *t;
    const struct launch_context *c;
    const struct stage *stage;
    const char *directory; /* the trial's */
    struct launch *out;
    struct strv names; /* of the places of a line, each once, in the order of `values` */
    struct strv values;
};

static void add_text(struct strv *v, const json_t *value)
{
    AUTO_BUF struct buf text = {0};
    value_text(value, &text);
    strv_add(v, buf_text(&text));
}

/* There is nothing to run: as the engine is told it. */
static void make_nothing(struct maker *m, const char *why)
{
    strv_done(&m->out->argv);
    strv_add(&m->out->argv, "");
    strv_add(&m->out->argv, why);
}

/* ---- !Script ----------------------------------------------------------------------------------
 */

/* False where it is no text, which a link may lead to. */
static bool script_program(struct maker *m)
{
    json_auto_t *script = trial_value(m->t, "script", m->stage->script);
    const char *text = json_string_value(script);
    if (!text || !*text)
        return false;
    struct strv *argv = &m->out->argv;
    bool python = str_ends(str_of(text), ".py");
    if (!python && strchr(text, '/')) {
        strv_add(argv, text);
        return true;
    }
    strv_add(argv, m->c->python);
    if (!python)
        strv_add(argv, "-m");
    strv_add(argv, text);
    return true;
}

static void make_script(struct maker *m)
{
    const struct stage *s = m->stage;
    struct strv *argv = &m->out->argv;
    bool runs = script_program(m);
    json_auto_t *args = trial_value(m->t, "args", s->args);
    size_t i;
    json_t *value;
    json_array_foreach(args, i, value)
    {
        add_text(argv, value);
    }
    m->out->params = trial_value(m->t, "kwargs", s->kwargs);
    const char *key;
    json_object_foreach(m->out->params, key, value)
    {
        strv_take(argv, mem_printf("--%s", key));
        add_text(argv, value);
    }
    if (s->output_dir_arg) {
        strv_take(argv, mem_printf("--%s", s->output_dir_arg));
        strv_add(argv, m->directory);
    }
    if (!runs)
        make_nothing(m, "'script' is no text, or empty");
}

/* ---- !Command ---------------------------------------------------------------------------------
 */

/* The value of a {place}; false where it is none of ours. */
static bool place_text(const struct maker *m, struct str name, struct buf *out)
{
    AUTO_FREE char *key = str_dup(name);
    const json_t *value = json_object_get(m->out->params, key);
    if (value)
        value_text(value, out);
    else if (str_is(name, "dir"))
        buf_adds(out, m->directory);
    else if (str_is(name, "stage"))
        buf_adds(out, m->stage->name);
    else if (str_is(name, "variant"))
        buf_adds(out, m->c->variant);
    else
        return false;
    return true;
}

/* The number of a line's place, from 1. Takes the value. */
static size_t number_of(struct maker *m, struct str name, struct buf *value)
{
    for (size_t i = 0; i < m->names.count; i++)
        if (str_is(name, m->names.items[i]))
            return i + 1;
    strv_add_str(&m->names, name);
    strv_take(&m->values, buf_take(value));
    return m->values.count;
}

/* The text with each place filled, as stage.c checks them: for a shell's line as shell_line.h has
 * it, otherwise, where `shell` is NULL, by the value itself. */
static int fill_places(struct maker *m, struct str text, struct shell_line *shell, struct buf *out,
                       struct err *err)
{
    for (size_t i = 0; i < text.n; i++) {
        AUTO_BUF struct buf value = {0};
        struct str name = place_name(text, i);
        bool brace = place_is_brace(text, i);
        if (!brace && name.p && place_text(m, name, &value)) {
            struct str view = str_of(buf_text(&value));
            if (!shell)
                buf_add_str(out, view);
            else if (shell_add(shell, number_of(m, name, &value), view, out, err) == -1)
                return -1;
            i += name.n + 1;
            continue;
        }
        if (shell)
            shell_step(shell, text.p[i]);
        buf_addc(out, text.p[i]);
        i += brace;
    }
    return 0;
}

static void add_word(struct maker *m, const json_t *word)
{
    AUTO_BUF struct buf text = {0}, filled = {0};
    value_text(word, &text);
    (void)!fill_places(m, buf_view(&text), NULL, &filled, NULL); /* fails for lines alone */
    strv_add(&m->out->argv, buf_text(&filled));
}

static void make_line(struct maker *m, struct str text)
{
    struct strv *argv = &m->out->argv;
    struct shell_line shell = {0};
    struct err err = {0};
    AUTO_BUF struct buf line = {0}, whole = {0}, shown = {0};
    (void)!fill_places(m, text, NULL, &shown, NULL);
    m->out->line = buf_take(&shown);
    if (fill_places(m, text, &shell, &line, &err) == -1) {
        make_nothing(m, err.msg);
        return;
    }
    shell_prologue(m->values.count, &whole);
    buf_add_str(&whole, buf_view(&line));
    strv_add(argv, "/bin/sh");
    strv_add(argv, "-c");
    strv_add(argv, buf_text(&whole));
    if (m->values.count)
        strv_add(argv, "/bin/sh"); /* $0, as it is without arguments */
    strv_copy(argv, &m->values);
}

static void make_command(struct maker *m)
{
    m->out->params = trial_value(m->t, "params", m->stage->params);
    json_auto_t *command = trial_value(m->t, "command", m->stage->command);
    struct str line = {json_string_value(command), json_string_length(command)};
    size_t i;
    json_t *word;
    json_array_foreach(command, i, word)
    {
        add_word(m, word);
    }
    if (str_trim(line).n)
        make_line(m, line);
    if (m->out->argv.count == 0 || (!m->out->line && !*m->out->argv.items[0]))
        make_nothing(m, "'command' is empty");
}

/* ---- the environment --------------------------------------------------------------------------
 */

static bool has_name(const char *entry, const char *name, size_t length)
{
    return strncmp(entry, name, length) == 0 && entry[length] == '=';
}

static void set_env(struct maker *m, const char *name, const char *value)
{
    struct strv *env = &m->out->env;
    size_t length = strlen(name);
    char *entry = mem_printf("%s=%s", name, value);
    for (size_t i = 0; i < env->count; i++)
        if (has_name(env->items[i], name, length)) {
            free(env->items[i]);
            env->items[i] = entry;
            return;
        }
    strv_take(env, entry);
}

static bool inherits(const struct maker *m, const char *name)
{
    for (size_t i = 0; i < m->out->env.count; i++)
        if (has_name(m->out->env.items[i], name, strlen(name)))
            return true;
    return false;
}

static void set_path(struct maker *m, const char *name, const char *file)
{
    AUTO_FREE char *path = mem_printf("%s/%s", m->directory, file);
    set_env(m, name, path);
}

static void set_number(struct maker *m, const char *name, int64_t number)
{
    AUTO_FREE char *text = mem_printf("%lld", (long long)number);
    set_env(m, name, text);
}

static void make_env(struct maker *m)
{
    const struct launch_context *c = m->c;
    for (size_t i = 0; c->inherited[i]; i++)
        if (!str_starts(str_of(c->inherited[i]), "FLAMBE_"))
            strv_add(&m->out->env, c->inherited[i]);
    json_auto_t *env = trial_value(m->t, "env", m->stage->env);
    const char *key;
    json_t *value;
    json_object_foreach(env, key, value)
    {
        AUTO_BUF struct buf text = {0};
        value_text(value, &text);
        set_env(m, key, buf_text(&text));
    }
    set_env(m, "FLAMBE", c->flambe);
    set_env(m, "FLAMBE_EXPERIMENT", c->experiment);
    set_env(m, "FLAMBE_STAGE", m->stage->name);
    set_env(m, "FLAMBE_VARIANT", c->variant);
    set_env(m, "FLAMBE_DIR", m->directory);
    set_path(m, "FLAMBE_PARAMS", "params.json");
    set_path(m, "FLAMBE_METRICS", m->stage->metrics ? m->stage->metrics : METRICS_FILE);
    set_path(m, "FLAMBE_CHECKPOINT", TRIAL_CHECKPOINT);
    set_number(m, "FLAMBE_TRIAL", c->number);
    set_number(m, "FLAMBE_ATTEMPT", c->attempt);
    if (c->secrets)
        set_env(m, "FLAMBE_SECRETS", c->secrets);
    if (!inherits(m, "PYTHONUNBUFFERED"))
        set_env(m, "PYTHONUNBUFFERED", "1"); /* the console is read while the trial runs */
}

int launch_make(const struct trial_values *t, const struct launch_context *c, struct launch *out,
                struct err *err)
{
    (void)err;
    struct launch l = {0};
    struct maker m = {.t = t,
                      .c = c,
                      .stage = &t->plan->experiment->stages[t->stage],
                      .directory = t->directories[t->stage],
                      .out = &l};
    if (m.stage->kind == STAGE_SCRIPT)
        make_script(&m);
    else
        make_command(&m);
    strv_done(&m.names);
    strv_done(&m.values);
    if (!json_is_object(l.params)) {
        json_decref(l.params);
        l.params = json_object();
    }
    make_env(&m);
    *out = l;
    return 0;
}

void launch_done(struct launch *l)
{
    strv_done(&l->argv);
    strv_done(&l->env);
    json_decref(l->params);
    free(l->line);
    *l = (struct launch){0};
}

const char **launch_vector(const struct strv *v)
{
    const char **vector = mem_array(v->count + 1, sizeof *vector);
    for (size_t i = 0; i < v->count; i++)
        vector[i] = v->items[i];
    return vector;
}
