/* See queue.h: what is pure of it. */
#include "base/mem.h"
#include "experiment/store.h"
#include "node/queue.h"
#include <stdlib.h>
#include <string.h>

#define PAUSE_FIRST (USEC_PER_SEC / 2)
#define PAUSE_MAX (8 * USEC_PER_SEC)
#define NUMBER_DIGITS 10
#define NUMBER_MAX 9999999999
#define EXIT_CANCELLED 130

static const char *const outcomes[QUEUE_OUTCOME_COUNT] = {"finished", "failed", "stopped",
                                                          "removed", "replaced"};

const char *queue_outcome_name(enum queue_outcome o)
{
    return outcomes[o];
}

/* ---- order ------------------------------------------------------------------------------------
 */

char *queue_id(bool ahead, uint64_t number, const char *name)
{
    return mem_printf("%c-%0*llu-%s", ahead ? '0' : '1', NUMBER_DIGITS, (unsigned long long)number,
                      name);
}

bool queue_read_id(struct str id, bool *ahead, uint64_t *number, struct str *name)
{
    struct str rest = id;
    struct str first = str_cut(&rest, '-'), digits = rest.p ? str_cut(&rest, '-') : rest;
    int64_t n = 0;
    if (!rest.p || (!str_is(first, "0") && !str_is(first, "1")) || digits.n != NUMBER_DIGITS ||
        !str_to_i64(digits, 0, NUMBER_MAX, &n))
        return false;
    AUTO_FREE char *copy = str_dup(rest);
    if (!entry_name_ok(copy))
        return false;
    *ahead = str_is(first, "0");
    *number = (uint64_t)n;
    *name = rest;
    return true;
}

static int by_turn(const void *a, const void *b)
{
    const struct queue_item *x = a, *y = b;
    if (x->has_turn != y->has_turn)
        return x->has_turn ? -1 : 1;
    if (x->ahead != y->ahead)
        return x->ahead ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

void queue_sort(struct queue *q)
{
    if (q->count)
        qsort(q->items, q->count, sizeof *q->items, by_turn);
}

/* ---- coming -----------------------------------------------------------------------------------
 */

struct queue_item *queue_by_name(const struct queue *q, const char *word)
{
    for (size_t i = 0; i < q->count; i++)
        if (strcmp(q->items[i].id, word) == 0 ||
            (!q->items[i].damage && strcmp(q->items[i].entry.name, word) == 0))
            return &q->items[i];
    return NULL;
}

/* "'sweep' runs on this cluster since 2026-01-31T23:59:59Z, started by me@laptop; 2 more wait" */
static int refuse(const struct queue *q, struct err *err)
{
    const struct queue_item *first = &q->items[0];
    AUTO_BUF struct buf text = {0};
    char since[CLOCK_ISO_SIZE];
    const char *name = first->damage ? first->id : first->entry.name;
    clock_iso(first->has_turn ? first->turn.began : first->entry.submitted * USEC_PER_SEC, since);
    buf_addf(&text, "'%s' %s on this cluster since %s", name, first->has_turn ? "runs" : "waits",
             since);
    if (first->entry.by)
        buf_addf(&text, ", started by %s", first->entry.by);
    if (q->count > 1)
        buf_addf(&text, "; %zu more wait%s", q->count - 1, q->count == 2 ? "s" : "");
    return err_set(err, ERR_BUSY, "%s", buf_text(&text));
}

int queue_admit(const struct queue *q, const char *name, bool wait, bool force,
                struct queue_admission *out, struct err *err)
{
    struct queue_item *same = queue_by_name(q, name);
    struct queue_item *running = q->count && q->items[0].has_turn ? &q->items[0] : NULL;
    struct queue_admission a = {0};
    if (q->count && !wait && !force)
        return refuse(q, err);
    if (same && !force)
        return err_set(err, ERR_BUSY, "'%s' %s on this cluster already", name,
                       same == running ? "runs" : "waits");
    if (q->count >= QUEUE_MAX)
        return err_set(err, ERR_LIMIT, "%d experiments wait on this cluster: no more are taken",
                       QUEUE_MAX);
    a.ahead = force && !wait;
    if (force && running && (!wait || same == running))
        a.ask = running;
    if (same && same != running)
        a.drop = same;
    *out = a;
    return 0;
}

/* ---- deaths -----------------------------------------------------------------------------------
 */

usec_t queue_death(struct queue_turn *t, usec_t wall)
{
    int kept = t->death_count < QUEUE_DEATHS_MAX ? t->death_count : QUEUE_DEATHS_MAX;
    if (kept == QUEUE_DEATHS_MAX) {
        memmove(t->deaths, t->deaths + 1, sizeof t->deaths - sizeof t->deaths[0]);
        kept--;
    }
    t->deaths[kept++] = wall;
    t->death_count++;
    int recent = 0;
    for (int i = 0; i < kept; i++)
        recent += wall - t->deaths[i] < QUEUE_DEATHS_SPAN;
    if (recent >= QUEUE_DEATHS_MAX || t->death_count >= QUEUE_DEATHS_EVER)
        return -1;
    usec_t pause = PAUSE_FIRST;
    for (int i = 1; i < recent && pause < PAUSE_MAX; i++)
        pause *= 2;
    return pause;
}

/* ---- endings ----------------------------------------------------------------------------------
 */

static bool is_state(const char *state, enum run_state s)
{
    return state && strcmp(state, run_state_name(s)) == 0;
}

enum queue_verdict queue_judge(const struct queue_ending *e, enum queue_outcome *outcome)
{
    /* What is in the store has been, whatever ended the process behind it. */
    *outcome = QUEUE_FINISHED;
    if (is_state(e->state, RUN_FINISHED))
        return QUEUE_OVER;
    *outcome = QUEUE_FAILED;
    if (is_state(e->state, RUN_FAILED) && !e->asked)
        return QUEUE_OVER;
    if (e->asked) {
        *outcome = e->ask;
        return QUEUE_OVER;
    }
    if (e->quitting)
        return QUEUE_GOES_ON;
    *outcome = QUEUE_STOPPED;
    if (is_state(e->state, RUN_STOPPED) || (!e->signal && e->exit_status == EXIT_CANCELLED))
        return QUEUE_OVER;
    if (e->signal)
        return QUEUE_DIED;
    *outcome = e->exit_status == 0 ? QUEUE_FINISHED : QUEUE_FAILED;
    return QUEUE_OVER;
}
