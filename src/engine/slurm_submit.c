/* From programs that wait to job arrays in Slurm.
 *
 * One sbatch is at work at a time. What is submitted meanwhile goes into the next array, so that
 * arrays grow with the pace at which programs come. An array's file is on the disk before sbatch
 * starts. Where sbatch fails, Slurm may have taken the array all the same, or may yet: its file is
 * taken away, so that no task of it can begin, and a look at the queue decides. */
#include "base/mem.h"
#include "engine/slurm_priv.h"
#include "engine/wire_priv.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- taking a program ------------------------------------------------------------------------ */

/* Slurm's limit is there for a wrapper that hangs, so it is later than the wrapper's. */
static uint64_t minutes_of(usec_t limit)
{
    if (limit <= 0)
        return 0;
    if (limit > USEC_FOREVER - SLURM_TIME_MARGIN - USEC_PER_MIN)
        return 0;
    return (uint64_t)((limit + SLURM_TIME_MARGIN + USEC_PER_MIN - 1) / USEC_PER_MIN);
}

int slurm_take(struct slurm *s, const struct engine_program *p, struct err *err)
{
    struct slurm_item *it = mem_alloc(sizeof *it);
    it->frame.max = WIRE_FRAME_MAX;
    wire_put_program(&it->frame, p, p->env);
    if (it->frame.overflowed) {
        slurm_item_free(it);
        return err_set(err, ERR_LIMIT,
                       "the program's arguments and environment are longer than %zu MiB",
                       WIRE_FRAME_MAX >> 20);
    }
    it->view = slurm_view_new(p->id);
    it->cpus = p->cpus;
    it->gpu_count = p->gpus;
    it->minutes = minutes_of(p->time_limit);
    it->kill_at = it->cancel_at = USEC_FOREVER;
    MEM_PUSH_ROOM(s->waiting, s->waiting_count, s->waiting_cap);
    s->waiting[s->waiting_count++] = it;
    s->live++;
    return 0;
}

/* ---- an array -------------------------------------------------------------------------------- */

static bool alike(const struct slurm_item *a, const struct slurm_item *b)
{
    return a->cpus == b->cpus && a->gpu_count == b->gpu_count && a->minutes == b->minutes;
}

/* Takes the first that waits, and all that are alike, in their order. */
static struct slurm_batch *gather(struct slurm *s)
{
    size_t bytes = 0, count = 0, kept = 0;
    size_t max = s->array_max < SLURM_LIVE_MAX ? (size_t)s->array_max : SLURM_LIVE_MAX;
    struct slurm_batch *b = slurm_batch_new(s, NULL, s->waiting_count);
    for (size_t i = 0; i < s->waiting_count; i++) {
        struct slurm_item *it = s->waiting[i];
        bool fits = count == 0 || bytes + it->frame.len <= SLURM_SPEC_MAX;
        if (count >= max || !fits || !alike(s->waiting[0], it)) {
            /* s->waiting[0] stays what the others are compared with: it is in b already */
            kept++;
            continue;
        }
        bytes += it->frame.len;
        it->batch = b;
        it->index = (uint32_t)count;
        b->items[count++] = it;
    }
    size_t at = 0;
    for (size_t i = 0; i < s->waiting_count; i++) {
        if (!s->waiting[i]->batch)
            s->waiting[at++] = s->waiting[i];
    }
    assert(at == kept);
    s->waiting_count = kept;
    b->count = b->live = count;
    return b;
}

/* For the shell. */
static void quote(const char *text, struct buf *out)
{
    buf_addc(out, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            buf_adds(out, "'\\''");
        else
            buf_addc(out, *text);
    }
    buf_addc(out, '\'');
}

static void put_script(const struct slurm *s, const struct slurm_batch *b, struct buf *out)
{
    AUTO_FREE char *spec = mem_printf("%s/%s", s->specs, b->token);
    buf_adds(out, "#!/bin/sh\nexec ");
    quote(s->o.wrapper, out);
    buf_adds(out, " trial ");
    quote(spec, out);
    buf_adds(out, " \"$SLURM_ARRAY_TASK_ID\"\n");
}

/* "0-4,7": those that are not over. */
static void put_range(const struct slurm_batch *b, struct buf *out)
{
    const char *separator = "--array=";
    for (size_t i = 0; i < b->count; i++) {
        size_t first = i;
        while (i < b->count && b->items[i]->view.phase != SLURM_OVER)
            i++;
        if (i == first)
            continue;
        buf_addf(out, "%s%zu-%zu", separator, first, i - 1);
        separator = ",";
    }
}

static void put_arguments(const struct slurm *s, const struct slurm_batch *b, struct strv *argv)
{
    const struct slurm_item *first = b->items[0];
    static const char *const fixed[] = {
        "sbatch",    "--parsable",        "--no-requeue",       "--nodes=1",    "--ntasks=1",
        "--chdir=/", "--input=/dev/null", "--output=/dev/null", "--export=ALL", "--propagate=NONE"};
    for (size_t i = 0; i < COUNT_OF(fixed); i++)
        strv_add(argv, fixed[i]);
    strv_take(argv, mem_printf("--job-name=" SLURM_NAME "%s", b->token));
    AUTO_BUF struct buf range = {0};
    put_range(b, &range);
    strv_add(argv, buf_text(&range));
    strv_take(argv, mem_printf("--cpus-per-task=%d", first->cpus > 0 ? first->cpus : 1));
    if (first->gpu_count)
        strv_take(argv, mem_printf("--gres=gpu:%d", first->gpu_count));
    if (first->minutes)
        strv_take(argv, mem_printf("--time=%" PRIu64, first->minutes));
    if (s->o.partition)
        strv_take(argv, mem_printf("--partition=%s", s->o.partition));
    strv_take(argv, NULL);
}

/* ---- what came of it ------------------------------------------------------------------------- */

static void refuse(struct slurm *s, struct slurm_batch *b, const char *why)
{
    struct slurm_fact fact = {.kind = SLURM_FACT_REFUSED, .text = why};
    b->state = BATCH_THERE; /* nothing is asked about it any more */
    slurm_batch_hold(s, b, true);
    slurm_tell_batch(s, b, fact);
}

/* Whether the array is there or not, a look at the queue has to tell, one that begins now. */
static void doubt(struct slurm *s, struct slurm_batch *b)
{
    b->state = BATCH_DOUBT;
    b->look = s->looks + 1;
    slurm_batch_hold(s, b, true);
    slurm_look_soon(s);
}

static void submitted(void *ctx, const struct proc_result *r, const struct err *why)
{
    struct slurm *s = ctx;
    struct slurm_batch *b = s->submitted;
    s->submitting = NULL;
    s->submitted = NULL;
    slurm_wake(s);
    b->refusal[0] = '\0';
    if (r && r->exit_status == 0 && slurm_parse_job(buf_view(&r->out), &b->job)) {
        b->state = BATCH_THERE;
        b->look = s->looks + 1;
        (void)slurm_heard(s, r, why);
        return;
    }
    if (r)
        slurm_first_line(buf_view(&r->err_out), b->refusal, sizeof b->refusal);
    else if (why->code == ERR_NOT_FOUND)
        (void)slurm_heard(s, r, why);
    doubt(s, b);
}

void slurm_resolve(struct slurm *s, struct slurm_batch *b)
{
    if (b->job) {
        b->state = BATCH_THERE;
        slurm_batch_hold(s, b, false);
        return;
    }
    if (b->refusal[0] && ++b->refusals >= SLURM_REFUSALS_MAX) {
        AUTO_FREE char *text = mem_printf("Slurm refused it: %s", b->refusal);
        refuse(s, b, text);
        return;
    }
    struct slurm_fact absent = {.kind = SLURM_FACT_ABSENT};
    for (size_t i = 0; i < b->count; i++) {
        if (b->items[i]->view.stop_asked)
            slurm_tell(s, b->items[i], absent);
    }
    b->state = BATCH_RETRY;
    b->next = slurm_now(s) + slurm_backoff(s);
}

static void call(struct slurm *s, struct slurm_batch *b)
{
    AUTO_STRV struct strv argv = {0};
    AUTO_BUF struct buf script = {0};
    put_script(s, b, &script);
    put_arguments(s, b, &argv);
    b->state = BATCH_CALLING;
    s->submitted = b;
    s->submitting = slurm_call(s, (const char *const *)argv.items, buf_view(&script), submitted);
}

/* ---- how large an array may be --------------------------------------------------------------- */

static void configured(void *ctx, const struct proc_result *r, const struct err *why)
{
    struct slurm *s = ctx;
    s->configuring = NULL;
    uint64_t max;
    if (!slurm_heard(s, r, why)) {
        s->configure_at = slurm_now(s) + slurm_backoff(s);
        return;
    }
    s->array_max = slurm_parse_array_max(buf_view(&r->out), &max) && max > 0 ? max : 1;
    slurm_wake(s);
}

static void configure(struct slurm *s)
{
    static const char *const argv[] = {"scontrol", "show", "config", NULL};
    if (!s->configuring && slurm_now(s) >= s->configure_at)
        s->configuring = slurm_call(s, argv, STR(""), configured);
}

void slurm_submit(struct slurm *s)
{
    if (!s->array_max)
        configure(s);
    if (s->submitting || !s->array_max || s->freeing)
        return;
    for (size_t i = 0; i < s->batch_count; i++) {
        struct slurm_batch *b = s->batches[i];
        if (b->state != BATCH_RETRY || slurm_now(s) < b->next || !b->live)
            continue;
        slurm_batch_rename(s, b);
        call(s, b);
        return;
    }
    if (!s->waiting_count)
        return;
    struct err err = {0};
    struct slurm_batch *b = gather(s);
    struct slurm_fact fact = {.kind = SLURM_FACT_SUBMITTED};
    if (slurm_batch_write(s, b, &err) == -1) {
        refuse(s, b, err.msg);
        return;
    }
    slurm_tell_batch(s, b, fact);
    call(s, b);
}
