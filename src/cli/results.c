/* See results.h. From a word to the store, and what is computed from it. */
#include "cli/results.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/file.h"
#include "cli/text.h"
#include "config/yaml.h"
#include "experiment/run.h"
#include "experiment/spec.h"
#include "os/fs.h"
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOUND_MAX 20 /* experiments that are named where one was expected */

/* ---- which directory --------------------------------------------------------------------------
 */

static bool has_store(const char *directory)
{
    AUTO_FREE char *state = run_state_directory(directory), *path = fs_join(state, STORE_FILE);
    return fs_exists(path);
}

/* The directories of results within; at most FOUND_MAX. */
static void find_within(const char *directory, struct strv *out)
{
    DIR *d = opendir(directory);
    struct dirent *entry;
    while (d && (entry = readdir(d)) && out->count < FOUND_MAX) {
        if (!str_starts(str_of(entry->d_name), RESULTS_PREFIX))
            continue;
        AUTO_FREE char *path = strcmp(directory, ".") == 0 ? mem_dup(entry->d_name)
                                                           : fs_join(directory, entry->d_name);
        if (has_store(path))
            strv_take(out, TAKE(path));
    }
    if (d)
        closedir(d);
    strv_sort(out);
}

bool results_meant(const char *word)
{
    if (!fs_is_directory(word))
        return file_is_experiment(word);
    if (has_store(word))
        return true;
    AUTO_STRV struct strv found = {0};
    find_within(word, &found);
    return found.count > 0;
}

static int from_directory(struct cli *cli, const char *word, char **out, struct err *err)
{
    if (has_store(word)) {
        *out = mem_dup(word);
        return 0;
    }
    AUTO_STRV struct strv found = {0};
    find_within(word, &found);
    if (found.count == 1) {
        *out = mem_dup(found.items[0]);
        return 0;
    }
    if (!found.count)
        return err_set(err, ERR_NOT_FOUND, "'%s' has no results of flambe", word);
    for (size_t i = 0; i < found.count; i++)
        cli_hint(cli, "flambe %s %s", cli->command->name, found.items[i]);
    return err_set(err, ERR_CONFLICT, "'%s' has the results of several experiments", word);
}

static const char *key_text(const struct yaml_node *map, const char *key)
{
    const struct yaml_node *n = map && map->kind == YAML_MAP ? yaml_get(map, key) : NULL;
    return n ? n->text : NULL;
}

/* Only the two keys that say where: a file that was changed since still finds its results. */
int results_of_file(const char *path, char **out, struct err *err)
{
    AUTO_BUF struct buf text = {.max = YAML_BYTES_MAX};
    struct diags ignored;
    struct yaml_file file = {0};
    if (fs_read_user_file(path, "an experiment's file", YAML_BYTES_MAX, &text, err) == -1)
        return -1;
    if (!file_is_experiment(path))
        return err_set(err, ERR_FILE, "'%s' is neither a directory of results nor an experiment",
                       path);
    diags_init(&ignored, path, buf_view(&text));
    int rc = yaml_parse(buf_view(&text), &ignored, &file, err);
    diags_done(&ignored);
    if (rc == -1)
        return err_wrap(err, "'%s' cannot be read", path);
    const struct yaml_node *last = file.documents[file.document_count - 1];
    const char *name = key_text(last, "name"), *save_path = key_text(last, "save_path");
    if (!name || strchr(name, '/')) {
        rc = err_set(err, ERR_FILE, "'%s' has no valid 'name'", path);
    } else {
        AUTO_FREE char *place = fs_expand_home(save_path ? save_path : "./flambe-output");
        *out = mem_printf("%s/" RESULTS_PREFIX "%s", place, name);
    }
    yaml_done(&file);
    return rc;
}

static int find(struct cli *cli, const char *word, char **directory, char **file, struct err *err)
{
    if (fs_is_directory(word))
        return from_directory(cli, word, directory, err);
    if (!fs_exists(word))
        return err_set(err, ERR_NOT_FOUND, "there is no directory or file '%s'", word);
    if (results_of_file(word, directory, err) == -1)
        return -1;
    if (!has_store(*directory)) {
        err_set(err, ERR_NOT_FOUND, "'%s' has no results yet: there is no '%s'", word, *directory);
        free(*directory);
        return -1;
    }
    *file = mem_dup(word);
    return 0;
}

static char *name_of(const char *directory, struct store *store)
{
    char *name = store_get(store, "name");
    if (name && *name)
        return name;
    free(name);
    AUTO_FREE char *path = realpath(directory, NULL);
    const char *base = strrchr(path ? path : directory, '/');
    base = base ? base + 1 : directory;
    return mem_dup(str_starts(str_of(base), RESULTS_PREFIX) ? base + strlen(RESULTS_PREFIX) : base);
}

static char *trimmed(char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        path[--n] = '\0';
    return path;
}

int results_open(struct cli *cli, const char *word, struct results *out, struct err *err)
{
    struct results r = {0};
    if (find(cli, word, &r.directory, &r.file, err) == -1)
        return -1;
    trimmed(r.directory);
    AUTO_FREE char *state = run_state_directory(r.directory);
    if (store_open(state, STORE_READ, &r.store, err) == -1 ||
        store_stages(r.store, &r.stages, &r.stage_count, err) == -1) {
        results_done(&r);
        return -1;
    }
    struct lock_holder holder;
    if (results_holder(&r, &holder, err) == -1) {
        results_done(&r);
        return -1;
    }
    r.at_work = holder.held;
    const char *typed = cli_program.operand_variable ? getenv(cli_program.operand_variable) : NULL;
    r.typed = mem_dup(typed && *typed ? typed : r.directory);
    r.name = name_of(r.directory, r.store);
    if (!r.file)
        r.file = store_get(r.store, "path");
    *out = r;
    return 0;
}

void results_done(struct results *r)
{
    store_stages_free(r->stages, r->stage_count);
    store_close(r->store);
    free(r->directory);
    free(r->typed);
    free(r->file);
    free(r->name);
    *r = (struct results){0};
}

int results_refresh(struct results *r, struct err *err)
{
    struct store_stage *stages;
    size_t count;
    if (store_stages(r->store, &stages, &count, err) == -1)
        return -1;
    store_stages_free(r->stages, r->stage_count);
    r->stages = stages;
    r->stage_count = count;
    return 0;
}

int results_stage(struct cli *cli, const struct results *r, const char *name,
                  const struct store_stage **out, struct err *err)
{
    AUTO_FREE const char **names = mem_array(r->stage_count + 1, sizeof *names);
    for (size_t i = 0; i < r->stage_count; i++) {
        names[i] = r->stages[i].name;
        if (strcmp(names[i], name) == 0) {
            *out = &r->stages[i];
            return 0;
        }
    }
    const char *near = str_nearest(name, names, r->stage_count);
    if (near)
        return err_set(err, ERR_NOT_FOUND, "'%s' has no stage '%s'; did you mean '%s'?", r->name,
                       name, near);
    AUTO_BUF struct buf list = {0};
    for (size_t i = 0; i < r->stage_count; i++)
        buf_addf(&list, "%s%s", i ? ", " : "", names[i]);
    if (list.len)
        cli_hint(cli, "one of its stages: %s", buf_text(&list));
    return err_set(err, ERR_NOT_FOUND, "'%s' has no stage '%s'", r->name, name);
}

char *results_console(const struct results *r, int stage, const char *trial)
{
    for (size_t i = 0; i < r->stage_count; i++)
        if (r->stages[i].id == stage)
            return mem_printf("%s/%s/%s/console.out", r->directory, r->stages[i].name, trial);
    return mem_printf("%s/%d/%s/console.out", r->directory, stage, trial);
}

/* ---- how it stands ----------------------------------------------------------------------------
 */

static char *lock_path(const struct results *r)
{
    AUTO_FREE char *state = run_state_directory(r->directory);
    return fs_join(state, RESULTS_LOCK);
}

int results_holder(const struct results *r, struct lock_holder *out, struct err *err)
{
    AUTO_FREE char *path = lock_path(r);
    return lock_holder(path, out, err);
}

int results_signal(const struct results *r, pid_t pid, int number, struct err *err)
{
    AUTO_FREE char *path = lock_path(r);
    return lock_signal(path, pid, number, err);
}

int results_state(const struct results *r, struct results_state *out, struct err *err)
{
    struct results_state s = {0};
    if (results_holder(r, &s.holder, err) == -1)
        return -1;
    AUTO_FREE char *fact = store_get(r->store, STORE_STATE);
    AUTO_FREE char *began = store_get(r->store, STORE_BEGAN);
    s.state = run_state_now(fact, s.holder.held);
    if (!str_to_i64(str_of(began), 0, INT64_MAX, &s.began))
        s.began = 0;
    *out = s;
    return 0;
}

static bool take_best(void *ctx, const struct store_trial *t)
{
    struct results_counts *c = ctx;
    if (!t->has_objective || t->state == TRIAL_FAILURE)
        return false; /* no trial behind it has one that counts */
    c->has_best = true;
    c->best = t->objective;
    c->best_name = mem_dup(t->name);
    c->best_params = mem_dup(t->params);
    return false;
}

int results_count(const struct results *r, const struct store_stage *stage,
                  struct results_counts *out, struct err *err)
{
    struct results_counts c = {0};
    if (store_counts(r->store, stage->id, &c.trials, err) == -1)
        return -1;
    int64_t begun = 0;
    for (int s = 0; s < TRIAL_STATE_COUNT; s++)
        begun += c.trials.by_state[s];
    if (!r->at_work) {
        c.trials.by_state[TRIAL_PENDING] += c.trials.by_state[TRIAL_RUNNING];
        c.trials.by_state[TRIAL_RUNNING] = 0;
    }
    if (stage->planned > begun && stage->state != STAGE_DONE)
        c.trials.by_state[TRIAL_PENDING] += stage->planned - begun;
    struct store_query q = {
        .stage = stage->id, .state = -1, .order = "", .descending = stage->maximize, .limit = 1};
    if (stage->metric && store_each_trial(r->store, &q, take_best, &c, err) == -1)
        return -1;
    *out = c;
    return 0;
}

void results_counts_done(struct results_counts *c)
{
    free(c->best_name);
    free(c->best_params);
    *c = (struct results_counts){0};
}

const char *trial_state_style(enum trial_state s)
{
    static const char *const styles[TRIAL_STATE_COUNT] = {
        [TRIAL_PENDING] = STYLE_DIM,    [TRIAL_RUNNING] = STYLE_CYAN, [TRIAL_SUCCESS] = STYLE_GREEN,
        [TRIAL_STOPPED] = STYLE_YELLOW, [TRIAL_FAILURE] = STYLE_RED,
    };
    return styles[s];
}

void results_counts_text(const struct store_counts *c, bool color, struct buf *out)
{
    bool any = false;
    for (int s = 0; s < TRIAL_STATE_COUNT; s++) {
        if (!c->by_state[s])
            continue;
        AUTO_FREE char *text =
            mem_printf("%lld %s", (long long)c->by_state[s], trial_state_name((enum trial_state)s));
        buf_adds(out, any ? ", " : "");
        text_styled(trial_state_style((enum trial_state)s), color, str_of(text), out);
        any = true;
    }
    if (!any)
        buf_adds(out, "no trials");
}

/* ---- numbers ----------------------------------------------------------------------------------
 */

static const char *unusual(double value)
{
    return isnan(value) ? "NaN" : isinf(value) ? (value > 0 ? "Infinity" : "-Infinity") : NULL;
}

void number_text(double value, struct buf *out)
{
    const char *word = unusual(value);
    char text[40];
    for (int digits = 15; !word && digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            word = text;
    }
    buf_adds(out, word ? word : text);
}

void number_short(double value, struct buf *out)
{
    const char *word = unusual(value);
    if (word)
        buf_adds(out, word);
    else
        buf_addf(out, "%.6g", value);
}
