/* Looks at Slurm's queue, the safety net under what files tell, and at the size of the cluster. */
#include "engine/slurm_priv.h"

/* ---- the queue ------------------------------------------------------------------------------- */

static void take_line(struct slurm *s, struct str line, uint64_t look)
{
    struct slurm_task task;
    struct slurm_word word;
    if (!slurm_parse_queue(line, &task, &word))
        return;
    struct slurm_batch *b = strtab_get(s->by_token, str_of(task.token));
    if (!b || task.index >= b->count)
        return; /* another experiment's */
    b->job = task.job;
    if (b->state == BATCH_UNSEEN)
        b->state = BATCH_THERE;
    if (b->state == BATCH_THERE)
        slurm_batch_hold(s, b, b->unwanted);
    b->items[task.index]->seen = look;
    slurm_tell(s, b->items[task.index],
               (struct slurm_fact){.kind = SLURM_FACT_WORD, .word = &word});
}

/* What should have been shown, and was not. An array that Slurm has never been heard about may yet
 * come from an sbatch that outlived its driver: none of its tasks is to begin from now on. */
static void note_absent(struct slurm *s, struct slurm_batch *b, uint64_t look)
{
    bool any = false;
    for (size_t i = 0; i < b->count; i++) {
        struct slurm_item *it = b->items[i];
        if (it->seen >= look || it->view.phase == SLURM_OVER)
            continue;
        any = true;
        slurm_tell(s, it, (struct slurm_fact){.kind = SLURM_FACT_ABSENT});
    }
    if (any && !b->job)
        slurm_batch_hold(s, b, true);
    if (any && b->live)
        slurm_look_soon(s);
}

static void looked(void *ctx, const struct proc_result *r, const struct err *why)
{
    struct slurm *s = ctx;
    uint64_t look = s->looks;
    s->looking = NULL;
    if (!slurm_heard(s, r, why)) {
        s->look_at = slurm_now(s) + slurm_backoff(s);
        return;
    }
    s->look_at = slurm_now(s) + s->o.look_every;
    slurm_wake(s);
    slurm_read_files(s); /* what they tell counts first */
    struct str text = buf_view(&r->out);
    while (text.p)
        take_line(s, str_cut(&text, '\n'), look);
    for (size_t i = 0; i < s->batch_count; i++) {
        struct slurm_batch *b = s->batches[i];
        if (b->look > look || !b->live)
            continue;
        if (b->state == BATCH_DOUBT)
            slurm_resolve(s, b);
        else if (b->state == BATCH_UNSEEN || b->state == BATCH_THERE)
            note_absent(s, b, look);
    }
}

static bool any_live(const struct slurm *s)
{
    for (size_t i = 0; i < s->batch_count; i++) {
        if (s->batches[i]->live)
            return true;
    }
    return false;
}

/* There is something in the queue, and no host at work on it. */
static bool all_wait(const struct slurm *s)
{
    for (size_t i = 0; i < s->batch_count; i++) {
        const struct slurm_batch *b = s->batches[i];
        for (size_t k = 0; b->live && k < b->count; k++) {
            if (b->items[k]->view.phase == SLURM_STARTED)
                return false;
        }
    }
    return any_live(s);
}

/* A controller that was killed may have forgotten jobs that it had just taken, and no file will
 * tell. Where nothing begins for a while, that is asked for early. */
static void doubt_silence(struct slurm *s)
{
    usec_t now = slurm_now(s);
    if (!all_wait(s)) {
        s->waits_since = 0;
    } else if (!s->waits_since) {
        s->waits_since = now;
    } else if (now - s->waits_since >= SLURM_DOUBT_AFTER && !s->looking && !s->backoff) {
        s->waits_since = now;
        s->look_at = now;
    }
}

void slurm_look_soon(struct slurm *s)
{
    usec_t at = slurm_now(s) + SLURM_LOOK_SOON;
    if (at < s->look_at)
        s->look_at = at;
}

/* ---- the nodes ------------------------------------------------------------------------------- */

static void counted(void *ctx, const struct proc_result *r, const struct err *why)
{
    struct slurm *s = ctx;
    s->counting = NULL;
    if (!slurm_heard(s, r, why))
        return; /* the next look at them comes anyway */
    struct slurm_cluster sum = {0};
    struct str text = buf_view(&r->out);
    while (text.p)
        (void)!slurm_parse_node(str_cut(&text, '\n'), &sum);
    s->cluster = sum;
}

static void count_nodes(struct slurm *s)
{
    AUTO_STRV struct strv argv = {0};
    static const char *const fixed[] = {"sinfo", "-h", "-N", "-o", SLURM_NODES_FORMAT};
    for (size_t i = 0; i < COUNT_OF(fixed); i++)
        strv_add(&argv, fixed[i]);
    if (s->o.partition) {
        strv_add(&argv, "-p");
        strv_add(&argv, s->o.partition);
    }
    strv_take(&argv, NULL);
    s->counting = slurm_call(s, (const char *const *)argv.items, STR(""), counted);
}

void slurm_look(struct slurm *s)
{
    static const char *const argv[] = {"squeue",           "-h", "-r", "--me", "-t", "all", "-o",
                                       SLURM_QUEUE_FORMAT, NULL};
    usec_t now = slurm_now(s);
    doubt_silence(s);
    if (!s->looking && any_live(s) && now >= s->look_at) {
        s->looks++;
        s->looking = slurm_call(s, argv, STR(""), looked);
    }
    if (!s->counting && now >= s->count_at) {
        s->count_at = now + SLURM_LOOK_CLUSTER;
        count_nodes(s);
    }
}
