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

static int make_variants(struct experiment_plan *p, struct stage_plan *s, struct err *err)
{
    size_t n = p->experiment->stage_count, count = 0;
    const struct space **spaces = mem_array(n, sizeof *spaces);
    for (size_t i = 0; i < n; i++)
        if (s->closure[i])
            spaces[count++] = &p->experiment->stages[i].space;
    int rc = variants_make(spaces, count, &s->variants, err);
    free(spaces);
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

/* A reduced stage leaves so many combinations of its whole closure; stages outside of it multiply.
 * Where the closures of two reduced stages overlap it is a bound. */
static void bound_trials(struct experiment_plan *p, size_t at)
{
    struct stage_plan *s = &p->stages[at];
    size_t n = p->count, bound = 1;
    bool *left = mem_array(n, sizeof *left);
    for (size_t i = 0; i < at; i++)
        left[i] = s->closure[i];
    for (size_t i = at; i-- > 0;) {
        const struct stage_plan *other = &p->stages[i];
        size_t kept = (size_t)other->stage->reduce;
        if (!left[i] || kept == 0 || kept >= other->trials)
            continue;
        s->at_most = true;
        bound = times(bound, kept);
        for (size_t k = 0; k <= i; k++)
            left[k] = left[k] && !other->closure[k];
    }
    s->trials = s->variants.total;
    if (s->at_most) {
        left[at] = true;
        for (size_t i = 0; i <= at; i++)
            if (left[i])
                bound = times(bound, own_variants(p->stages[i].stage));
        s->trials = smaller(s->trials, bound);
    }
    free(left);
}

int experiment_plan_make(const struct experiment *e, struct experiment_plan *out, struct err *err)
{
    struct experiment_plan p = {.experiment = e, .count = e->stage_count};
    p.stages = mem_array(e->stage_count + 1, sizeof *p.stages);
    int rc = 0;
    for (size_t i = 0; i < e->stage_count; i++)
        p.stages[i].stage = &e->stages[i];
    for (size_t i = 0; rc == 0 && i < e->stage_count; i++) {
        find_closure(&p, i);
        rc = make_variants(&p, &p.stages[i], err);
        if (rc != 0)
            break;
        bound_trials(&p, i);
        if (e->stages[i].resumed)
            continue;
        p.total += p.stages[i].trials;
        p.at_most = p.at_most || p.stages[i].at_most;
    }
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
