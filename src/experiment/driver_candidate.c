/* What a trial builds on, and which one is the next. See driver_priv.h. */
#include "base/json.h"
#include "base/mem.h"
#include "experiment/driver_priv.h"
#include <stdlib.h>
#include <string.h>

/* ---- options ----------------------------------------------------------------------------------
 */

static void options_of_variant(const struct variants *v, size_t index, struct assignment *out)
{
    struct pick *picks = mem_array(v->picks_max + 1, sizeof *picks);
    size_t n = variant_picks(v, index, picks);
    for (size_t i = 0; i < n; i++)
        assignment_add(out, (struct chosen){picks[i].choice,
                                            choice_value(picks[i].choice, picks[i].element),
                                            picks[i].element});
    free(picks);
}

static void add_drawn(const struct stage_run *s, const struct dimension_value *values,
                      struct assignment *out)
{
    struct dimension_pick *picks = mem_array(s->dimensions.count + 1, sizeof *picks);
    size_t n = dimensions_picks(&s->dimensions, values, picks);
    for (size_t i = 0; i < n; i++)
        assignment_add(out, (struct chosen){picks[i].choice, picks[i].value, 0});
    free(picks);
}

/* A drawn trial's values, from its row. */
static int read_draw(const struct stage_run *s, const struct store_trial *t,
                     struct dimension_value **out, struct err *err)
{
    json_auto_t *draw = NULL;
    if (!t->draw || json_parse(str_of(t->draw), BUF_MAX_DEFAULT, &draw, err) == -1)
        return err_set(err, ERR_PARSE, "the state does not say what the trial '%s' drew", t->name);
    struct dimension_value *values = mem_array(s->dimensions.count + 1, sizeof *values);
    if (dimensions_from_json(s->dimensions.items, s->dimensions.count, draw, values, err) == -1) {
        free(values);
        return -1;
    }
    *out = values;
    return 0;
}

/* The earlier combination that a drawn trial has; SIZE_MAX where there is but one. */
static size_t combination_of(const struct stage_run *s, const struct dimension_value *values)
{
    size_t at = dimensions_earlier(&s->dimensions, values);
    if (at != SIZE_MAX && at < s->combination_count)
        return s->combinations[at];
    return s->combination_count ? s->combinations[0] : SIZE_MAX;
}

/* ---- what a trial builds on -------------------------------------------------------------------
 */

bool stage_keeps(const struct stage_run *s, const struct store_trial *t)
{
    if (t->state != TRIAL_SUCCESS && t->state != TRIAL_STOPPED)
        return false;
    if (!s->has_kept)
        return true;
    size_t lo = 0, hi = s->kept_count;
    while (lo < hi) {
        size_t middle = lo + (hi - lo) / 2;
        if (s->kept[middle] < t->number)
            lo = middle + 1;
        else
            hi = middle;
    }
    return lo < s->kept_count && s->kept[lo] == t->number;
}

/* The number of the stage's trial that has these options, or -1. */
static int64_t number_in(const struct stage_run *s, const struct assignment *options)
{
    size_t index;
    if (s->searched) {
        for (size_t i = 0; i < options->count; i++)
            if (options->items[i].choice == &s->as_choice)
                return options->items[i].value.integer;
        return -1;
    }
    return assignment_variant(options, &s->variants, &index) ? (int64_t)index : -1;
}

/* A drawn trial built on a combination of its own, which has to be the one at hand. Adds what it
 * drew to the options. */
static int add_earlier_draw(const struct stage_run *s, const struct store_trial *t,
                            struct assignment *options, bool *agrees, struct err *err)
{
    struct dimension_value *values;
    if (read_draw(s, t, &values, err) == -1)
        return -1;
    size_t combination = combination_of(s, values);
    struct assignment its = {0};
    if (combination != SIZE_MAX)
        options_of_variant(&s->variants, combination, &its);
    *agrees = assignment_agrees(&its, options);
    if (*agrees)
        add_drawn(s, values, options);
    assignment_done(&its);
    free(values);
    return 0;
}

static int add_earlier(const struct stage_run *s, size_t at, struct candidate *c, struct err *err)
{
    const struct stage_run *other = &s->d->stages[at];
    int64_t number = number_in(other, &c->options);
    struct store_trial t = {0};
    struct err why = {0};
    if (number < 0 || store_trial(s->d->o.store, (int)at, number, &t, &why) == -1) {
        c->valid = false;
        return number < 0 || why.code == ERR_NOT_FOUND ? 0 : err_copy(err, &why);
    }
    int rc = 0;
    c->valid = stage_keeps(other, &t);
    if (c->valid && other->searched)
        rc = add_earlier_draw(other, &t, &c->options, &c->valid, err);
    if (rc == 0 && c->valid) {
        c->directories[at] = trial_directory(s->d, other, t.name);
        c->marks[at] =
            mem_printf("@%s:%lld", t.fingerprint ? t.fingerprint : "", (long long)t.ended);
    }
    store_trial_done(&t);
    return rc;
}

/* The later stages first: a drawn trial's options decide what the earlier ones are. */
static int add_all_earlier(const struct stage_run *s, struct candidate *c, struct err *err)
{
    for (size_t i = s->at; c->valid && i-- > 0;)
        if (s->plan->closure[i] && add_earlier(s, i, c, err) == -1)
            return -1;
    return 0;
}

/* ---- candidates -------------------------------------------------------------------------------
 */

void candidate_done(struct candidate *c, size_t stages)
{
    for (size_t i = 0; i < stages; i++) {
        if (c->directories)
            free(c->directories[i]);
        if (c->marks)
            free(c->marks[i]);
    }
    free(c->directories);
    free(c->marks);
    free(c->values);
    free(c->name);
    json_decref(c->params);
    assignment_done(&c->options);
    store_trial_done(&c->row);
    *c = (struct candidate){0};
}

static json_t *params_of(const struct stage_run *s, const struct assignment *a)
{
    json_t *params = json_object();
    for (size_t i = 0; i < a->count; i++) {
        const struct chosen *c = &a->items[i];
        if (c->value.node && space_is_option(c->value.node))
            continue;
        const char *label = strtab_get(s->labels, str_of(c->choice->path));
        bool scalar = c->value.kind != YAML_LIST && c->value.kind != YAML_MAP;
        AUTO_BUF struct buf text = {0};
        if (!scalar)
            choice_value_write(&c->value, c->element, &text);
        json_object_set_new(params, label ? label : c->choice->label,
                            scalar ? trial_choice_json(&c->value) : json_string(buf_text(&text)));
    }
    return params;
}

/* Fills the candidate's options, name and what it builds on; the row says what it drew. */
static int describe(const struct stage_run *s, int64_t number, struct candidate *c, struct err *err)
{
    c->valid = true;
    c->directories = mem_array(s->d->count + 1, sizeof *c->directories);
    c->marks = mem_array(s->d->count + 1, sizeof *c->marks);
    size_t variant = s->searched ? combination_of(s, c->values) : (size_t)number;
    if (variant != SIZE_MAX)
        options_of_variant(&s->variants, variant, &c->options);
    if (s->searched)
        add_drawn(s, c->values, &c->options);
    assignment_sort(&c->options);
    AUTO_BUF struct buf name = {0};
    variant_name_chosen(s->labels, c->options.items, c->options.count, (size_t)number, &name);
    c->name = mem_dup(buf_text(&name));
    if (add_all_earlier(s, c, err) == -1)
        return -1;
    assignment_sort(&c->options);
    c->params = params_of(s, &c->options);
    c->directories[s->at] = trial_directory(s->d, s, c->name);
    c->marks[s->at] = mem_dup("@");
    return 0;
}

int candidate_check(const struct stage_run *s, size_t index, bool *valid, struct err *err)
{
    struct candidate c = {.valid = true};
    c.directories = mem_array(s->d->count + 1, sizeof *c.directories);
    c.marks = mem_array(s->d->count + 1, sizeof *c.marks);
    options_of_variant(&s->variants, index, &c.options);
    assignment_sort(&c.options);
    int rc = add_all_earlier(s, &c, err);
    *valid = c.valid;
    candidate_done(&c, s->d->count);
    return rc;
}

/* ---- the next one -----------------------------------------------------------------------------
 */

bool stage_left(const struct stage_run *s)
{
    return s->again_count > 0 || (s->cursor < s->total && !s->asked_all);
}

usec_t stage_wake(const struct stage_run *s)
{
    usec_t wake = USEC_FOREVER;
    for (size_t i = 0; i < s->again_count; i++)
        if (s->again[i].not_before < wake)
            wake = s->again[i].not_before;
    return wake;
}

static bool take_again(struct stage_run *s, int64_t *number)
{
    usec_t now = driver_now(s->d);
    for (size_t i = 0; i < s->again_count; i++) {
        if (s->again[i].not_before > now)
            continue;
        *number = s->again[i].number;
        memmove(&s->again[i], &s->again[i + 1], (s->again_count - i - 1) * sizeof *s->again);
        s->again_count--;
        return true;
    }
    return false;
}

/* The values of a drawn trial: from its row, or else from the search. */
static int draw(struct stage_run *s, int64_t number, struct candidate *c,
                enum search_answer *answer, struct err *err)
{
    *answer = SEARCH_TRIAL;
    if (c->row.id)
        return read_draw(s, &c->row, &c->values, err);
    c->values = mem_array(s->dimensions.count + 1, sizeof *c->values);
    return s->search->ops->ask(s->search, (size_t)number, c->values, answer, err);
}

/* 0 with *next NEXT_NONE: that number is done with. */
static int look_at(struct stage_run *s, int64_t number, struct candidate *c, enum stage_next *next,
                   struct err *err)
{
    struct err why = {0};
    enum search_answer answer = SEARCH_TRIAL;
    *next = NEXT_NONE;
    if (store_trial(s->d->o.store, (int)s->at, number, &c->row, &why) == -1 &&
        why.code != ERR_NOT_FOUND)
        return err_copy(err, &why);
    if (c->row.id && (c->row.state == TRIAL_SUCCESS || c->row.state == TRIAL_STOPPED ||
                      c->row.state == TRIAL_RUNNING)) /* it outlived an earlier driver */
        return 0;
    if (s->searched && draw(s, number, c, &answer, err) == -1)
        return -1;
    if (answer != SEARCH_TRIAL) {
        s->asked_all = answer == SEARCH_END;
        *next = answer == SEARCH_WAIT ? NEXT_WAIT : NEXT_NONE;
        return 0;
    }
    if (describe(s, number, c, err) == -1)
        return -1;
    if (c->valid)
        *next = NEXT_TRIAL;
    return 0;
}

int stage_next(struct stage_run *s, struct candidate *out, enum stage_next *next, struct err *err)
{
    for (;;) {
        int64_t number = s->cursor;
        bool again = take_again(s, &number);
        if (!again && (s->cursor >= s->total || s->asked_all)) {
            *next = s->again_count ? NEXT_WAIT : NEXT_NONE;
            return 0;
        }
        struct candidate c = {0};
        enum stage_next found;
        if (look_at(s, number, &c, &found, err) == -1) {
            candidate_done(&c, s->d->count);
            return -1;
        }
        if (!again && found != NEXT_WAIT)
            s->cursor++;
        if (found == NEXT_TRIAL) {
            c.row.stage = (int)s->at;
            c.row.number = number;
            *out = c;
        } else {
            candidate_done(&c, s->d->count);
        }
        if (found != NEXT_NONE) {
            *next = found;
            return 0;
        }
    }
}
