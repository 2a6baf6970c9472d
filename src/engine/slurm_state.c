/* How what is known of a program changes with each fact: pure.
 *
 * There are two tellers. The wrapper's record says how the program ended; Slurm's word says that
 * its job is over. Where both are to be had the record counts. Slurm's word alone counts where no
 * record came in a time that depends on what the word is. */
#include "engine/slurm_priv.h"
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_SPARE 2   /* programs beside a quarter more than there is place for */
#define DEPTH_SECONDS 3 /* of work that is to be in the queue */
#define ABSENT_MAX 2    /* looks at the queue */

struct slurm_view slurm_view_new(uint64_t id)
{
    return (struct slurm_view){
        .phase = SLURM_WAITS, .due = USEC_FOREVER, .result = {.id = id, .exit_status = -1}};
}

size_t slurm_depth(uint64_t lanes, uint64_t pace)
{
    uint64_t depth = lanes + lanes / 4 + DEPTH_SPARE;
    uint64_t more = pace > SLURM_LIVE_MAX ? SLURM_LIVE_MAX : DEPTH_SECONDS * pace;
    return depth + more > SLURM_LIVE_MAX ? SLURM_LIVE_MAX : (size_t)(depth + more);
}

/* ---- ends ------------------------------------------------------------------------------------ */

PRINTF_LIKE(3, 4)
static enum slurm_news end(struct slurm_view *v, enum engine_end how, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(v->result.message, sizeof v->result.message, fmt, ap);
    va_end(ap);
    v->result.end = how;
    v->phase = SLURM_OVER;
    return SLURM_ENDED;
}

/* Without a record: where it was, and when it ended as far as is known. */
static void fill(struct slurm_view *v, const struct slurm_fact *f)
{
    struct engine_result *r = &v->result;
    *r = (struct engine_result){
        .id = r->id, .exit_status = -1, .started = v->started, .ended = f->wall};
    snprintf(r->host, sizeof r->host, "%s", v->word.node);
}

static const char *where(const struct slurm_view *v)
{
    return v->word.node[0] ? v->word.node : "its host";
}

/* Its job has failed by itself. What the status of the wrapper says depends on whether the program
 * was begun. */
static enum slurm_news end_failed(struct slurm_view *v)
{
    const struct slurm_word *w = &v->word;
    bool begun = v->started != 0;
    if (begun && w->signal > 0)
        return end(v, ENGINE_LOST, "its supervisor on %s was ended by signal %d", where(v),
                   w->signal);
    if (w->exit_status == SLURM_EXIT_NO_RECORD)
        return end(v, ENGINE_LOST, "%s could not record its end in the shared directory", where(v));
    if (begun)
        return end(v, ENGINE_LOST, "its supervisor on %s failed (status %d)", where(v),
                   w->exit_status);
    if (w->exit_status == SLURM_EXIT_NO_SPEC)
        return end(v, ENGINE_LOST, "%s did not find its description in the shared directory",
                   where(v));
    if (w->exit_status == SLURM_EXIT_NO_WRAPPER || w->exit_status == SLURM_EXIT_NO_SHELL_FILE)
        return end(v, ENGINE_NOT_STARTED, "flambe's program is not on %s, or cannot be run there",
                   where(v));
    if (w->signal > 0)
        return end(v, ENGINE_LOST, "its job was ended on %s by signal %d before it began", where(v),
                   w->signal);
    return end(v, ENGINE_NOT_STARTED, "its job failed on %s before it began (status %d)", where(v),
               w->exit_status);
}

static enum slurm_news end_by_word(struct slurm_view *v, const struct slurm_fact *f)
{
    fill(v, f);
    if (v->stop_asked)
        return end(v, ENGINE_STOPPED, "%s", "");
    switch (v->word.state) {
    case SLURM_TIMEOUT:
        return end(v, ENGINE_TIMED_OUT, "Slurm ended it on %s at its own time limit", where(v));
    case SLURM_OUT_OF_MEMORY:
        return end(v, ENGINE_OUT_OF_MEMORY, "Slurm ended it on %s for its use of memory", where(v));
    case SLURM_NODE_FAIL:
        return end(v, ENGINE_LOST, "its host %s failed", v->word.node);
    case SLURM_CANCELLED:
        return end(v, ENGINE_LOST, "its job was cancelled by somebody else");
    case SLURM_COMPLETED:
        return end(v, ENGINE_LOST, "its end on %s was not recorded in the shared directory",
                   where(v));
    default:
        return end_failed(v);
    }
}

/* The record stands in v->result. */
static enum slurm_news end_by_record(struct slurm_view *v)
{
    struct engine_result *r = &v->result;
    if (r->end == ENGINE_STOPPED && !v->stop_asked) {
        r->exit_status = -1;
        return end(v, ENGINE_LOST, "it was ended on %s by somebody else", r->host);
    }
    if (r->end == ENGINE_SIGNALLED && r->signal == SIGKILL && v->has_word &&
        v->word.state == SLURM_OUT_OF_MEMORY)
        return end(v, ENGINE_OUT_OF_MEMORY, "Slurm ended it on %s for its use of memory", r->host);
    v->phase = SLURM_OVER;
    return SLURM_ENDED;
}

/* ---- facts ----------------------------------------------------------------------------------- */

static enum slurm_news on_start(struct slurm_view *v, const struct slurm_fact *f)
{
    if (v->phase == SLURM_STARTED)
        return SLURM_NO_NEWS;
    v->phase = SLURM_STARTED;
    v->absent = 0;
    v->started = f->start->wall;
    snprintf(v->word.node, sizeof v->word.node, "%s", f->start->host);
    return SLURM_BEGAN;
}

/* Who was killed may have been killed by the kernel for Slurm's limit, which Slurm tells. */
static enum slurm_news on_end(struct slurm_view *v, const struct slurm_fact *f)
{
    uint64_t id = v->result.id;
    if (f->result->id != id || v->has_record)
        return SLURM_NO_NEWS;
    v->result = *f->result;
    v->has_record = true;
    bool killed = v->result.end == ENGINE_SIGNALLED && v->result.signal == SIGKILL;
    if (!killed || v->has_word)
        return end_by_record(v);
    v->due = f->mono + SLURM_RECORD_SOON;
    return SLURM_NO_NEWS;
}

static bool wrote_nothing(const struct slurm_word *w)
{
    return w->state == SLURM_FAILED &&
           (w->exit_status == SLURM_EXIT_NO_SPEC || w->exit_status == SLURM_EXIT_NO_RECORD ||
            w->exit_status == SLURM_EXIT_NO_WRAPPER || w->exit_status == SLURM_EXIT_NO_SHELL_FILE);
}

static enum slurm_news on_word(struct slurm_view *v, const struct slurm_fact *f)
{
    const struct slurm_word *w = f->word;
    v->absent = 0;
    if (v->phase == SLURM_WAITS)
        v->phase = SLURM_QUEUED;
    if (w->state == SLURM_PENDING || w->state == SLURM_ALIVE || v->has_word)
        return SLURM_NO_NEWS;
    v->has_word = true;
    char node[SLURM_NODE_MAX];
    snprintf(node, sizeof node, "%s", w->node[0] ? w->node : v->word.node);
    v->word = *w;
    snprintf(v->word.node, sizeof v->word.node, "%s", node);
    if (v->has_record)
        return end_by_record(v);
    if (wrote_nothing(w) || (w->state == SLURM_CANCELLED && !w->node[0]))
        return end_by_word(v, f);
    v->due = f->mono + (w->state == SLURM_COMPLETED ? SLURM_RECORD_LATE : SLURM_RECORD_SOON);
    return SLURM_NO_NEWS;
}

static enum slurm_news on_absent(struct slurm_view *v, const struct slurm_fact *f)
{
    if (v->has_word || v->has_record || v->phase == SLURM_WAITS)
        return SLURM_NO_NEWS;
    if (++v->absent < ABSENT_MAX && !(v->stop_asked && v->phase == SLURM_QUEUED))
        return SLURM_NO_NEWS;
    fill(v, f);
    if (v->stop_asked)
        return end(v, ENGINE_STOPPED, "%s", "");
    return end(v, ENGINE_LOST, "Slurm knows nothing of its job");
}

static enum slurm_news on_time(struct slurm_view *v, const struct slurm_fact *f)
{
    if (f->mono < v->due)
        return SLURM_NO_NEWS;
    return v->has_record ? end_by_record(v) : end_by_word(v, f);
}

static enum slurm_news on_stop(struct slurm_view *v, const struct slurm_fact *f)
{
    v->stop_asked = true;
    if (v->phase != SLURM_WAITS)
        return SLURM_NO_NEWS;
    fill(v, f);
    return end(v, ENGINE_STOPPED, "%s", "");
}

static enum slurm_news on_fact(struct slurm_view *v, const struct slurm_fact *f)
{
    switch (f->kind) {
    case SLURM_FACT_SUBMITTED:
        v->phase = v->phase == SLURM_WAITS ? SLURM_QUEUED : v->phase;
        return SLURM_NO_NEWS;
    case SLURM_FACT_REFUSED:
        fill(v, f);
        return v->stop_asked ? end(v, ENGINE_STOPPED, "%s", "")
                             : end(v, ENGINE_NOT_STARTED, "%s", f->text);
    case SLURM_FACT_STOP:
        return on_stop(v, f);
    case SLURM_FACT_START:
        return on_start(v, f);
    case SLURM_FACT_END:
        return on_end(v, f);
    case SLURM_FACT_WORD:
        return on_word(v, f);
    case SLURM_FACT_ABSENT:
        return on_absent(v, f);
    case SLURM_FACT_TIME:
        return on_time(v, f);
    case SLURM_FACT_BROKEN:
        fill(v, f);
        return end(v, ENGINE_LOST, "%s", f->text);
    }
    return SLURM_NO_NEWS;
}

enum slurm_news slurm_update(const struct slurm_view *before, const struct slurm_fact *fact,
                             struct slurm_view *after)
{
    struct slurm_view v = *before;
    enum slurm_news news = v.phase == SLURM_OVER ? SLURM_NO_NEWS : on_fact(&v, fact);
    *after = v;
    return news;
}
