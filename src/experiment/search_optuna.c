/* Search by Optuna, in a Python process of its own: optuna_helper.py, whose text is in this program
 * and whose head describes the conversation.
 *
 * The sampler's seed is the upper half of the first random number of the stream "optuna", new line,
 * stage (random.h). Whatever the helper says is checked: it is a program of the user's. Answers
 * bear their question's number, so that one that was not awaited, for a cancel, is passed over. */
#include "base/json.h"
#include "base/mem.h"
#include "experiment/dimensions.h"
#include "experiment/random.h"
#include "experiment/search_priv.h"
#include "os/talk.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const char optuna_helper_text[];

#define HELLO "flambe-optuna 1"
#define HELLO_LINES_MAX 1000 /* that Python's own start may print before */
#define ANSWER_TIMEOUT (60 * USEC_PER_SEC)
#define WHOLE_MAX ((int64_t)1 << 53) /* Optuna's samplers count in doubles */

struct optuna_search {
    struct search search;
    struct search_options o;
    struct talk *talk;
    char *python;
    size_t trials;
    bool prunes;
    json_int_t last_id;
    struct err broken; /* why the helper is of no use any more, or nothing */
};

static const char *const state_names[] = {[SEARCH_COMPLETE] = "complete",
                                          [SEARCH_PRUNED] = "pruned",
                                          [SEARCH_FAILED] = "failed",
                                          [SEARCH_RUNNING] = "running"};

/* ---- the conversation ------------------------------------------------------------------------ */

static int broke(struct optuna_search *s, const struct err *why, struct err *err)
{
    if (why->code != ERR_CANCELLED)
        err_copy(&s->broken, why);
    return err_copy(err, why);
}

static int nonsense(struct optuna_search *s, const char *what, struct err *err)
{
    struct err why = {0};
    err_set(&why, ERR_PARSE, "the answer of '%s' is damaged: %s", s->python, what);
    return broke(s, &why, err);
}

/* Takes the message. */
static int say(struct optuna_search *s, json_t *message, struct err *err)
{
    json_auto_t *owned = message;
    AUTO_BUF struct buf line = {.max = TALK_QUEUE_MAX};
    struct err why = {0};
    if (s->broken.code)
        return err_copy(err, &s->broken);
    json_object_set_new(owned, "id", json_integer(++s->last_id));
    json_write(owned, false, &line);
    if (talk_send(s->talk, buf_view(&line), &why) == -1)
        return broke(s, &why, err);
    return 0;
}

static bool is_package(const char *name)
{
    size_t n = name ? strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") : 0;
    return n > 0 && n < 40 && name[n] == '\0';
}

/* What the helper says went wrong; it goes on working. */
static int refusal(const struct optuna_search *s, const json_t *answer, struct err *err)
{
    const char *kind = json_text(answer, "error"), *message = json_text(answer, "message");
    const char *package = json_text(answer, "package");
    if (!message)
        message = "it does not say why";
    if (strcmp(kind, "missing") == 0 && is_package(package))
        return err_set(err, ERR_NOT_FOUND,
                       "'%s' has no package '%s': type 'apt install python3-%s', or 'pip install "
                       "%s'; FLAMBE_PYTHON names another Python",
                       s->python, package, package, package);
    if (strcmp(kind, "missing") == 0)
        return err_set(err, ERR_NOT_FOUND, "a package of '%s' is missing: %s", s->python, message);
    if (strcmp(kind, "refused") == 0)
        return err_set(err, ERR_FILE, "%s", message);
    return err_set(err, ERR_REMOTE, "Optuna failed: %s", message);
}

/* The answer to the last message; *ok (owned by the caller) is what it is. */
static int hear(struct optuna_search *s, json_t **ok, struct err *err)
{
    struct err why = {0};
    for (;;) {
        struct str line;
        json_auto_t *answer = NULL;
        if (talk_receive(s->talk, ANSWER_TIMEOUT, &line, &why) == -1)
            return broke(s, &why, err);
        if (json_parse(line, TALK_LINE_MAX, &answer, &why) == -1)
            return nonsense(s, why.msg, err);
        const json_t *id = json_object_get(answer, "id");
        if (!json_is_integer(id) || json_integer_value(id) > s->last_id)
            return nonsense(s, "it answers no question", err);
        if (json_integer_value(id) < s->last_id)
            continue;
        if (json_text(answer, "error"))
            return refusal(s, answer, err);
        json_t *value = json_object_get(answer, "ok");
        if (!value)
            return nonsense(s, "it says nothing", err);
        *ok = json_incref(value);
        return 0;
    }
}

static int talk_over(struct optuna_search *s, json_t *message, json_t **ok, struct err *err)
{
    if (say(s, message, err) == -1)
        return -1;
    return hear(s, ok, err);
}

/* ---- the calls ------------------------------------------------------------------------------- */

static int ask(struct search *search, size_t number, struct dimension_value *values,
               enum search_answer *answer, struct err *err)
{
    struct optuna_search *s = CONTAINER_OF(search, struct optuna_search, search);
    if (number >= s->trials) {
        *answer = SEARCH_END;
        return 0;
    }
    json_auto_t *ok = NULL;
    json_t *message = json_pack("{s:s, s:I}", "do", "ask", "number", (json_int_t)number);
    if (talk_over(s, message, &ok, err) == -1)
        return -1;
    size_t n = s->o.dimension_count;
    AUTO_FREE struct dimension_value *got = mem_array(n + 1, sizeof *got);
    struct err why = {0};
    if (dimensions_from_json(s->o.dimensions, n, ok, got, &why) == -1)
        return nonsense(s, why.msg, err);
    for (size_t i = 0; i < n; i++) {
        if (!got[i].unused && s->o.dimensions[i].kind == DIMENSION_FLOAT)
            got[i].real = dimension_round(&s->o.dimensions[i], got[i].real);
        values[i] = got[i];
    }
    *answer = SEARCH_TRIAL;
    return 0;
}

/* Without a pruner nobody waits for the answer: the values only help to learn from the trials that
 * a scheduler ended early. */
static int report(struct search *search, size_t number, int64_t step, double value, bool *stop,
                  struct err *err)
{
    struct optuna_search *s = CONTAINER_OF(search, struct optuna_search, search);
    json_auto_t *ok = NULL;
    json_t *message =
        json_pack("{s:s, s:I, s:I, s:o, s:b}", "do", "report", "number", (json_int_t)number, "step",
                  (json_int_t)step, "value", json_number(value), "quiet", !s->prunes);
    if (!s->prunes) {
        if (say(s, message, err) == -1)
            return -1;
        *stop = false;
        return 0;
    }
    if (talk_over(s, message, &ok, err) == -1)
        return -1;
    if (!json_is_boolean(ok))
        return nonsense(s, "neither true nor false", err);
    *stop = json_is_true(ok);
    return 0;
}

static int tell(struct search *search, size_t number, enum search_state state, bool has_value,
                double value, struct err *err)
{
    struct optuna_search *s = CONTAINER_OF(search, struct optuna_search, search);
    json_auto_t *ok = NULL;
    json_t *message =
        json_pack("{s:s, s:I, s:s, s:o}", "do", "tell", "number", (json_int_t)number, "state",
                  state_names[state], "value", has_value ? json_number(value) : json_null());
    return talk_over(s, message, &ok, err);
}

static int restore(struct search *search, const struct search_past *past, struct err *err)
{
    struct optuna_search *s = CONTAINER_OF(search, struct optuna_search, search);
    json_t *points = json_array();
    for (size_t i = 0; i < past->point_count; i++)
        json_array_append_new(points, json_pack("[I, o]", (json_int_t)past->points[i].step,
                                                json_number(past->points[i].value)));
    json_t *values = dimensions_to_json(s->o.dimensions, s->o.dimension_count, past->values);
    return say(s,
               json_pack("{s:s, s:I, s:o, s:s, s:o, s:o, s:b}", "do", "restore", "number",
                         (json_int_t)past->number, "values", values, "state",
                         state_names[past->state], "value",
                         past->has_value ? json_number(past->value) : json_null(), "points", points,
                         "quiet", 1),
               err);
}

static void optuna_free(struct search *search)
{
    struct optuna_search *s = CONTAINER_OF(search, struct optuna_search, search);
    talk_free(s->talk);
    free(s->python);
    free(s);
}

static const struct search_ops ops = {"optuna", ask, report, tell, restore, optuna_free};

/* ---- its start ------------------------------------------------------------------------------- */

static json_t *dimension_json(const struct dimension *d)
{
    json_t *o = json_pack("{s:s, s:I, s:I, s:b}", "name", d->name, "parent",
                          d->parent == SIZE_MAX ? (json_int_t)-1 : (json_int_t)d->parent, "element",
                          (json_int_t)d->parent_element, "log", d->log);
    switch (d->kind) {
    case DIMENSION_CATEGORY:
        json_object_set_new(o, "kind", json_string("category"));
        json_object_set_new(o, "count", json_integer((json_int_t)d->count));
        break;
    case DIMENSION_INT:
        json_object_set_new(o, "kind", json_string("int"));
        json_object_set_new(o, "lo", json_integer(d->whole_lo));
        json_object_set_new(o, "hi", json_integer(d->whole_hi - 1));
        break;
    case DIMENSION_FLOAT:
        json_object_set_new(o, "kind", json_string("float"));
        json_object_set_new(o, "lo", json_number(d->lo));
        json_object_set_new(o, "hi", json_number(d->hi));
        break;
    }
    return o;
}

/* NULL stands for no options. NULL is returned where they are no object: a programmer's mistake. */
static json_t *options_json(const char *text)
{
    return text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : json_object();
}

static json_t *new_message(const struct search_spec *spec, const struct search_options *o)
{
    AUTO_FREE char *stream = mem_printf("optuna\n%s", o->stage);
    struct random random;
    random_init(&random, o->seed, str_of(stream));
    json_t *dimensions = json_array();
    for (size_t i = 0; i < o->dimension_count; i++)
        json_array_append_new(dimensions, dimension_json(&o->dimensions[i]));
    return json_pack("{s:s, s:s, s:o, s:s?, s:o, s:I, s:b, s:o}", "do", "new", "sampler",
                     spec->sampler, "sampler_options", options_json(spec->sampler_options),
                     "pruner", spec->pruner, "pruner_options", options_json(spec->pruner_options),
                     "seed", (json_int_t)(random_u64(&random) >> 32), "maximize", o->maximize,
                     "dimensions", dimensions);
}

static int check_bounds(const struct search_options *o, struct err *err)
{
    for (size_t i = 0; i < o->dimension_count; i++) {
        const struct dimension *d = &o->dimensions[i];
        if (d->kind == DIMENSION_INT && (d->whole_lo < -WHOLE_MAX || d->whole_hi > WHOLE_MAX))
            return err_set(err, ERR_LIMIT,
                           "the bounds of '%s' are too large for Optuna: allowed: %" PRId64
                           " to %" PRId64,
                           d->name, -WHOLE_MAX, WHOLE_MAX);
    }
    return 0;
}

static int await_hello(struct optuna_search *s, struct err *err)
{
    struct str line;
    for (int i = 0; i < HELLO_LINES_MAX; i++) {
        if (talk_receive(s->talk, ANSWER_TIMEOUT, &line, err) == -1)
            return -1;
        if (str_is(line, HELLO))
            return 0;
    }
    return err_set(err, ERR_PARSE, "'%s' prints something else than its program does", s->python);
}

static int start(struct optuna_search *s, const struct search_spec *spec, struct err *err)
{
    const char *const argv[] = {s->python, "-c", optuna_helper_text, NULL};
    struct err why = {0};
    if (talk_start(s->o.loop, argv, &s->talk, &why) == -1) {
        if (why.code != ERR_NOT_FOUND)
            return err_copy(err, &why);
        return err_set(
            err, ERR_NOT_FOUND,
            "there is no '%s', which Optuna needs: type 'apt install python3-optuna'; or "
            "install Python, and Optuna by 'pip install optuna', and let FLAMBE_PYTHON "
            "name it",
            s->python);
    }
    if (await_hello(s, err) == -1)
        return -1;
    json_auto_t *version = NULL;
    return talk_over(s, new_message(spec, &s->o), &version, err);
}

int search_optuna_new(const struct search_spec *spec, const struct search_options *o,
                      struct search **out, struct err *err)
{
    if (check_bounds(o, err) == -1)
        return -1;
    struct optuna_search *s = mem_alloc(sizeof *s);
    const char *python = getenv("FLAMBE_PYTHON");
    s->search.ops = &ops;
    s->o = *o;
    s->python = mem_dup(python && python[0] ? python : "python3");
    s->trials = spec->trials;
    s->prunes = spec->pruner != NULL;
    if (start(s, spec, err) == -1) {
        search_free(&s->search);
        return -1;
    }
    *out = &s->search;
    return 0;
}
