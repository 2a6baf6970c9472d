/* See launch.h. No shell is between flambe and a program, except for a !Command that is a line: its
 * values are quoted for the place where they stand. */
#include "experiment/launch.h"
#include "base/mem.h"
#include "experiment/metrics.h"
#include "experiment/value.h"
#include <stdlib.h>
#include <string.h>

struct maker {
    const struct trial_values *t;
    const struct launch_context *c;
    const struct stage *stage;
    const char *directory; /* the trial's */
    struct launch *out;
    struct err *err;
};

static void add_text(struct strv *v, const json_t *value)
{
    AUTO_BUF struct buf text = {0};
    value_text(value, &text);
    strv_add(v, buf_text(&text));
}

/* ---- !Script ----------------------------------------------------------------------------------
 */

static int script_program(struct maker *m)
{
    json_auto_t *script = trial_value(m->t, "script", m->stage->script);
    const char *text = json_string_value(script);
    if (!text || !*text)
        return err_set(m->err, ERR_FILE, "'script' is no text in the trial '%s'", m->c->variant);
    struct strv *argv = &m->out->argv;
    bool python = str_ends(str_of(text), ".py");
    if (!python && strchr(text, '/')) {
        strv_add(argv, text);
        return 0;
    }
    strv_add(argv, m->c->python);
    if (!python)
        strv_add(argv, "-m");
    strv_add(argv, text);
    return 0;
}

static int make_script(struct maker *m)
{
    const struct stage *s = m->stage;
    struct strv *argv = &m->out->argv;
    if (script_program(m) == -1)
        return -1;
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
    return 0;
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

/* As stage.c checks them: '{{' and '}}' are braces, '${…}' is the shell's. */
static void fill_places(const struct maker *m, struct str text, bool shell, struct buf *out)
{
    struct shell_place place = {0};
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if ((c == '{' || c == '}') && i + 1 < text.n && text.p[i + 1] == c) {
            shell_step(&place, c);
            buf_addc(out, c);
            i++;
            continue;
        }
        const char *close = c == '{' && (i == 0 || text.p[i - 1] != '$')
                                ? memchr(text.p + i, '}', text.n - i)
                                : NULL;
        AUTO_BUF struct buf value = {0};
        struct str name = {text.p + i + 1, close ? (size_t)(close - text.p) - i - 1 : 0};
        if (close && place_text(m, name, &value)) {
            if (shell)
                shell_add(&place, buf_view(&value), out);
            else
                buf_add_str(out, buf_view(&value));
            i = (size_t)(close - text.p);
            continue;
        }
        shell_step(&place, c);
        buf_addc(out, c);
    }
}

static void add_word(const struct maker *m, const json_t *word)
{
    AUTO_BUF struct buf text = {0}, filled = {0};
    value_text(word, &text);
    fill_places(m, buf_view(&text), false, &filled);
    strv_add(&m->out->argv, buf_text(&filled));
}

static int make_command(struct maker *m)
{
    m->out->params = trial_value(m->t, "params", m->stage->params);
    json_auto_t *command = trial_value(m->t, "command", m->stage->command);
    size_t i;
    json_t *word;
    if (json_is_array(command)) {
        json_array_foreach(command, i, word)
        {
            add_word(m, word);
        }
    } else if (json_is_string(command)) {
        AUTO_BUF struct buf line = {0};
        fill_places(m, (struct str){json_string_value(command), json_string_length(command)}, true,
                    &line);
        strv_add(&m->out->argv, "/bin/sh");
        strv_add(&m->out->argv, "-c");
        strv_add(&m->out->argv, buf_text(&line));
    }
    if (m->out->argv.count == 0 || !*m->out->argv.items[0])
        return err_set(m->err, ERR_FILE, "'command' is empty in the trial '%s'", m->c->variant);
    return 0;
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
    set_path(m, "FLAMBE_CHECKPOINT", "checkpoint");
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
    struct launch l = {0};
    struct maker m = {t,  c,  &t->plan->experiment->stages[t->stage], t->directories[t->stage],
                      &l, err};
    int rc = m.stage->kind == STAGE_SCRIPT ? make_script(&m) : make_command(&m);
    if (rc == -1) {
        launch_done(&l);
        return -1;
    }
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
    *l = (struct launch){0};
}

const char **launch_vector(const struct strv *v)
{
    const char **vector = mem_array(v->count + 1, sizeof *vector);
    for (size_t i = 0; i < v->count; i++)
        vector[i] = v->items[i];
    return vector;
}
