/* See carry_out.h. */
#include "cli/carry_out.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/file.h"
#include "cli/prefix.h"
#include "cli/results.h"
#include "cli/run_view.h"
#include "cli/tail.h"
#include "cli/text.h"
#include "experiment/child_env.h"
#include "experiment/driver.h"
#include "experiment/extension.h"
#include "experiment/launch.h"
#include "experiment/provenance.h"
#include "experiment/run.h"
#include "os/fs.h"
#include "os/lock.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECORD_MAX ((size_t)64 << 20)
#define FOREIGN_SHOWN 5

struct job {
    const struct carry_order *order;
    struct cli *cli;
    const char *path; /* as it was typed */
    struct loop *loop;
    struct machine machine;
    struct buf text; /* the file's */
    struct experiment experiment;
    bool loaded;
    struct experiment_plan plan;
    struct run run;
    struct engine *engine;
    struct driver *driver;
    struct engine_events events; /* the driver's, once it is there */
    struct extensions extensions;
    char *secrets, *exe, *working;
    struct strv resources, env;
    struct run_view *view;
    /* --debug: the trial whose output is shown */
    struct tail tail;
    struct prefix lines;
    char *console;
    struct err not_kept; /* why earlier results could not give way */
};

/* ---- reading ----------------------------------------------------------------------------------
 */

static uint64_t fresh_seed(void)
{
    uint32_t seed;
    digest_random(&seed, sizeof seed);
    return seed & INT_MAX; /* the file's key 'seed' can hold it */
}

static int load(struct job *j, uint64_t seed, struct err *err)
{
    struct experiment_options options = {.machine = j->machine,
                                         .seed = seed,
                                         .resources = j->order->resources,
                                         .extensions = j->order->extensions};
    struct diags diags;
    if (j->loaded)
        experiment_done(&j->experiment);
    j->loaded = false;
    int rc = experiment_parse(j->path, buf_view(&j->text), &options, &j->experiment, &diags, err);
    if (rc == -1 && diags_total(&diags))
        file_show_diagnostics(j->cli, &diags);
    diags_done(&diags);
    j->loaded = rc == 0;
    if (j->loaded && j->order->name && strcmp(j->order->name, j->experiment.name) != 0)
        return err_set(err, ERR_FILE, "'%s' is the experiment '%s', not '%s'", j->path,
                       j->experiment.name, j->order->name);
    if (j->loaded && j->order->save_path) {
        free(j->experiment.save_path);
        j->experiment.save_path = mem_dup(j->order->save_path);
    }
    return rc;
}

/* ---- the results directory --------------------------------------------------------------------
 */

static bool is_held(const char *directory)
{
    AUTO_FREE char *state = run_state_directory(directory), *lock = fs_join(state, RUN_LOCK_FILE);
    struct lock_holder holder;
    return lock_holder(lock, &holder, NULL) == -1 || holder.held;
}

/* Of --force: what stands beside the results. */
static void warn_of_foreign(struct job *j)
{
    const struct strv *names = &j->run.foreign;
    AUTO_BUF struct buf text = {0};
    for (size_t i = 0; i < names->count && i < FOREIGN_SHOWN; i++)
        buf_addf(&text, "%s'%s'", i ? ", " : "", names->items[i]);
    if (names->count > FOREIGN_SHOWN)
        buf_addf(&text, " and %zu more", names->count - FOREIGN_SHOWN);
    AUTO_FREE char *place = fs_shown(j->run.directory);
    AUTO_FREE char *warning =
        mem_printf("%s %s in '%s': flambe did not make %s", buf_text(&text),
                   names->count == 1 ? "stays" : "stay", place, names->count == 1 ? "it" : "them");
    if (names->count)
        cli_warn(j->cli, warning);
}

static int open_run(struct job *j, struct err *err)
{
    AUTO_STRV struct strv stages = {0};
    for (size_t i = 0; i < j->experiment.stage_count; i++)
        strv_add(&stages, j->experiment.stages[i].name);
    AUTO_FREE char *absolute = realpath(j->path, NULL);
    struct run_options o = {.save_path = j->experiment.save_path,
                            .name = j->experiment.name,
                            .path = absolute ? absolute : j->path,
                            .file = buf_view(&j->text),
                            .seed = j->experiment.drawn_with,
                            .stages = &stages,
                            .force = j->order->force,
                            .reuse = j->order->reuse,
                            .resumes = j->experiment.resume != NULL,
                            .state = j->order->state,
                            .order = j->order->id};
    if (run_open(j->loop, &o, &j->run, err) == 0) {
        warn_of_foreign(j);
        return 0;
    }
    AUTO_FREE char *directory = run_directory(o.save_path, o.name);
    AUTO_FREE char *place = run_state_directory(directory), *state = fs_join(place, STORE_FILE);
    struct err *why = err;
    if (why && why->code == ERR_EXISTS && fs_exists(state)) {
        cli_hint(j->cli, "flambe results %s   to see them", directory);
        cli_hint(j->cli, "flambe %s --reuse   to run what has changed, and keep the rest", j->path);
        cli_hint(j->cli, "flambe %s --force   to remove them and begin anew", j->path);
    } else if (why && why->code == ERR_CONFLICT && is_held(directory)) {
        cli_hint(j->cli, "flambe status %s   to see what runs", directory);
        cli_hint(j->cli, "flambe stop %s     to stop it", directory);
    }
    return -1;
}

/* ---- what the trials need ---------------------------------------------------------------------
 */

static void installing(void *ctx, const char *what)
{
    struct job *j = ctx;
    AUTO_BUF struct buf clean = {0};
    text_clean(str_of(what), false, &clean);
    console_line(&j->cli->screen, "installing %s", buf_text(&clean));
}

/* run.json: one entry for each time the experiment was begun or went on. */
static int record(struct job *j, char **argv, struct err *err)
{
    struct provenance_options o = {.directory = j->run.directory,
                                   .argv = (const char *const *)argv,
                                   .python = j->extensions.python,
                                   .started = clock_wall(clock_system())};
    AUTO_FREE char *path = fs_join(j->run.directory, RUN_RECORD_FILE);
    AUTO_BUF struct buf before = {0}, after = {0};
    json_t *now, *list = NULL;
    if (provenance_collect(j->loop, &o, &now, err) == -1)
        return -1;
    json_object_set_new(now, "seed", json_integer((json_int_t)j->experiment.drawn_with));
    json_object_set_new(now, "file", json_string(j->path));
    if (j->order->by)
        json_object_set_new(now, "by", json_string(j->order->by));
    if (fs_read(path, RECORD_MAX, &before, NULL) == -1 ||
        json_parse(buf_view(&before), RECORD_MAX, &list, NULL) == -1 || !json_is_array(list)) {
        json_decref(list);
        list = json_array();
    }
    json_array_append_new(list, now);
    json_write(list, true, &after);
    json_decref(list);
    return fs_write_atomic(path, 0666, buf_view(&after), err);
}

/* This process's environment; the extensions first, and flambe itself where it can be found. */
static void make_env(struct job *j)
{
    const struct child_env_paths paths = {j->extensions.bin, &j->extensions.python_path, j->exe};
    child_env_trials(&paths, &j->env);
}

/* ---- events -----------------------------------------------------------------------------------
 */

static void on_started(void *ctx, uint64_t id, const char *host, const char *gpus, usec_t wall)
{
    const struct job *j = ctx;
    if (j->events.started)
        j->events.started(j->events.ctx, id, host, gpus, wall);
}

static void on_ended(void *ctx, const struct engine_result *result)
{
    const struct job *j = ctx;
    if (j->events.ended)
        j->events.ended(j->events.ctx, result);
}

static void on_broken(void *ctx, const struct err *why)
{
    const struct job *j = ctx;
    if (j->events.broken)
        j->events.broken(j->events.ctx, why);
}

static void show_lines(void *ctx, struct str lines)
{
    struct job *j = ctx;
    AUTO_BUF struct buf clean = {0};
    while (lines.n) {
        tail_clean_line(str_cut(&lines, '\n'), &clean);
        buf_addc(&clean, '\n');
    }
    console_lines(&j->cli->screen, buf_view(&clean));
}

static bool show_output(void *ctx, struct str bytes)
{
    struct job *j = ctx;
    prefix_add(&j->lines, bytes);
    return true;
}

static void follow(struct job *j)
{
    if (j->console && tail_read(&j->tail, j->console, TAIL_ALL, show_output, j, NULL) == -1) {
        free(j->console);
        j->console = NULL;
    }
}

/* A line that has not ended when it is read is shown when it has. */
static void follow_begin(struct job *j, const char *stage, const struct store_trial *t)
{
    AUTO_BUF struct buf name = {0};
    text_clean(str_of(t->name), false, &name);
    free(j->console);
    j->console = mem_printf("%s/%s/%s/console.out", j->run.directory, stage, t->name);
    j->tail = (struct tail){0};
    tail_restart(&j->tail, t->started);
    console_line(&j->cli->screen, "%s/%s:", stage, buf_text(&name));
}

static void follow_end(struct job *j)
{
    j->tail.since = 0;
    follow(j);
    prefix_end(&j->lines);
    free(j->console);
    j->console = NULL;
}

/* A trial has begun: what --force was told to remove has served as the way back. */
static void keep_run(struct job *j)
{
    struct err why = {0};
    if (!j->run.replaces || j->not_kept.code || run_keep(&j->run, &why) == 0)
        return;
    if (!j->run.replaces) {
        AUTO_FREE char *text = mem_printf("earlier results are not all removed: %s", why.msg);
        cli_warn(j->cli, text);
        return;
    }
    j->not_kept = why;
    driver_stop(j->driver);
}

static void on_event(void *ctx, const struct driver_event *e)
{
    struct job *j = ctx;
    const struct driver_status *s = driver_status(j->driver);
    if (e->kind == DRIVER_TRIAL_BEGAN)
        keep_run(j);
    if (j->order->debug && e->kind == DRIVER_TRIAL_BEGAN && e->trial)
        follow_begin(j, s->stages[e->stage].name, e->trial);
    if (e->kind == DRIVER_TRIAL_ENDED && j->console)
        follow_end(j);
    run_view_event(j->view, e, s);
}

static void on_tick(void *ctx)
{
    struct job *j = ctx;
    follow(j);
    run_view_tick(j->view, driver_status(j->driver));
}

static void on_signal(void *ctx, int count)
{
    struct job *j = ctx;
    if (count == 1) {
        console_line(&j->cli->screen,
                     "flambe: no more trials are begun, those that run are waited for; Ctrl-C once "
                     "more ends them");
        driver_drain(j->driver);
    } else if (count == 2) {
        console_line(&j->cli->screen, "flambe: ending the running trials");
        driver_stop(j->driver);
    } else {
        loop_cancel(j->loop);
    }
}

/* ---- the run ----------------------------------------------------------------------------------
 */

/* This machine's processes. */
int carry_engine_local(void *ctx, const struct carry_engine *e, struct engine **out,
                       struct err *err)
{
    (void)ctx;
    const struct strv *ids = &e->machine->gpu_ids;
    const char **gpus = ids->count ? mem_array(ids->count + 1, sizeof *gpus) : NULL;
    for (size_t i = 0; gpus && i < ids->count; i++)
        gpus[i] = ids->items[i];
    struct engine_local_options o = {.cpus = e->machine->cpus,
                                     .gpus = gpus,
                                     .record = e->record,
                                     .keep_fd = lock_fd(e->run->lock)};
    int rc = engine_local_new(e->loop, &o, &e->events, out, err);
    free(gpus);
    return rc;
}

static int make_engine(struct job *j, struct err *err)
{
    AUTO_FREE char *ends = fs_join(j->run.state, RUN_ENDS_FILE);
    struct carry_engine e = {.loop = j->loop,
                             .machine = &j->machine,
                             .experiment = &j->experiment,
                             .run = &j->run,
                             .record = ends,
                             .events = {on_started, on_ended, on_broken, j}};
    return j->order->engine(j->order->ctx, &e, &j->engine, err);
}

static int drive(struct job *j, struct err *err)
{
    AUTO_FREE char *ends = fs_join(j->run.state, RUN_ENDS_FILE);
    const char **env = launch_vector(&j->env);
    const char **resources = launch_vector(&j->resources);
    struct driver_options o = {.loop = j->loop,
                               .store = j->run.store,
                               .file = buf_view(&j->text),
                               .directory = j->run.directory,
                               .working = j->working,
                               .env = env,
                               .resources = resources,
                               .secrets = j->secrets,
                               .python = j->extensions.python,
                               .python_path = j->extensions.python_path,
                               .record = ends,
                               .flambe = j->exe,
                               .one_at_a_time = j->order->debug,
                               .reuse = j->run.reuse,
                               .event = on_event,
                               .tick = on_tick,
                               .ctx = j};
    j->driver = driver_new(&j->plan, &o);
    j->events = driver_engine_events(j->driver);
    driver_set_engine(j->driver, j->engine);
    loop_on_signal(j->loop, on_signal, j);
    struct err why = {0};
    int rc = driver_run(j->driver, &why);
    if (j->console)
        follow_end(j);
    if (rc == 0 || why.code == ERR_PARTIAL)
        keep_run(j);
    if (j->not_kept.code) {
        rc = -1;
        why = j->not_kept;
    }
    run_view_end(j->view, driver_status(j->driver), j->run.store, j->path, rc ? &why : NULL);
    if (rc == -1)
        err_copy(err, &why);
    if (rc == 0)
        unlink(ends);
    engine_free(j->engine);
    j->engine = NULL;
    driver_free(j->driver);
    free(env);
    free(resources);
    return rc;
}

static void say_beginning(struct job *j)
{
    static const char *const words[] = {
        [RUN_BEGINS] = "begins", [RUN_GOES_ON] = "goes on", [RUN_BEGINS_AGAIN] = "begins again"};
    AUTO_FREE char *place = fs_shown(j->run.directory);
    if (j->run.kind != RUN_BEGINS || j->cli->opt.verbose)
        console_line(&j->cli->screen, "experiment '%s' %s, with results in %s", j->experiment.name,
                     words[j->run.kind], place);
}

/* All that is needed before the first trial. */
static int prepare(struct job *j, struct err *err)
{
    size_t size = PATH_MAX;
    char *exe = mem_alloc(size);
    j->working = getcwd(NULL, 0);
    j->exe = exe;
    if (!j->working || uv_exepath(exe, &size) != 0)
        return err_set(err, ERR_IO, "cannot tell where flambe runs");
    if (fs_read_user_file(j->path, "an experiment's file", YAML_BYTES_MAX, &j->text, err) == -1)
        return -1;
    if (load(j, fresh_seed(), err) == -1 ||
        file_check_secrets(j->cli, j->order->secrets, &j->secrets, err) == -1 ||
        open_run(j, err) == -1)
        return -1;
    if (j->run.seed != j->experiment.drawn_with && load(j, j->run.seed, err) == -1)
        return -1;
    return experiment_plan_make(&j->experiment, &j->plan, err);
}

static void use_python(struct job *j)
{
    if (!j->order->python || j->extensions.bin)
        return;
    free(j->extensions.python);
    j->extensions.python = mem_dup(j->order->python);
}

static int work(struct job *j, struct err *err)
{
    if (prepare(j, err) == -1)
        return -1;
    say_beginning(j);
    if (make_engine(j, err) == -1 || /* before anything starts a thread */
        extensions_prepare(j->loop, &j->experiment, j->run.directory, j->order->install, installing,
                           j, &j->extensions, err) == -1)
        return -1;
    use_python(j);
    if (j->order->find_resources(j->order->ctx, j->loop, &j->experiment, j->run.directory,
                                 &j->resources, err) == -1 ||
        record(j, j->cli->argv, err) == -1 ||
        run_write_resolved(&j->run, &j->experiment, buf_view(&j->text), err) == -1)
        return -1;
    make_env(j);
    AUTO_FREE char *shown = fs_shown(j->run.directory);
    j->view = run_view_new(j->cli, clock_system(), shown);
    return drive(j, err);
}

/* What 'flambe status -o json' would say, and the error beside it. */
static void say_json(struct job *j, const char *directory, const struct err *why)
{
    struct results r;
    struct results_state state;
    json_t *value = NULL;
    if (!j->cli->json || !j->view || !directory || results_open(j->cli, directory, &r, NULL) == -1)
        return;
    if (results_state(&r, &state, NULL) == 0 && results_json(&r, &state, &value, NULL) == 0) {
        if (why)
            json_object_set_new(value, "error", cli_error_json(why));
        output_json(&j->cli->out, value);
    }
    results_done(&r);
}

int carry_out(struct cli *cli, const struct carry_order *order, struct err *err)
{
    struct job j = {.order = order, .cli = cli, .path = order->path};
    j.lines = (struct prefix){.label = mem_dup(""), .write = show_lines, .ctx = &j};
    struct err why = {0};
    j.loop = loop_new();
    loop_catch_signals(j.loop, NULL, NULL);
    j.machine = order->machine ? order->machine(order->ctx, j.loop) : machine_here(j.loop);
    int rc = work(&j, &why);
    AUTO_FREE char *directory = j.run.directory ? mem_dup(j.run.directory) : NULL;
    engine_free(j.engine);
    bool put_back = j.run.replaces;
    run_close(&j.run); /* what is said next is that nothing runs */
    if (put_back)
        console_line(&cli->screen, "flambe: no trial had begun, and the earlier results are kept");
    say_json(&j, directory, rc == -1 ? &why : NULL);
    run_view_free(j.view);
    experiment_plan_done(&j.plan);
    if (j.loaded)
        experiment_done(&j.experiment);
    extensions_done(&j.extensions);
    machine_done(&j.machine);
    strv_done(&j.resources);
    strv_done(&j.env);
    buf_done(&j.text);
    free(j.secrets);
    prefix_done(&j.lines);
    free(j.console);
    free(j.exe);
    free(j.working);
    loop_free(j.loop);
    return rc == -1 ? err_copy(err, &why) : 0;
}
