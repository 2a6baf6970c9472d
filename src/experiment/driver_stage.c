/* A stage's trials, in their order, and what each of them builds on. See driver_priv.h. */
#include "base/json.h"
#include "base/mem.h"
#include "experiment/driver_priv.h"
#include <stdlib.h>
#include <string.h>

/* ---- what is enumerated -----------------------------------------------------------------------
 */

static struct store *store_of(const struct stage_run *s)
{
    return s->d->o.store;
}

/* The spaces of the closure. `enumerated`: earlier searched stages by their trials, and a searched
 * stage without its own options; else all options, for their names. */
static size_t spaces_of(const struct stage_run *s, bool enumerated, const struct space **out)
{
    size_t count = 0;
    for (size_t i = 0; i <= s->at; i++) {
        const struct stage_run *other = &s->d->stages[i];
        if (!s->plan->closure[i])
            continue;
        if (other->searched && i < s->at)
            out[count++] = &other->as_space;
        if (!enumerated || !other->searched)
            out[count++] = &other->stage->space;
    }
    return count;
}

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
    if (number < 0 || store_trial(store_of(s), (int)at, number, &t, &why) == -1) {
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
    if (store_trial(store_of(s), (int)s->at, number, &c->row, &why) == -1 &&
        why.code != ERR_NOT_FOUND)
        return err_copy(err, &why);
    if (c->row.id && (c->row.state == TRIAL_SUCCESS || c->row.state == TRIAL_STOPPED))
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

/* ---- opening ----------------------------------------------------------------------------------
 */

/* One value of each type: more tell nothing of a column's type, and every trial looks at them. */
static void add_type(json_t *values, json_t *value)
{
    size_t i;
    json_t *had;
    json_array_foreach(values, i, had)
    {
        if (json_typeof(had) == json_typeof(value)) {
            json_decref(value);
            return;
        }
    }
    json_array_append_new(values, value);
}

/* What a hyper-parameter may be, for TensorBoard's columns. */
static void add_domain(const struct stage_run *s, const struct choice *c, json_t *domains)
{
    const char *label = strtab_get(s->labels, str_of(c->path));
    json_t *values = json_object_get(domains, label ? label : c->label);
    if (!values) {
        values = json_array();
        json_object_set_new(domains, label ? label : c->label, values);
    }
    for (size_t i = 0; json_is_array(values) && !c->drawn && i < c->count; i++) {
        struct choice_value v = choice_value(c, i);
        if (v.node && space_is_option(v.node))
            continue;
        bool scalar = v.kind != YAML_LIST && v.kind != YAML_MAP;
        add_type(values, scalar ? trial_choice_json(&v) : json_string("alt"));
    }
    if (c->drawn) {
        const struct yaml_node *lo = c->node->items[0], *hi = c->node->items[1];
        add_type(values, json_real(lo->real));
        add_type(values, json_real(hi->real));
    }
}

static void add_domains(const struct stage_run *s, const struct choice_list *l, json_t *domains)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct choice *c = l->items[i];
        if (c->node->kind == YAML_LIST && strtab_get(s->labels, str_of(c->path)) &&
            space_is_option(c->node))
            add_domain(s, c, domains);
        for (size_t k = 0; c->inner && k < c->count; k++)
            add_domains(s, &c->inner[k], domains);
    }
}

static int make_enumeration(struct stage_run *s, struct err *err)
{
    const struct space **spaces = mem_array(2 * s->d->count + 2, sizeof *spaces);
    size_t count = spaces_of(s, true, spaces);
    int rc = variants_make(spaces, count, &s->variants, err);
    if (rc == 0) {
        count = spaces_of(s, false, spaces);
        s->labels = variant_labels(spaces, count);
        s->domains = json_object();
        for (size_t i = 0; i < count; i++)
            add_domains(s, &spaces[i]->choices, s->domains);
    }
    free(spaces);
    return rc;
}

/* Whether all that the variant builds on has a result. */
static int check_variant(const struct stage_run *s, size_t index, bool *valid, struct err *err)
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

static bool has_earlier(const struct stage_run *s)
{
    for (size_t i = 0; i < s->at; i++)
        if (s->plan->closure[i])
            return true;
    return false;
}

/* The combinations that a searched stage draws from, or, of another, how many variants can run. */
static int count_valid(struct stage_run *s, struct err *err)
{
    size_t valid_count = 0;
    bool earlier = has_earlier(s);
    if (s->searched && s->variants.total > COMBINATIONS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d combinations of earlier trials",
                       COMBINATIONS_MAX);
    if (s->searched)
        s->combinations = mem_array(s->variants.total + 1, sizeof *s->combinations);
    for (size_t i = 0; (earlier || s->searched) && i < s->variants.total; i++) {
        bool valid = true;
        if (earlier && check_variant(s, i, &valid, err) == -1)
            return -1;
        if (valid && s->searched)
            s->combinations[s->combination_count++] = i;
        valid_count += valid;
    }
    s->total = (int64_t)s->variants.total;
    s->planned = earlier ? (int64_t)valid_count : s->total;
    if (!s->searched)
        return 0;
    dimensions_make(&s->stage->space, &s->stage->search.log,
                    s->combination_count > 1 ? s->combination_count : 0, &s->dimensions);
    s->total = s->combination_count ? (int64_t)s->stage->search.trials : 0;
    s->planned = s->total;
    return 0;
}

static bool note_best(void *ctx, const struct store_trial *t)
{
    struct stage_run *s = ctx;
    if (!t->has_objective || (t->state != TRIAL_SUCCESS && t->state != TRIAL_STOPPED))
        return t->has_objective;
    s->has_best = true;
    s->best = t->objective;
    s->best_number = t->number;
    s->best_name = mem_dup(t->name);
    return false;
}

static int read_counts(struct stage_run *s, struct err *err)
{
    struct store_counts counts;
    struct store_query q = {
        .stage = (int)s->at, .state = -1, .order = "", .descending = s->stage->objective.maximize};
    if (store_counts(store_of(s), (int)s->at, &counts, err) == -1 ||
        store_each_trial(store_of(s), &q, note_best, s, err) == -1)
        return -1;
    for (size_t i = 0; i < TRIAL_STATE_COUNT; i++)
        s->counts[i] = counts.by_state[i];
    s->counts[TRIAL_PENDING] = 0;
    return 0;
}

struct rows {
    int64_t *numbers;
    size_t count, cap;
};

static bool note_number(void *ctx, const struct store_trial *t)
{
    struct rows *r = ctx;
    MEM_PUSH_ROOM(r->numbers, r->count, r->cap);
    r->numbers[r->count++] = t->number;
    return true;
}

static int recover(struct stage_run *s, struct err *err)
{
    struct rows rows = {0};
    struct store_query q = {.stage = (int)s->at, .state = TRIAL_RUNNING};
    int rc = store_each_trial(store_of(s), &q, note_number, &rows, err);
    for (size_t i = 0; rc == 0 && i < rows.count; i++)
        rc = trial_recover(s, rows.numbers[i], err);
    free(rows.numbers);
    return rc;
}

/* What the stage's results came from, and how that differs from the earlier run's. */
static char *describe_results(const struct stage_run *s, struct buf *note)
{
    json_auto_t *now = fingerprint_stage(s->d->fingerprints, s->stage, s->d->o.file,
                                         (const char *const *)s->d->resource_marks,
                                         s->d->experiment->resource_count);
    AUTO_FREE char *before = store_retired_stage(store_of(s), s->stage->name);
    json_auto_t *old = NULL;
    if (s->taken)
        buf_addf(note, "%lld taken from the earlier run", (long long)s->taken);
    if (before && s->taken < s->planned &&
        json_parse(str_of(before), BUF_MAX_DEFAULT, &old, NULL) == 0) {
        buf_addf(note, "%s%lld run: ", note->len ? ", " : "", (long long)(s->planned - s->taken));
        AUTO_BUF struct buf why = {0};
        fingerprint_difference(old, now, &why);
        buf_add_str(note, buf_view(&why));
    }
    return json_dumps(now, JSON_COMPACT);
}

int stage_put(struct stage_run *s, enum stage_state state, struct err *err)
{
    struct store_stage row = {.id = (int)s->at,
                              .name = s->stage->name,
                              .state = state,
                              .planned = s->planned,
                              .at_most = !s->open && s->plan->at_most,
                              .metric = s->stage->objective.metric,
                              .maximize = s->stage->objective.maximize,
                              .best = s->stage->objective.best,
                              .fingerprint = s->fingerprint,
                              .note = s->note};
    AUTO_BUF struct buf note = {0};
    char *fingerprint = NULL;
    if (s->ended && (s->begun || !s->fingerprint)) {
        row.fingerprint = fingerprint = describe_results(s, &note);
        row.note = note.len ? note.data : NULL;
    }
    int rc = store_put_stage(store_of(s), &row, err);
    if (rc == 0 && note.len) {
        AUTO_FREE char *text = mem_printf("stage '%s': %s", s->stage->name, row.note);
        driver_say(s->d, DRIVER_SAYS, s, NULL, false, text);
    }
    free(fingerprint);
    return rc;
}

/* What an earlier session left of the stage's row. */
static int read_row(struct stage_run *s, struct err *err)
{
    struct store_stage *stages;
    size_t count;
    if (store_stages(store_of(s), &stages, &count, err) == -1)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (stages[i].id == (int)s->at) {
            s->fingerprint = mem_dup(stages[i].fingerprint);
            s->note = mem_dup(stages[i].note);
        }
    store_stages_free(stages, count);
    return 0;
}

int stage_open(struct stage_run *s, struct err *err)
{
    if (make_enumeration(s, err) == -1 || count_valid(s, err) == -1 || read_counts(s, err) == -1 ||
        read_row(s, err) == -1)
        return -1;
    s->open = true;
    if (s->counts[TRIAL_SUCCESS] + s->counts[TRIAL_STOPPED] < s->planned &&
        watch_open(s, err) == -1)
        return -1;
    if (recover(s, err) == -1 || stage_put(s, STAGE_RUNNING, err) == -1)
        return -1;
    return store_sync(store_of(s), err);
}

void stage_close(struct stage_run *s)
{
    variants_done(&s->variants);
    variant_labels_free(s->labels);
    dimensions_done(&s->dimensions);
    json_decref(s->domains);
    search_free(s->search);
    asha_free(s->asha);
    free(s->as_choice.numbers);
    free(s->as_choice.path);
    free(s->as_choice.label);
    free(s->as_choice.key);
    free(s->combinations);
    free(s->again);
    free(s->kept);
    free(s->best_name);
    free(s->fingerprint);
    free(s->note);
}

/* ---- the end ----------------------------------------------------------------------------------
 */

struct keeping {
    struct stage_run *s;
    size_t most, cap;
};

static bool note_kept(void *ctx, const struct store_trial *t)
{
    struct keeping *k = ctx;
    if (!t->has_objective || k->s->kept_count >= k->most)
        return false;
    if (t->state != TRIAL_SUCCESS && t->state != TRIAL_STOPPED)
        return true;
    MEM_PUSH_ROOM(k->s->kept, k->s->kept_count, k->cap);
    k->s->kept[k->s->kept_count++] = t->number;
    return true;
}

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int reduce(struct stage_run *s, struct err *err)
{
    struct keeping k = {.s = s, .most = (size_t)s->stage->reduce};
    struct store_query q = {
        .stage = (int)s->at, .state = -1, .order = "", .descending = s->stage->objective.maximize};
    if (store_each_trial(store_of(s), &q, note_kept, &k, err) == -1)
        return -1;
    s->has_kept = true;
    if (s->kept_count == 0 && s->counts[TRIAL_SUCCESS] + s->counts[TRIAL_STOPPED] > 0)
        return err_set(err, ERR_PARTIAL,
                       "no trial of '%s' reported '%s', by which the best are to be kept",
                       s->stage->name, s->stage->objective.metric);
    if (s->kept_count > 1)
        qsort(s->kept, s->kept_count, sizeof *s->kept, by_number);
    return 0;
}

static bool note_drawn(void *ctx, const struct store_trial *t)
{
    struct keeping *k = ctx;
    struct choice *c = &k->s->as_choice;
    if (!stage_keeps(k->s, t))
        return true;
    MEM_PUSH_ROOM(c->numbers, c->count, k->cap);
    c->numbers[c->count++].integer = t->number;
    return true;
}

/* A searched stage's trials, as one option of later stages. */
static int make_choice(struct stage_run *s, struct err *err)
{
    s->as_choice.path = mem_dup(s->stage->name);
    s->as_choice.label = mem_dup(s->stage->name);
    s->as_choice.key = mem_dup(s->stage->name);
    s->as_choice.stage = s->stage->name;
    s->as_choice.node = s->stage->node;
    s->as_choice.whole = s->as_choice.drawn = true;
    s->as_choice_item = &s->as_choice;
    s->as_space.choices = (struct choice_list){&s->as_choice_item, 1, 1};
    struct keeping k = {.s = s};
    struct store_query q = {.stage = (int)s->at, .state = -1};
    return store_each_trial(store_of(s), &q, note_drawn, &k, err);
}

int stage_end(struct stage_run *s, struct err *err)
{
    s->ended = true;
    if (s->asked_all)
        s->planned = s->cursor;
    if (stage_put(s, s->counts[TRIAL_FAILURE] ? STAGE_FAILED : STAGE_DONE, err) == -1 ||
        (s->stage->reduce && reduce(s, err) == -1) || (s->searched && make_choice(s, err) == -1))
        return -1;
    s->d->unsynced = false;
    return store_sync(store_of(s), err);
}
