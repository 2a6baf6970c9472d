/* The Slurm engine's operations, its coming and going. See slurm_priv.h for its other files.
 *
 * All work is done in turns: one soon after submit() or stop(), then one each SLURM_TICK as long as
 * something is under way. A turn never waits: Slurm's programs are children on the loop, one of a
 * kind at a time. */
#include "base/mem.h"
#include "engine/slurm_priv.h"
#include "os/fs.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STOP_GRACE (10 * USEC_PER_SEC)
#define LOOK_EVERY (30 * USEC_PER_SEC)
#define LOOK_EVERY_BLIND (3 * USEC_PER_SEC)
#define PATIENCE (10 * USEC_PER_MIN)

static struct slurm *slurm_of(const struct engine *e)
{
    return (struct slurm *)(uintptr_t)e;
}

usec_t slurm_now(const struct slurm *s)
{
    return clock_mono(loop_clock(s->loop));
}

/* ---- what becomes of a program --------------------------------------------------------------- */

void slurm_item_free(struct slurm_item *it)
{
    buf_wipe(&it->frame);
    free(it->gpus);
    free(it);
}

static void report_start(struct slurm *s, const struct slurm_item *it)
{
    if (s->events.started && !s->freeing)
        s->events.started(s->events.ctx, it->view.result.id, it->view.word.node,
                          it->gpus ? it->gpus : "", it->view.started);
}

static void report_end(struct slurm *s, const struct slurm_item *it)
{
    struct engine_result r = it->view.result;
    if (!s->freeing)
        s->events.ended(s->events.ctx, &r);
}

static void note_end(struct slurm *s, struct slurm_item *it)
{
    struct slurm_batch *b = it->batch;
    it->cancel_at = USEC_FOREVER;
    if (b && it->view.result.end == ENGINE_LOST && it->view.started)
        slurm_batch_give_up(s, it);
    if (b && --b->live == 0)
        b->gone_at = slurm_now(s) + SLURM_SPEC_KEEP;
    if (it->former)
        return;
    s->live--;
    s->ends++;
}

void slurm_tell(struct slurm *s, struct slurm_item *it, struct slurm_fact fact)
{
    fact.mono = slurm_now(s);
    fact.wall = clock_wall(loop_clock(s->loop));
    enum slurm_news news = slurm_update(&it->view, &fact, &it->view);
    if (news == SLURM_NO_NEWS)
        return;
    if (news == SLURM_BEGAN) {
        free(it->gpus);
        it->gpus = mem_dup(fact.start->gpus);
        if (it->view.stop_asked)
            it->cancel_at = fact.mono;
    } else {
        note_end(s, it);
    }
    if (it->former || it->catch_up)
        return;
    if (news == SLURM_BEGAN)
        report_start(s, it);
    else
        report_end(s, it);
}

void slurm_tell_batch(struct slurm *s, struct slurm_batch *b, struct slurm_fact fact)
{
    for (size_t i = 0; i < b->count; i++)
        slurm_tell(s, b->items[i], fact);
}

/* What was known of a program before it was adopted. */
static void catch_up(struct slurm *s, struct slurm_item *it)
{
    if (!it->catch_up)
        return;
    it->catch_up = false;
    if (it->view.started)
        report_start(s, it);
    if (it->view.phase == SLURM_OVER)
        report_end(s, it);
}

/* Removes from `waiting` what is there no longer. */
static void clear_waiting(struct slurm *s)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->waiting_count; i++) {
        if (s->waiting[i]->view.phase == SLURM_OVER)
            slurm_item_free(s->waiting[i]);
        else
            s->waiting[kept++] = s->waiting[i];
    }
    s->waiting_count = kept;
}

void slurm_break_down(struct slurm *s, const struct err *why)
{
    if (s->broken)
        return;
    s->broken = true;
    AUTO_FREE char *text = mem_printf("%.*s", ENGINE_MESSAGE_MAX - 1, why->msg);
    struct slurm_fact fact = {.kind = SLURM_FACT_BROKEN, .text = text};
    for (size_t i = 0; i < s->waiting_count; i++)
        slurm_tell(s, s->waiting[i], fact);
    for (size_t i = 0; i < s->batch_count; i++)
        slurm_tell_batch(s, s->batches[i], fact);
    if (s->events.broken && !s->freeing)
        s->events.broken(s->events.ctx, why);
    slurm_wake(s);
}

/* ---- Slurm's programs ------------------------------------------------------------------------ */

struct proc *slurm_call(struct slurm *s, const char *const *argv, struct str input, proc_done *done)
{
    return proc_start(s->loop, argv, (const char *const *)s->env.items, input, SLURM_CALL_MAX, done,
                      s);
}

usec_t slurm_backoff(struct slurm *s)
{
    s->backoff = s->backoff ? 2 * s->backoff : USEC_PER_SEC;
    if (s->backoff > SLURM_BACKOFF_MAX)
        s->backoff = SLURM_BACKOFF_MAX;
    return s->backoff;
}

bool slurm_heard(struct slurm *s, const struct proc_result *r, const struct err *why)
{
    if (r && r->exit_status == 0) {
        s->silent_since = 0;
        s->backoff = 0;
        return true;
    }
    if (s->freeing || (why && why->code == ERR_CANCELLED))
        return false;
    struct err err = {0};
    char line[ENGINE_MESSAGE_MAX] = "";
    if (why && why->code == ERR_NOT_FOUND) {
        slurm_break_down(s, why);
        return false;
    }
    usec_t now = slurm_now(s);
    if (!s->silent_since)
        s->silent_since = now;
    if (now - s->silent_since < s->o.patience)
        return false;
    if (r)
        slurm_first_line(buf_view(&r->err_out), line, sizeof line);
    char span[CLOCK_SPAN_SIZE];
    clock_span(s->o.patience, span);
    err_set(&err, ERR_UNREACHABLE, "Slurm has not answered for %s: %s", span,
            why ? why->msg : line);
    slurm_break_down(s, &err);
    return false;
}

/* ---- turns ----------------------------------------------------------------------------------- */

static void turn_at(struct slurm *s, usec_t at);

bool slurm_busy(const struct slurm *s)
{
    return s->live || s->waiting_count || s->batch_count;
}

/* What nobody has adopted is ended, one after another. */
static void settle(struct slurm *s)
{
    if (s->settled)
        return;
    s->settled = true;
    for (size_t i = 0; i < s->batch_count; i++) {
        struct slurm_batch *b = s->batches[i];
        bool wanted = false;
        for (size_t k = 0; k < b->count; k++)
            wanted = wanted || !b->items[k]->former;
        b->unwanted = !wanted;
        if (!wanted)
            slurm_batch_hold(s, b, true);
        for (size_t k = 0; k < b->count; k++) {
            if (b->items[k]->former && b->items[k]->view.phase != SLURM_OVER)
                slurm_stop_item(s, b->items[k], 0);
        }
    }
}

static void count_pace(struct slurm *s)
{
    usec_t now = slurm_now(s), since = now - s->paced_at;
    if (since < SLURM_TICK)
        return;
    uint64_t recent = s->ends * (uint64_t)USEC_PER_SEC / (uint64_t)since;
    s->pace = recent > s->pace * 3 / 4 ? recent : s->pace * 3 / 4;
    s->ends = 0;
    s->paced_at = now;
}

static void turn(void *ctx)
{
    struct slurm *s = ctx;
    timer_stop(s->tick);
    s->tick = NULL;
    if (slurm_now(s) - s->born > ENGINE_ADOPT_MAX)
        settle(s);
    slurm_read_files(s);
    for (size_t i = 0; i < s->batch_count; i++) {
        for (size_t k = 0; k < s->batches[i]->count; k++) {
            struct slurm_item *it = s->batches[i]->items[k];
            catch_up(s, it);
            if (it->view.phase != SLURM_OVER && slurm_now(s) >= it->view.due)
                slurm_tell(s, it, (struct slurm_fact){.kind = SLURM_FACT_TIME});
        }
    }
    for (size_t i = 0; i < s->waiting_count; i++)
        catch_up(s, s->waiting[i]);
    count_pace(s);
    clear_waiting(s);
    if (!s->broken) {
        slurm_look(s);
        slurm_cancel(s);
        slurm_submit(s);
    }
    slurm_batches_clear(s, false);
    if (slurm_busy(s))
        turn_at(s, slurm_now(s) + SLURM_TICK);
}

static void turn_at(struct slurm *s, usec_t at)
{
    if (s->tick && s->tick_at <= at)
        return;
    timer_stop(s->tick);
    usec_t now = slurm_now(s);
    s->tick_at = at;
    s->tick = timer_start(s->loop, at > now ? at - now : 0, turn, s);
}

void slurm_wake(struct slurm *s)
{
    turn_at(s, slurm_now(s));
}

/* ---- operations ------------------------------------------------------------------------------ */

static size_t slurm_room(const struct engine *e, int cpus, int gpus)
{
    const struct slurm *s = slurm_of(e);
    if (s->broken || s->freeing)
        return 0;
    uint64_t lanes = cpus > 0 ? s->cluster.cpus / (uint64_t)cpus : s->cluster.cpus;
    if (gpus > 0 && s->cluster.gpus / (uint64_t)gpus < lanes)
        lanes = s->cluster.gpus / (uint64_t)gpus;
    size_t depth = slurm_depth(lanes, s->pace);
    return depth > s->live ? depth - s->live : 0;
}

/* One that is not over; with `former`, the newest that an earlier process left, over or not. */
static struct slurm_item *find(const struct slurm *s, uint64_t id, bool former)
{
    struct slurm_item *found = NULL;
    for (size_t i = 0; i < s->waiting_count && !former; i++) {
        if (s->waiting[i]->view.result.id == id && s->waiting[i]->view.phase != SLURM_OVER)
            return s->waiting[i];
    }
    for (size_t i = 0; i < s->batch_count; i++) {
        const struct slurm_batch *b = s->batches[i];
        for (size_t k = 0; k < b->count; k++) {
            struct slurm_item *it = b->items[k];
            if (it->view.result.id != id || it->former != former ||
                (!former && it->view.phase == SLURM_OVER) ||
                (found && found->batch->created > b->created))
                continue;
            found = it;
        }
    }
    return found;
}

static int slurm_op_submit(struct engine *e, const struct engine_program *p, struct err *err)
{
    struct slurm *s = slurm_of(e);
    assert(p->argv[0] && p->cpus >= 0 && p->gpus >= 0);
    if (s->broken)
        return err_set(err, ERR_UNREACHABLE, "Slurm does not answer");
    if (find(s, p->id, false))
        return err_set(err, ERR_INTERNAL, "program %" PRIu64 " is under way already", p->id);
    if (slurm_room(e, p->cpus, p->gpus) == 0)
        return err_set(err, ERR_LIMIT, "no room for a program of %d CPUs and %d GPUs", p->cpus,
                       p->gpus);
    if (slurm_take(s, p, err) == -1)
        return -1;
    settle(s);
    slurm_wake(s);
    return 0;
}

/* Its end is reported from the loop. */
static void stop_soon(struct slurm *s, struct slurm_item *it, usec_t grace)
{
    it->catch_up = it->catch_up || !it->batch;
    slurm_stop_item(s, it, grace);
    slurm_wake(s);
}

static void slurm_op_stop(struct engine *e, uint64_t id, usec_t grace)
{
    struct slurm *s = slurm_of(e);
    struct slurm_item *it = find(s, id, false);
    if (it)
        stop_soon(s, it, grace);
}

static bool slurm_op_adopt(struct engine *e, uint64_t id)
{
    struct slurm *s = slurm_of(e);
    struct slurm_item *it = s->settled || s->broken ? NULL : find(s, id, true);
    if (!it)
        return false;
    it->former = false;
    it->catch_up = true;
    if (it->view.phase != SLURM_OVER)
        s->live++;
    slurm_wake(s);
    return true;
}

/* ---- coming and going ------------------------------------------------------------------------ */

static void closed(uv_handle_t *h)
{
    struct slurm *s = h->data;
    s->open_handles--;
}

static bool all_closed(void *ctx)
{
    const struct slurm *s = ctx;
    return s->open_handles == 0 && !s->submitting && !s->looking && !s->counting &&
           !s->cancelling && !s->configuring;
}

static bool all_ended(void *ctx)
{
    const struct slurm *s = ctx;
    for (size_t i = 0; i < s->batch_count; i++) {
        if (s->batches[i]->live)
            return false;
    }
    return true;
}

static void end_all(struct slurm *s)
{
    for (size_t i = 0; i < s->batch_count; i++) {
        struct slurm_batch *b = s->batches[i];
        if (b->state == BATCH_RETRY || b->state == BATCH_DOUBT)
            slurm_batch_hold(s, b, true);
        for (size_t k = 0; k < b->count; k++)
            slurm_stop_item(s, b->items[k], 0);
    }
    slurm_wake(s);
    (void)!loop_wait(s->loop, all_ended, s, SLURM_FREE_MAX, NULL); /* then Slurm does the rest */
}

static void dispose(struct slurm *s, bool keep)
{
    timer_stop(s->tick);
    s->tick = NULL;
    proc_cancel(s->submitting);
    proc_cancel(s->looking);
    proc_cancel(s->counting);
    proc_cancel(s->cancelling);
    proc_cancel(s->configuring);
    if (s->watch_made) {
        s->open_handles++;
        uv_close((uv_handle_t *)&s->watch, closed);
    }
    (void)!loop_wait(s->loop, all_closed, s, USEC_FOREVER, NULL); /* they were killed */
    timer_stop(s->tick);
    if (!keep) {
        slurm_batches_clear(s, true);
        (void)!fs_remove_tree(s->records, NULL); /* what is left disturbs nobody */
        (void)!fs_remove_tree(s->specs, NULL);
    }
    for (size_t i = 0; i < s->waiting_count; i++)
        slurm_item_free(s->waiting[i]);
    while (s->batch_count)
        slurm_batch_free(s, s->batches[s->batch_count - 1]);
    slurm_watch_close(s);
    strtab_free(s->by_token);
    free(s->waiting);
    free(s->batches);
    strv_done(&s->env);
    free((char *)s->o.directory);
    free((char *)s->o.wrapper);
    free((char *)s->o.ended_jobs);
    free((char *)s->o.partition);
    free(s->specs);
    free(s->records);
    free(s);
}

static void slurm_op_free(struct engine *e)
{
    struct slurm *s = slurm_of(e);
    s->freeing = true;
    loop_shield(s->loop);
    if (!s->broken)
        end_all(s);
    bool ended = all_ended(s) && !s->broken;
    struct loop *loop = s->loop;
    dispose(s, !ended);
    loop_unshield(loop);
}

static void slurm_op_detach(struct engine *e)
{
    struct slurm *s = slurm_of(e);
    struct loop *loop = s->loop;
    s->freeing = true;
    loop_shield(loop);
    dispose(s, true);
    loop_unshield(loop);
}

static const struct engine_ops slurm_ops = {.name = "slurm",
                                            .room = slurm_room,
                                            .submit = slurm_op_submit,
                                            .stop = slurm_op_stop,
                                            .free = slurm_op_free,
                                            .adopt = slurm_op_adopt,
                                            .detach = slurm_op_detach};

/* Nothing of the driver's own environment goes into a job. */
static void make_env(struct slurm *s)
{
    static const char *const names[] = {"PATH", "HOME", "USER", "LOGNAME", "SLURM_CONF"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const char *value = getenv(names[i]);
        if (value)
            strv_take(&s->env, mem_printf("%s=%s", names[i], value));
    }
    strv_take(&s->env, mem_dup("LC_ALL=C"));
    strv_take(&s->env, NULL);
}

static void set_up(struct slurm *s, struct loop *loop, const struct engine_slurm_options *o,
                   const struct engine_events *events)
{
    s->base.ops = &slurm_ops;
    s->loop = loop;
    s->events = *events;
    s->o = *o;
    s->o.directory = mem_dup(o->directory);
    s->o.wrapper = mem_dup(o->wrapper);
    s->o.ended_jobs = mem_dup(o->ended_jobs);
    s->o.partition = mem_dup(o->partition);
    s->o.stop_grace = o->stop_grace ? o->stop_grace : STOP_GRACE;
    s->o.patience = o->patience ? o->patience : PATIENCE;
    if (!o->look_every)
        s->o.look_every = o->ended_jobs ? LOOK_EVERY : LOOK_EVERY_BLIND;
    s->specs = fs_join(o->directory, "specs");
    s->records = fs_join(o->directory, "records");
    s->by_token = strtab_new();
    s->uid = geteuid();
    s->born = s->paced_at = slurm_now(s);
    make_env(s);
}

int engine_slurm_new(struct loop *loop, const struct engine_slurm_options *o,
                     const struct engine_events *events, struct engine **out, struct err *err)
{
    struct slurm *s = mem_alloc(sizeof *s);
    set_up(s, loop, o, events);
    if (fs_mkdirs(s->specs, 0700, err) == -1 || fs_mkdirs(s->records, 0700, err) == -1 ||
        slurm_batches_load(s, err) == -1) {
        dispose(s, true);
        return -1;
    }
    slurm_watch_open(s);
    slurm_wake(s);
    *out = &s->base;
    return 0;
}
