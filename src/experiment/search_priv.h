/* The kinds of search. */
#ifndef FLAMBE_EXPERIMENT_SEARCH_PRIV_H
#define FLAMBE_EXPERIMENT_SEARCH_PRIV_H

#include "experiment/search.h"

struct search *search_random_new(const struct search_spec *spec, const struct search_options *o);
int search_optuna_new(const struct search_spec *spec, const struct search_options *o,
                      struct search **out, struct err *err) MUST_CHECK;

#endif
