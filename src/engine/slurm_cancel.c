/* Ending programs.
 *
 * One that waits in the queue is taken out of it. One that runs gets a signal for its wrapper
 * alone, since Slurm's own way to end a job kills it after a time that is the cluster's, not the
 * caller's: SIGTERM, by which the wrapper asks the program to end, then SIGUSR2, by which it ends
 * it and still records what became of it. Where nothing helps, Slurm ends the job. Whatever is to
 * be gone and is not is ended again, so that no call's failure needs a look at. */
#include "base/mem.h"
#include "engine/slurm_priv.h"
#include <inttypes.h>

#define GIVE_UP (10 * USEC_PER_SEC) /* after SIGUSR2 */

enum way { WAY_NONE, WAY_CANCEL, WAY_TERM, WAY_KILL };

static const char *const options_of[][4] = {
    [WAY_NONE] = {NULL},
    [WAY_CANCEL] = {"--quiet", NULL},
    [WAY_TERM] = {"--quiet", "--batch", "--signal=TERM", NULL},
    [WAY_KILL] = {"--quiet", "--batch", "--signal=USR2", NULL},
};

void slurm_stop_item(struct slurm *s, struct slurm_item *it, usec_t grace)
{
    usec_t now = slurm_now(s);
    slurm_tell(s, it, (struct slurm_fact){.kind = SLURM_FACT_STOP});
    if (it->view.phase == SLURM_OVER)
        return;
    usec_t at = grace < USEC_FOREVER - now ? now + (grace > 0 ? grace : 0) : USEC_FOREVER;
    if (at < it->kill_at)
        it->kill_at = at;
    it->cancel_at = now;
}

static enum way way_of(const struct slurm_item *it, usec_t now)
{
    if (!it->batch || !it->batch->job || it->view.phase == SLURM_OVER || now < it->cancel_at)
        return WAY_NONE;
    if (it->view.phase != SLURM_STARTED)
        return WAY_CANCEL;
    if (now < it->kill_at)
        return it->terminated ? WAY_NONE : WAY_TERM;
    return now - it->kill_at > GIVE_UP ? WAY_CANCEL : WAY_KILL;
}

static void note_way(struct slurm_item *it, enum way way, usec_t now)
{
    it->cancel_at = now + SLURM_CANCEL_AGAIN;
    if (way != WAY_TERM)
        return;
    it->terminated = true;
    it->cancel_at = it->kill_at;
}

static void cancelled(void *ctx, const struct proc_result *r, const struct err *why)
{
    struct slurm *s = ctx;
    (void)why;
    s->cancelling = NULL;
    if (r) {
        slurm_look_soon(s); /* what is taken out of the queue leaves no trace elsewhere */
        slurm_wake(s);
    }
}

/* One call for all that are to end in the way that the first of them is. */
void slurm_cancel(struct slurm *s)
{
    AUTO_STRV struct strv argv = {0};
    enum way way = WAY_NONE;
    usec_t now = slurm_now(s);
    size_t count = 0;
    if (s->cancelling || s->silent_since)
        return;
    for (size_t i = 0; i < s->batch_count; i++) {
        const struct slurm_batch *b = s->batches[i];
        for (size_t k = 0; b->live && k < b->count && count < SLURM_CANCEL_MAX; k++) {
            struct slurm_item *it = b->items[k];
            enum way own = way_of(it, now);
            if (own == WAY_NONE || (way != WAY_NONE && own != way))
                continue;
            if (way == WAY_NONE) {
                way = own;
                strv_add(&argv, "scancel");
                for (const char *const *o = options_of[way]; *o; o++)
                    strv_add(&argv, *o);
            }
            note_way(it, way, now);
            strv_take(&argv, mem_printf("%" PRIu64 "_%" PRIu32, b->job, it->index));
            count++;
        }
    }
    if (way == WAY_NONE)
        return;
    strv_take(&argv, NULL);
    s->cancelling = slurm_call(s, (const char *const *)argv.items, STR(""), cancelled);
}
