/* A stage's beginning and end. See driver_priv.h. */
#include "base/json.h"
#include "base/mem.h"
#include "experiment/driver_priv.h"
#include <stdlib.h>
#include <string.h>

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
        if (earlier && candidate_check(s, i, &valid, err) == -1)
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
    if (store_counts(s->d->o.store, (int)s->at, &counts, err) == -1 ||
        store_each_trial(s->d->o.store, &q, note_best, s, err) == -1)
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
    int rc = store_each_trial(s->d->o.store, &q, note_number, &rows, err);
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
    AUTO_FREE char *before = store_retired_stage(s->d->o.store, s->stage->name);
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
    int rc = store_put_stage(s->d->o.store, &row, err);
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
    if (store_stages(s->d->o.store, &stages, &count, err) == -1)
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
    driver_say(s->d, DRIVER_STAGE_BEGAN, s, NULL, false, NULL);
    if (recover(s, err) == -1 || stage_put(s, STAGE_RUNNING, err) == -1)
        return -1;
    return store_sync(s->d->o.store, err);
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
    if (store_each_trial(s->d->o.store, &q, note_kept, &k, err) == -1)
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
    return store_each_trial(s->d->o.store, &q, note_drawn, &k, err);
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
    return store_sync(s->d->o.store, err);
}
