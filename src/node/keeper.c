/* See keeper.h. What is decided here is decided by the pure functions of queue.h; this file waits,
 * starts and ends processes, and writes down what has become of them. */
#include "node/keeper.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/text.h"
#include "experiment/run.h"
#include "node/forget.h"
#include "node/queue.h"
#include "node/worker.h"
#include "os/fs.h"
#include "os/lock.h"
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define KEEPER_LOCK "keeper"
#define LOOK_EVERY USEC_PER_MIN /* where the kernel tells of changes */
#define LOOK_OFTEN USEC_PER_SEC /* where it does not, and for processes that are not ours */
#define BETWEEN_SIGNALS (300 * USEC_PER_MSEC)
#define END_MAX (60 * USEC_PER_SEC)      /* of a run that is to end: Slurm's jobs are cancelled */
#define TROUBLE_PAUSE (5 * USEC_PER_SEC) /* after a full disk and the like */

struct keeper {
    struct cli *cli;
    struct loop *loop;
    const char *directory;
    uv_fs_event_t events;
    bool told; /* the kernel tells of changes */
    bool changed, quitting;
    struct worker *process;
    /* The entry whose turn it is. */
    struct queue queue;
    struct queue_item *item;
};

static void say(struct keeper *k, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(struct keeper *k, const char *fmt, ...)
{
    AUTO_BUF struct buf text = {0}, clean = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_addv(&text, fmt, ap);
    va_end(ap);
    text_clean(buf_view(&text), false, &clean);
    console_line(&k->cli->screen, "flambe-node: %s", buf_text(&clean));
}

/* ---- waiting ----------------------------------------------------------------------------------
 */

static void on_change(uv_fs_event_t *h, const char *name, int events, int status)
{
    (void)name, (void)events, (void)status;
    ((struct keeper *)h->data)->changed = true;
}

static void on_signal(void *ctx, int count)
{
    (void)count;
    ((struct keeper *)ctx)->quitting = true;
}

static bool has_news(void *ctx)
{
    const struct keeper *k = ctx;
    return k->quitting || k->changed || (k->process && worker_ended(k->process));
}

static bool has_ended(void *ctx)
{
    const struct keeper *k = ctx;
    return worker_ended(k->process);
}

static bool quits(void *ctx)
{
    return ((const struct keeper *)ctx)->quitting;
}

/* The loop is never cancelled, so that only a time-out ends a wait early. */
static void wait_for(struct keeper *k, bool (*done)(void *ctx), usec_t timeout)
{
    if (loop_wait(k->loop, done, k, timeout, NULL) == -1)
        k->changed = true; /* look again */
}

/* ---- the entry whose turn it is ---------------------------------------------------------------
 */

static void forget(struct keeper *k)
{
    queue_done(&k->queue);
    k->item = NULL;
}

/* Reads the queue anew, where the entry of that id (NULL: the first) is k->item, or NULL. */
static int find(struct keeper *k, const char *id, struct err *err)
{
    forget(k);
    k->changed = false;
    if (queue_read(k->directory, &k->queue, err) == -1)
        return -1;
    for (size_t i = 0; i < k->queue.count && !k->item; i++)
        if (!id || strcmp(k->queue.items[i].id, id) == 0)
            k->item = &k->queue.items[i];
    return 0;
}

/* The first one gets its turn, if it has none. The lock is not touched without need: that is a
 * change of the directory too, and this would wake itself for ever. */
static int take(struct keeper *k, struct err *err)
{
    struct lock *lock;
    if (find(k, NULL, err) == -1)
        return -1;
    if (!k->item || k->item->has_turn)
        return 0;
    if (queue_lock(k->loop, k->directory, &lock, err) == -1)
        return -1;
    int rc = find(k, NULL, err);
    if (rc == 0 && k->item && !k->item->has_turn) {
        struct queue_turn turn = {.began = clock_wall(loop_clock(k->loop))};
        rc = queue_put_turn(&k->queue, k->item, &turn, err);
    }
    lock_release(lock);
    return rc;
}

/* Before it is over for who looks on, and without the lock: a factory that is gone takes a while.
 */
static void forget_here(struct keeper *k)
{
    AUTO_BUF struct buf failed = {0};
    forget_secrets(k->loop, &k->queue, k->item, &failed);
    struct str lines = buf_view(&failed);
    while (lines.p && lines.n) {
        struct str host = str_cut(&lines, '\n');
        say(k, "%s: its secrets could not be removed on %.*s, which does not answer", k->item->id,
            (int)host.n, host.p);
    }
}

static int finish(struct keeper *k, enum queue_outcome outcome, int exit_status, const char *reason,
                  struct err *err)
{
    AUTO_FREE char *id = mem_dup(k->item->id), *why = reason ? mem_dup(reason) : NULL;
    struct lock *lock;
    if (queue_lock(k->loop, k->directory, &lock, err) == -1)
        return -1;
    int rc = find(k, id, err);
    if (rc == 0 && k->item)
        rc = queue_finish(&k->queue, k->item, outcome, exit_status, why,
                          clock_wall(loop_clock(k->loop)), err);
    lock_release(lock);
    if (rc == 0)
        say(k, "%s: %s%s%s", id, queue_outcome_name(outcome), why ? ": " : "", why ? why : "");
    return rc;
}

/* Until it is written down: another process of this run must not be started. */
static void finish_surely(struct keeper *k, enum queue_outcome outcome, int exit_status,
                          const char *reason)
{
    struct err why = {0};
    forget_here(k);
    while (finish(k, outcome, exit_status, reason, &why) == -1 && !k->quitting) {
        say(k, "%s", why.msg);
        wait_for(k, quits, TROUBLE_PAUSE);
    }
}

/* ---- what the run has come to -----------------------------------------------------------------
 */

static char *state_directory(const struct entry *e)
{
    AUTO_FREE char *results = entry_results(e);
    return e->state ? mem_dup(e->state) : run_state_directory(results);
}

/* The state of this order's run; NULL where there is none. The caller frees. */
static char *run_state(const struct queue_item *item)
{
    AUTO_FREE char *directory = state_directory(&item->entry);
    AUTO_FREE char *file = mem_printf("%s.json", item->id), *id = entry_order(file, &item->entry);
    struct store *store;
    if (store_open(directory, STORE_READ, &store, NULL) == -1)
        return NULL;
    AUTO_FREE char *order = store_get(store, RUN_ORDER);
    char *state = order && strcmp(order, id) == 0 ? store_get(store, STORE_STATE) : NULL;
    store_close(store);
    return state;
}

/* What 'run -o json' said of its error; the caller frees. */
static char *reason_of(const struct worker *p)
{
    json_auto_t *said = NULL;
    if (json_parse(worker_output(p), WORKER_OUTPUT_MAX, &said, NULL) == -1)
        return NULL;
    return mem_dup(json_text(json_object_get(said, "error"), "message"));
}

static enum queue_verdict judge(struct keeper *k, int exit_status, int number,
                                enum queue_outcome *outcome)
{
    AUTO_FREE char *state = run_state(k->item);
    struct queue_ending e = {.exit_status = exit_status,
                             .signal = number,
                             .state = state,
                             .quitting = k->quitting,
                             .asked = k->item->asked,
                             .ask = k->item->ask};
    return queue_judge(&e, outcome);
}

/* ---- processes --------------------------------------------------------------------------------
 */

static bool read_ask(struct keeper *k)
{
    AUTO_FREE char *id = mem_dup(k->item->id);
    struct err why = {0};
    if (find(k, id, &why) == -1)
        say(k, "%s", why.msg);
    return k->item && k->item->asked;
}

/* Ends the process that runs: as a user would, twice, and then at once. */
static void end_process(struct keeper *k)
{
    for (int i = 0; i < 2 && !worker_ended(k->process); i++) {
        worker_signal(k->process, SIGTERM);
        wait_for(k, has_ended, i ? END_MAX : BETWEEN_SIGNALS);
    }
    worker_signal(k->process, SIGKILL);
    wait_for(k, has_ended, END_MAX);
}

static int start(struct keeper *k, struct err *err)
{
    AUTO_FREE char *path = queue_path(&k->queue, k->item, ".json");
    const char *args[] = {"run", path, "-o", "json", "--color", "never", NULL};
    return worker_start(k->loop, args, NULL, true, &k->process, err);
}

/* One process, from its start to its end. */
static enum queue_verdict run_once(struct keeper *k, enum queue_outcome *outcome, int *exit_status,
                                   char **reason)
{
    struct err why = {0};
    *outcome = QUEUE_FAILED;
    *exit_status = 1;
    if (start(k, &why) == -1) {
        *reason = mem_dup(why.msg);
        return QUEUE_OVER;
    }
    while (!worker_ended(k->process) && !k->quitting) {
        wait_for(k, has_news, k->told ? LOOK_EVERY : LOOK_OFTEN);
        if (k->changed && !worker_ended(k->process) && read_ask(k))
            end_process(k);
        if (!k->item)
            break; /* its file is gone: somebody took it away by hand */
    }
    if (!worker_ended(k->process)) {
        worker_signal(k->process, SIGKILL);
        wait_for(k, has_ended, END_MAX);
    }
    *exit_status = worker_exit_status(k->process);
    *reason = reason_of(k->process);
    int number = worker_signal_number(k->process);
    worker_free(TAKE(k->process));
    if (!k->item)
        return QUEUE_GOES_ON;
    (void)read_ask(k);
    if (!k->item)
        return QUEUE_GOES_ON;
    enum queue_verdict v = judge(k, *exit_status, number, outcome);
    if (v == QUEUE_DIED && !*reason)
        *reason = mem_printf("signal %d", number);
    return v;
}

/* Notes the death, and waits; false where it was the last. */
static bool survive(struct keeper *k, const char *reason, struct err *err)
{
    struct queue_turn turn = k->item->turn;
    usec_t pause = queue_death(&turn, clock_wall(loop_clock(k->loop)));
    say(k, "%s: its process died (%s)", k->item->id, reason);
    if (queue_put_turn(&k->queue, k->item, &turn, err) == -1 || pause < 0)
        return false;
    wait_for(k, quits, pause);
    return true;
}

/* A process of an earlier keeper, which died: it is waited for, and ended where that is asked. */
static void await_other(struct keeper *k)
{
    AUTO_FREE char *directory = state_directory(&k->item->entry);
    AUTO_FREE char *lock = fs_join(directory, RUN_LOCK_FILE);
    for (int asked = 0; !k->quitting && k->item;) {
        struct lock_holder holder;
        if (lock_holder(lock, &holder, NULL) == -1 || !holder.pid)
            return;
        if (read_ask(k) && asked < 2 && lock_signal(lock, holder.pid, SIGTERM, NULL) == 0)
            asked++;
        wait_for(k, quits, LOOK_OFTEN);
    }
}

/* Whether all of it was done, and only that was not written down. */
static bool is_over(struct keeper *k)
{
    enum queue_outcome outcome;
    AUTO_FREE char *state = run_state(k->item);
    bool ended = state && strcmp(state, run_state_name(RUN_RUNNING)) != 0;
    if (!ended && !k->item->asked)
        return false;
    struct queue_ending e = {
        .state = state, .signal = SIGKILL, .asked = k->item->asked, .ask = k->item->ask};
    if (queue_judge(&e, &outcome) != QUEUE_OVER)
        return false;
    int exit_status = outcome == QUEUE_FINISHED ? 0 : outcome == QUEUE_FAILED ? 1 : 130;
    finish_surely(k, outcome, exit_status, NULL);
    return true;
}

/* Carries the entry out until it is over, or the service ends. */
static int carry(struct keeper *k, struct err *err)
{
    if (k->item->damage) {
        finish_surely(k, QUEUE_FAILED, 2, k->item->damage);
        return 0;
    }
    await_other(k);
    if (!k->item || k->quitting || is_over(k))
        return 0;
    say(k, "%s %s", k->item->id, k->item->turn.death_count ? "goes on" : "has its turn");
    while (!k->quitting && k->item) {
        AUTO_FREE char *reason = NULL;
        enum queue_outcome outcome;
        int exit_status;
        switch (run_once(k, &outcome, &exit_status, &reason)) {
        case QUEUE_OVER:
            finish_surely(k, outcome, exit_status, reason);
            return 0;
        case QUEUE_GOES_ON:
            return 0;
        case QUEUE_DIED:
            break;
        }
        struct err why = {0};
        if (survive(k, reason, &why))
            continue;
        if (why.code)
            return err_copy(err, &why);
        AUTO_FREE char *text = mem_printf("its process died %d times, at last of %s",
                                          k->item->turn.death_count, reason);
        finish_surely(k, QUEUE_FAILED, 1, text);
        return 0;
    }
    return 0;
}

/* ---- the service ------------------------------------------------------------------------------
 */

static int serve(struct keeper *k, struct err *err)
{
    if (take(k, err) == -1)
        return -1;
    if (k->item)
        return carry(k, err);
    forget(k);
    wait_for(k, has_news, k->told ? LOOK_EVERY : LOOK_OFTEN);
    return 0;
}

static int clean(struct keeper *k, struct err *err)
{
    struct lock *lock;
    if (queue_lock(k->loop, k->directory, &lock, err) == -1)
        return -1;
    int rc = queue_clean(k->directory, err);
    lock_release(lock);
    return rc;
}

static bool is_closed(void *ctx)
{
    return ((struct keeper *)ctx)->events.data == NULL;
}

static void closed(uv_handle_t *h)
{
    h->data = NULL;
}

/* Where root's part of the service dies, this one ends, so that the next one's keeper begins. */
static void stay_with_parent(struct keeper *k)
{
    const char *word = getenv(KEEPER_PARENT);
    int64_t parent;
    if (!word || !str_to_i64(str_of(word), 1, INT_MAX, &parent))
        return;
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) == -1 || getppid() != (pid_t)parent)
        k->quitting = true;
    unsetenv(KEEPER_PARENT); /* the trials are not to see it */
}

/* One keeper at a time: an earlier one may still be ending. */
static int be_only(struct keeper *k, struct lock **out, struct err *err)
{
    AUTO_FREE char *path = fs_join(k->directory, KEEPER_LOCK);
    struct err why = {0};
    if (fs_mkdirs(k->directory, 0700, err) == -1)
        return -1;
    for (bool said = false; !k->quitting; said = true) {
        if (lock_take(path, out, &why) == 0)
            return 0;
        if (why.code != ERR_CONFLICT)
            return err_copy(err, &why);
        if (!said)
            say(k, "waiting for the queue's keeper that is there: %s", why.msg);
        wait_for(k, quits, LOOK_OFTEN);
    }
    return 0;
}

int keeper_run(struct cli *cli, const char *directory, struct err *err)
{
    struct keeper k = {.cli = cli, .directory = directory, .loop = loop_new()};
    loop_catch_signals(k.loop, NULL, NULL);
    loop_on_signal(k.loop, on_signal, &k);
    struct lock *only = NULL;
    stay_with_parent(&k);
    int rc = be_only(&k, &only, err);
    if (rc == 0 && only)
        rc = clean(&k, err);
    uv_fs_event_init(loop_uv(k.loop), &k.events);
    k.events.data = &k;
    k.told = uv_fs_event_start(&k.events, on_change, directory, 0) == 0;
    while (rc == 0 && !k.quitting) {
        struct err why = {0};
        if (serve(&k, &why) == 0)
            continue;
        say(&k, "%s", why.msg);
        wait_for(&k, quits, TROUBLE_PAUSE);
    }
    forget(&k);
    uv_close((uv_handle_t *)&k.events, closed);
    wait_for(&k, is_closed, USEC_FOREVER);
    lock_release(only);
    loop_free(k.loop);
    return rc;
}
