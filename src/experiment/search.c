/* See search.h. */
#include "experiment/search.h"
#include "experiment/search_priv.h"
#include <stdlib.h>

const char *search_kind_name(enum search_kind k)
{
    static const char *const names[] = {
        [SEARCH_GRID] = "grid", [SEARCH_RANDOM] = "random", [SEARCH_OPTUNA] = "optuna"};
    return names[k];
}

void search_spec_done(struct search_spec *s)
{
    free(s->sampler);
    free(s->sampler_options);
    free(s->pruner);
    free(s->pruner_options);
    strv_done(&s->log);
    *s = (struct search_spec){0};
}

bool search_needs_objective(const struct search_spec *s)
{
    return s->kind == SEARCH_OPTUNA;
}

int search_new(const struct search_spec *spec, const struct search_options *o, struct search **out,
               struct err *err)
{
    int rc = -1;
    switch (spec->kind) {
    case SEARCH_GRID:
        return err_set(err, ERR_INTERNAL, "stage '%s': a grid has no search", o->stage);
    case SEARCH_RANDOM:
        *out = search_random_new(spec, o);
        return 0;
    case SEARCH_OPTUNA:
        rc = search_optuna_new(spec, o, out, err);
        break;
    }
    return rc == 0 ? 0 : err_wrap(err, "the search of stage '%s'", o->stage);
}

void search_free(struct search *s)
{
    if (s)
        s->ops->free(s);
}

void scheduler_spec_done(struct scheduler_spec *s)
{
    free(s->metric);
    free(s->time_attr);
    *s = (struct scheduler_spec){0};
}

bool scheduler_needs_metric(const struct scheduler_spec *s)
{
    return s->kind == SCHEDULER_ASHA && !s->metric;
}
