/* A trial's beginning and end. See driver_priv.h. */
#include "base/json.h"
#include "base/mem.h"
#include "experiment/driver_priv.h"
#include "experiment/trial_files.h"
#include "os/fs.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Of one that fails at once, and is tried again and again. */
#define PAUSE_FIRST (100 * USEC_PER_MSEC)
#define PAUSE_MAX (30 * USEC_PER_SEC)

/* One number for each attempt, so that the record of an earlier one is not taken for this. */
#define ATTEMPT_BITS 20

uint64_t trial_engine_id(const struct store_trial *t)
{
    uint64_t attempt = (uint64_t)t->attempts & (((uint64_t)1 << ATTEMPT_BITS) - 1);
    return (uint64_t)t->id << ATTEMPT_BITS | attempt;
}

char *trial_directory(const struct driver *d, const struct stage_run *s, const char *name)
{
    return mem_printf("%s/%s/%s", d->o.directory, s->stage->name, name);
}

/* ---- those under way --------------------------------------------------------------------------
 */

struct running *trial_find(struct driver *d, uint64_t engine_id)
{
    struct running *r = d->running;
    while (r && trial_engine_id(&r->t) != engine_id)
        r = r->next;
    return r;
}

void trial_drop(struct driver *d, struct running *r)
{
    for (struct running **at = &d->running; *at; at = &(*at)->next)
        if (*at == r) {
            *at = r->next;
            d->running_count--;
            break;
        }
    metrics_reader_free(r->reader);
    store_trial_done(&r->t);
    free(r->directory);
    free(r);
}

static struct running *add_running(struct stage_run *s, struct store_trial *t)
{
    struct driver *d = s->d;
    struct running *r = mem_alloc(sizeof *r);
    r->stage = s;
    r->t = *t;
    *t = (struct store_trial){0};
    r->directory = trial_directory(d, s, r->t.name);
    r->reader = metrics_reader_new(r->directory, TRIAL_EVENTS_FILE,
                                   s->stage->metrics ? s->stage->metrics : METRICS_FILE);
    metrics_reader_keep(r->reader, s->stage->objective.metric);
    metrics_reader_keep(r->reader, s->stage->scheduler.time_attr);
    metrics_reader_keep(r->reader, s->watched);
    r->begun = driver_now(d);
    r->next = d->running;
    d->running = r;
    d->running_count++;
    return r;
}

/* Of equal ones the first by number is the best, whichever ended first. */
static bool is_better(const struct stage_run *s, int64_t number, double value)
{
    if (!s->has_best)
        return true;
    if (value == s->best)
        return number < s->best_number;
    return s->stage->objective.maximize ? value > s->best : value < s->best;
}

static void note_best(struct stage_run *s, const struct store_trial *t)
{
    bool result = t->state == TRIAL_SUCCESS || t->state == TRIAL_STOPPED;
    if (!result || !t->has_objective || !is_better(s, t->number, t->objective))
        return;
    s->has_best = true;
    s->best = t->objective;
    s->best_number = t->number;
    free(s->best_name);
    s->best_name = mem_dup(t->name);
}

static int tell_search(struct stage_run *s, const struct store_trial *t, struct err *err)
{
    struct search *search = s->search;
    if (!search || t->state == TRIAL_PENDING)
        return 0;
    enum search_state state = t->state == TRIAL_SUCCESS   ? SEARCH_COMPLETE
                              : t->state == TRIAL_STOPPED ? SEARCH_PRUNED
                                                          : SEARCH_FAILED;
    return search->ops->tell(search, (size_t)t->number, state, t->has_objective, t->objective, err);
}

/* ---- taken from the earlier run ---------------------------------------------------------------
 */

static int move_directory(const struct driver *d, const struct stage_run *s, const char *from,
                          const char *name, bool *moved, struct err *err)
{
    AUTO_FREE char *old = fs_join(d->o.directory, from);
    AUTO_FREE char *stage = fs_join(d->o.directory, s->stage->name);
    AUTO_FREE char *new = fs_join(stage, name);
    *moved = true;
    if (fs_mkdirs(stage, 0777, err) == -1)
        return -1;
    if (!fs_exists(old)) {
        *moved = fs_exists(new); /* a driver that was killed had come so far */
        return 0;
    }
    if (fs_remove_tree(new, err) == -1)
        return -1;
    if (rename(old, new) == -1)
        return err_set_sys(err, errno, "cannot move '%s'", old);
    return 0;
}

static int adopt(struct stage_run *s, struct candidate *c, const struct store_retired *old,
                 bool *taken, struct err *err)
{
    struct driver *d = s->d;
    struct store_trial t;
    if (move_directory(d, s, old->path, c->name, taken, err) == -1)
        return -1;
    if (!*taken)
        return 0;
    if (store_adopt(d->o.store, old->id, (int)s->at, c->row.number, c->name, err) == -1 ||
        store_commit(d->o.store, err) == -1 ||
        store_trial(d->o.store, (int)s->at, c->row.number, &t, err) == -1)
        return -1;
    s->counts[t.state]++;
    s->taken++;
    note_best(s, &t);
    int rc = watch_taken(s, &t, err);
    if (rc == 0)
        rc = tell_search(s, &t, err);
    store_trial_done(&t);
    return rc;
}

/* *taken: the earlier run's trial stands for it. */
static int take_earlier(struct stage_run *s, struct candidate *c, const char *fingerprint,
                        const char *params, bool *taken, struct err *err)
{
    struct driver *d = s->d;
    struct store_retired old;
    struct err why = {0};
    bool resumed = s->stage->resumed;
    *taken = false;
    if (c->row.id || (!resumed && !d->o.reuse))
        return 0;
    if (store_find_retired(d->o.store, resumed ? NULL : fingerprint, s->stage->name, params, &old,
                           &why) == -1) {
        if (why.code != ERR_NOT_FOUND)
            return err_copy(err, &why);
        return !resumed
                   ? 0
                   : err_set(err, ERR_FILE,
                             "'resume' takes '%s' from the earlier run, which has no result of "
                             "its trial '%s'",
                             s->stage->name, c->name);
    }
    int rc = adopt(s, c, &old, taken, err);
    store_retired_done(&old);
    if (rc == 0 && resumed && !*taken)
        rc = err_set(err, ERR_FILE, "the directory of the earlier run's trial '%s' is gone",
                     c->name);
    return rc;
}

/* ---- begin ------------------------------------------------------------------------------------
 */

struct beginning {
    struct stage_run *s;
    struct candidate *c;
    struct trial_values values;
    struct launch_context context;
};

static char *make_fingerprint(struct beginning *b, struct err *err)
{
    struct driver *d = b->s->d;
    struct trial_values marked = b->values;
    marked.directories = (const char *const *)b->c->marks;
    marked.resources = (const char *const *)d->resource_marks;
    return fingerprint_make(d->fingerprints, &marked, &b->context, b->c->params, err);
}

/* The row as it is from now on. Takes the texts. */
static void fill_row(struct beginning *b, char *fingerprint, char *params, struct store_trial *t)
{
    struct stage_run *s = b->s;
    *t = b->c->row;
    b->c->row = (struct store_trial){0};
    if (t->id && t->state < TRIAL_STATE_COUNT && t->state != TRIAL_PENDING)
        s->counts[t->state]--;
    free(t->name);
    free(t->params);
    free(t->fingerprint);
    free(t->end);
    free(t->message);
    free(t->host);
    free(t->gpus);
    free(t->warning);
    t->end = t->message = t->host = t->gpus = t->warning = NULL;
    t->name = mem_dup(b->c->name);
    t->params = params;
    t->fingerprint = fingerprint;
    if (s->searched && !t->draw) {
        json_auto_t *draw =
            dimensions_to_json(s->dimensions.items, s->dimensions.count, b->c->values);
        t->draw = json_dumps(draw, JSON_COMPACT);
    }
    t->state = TRIAL_RUNNING;
    t->attempts++;
    t->started = clock_wall(loop_clock(s->d->o.loop));
    t->ended = 0;
    t->has_objective = false;
}

static int submit(struct running *r, const struct launch *l, struct err *err)
{
    struct driver *d = r->stage->d;
    const struct stage *stage = r->stage->stage;
    AUTO_FREE char *console = fs_join(r->directory, TRIAL_CONSOLE_FILE);
    const char **argv = launch_vector(&l->argv), **env = launch_vector(&l->env);
    struct engine_program program = {.id = trial_engine_id(&r->t),
                                     .argv = argv,
                                     .env = env,
                                     .directory = d->o.working,
                                     .console = console,
                                     .cpus = d->experiment->devices.cpu,
                                     .gpus = d->experiment->devices.gpu,
                                     .time_limit = stage->time_limit,
                                     .memory_limit = stage->memory_limit};
    int rc = engine_submit(d->engine, &program, err);
    free(argv);
    free(env);
    return rc;
}

static int start(struct beginning *b, struct store_trial *t, struct err *err)
{
    struct stage_run *s = b->s;
    struct driver *d = s->d;
    struct launch l;
    b->context.attempt = t->attempts;
    if (launch_make(&b->values, &b->context, &l, err) == -1)
        return -1;
    AUTO_FREE char *group = mem_printf("%s/%s", s->stage->name, t->name);
    int rc = store_put_trial(d->o.store, t, err);
    if (rc == 0 && t->attempts > 1) /* what is left of it stands in its files, and is read again */
        rc = store_purge(d->o.store, t->id, INT64_MIN, err);
    if (rc == 0)
        rc = store_commit(d->o.store, err);
    struct running *r = NULL;
    if (rc == 0) {
        r = add_running(s, t);
        s->counts[TRIAL_RUNNING]++;
        rc = trial_files_begin(r->directory, group, l.params, b->c->params, s->domains,
                               r->t.started, err);
    }
    if (rc == 0)
        rc = submit(r, &l, err);
    if (rc == 0)
        driver_say(d, DRIVER_TRIAL_BEGAN, s, &r->t, false, NULL);
    launch_done(&l);
    return rc;
}

int trial_begin(struct stage_run *s, struct candidate *c, struct err *err)
{
    struct driver *d = s->d;
    struct beginning b = {.s = s, .c = c};
    b.values = (struct trial_values){.plan = d->plan,
                                     .stage = s->at,
                                     .options = &c->options,
                                     .directories = (const char *const *)c->directories,
                                     .resources = d->o.resources};
    b.context = (struct launch_context){.python = d->o.python,
                                        .flambe = d->o.flambe,
                                        .experiment = d->experiment->name,
                                        .variant = c->name,
                                        .secrets = d->o.secrets,
                                        .inherited = d->o.env,
                                        .number = c->row.number};
    char *fingerprint = make_fingerprint(&b, err);
    if (!fingerprint)
        return -1;
    s->begun = true;
    char *params = json_dumps(c->params, JSON_COMPACT);
    bool taken;
    if (take_earlier(s, c, fingerprint, params, &taken, err) == -1 || taken) {
        free(fingerprint);
        free(params);
        return taken ? 0 : -1;
    }
    struct store_trial t;
    fill_row(&b, fingerprint, params, &t);
    int rc = start(&b, &t, err);
    store_trial_done(&t);
    return rc;
}

/* ---- end --------------------------------------------------------------------------------------
 */

/* The way an attempt ended, and whether that is the program's own failure. */
struct verdict {
    enum trial_state state;
    bool failed, lost;
};

static struct verdict judge(const struct driver *d, const struct running *r,
                            const struct engine_result *result, bool recovered)
{
    switch (result->end) {
    case ENGINE_EXITED:
        return result->exit_status == 0 ? (struct verdict){TRIAL_SUCCESS, false, false}
                                        : (struct verdict){TRIAL_FAILURE, true, false};
    case ENGINE_STOPPED:
        if (r->early)
            return (struct verdict){r->whole ? TRIAL_SUCCESS : TRIAL_STOPPED, false, false};
        /* Whoever stopped it in an earlier process did not get to say why. */
        return d->stop || recovered ? (struct verdict){TRIAL_PENDING, false, false}
                                    : (struct verdict){TRIAL_FAILURE, true, false};
    case ENGINE_LOST:
        return (struct verdict){TRIAL_PENDING, false, true};
    default:
        return (struct verdict){TRIAL_FAILURE, true, false};
    }
}

struct tally {
    int failed, lost;
};

static void count_attempt(void *ctx, const struct store_attempt *a)
{
    struct tally *t = ctx;
    if (!a->end)
        return;
    bool lost = strcmp(a->end, engine_end_name(ENGINE_LOST)) == 0;
    t->lost += lost;
    t->failed += !lost && strcmp(a->end, STORE_INTERRUPTED) != 0;
}

static void try_again(struct running *r, int failures)
{
    struct stage_run *s = r->stage;
    usec_t pause = failures < 2 ? 0 : PAUSE_FIRST;
    for (int i = 2; i < failures && pause < PAUSE_MAX; i++)
        pause *= 2;
    if (pause > PAUSE_MAX)
        pause = PAUSE_MAX;
    MEM_PUSH_ROOM(s->again, s->again_count, s->again_cap);
    s->again[s->again_count++] = (struct again){r->t.number, driver_now(s->d) + pause};
}

/* `said`: the user is not told again. */
PRINTF_LIKE(3, 4)
static void warn_about(struct running *r, bool said, const char *fmt, ...)
{
    AUTO_BUF struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_addv(&text, fmt, ap);
    va_end(ap);
    if (!said)
        driver_warn(r->stage->d, r->stage, &r->t, "%s", buf_text(&text));
    if (r->t.warning)
        return;
    r->t.warning = buf_take(&text);
}

static void fill_end(struct running *r, const struct engine_result *result, const struct verdict *v)
{
    struct store_trial *t = &r->t;
    bool interrupted = v->state == TRIAL_PENDING && !v->lost;
    t->state = v->state;
    t->end = mem_dup(interrupted ? STORE_INTERRUPTED : engine_end_name(result->end));
    t->exit_status = result->exit_status;
    t->signal = result->signal;
    t->message = result->message[0] ? mem_dup(result->message) : NULL;
    t->started = result->started ? result->started : t->started;
    t->ended = result->ended;
    t->user_time = result->user_time;
    t->system_time = result->system_time;
    t->memory_peak = result->memory_peak;
    if (result->host[0]) {
        free(t->host);
        t->host = mem_dup(result->host);
    }
    if (result->console_dropped)
        warn_about(r, false, "%llu bytes of its output were left out",
                   (unsigned long long)result->console_dropped);
}

static void note_result(struct running *r)
{
    struct stage_run *s = r->stage;
    const struct store_trial *t = &r->t;
    if (t->started && t->ended > t->started) {
        s->spent += t->ended - t->started;
        s->spent_count++;
    }
    note_best(s, t);
}

static int keep_end(struct running *r, struct err *err)
{
    struct store_trial *t = &r->t;
    struct store *store = r->stage->d->o.store;
    struct store_attempt a = {t->attempts,    t->started, t->ended,  t->end,
                              t->exit_status, t->signal,  t->message};
    if (store_put_trial(store, t, err) == -1)
        return -1;
    return store_add_attempt(store, t->id, &a, err);
}

/* After `v`: whether it is tried again, and what else is said of it. */
static int settle(struct running *r, const struct verdict *v, int *failures, struct err *err)
{
    struct driver *d = r->stage->d;
    struct tally tally = {0};
    *failures = 0;
    if (!v->failed && !v->lost)
        return 0;
    if (r->t.attempts > 1 &&
        store_each_attempt(d->o.store, r->t.id, count_attempt, &tally, err) == -1)
        return -1;
    *failures = tally.failed + v->failed;
    int most = d->experiment->max_failures;
    if (v->failed && (most < 0 || *failures <= most))
        r->t.state = TRIAL_PENDING;
    if (v->lost && tally.lost + 1 > LOST_MAX) {
        r->t.state = TRIAL_FAILURE;
        warn_about(r, false, "its host died %d times", tally.lost + 1);
    }
    return 0;
}

/* A program that damaged its own directory has that said of it; a disk that is full ends the run.
 */
static int write_end(struct running *r, const json_t *metrics, struct err *err)
{
    struct err why = {0};
    if (trial_files_end(r->directory, &r->t, metrics, &why) == 0)
        return 0;
    if (driver_disk_failed(&why))
        return err_copy(err, &why);
    warn_about(r, false, "%s", why.msg);
    return 0;
}

static int end(struct driver *d, struct running *r, const struct engine_result *result,
               bool recovered, struct err *err)
{
    struct stage_run *s = r->stage;
    struct verdict v = judge(d, r, result, recovered);
    json_t *metrics = NULL;
    int failures;
    if (watch_poll(d, r, true, err) == -1)
        return -1;
    fill_end(r, result, &v);
    if (settle(r, &v, &failures, err) == -1 || watch_objective(s, &r->t, &metrics, err) == -1)
        return -1;
    if (r->t.state == TRIAL_PENDING)
        r->t.has_objective = false;
    if (r->t.state == TRIAL_SUCCESS && s->stage->objective.metric && !r->t.has_objective) {
        warn_about(r, s->told_nothing, "it reported no '%s'", s->stage->objective.metric);
        s->told_nothing = true;
    }
    int rc = result->end == ENGINE_STOPPED && r->t.state == TRIAL_PENDING
                 ? 0
                 : write_end(r, metrics, err);
    json_decref(metrics);
    if (rc == -1 || keep_end(r, err) == -1 || tell_search(s, &r->t, err) == -1)
        return -1;
    s->counts[TRIAL_RUNNING]--;
    if (r->t.state != TRIAL_PENDING)
        s->counts[r->t.state]++;
    else if (d->stop)
        s->interrupted = true;
    else if (!recovered)
        try_again(r, failures);
    note_result(r);
    d->unsynced = true;
    driver_say(d, DRIVER_TRIAL_ENDED, s, &r->t, r->t.state == TRIAL_PENDING, NULL);
    trial_drop(d, r);
    return 0;
}

int trial_end(struct driver *d, struct running *r, const struct engine_result *result,
              struct err *err)
{
    return end(d, r, result, false, err);
}

static int put_interrupted(struct driver *d, struct store_trial *t, struct err *err)
{
    struct store_attempt a = {.number = t->attempts,
                              .started = t->started,
                              .end = (char *)STORE_INTERRUPTED,
                              .exit_status = -1};
    t->state = TRIAL_PENDING;
    if (store_put_trial(d->o.store, t, err) == -1)
        return -1;
    return store_add_attempt(d->o.store, t->id, &a, err);
}

void trial_interrupt(struct driver *d, struct running *r)
{
    (void)!put_interrupted(d, &r->t, NULL); /* on a full disk its row says that it was running */
    r->stage->counts[TRIAL_RUNNING]--;
}

int trial_recover(struct stage_run *s, int64_t number, struct err *err)
{
    struct driver *d = s->d;
    struct store_trial t;
    if (store_trial(d->o.store, (int)s->at, number, &t, err) == -1)
        return -1;
    for (size_t i = 0; i < d->end_count; i++)
        if (d->ends[i].id == trial_engine_id(&t))
            return end(d, add_running(s, &t), &d->ends[i], true, err);
    s->counts[TRIAL_RUNNING]--;
    int rc = put_interrupted(d, &t, err);
    store_trial_done(&t);
    return rc;
}
