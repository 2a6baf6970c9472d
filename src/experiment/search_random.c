/* Random search: each value is drawn from a stream of its own, which the seed, the stage, the
 * dimension's name and the trial's number make (random.h; the four are apart by new lines). So a
 * trial's values depend on nothing that ran before, and there is nothing to restore. */
#include "base/mem.h"
#include "experiment/dimensions.h"
#include "experiment/random.h"
#include "experiment/search_priv.h"
#include <math.h>
#include <stdlib.h>

struct random_search {
    struct search search;
    struct search_options o;
    char *stage;
    size_t trials;
};

static double draw_real(struct random *r, const struct dimension *d)
{
    double u = random_unit(r);
    if (d->log)
        return exp(log(d->lo) * (1 - u) + log(d->hi) * u);
    return d->lo * (1 - u) + d->hi * u;
}

/* On a logarithmic scale the whole number k has the share of [k, k + 1): the logarithm's floor. */
static int64_t draw_whole(struct random *r, const struct dimension *d)
{
    if (!d->log)
        return random_int(r, d->whole_lo, d->whole_hi);
    double u = random_unit(r);
    double x = exp(log((double)d->whole_lo) * (1 - u) + log((double)d->whole_hi) * u);
    int64_t whole = x < (double)d->whole_hi ? (int64_t)floor(x) : d->whole_hi - 1;
    if (whole < d->whole_lo)
        return d->whole_lo;
    return whole < d->whole_hi ? whole : d->whole_hi - 1;
}

static int ask(struct search *search, size_t number, struct dimension_value *values,
               enum search_answer *answer, struct err *err)
{
    (void)err;
    struct random_search *s = CONTAINER_OF(search, struct random_search, search);
    if (number >= s->trials) {
        *answer = SEARCH_END;
        return 0;
    }
    for (size_t i = 0; i < s->o.dimension_count; i++) {
        const struct dimension *d = &s->o.dimensions[i];
        values[i] = (struct dimension_value){.unused = true};
        if (!dimension_active(s->o.dimensions, i, values))
            continue;
        AUTO_FREE char *stream = mem_printf("%s\n%s\n%zu", s->stage, d->name, number);
        struct random r;
        random_init(&r, s->o.seed, str_of(stream));
        values[i].unused = false;
        if (d->kind == DIMENSION_CATEGORY)
            values[i].integer = random_int(&r, 0, (int64_t)d->count);
        else if (d->kind == DIMENSION_INT)
            values[i].integer = draw_whole(&r, d);
        else
            values[i].real = dimension_round(d, draw_real(&r, d));
    }
    *answer = SEARCH_TRIAL;
    return 0;
}

static int report(struct search *search, size_t number, int64_t step, double value, bool *stop,
                  struct err *err)
{
    *stop = false;
    return 0;
}

static int tell(struct search *search, size_t number, enum search_state state, bool has_value,
                double value, struct err *err)
{
    return 0;
}

static int restore(struct search *search, const struct search_past *past, struct err *err)
{
    return 0;
}

static void random_free(struct search *search)
{
    struct random_search *s = CONTAINER_OF(search, struct random_search, search);
    free(s->stage);
    free(s);
}

static const struct search_ops ops = {"random", ask, report, tell, restore, random_free};

struct search *search_random_new(const struct search_spec *spec, const struct search_options *o)
{
    struct random_search *s = mem_alloc(sizeof *s);
    s->search.ops = &ops;
    s->o = *o;
    s->stage = mem_dup(o->stage);
    s->trials = spec->trials;
    return &s->search;
}
