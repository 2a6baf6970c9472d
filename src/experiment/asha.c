/* See asha.h.
 *
 * Inside, larger is better, and NaN is minus infinity. A rung keeps its values in two heaps that
 * meet at the percentile: `low` holds the smaller ones, its largest on top, `high` the others, its
 * smallest on top. With n values the percentile lies at the place q * (n - 1), counted from the
 * smallest: floor(of that) + 1 values are in `low`. That number rises by 0 or 1 with each value, so
 * that one value at most changes sides. */
#include "experiment/asha.h"
#include "base/mem.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>

struct heap {
    double *items;
    size_t count, cap;
    bool largest; /* on top; else the smallest */
};

struct rung {
    struct heap low, high;
};

struct progress {
    uint16_t judged; /* the highest rung where it was, counted from 1; 0: none */
    bool stopped;    /* there */
};

#define RUNGS_MAX 5000 /* a factor of 1.01 takes 4390 to the largest step */

struct asha {
    bool maximize;
    int64_t max_t;
    double quantile;
    int brackets;
    double *milestones; /* rising; bracket b begins at the one of index b */
    size_t milestone_count;
    struct rung **rungs; /* of each bracket: milestone_count of them, or NULL where none is used */
    struct progress *trials; /* by number */
    size_t trial_count;
};

/* ---- heaps ----------------------------------------------------------------------------------- */

static bool above(const struct heap *h, double a, double b)
{
    return h->largest ? a > b : a < b;
}

static void swap(double *a, double *b)
{
    double t = *a;
    *a = *b;
    *b = t;
}

static void heap_push(struct heap *h, double value)
{
    MEM_PUSH_ROOM(h->items, h->count, h->cap);
    size_t i = h->count++;
    h->items[i] = value;
    for (; i > 0 && above(h, h->items[i], h->items[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&h->items[i], &h->items[(i - 1) / 2]);
}

static double heap_pop(struct heap *h)
{
    double top = h->items[0];
    h->items[0] = h->items[--h->count];
    for (size_t i = 0;;) {
        size_t best = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < h->count; child++)
            if (above(h, h->items[child], h->items[best]))
                best = child;
        if (best == i)
            return top;
        swap(&h->items[i], &h->items[best]);
        i = best;
    }
}

/* ---- rungs ----------------------------------------------------------------------------------- */

static double place(const struct asha *a, size_t count)
{
    return a->quantile * (double)(count - 1);
}

/* Minus infinity where nothing is recorded: nothing is worse. */
static double cutoff(const struct asha *a, const struct rung *r)
{
    size_t n = r->low.count + r->high.count;
    if (n == 0)
        return -INFINITY;
    double at = place(a, n), part = at - floor(at), lower = r->low.items[0];
    if (part == 0 || r->high.count == 0 || isinf(lower))
        return lower;
    double upper = r->high.items[0];
    return isinf(upper) ? upper : lower * (1 - part) + upper * part;
}

static void record(const struct asha *a, struct rung *r, double value)
{
    if (r->low.count && value < r->low.items[0])
        heap_push(&r->low, value);
    else
        heap_push(&r->high, value);
    size_t want = (size_t)floor(place(a, r->low.count + r->high.count)) + 1;
    while (r->low.count < want)
        heap_push(&r->low, heap_pop(&r->high));
    while (r->low.count > want)
        heap_push(&r->high, heap_pop(&r->low));
}

static struct rung *rung_of(struct asha *a, size_t bracket, size_t milestone)
{
    if (!a->rungs[bracket])
        a->rungs[bracket] = mem_array(a->milestone_count, sizeof **a->rungs);
    struct rung *r = &a->rungs[bracket][milestone];
    r->low.largest = true;
    return r;
}

/* ---- the whole ------------------------------------------------------------------------------- */

struct asha *asha_new(const struct scheduler_spec *spec, bool maximize)
{
    assert(spec->grace_period > 0 && spec->brackets > 0 && spec->reduction_factor > 1);
    struct asha *a = mem_alloc(sizeof *a);
    a->maximize = maximize;
    a->max_t = spec->max_t > 0 ? spec->max_t : INT64_MAX;
    a->quantile = 1 - 1 / spec->reduction_factor;
    a->brackets = spec->brackets;
    a->rungs = mem_array((size_t)spec->brackets, sizeof *a->rungs);
    a->milestones = mem_array(RUNGS_MAX, sizeof *a->milestones);
    double at = (double)spec->grace_period;
    for (; at < (double)a->max_t && a->milestone_count < RUNGS_MAX; at *= spec->reduction_factor)
        a->milestones[a->milestone_count++] = at;
    return a;
}

void asha_free(struct asha *a)
{
    if (!a)
        return;
    for (int b = 0; b < a->brackets; b++) {
        for (size_t i = 0; a->rungs[b] && i < a->milestone_count; i++) {
            free(a->rungs[b][i].low.items);
            free(a->rungs[b][i].high.items);
        }
        free(a->rungs[b]);
    }
    free(a->rungs);
    free(a->milestones);
    free(a->trials);
    free(a);
}

static struct progress *progress_of(struct asha *a, size_t number)
{
    if (number >= a->trial_count) {
        size_t count = number + number / 2 + 64;
        a->trials = mem_grow(a->trials, count, sizeof *a->trials);
        for (size_t i = a->trial_count; i < count; i++)
            a->trials[i] = (struct progress){0};
        a->trial_count = count;
    }
    return &a->trials[number];
}

/* The rungs whose milestones the step has reached, of all brackets. */
static size_t reached(const struct asha *a, int64_t step)
{
    size_t lo = 0, hi = a->milestone_count;
    while (lo < hi) {
        size_t middle = lo + (hi - lo) / 2;
        if (a->milestones[middle] <= (double)step)
            lo = middle + 1;
        else
            hi = middle;
    }
    return lo;
}

static bool take(struct asha *a, size_t number, int64_t step, double value, bool judge)
{
    struct progress *p = progress_of(a, number);
    size_t bracket = number % (size_t)a->brackets, rung = reached(a, step);
    if (p->stopped && rung >= p->judged)
        return true;
    if (rung <= p->judged)
        return false;
    if (rung <= bracket)
        return false; /* the bracket's first rung is above */
    struct rung *r = rung_of(a, bracket, rung - 1);
    double good = isnan(value) ? -INFINITY : a->maximize ? value : -value;
    p->judged = (uint16_t)rung;
    p->stopped = judge && good < cutoff(a, r);
    record(a, r, good);
    return p->stopped;
}

bool asha_report(struct asha *a, size_t number, int64_t step, double value)
{
    return step >= a->max_t || take(a, number, step, value, true);
}

void asha_restore(struct asha *a, size_t number, int64_t step, double value)
{
    take(a, number, step, value, false);
}
