/* See plan.h. */
#include "experiment/plan.h"
#include "base/mem.h"
#include <stdlib.h>

/* Links lead to earlier stages only, whose closures are whole by now. */
static void find_closure(struct experiment_plan *p, size_t at)
{
    const struct experiment *e = p->experiment;
    struct stage_plan *s = &p->stages[at];
    s->needs = mem_array(e->stage_count, sizeof *s->needs);
    s->closure = mem_array(e->stage_count, sizeof *s->closure);
    s->closure[at] = true;
    const struct space *space = &s->stage->space;
    for (size_t i = 0; i < space->link_count; i++) {
        const struct link_use *l = &space->links[i];
        if (l->target == LINK_RESOURCE || l->target == LINK_NOWHERE || l->stage == at)
            continue;
        s->needs[l->stage] = true;
        for (size_t k = 0; k <= l->stage; k++)
            s->closure[k] = s->closure[k] || p->stages[l->stage].closure[k];
    }
}

static bool is_searched(const struct stage *s)
{
    return s->search.kind != SEARCH_GRID;
}

/* The stages whose options make the variants: the closure, but for what searches have drawn. */
static void find_varied(struct experiment_plan *p, size_t at, bool *varied)
{
    struct stage_plan *s = &p->stages[at];
    for (size_t i = 0; i <= at; i++)
        varied[i] = s->closure[i];
    if (is_searched(s->stage)) {
        varied[at] = false;
        s->drawn = true;
    }
    for (size_t i = at; i-- > 0;) {
        if (!s->closure[i] || !is_searched(p->stages[i].stage))
            continue;
        s->drawn = true;
        for (size_t k = 0; k <= i; k++)
            varied[k] = varied[k] && !p->stages[i].closure[k];
    }
}

static int make_variants(struct experiment_plan *p, size_t at, struct err *err)
{
    struct stage_plan *s = &p->stages[at];
    size_t n = p->count, count = 0;
    bool *varied = mem_array(n, sizeof *varied);
    const struct space **spaces = mem_array(n, sizeof *spaces);
    find_varied(p, at, varied);
    for (size_t i = 0; i < n; i++)
        if (varied[i])
            spaces[count++] = &p->stages[i].stage->space;
    int rc = variants_make(spaces, count, &s->variants, err);
    free(spaces);
    free(varied);
    if (rc == 0)
        return 0;
    if (err)
        err->code = ERR_FILE;
    return err_wrap(err, "stage '%s'", s->stage->name);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t times(size_t a, size_t b)
{
    size_t product;
    return __builtin_mul_overflow(a, b, &product) ? SIZE_MAX : product;
}

static size_t own_variants(const struct stage *s)
{
    const struct space *one[] = {&s->space};
    struct variants v;
    if (variants_make(one, 1, &v, NULL) != 0)
        return SIZE_MAX;
    size_t total = v.total;
    variants_done(&v);
    return total;
}

/* The trials of an earlier stage that stand for its whole closure: those that it keeps where it is
 * reduced, those that were drawn where it is searched; else 0. */
static size_t left_by(const struct stage_plan *s)
{
    size_t kept = (size_t)s->stage->reduce;
    if (kept > 0 && kept < s->trials)
        return kept;
    return is_searched(s->stage) ? s->trials : 0;
}

/* A reduced or searched stage leaves so many combinations of its whole closure; stages outside of
 * it multiply. Where the closures of two such stages overlap it is a bound. */
static void count_trials(struct experiment_plan *p, size_t at)
{
    struct stage_plan *s = &p->stages[at];
    if (is_searched(s->stage)) {
        s->trials = s->stage->search.trials;
        return;
    }
    size_t n = p->count, product = 1;
    bool *left = mem_array(n, sizeof *left), any = false;
    for (size_t i = 0; i <= at; i++)
        left[i] = s->closure[i];
    for (size_t i = at; i-- > 0;) {
        const struct stage_plan *other = &p->stages[i];
        size_t kept = left_by(other);
        if (!left[i] || kept == 0)
            continue;
        any = true;
        s->at_most = s->at_most || other->at_most || kept < other->trials;
        product = times(product, kept);
        for (size_t k = 0; k <= i; k++) {
            s->at_most = s->at_most || (other->closure[k] && !left[k]);
            left[k] = left[k] && !other->closure[k];
        }
    }
    for (size_t i = 0; any && i <= at; i++)
        if (left[i])
            product = times(product, own_variants(p->stages[i].stage));
    if (!any)
        s->trials = s->variants.total;
    else
        s->trials = s->drawn ? product : smaller(s->variants.total, product);
    free(left);
}

static int plan_stage(struct experiment_plan *p, size_t at, struct err *err)
{
    find_closure(p, at);
    if (make_variants(p, at, err) == -1)
        return -1;
    struct stage_plan *s = &p->stages[at];
    count_trials(p, at);
    if (s->trials > VARIANTS_MAX)
        return err_set(err, ERR_FILE, "stage '%s': more than %zu trials", s->stage->name,
                       VARIANTS_MAX);
    if (s->stage->resumed)
        return 0;
    p->total += s->trials;
    p->at_most = p->at_most || s->at_most;
    return 0;
}

int experiment_plan_make(const struct experiment *e, struct experiment_plan *out, struct err *err)
{
    struct experiment_plan p = {.experiment = e, .count = e->stage_count};
    p.stages = mem_array(e->stage_count + 1, sizeof *p.stages);
    int rc = 0;
    for (size_t i = 0; i < e->stage_count; i++)
        p.stages[i].stage = &e->stages[i];
    for (size_t i = 0; rc == 0 && i < e->stage_count; i++)
        rc = plan_stage(&p, i, err);
    if (rc == 0)
        *out = p;
    else
        experiment_plan_done(&p);
    return rc;
}

void experiment_plan_done(struct experiment_plan *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->stages[i].needs);
        free(p->stages[i].closure);
        variants_done(&p->stages[i].variants);
    }
    free(p->stages);
    *p = (struct experiment_plan){0};
}
