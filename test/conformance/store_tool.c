/* Makes an experiment's state from lines of JSON on standard input, each an object:
 *   {"set": {"name": "sweep", …}}
 *   {"stage": {"id": 0, "name": "train", "state": 1, "planned": 5, "metric": "loss", …}}
 *   {"trial": {"stage": 0, "number": 0, "name": "lr=1_0", "state": 2, "metrics": {"loss": [1, 2]}}}
 *   {"commit": true} */
#include "base/json.h"
#include "base/mem.h"
#include "experiment/store.h"
#include "os/fs.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct err err;

static char *text(const json_t *o, const char *key)
{
    return (char *)json_text(o, key);
}

static int64_t number(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static double real(const json_t *v)
{
    return json_is_string(v) ? strtod(json_string_value(v), NULL) : json_number_value(v);
}

static int put_stage(struct store *s, const json_t *o)
{
    struct store_stage g = {.id = (int)number(o, "id"),
                            .name = text(o, "name"),
                            .state = (enum stage_state)number(o, "state"),
                            .planned = number(o, "planned"),
                            .at_most = json_is_true(json_object_get(o, "at_most")),
                            .metric = text(o, "metric"),
                            .maximize = json_is_true(json_object_get(o, "maximize")),
                            .note = text(o, "note")};
    return store_put_stage(s, &g, &err);
}

static int put_metrics(struct store *s, int64_t trial, const json_t *metrics)
{
    const char *tag;
    json_t *points;
    json_object_foreach((json_t *)metrics, tag,
                        points) for (size_t i = 0; i < json_array_size(points);
                                     i++) if (store_add_point(s, trial, str_of(tag), (int64_t)i, 0,
                                                              real(json_array_get(points, i)),
                                                              &err) == -1) return -1;
    return 0;
}

static int put_trial(struct store *s, const json_t *o)
{
    const json_t *params = json_object_get(o, "params"),
                 *objective = json_object_get(o, "objective");
    AUTO_FREE char *params_text = params ? json_dumps(params, 0) : NULL;
    struct store_trial had = {0}, t = {.stage = (int)number(o, "stage"),
                                       .number = number(o, "number"),
                                       .name = text(o, "name"),
                                       .params = params_text,
                                       .state = (enum trial_state)number(o, "state"),
                                       .attempts = (int)number(o, "attempts"),
                                       .started = number(o, "started") * USEC_PER_SEC,
                                       .ended = number(o, "ended") * USEC_PER_SEC,
                                       .end = text(o, "end"),
                                       .exit_status = (int)number(o, "exit_status"),
                                       .message = text(o, "message"),
                                       .has_objective = objective != NULL,
                                       .objective = real(objective)};
    if (store_trial(s, t.stage, t.number, &had, NULL) == 0)
        t.id = had.id;
    store_trial_done(&had);
    if (store_put_trial(s, &t, &err) == -1)
        return -1;
    return put_metrics(s, t.id, json_object_get(o, "metrics"));
}

static int set_facts(struct store *s, const json_t *o)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)o, key, value) if (store_set(s, key, json_string_value(value),
                                                               &err) == -1) return -1;
    return 0;
}

static int obey(struct store *s, const json_t *line)
{
    const json_t *o = json_object_get(line, "stage");
    if (o)
        return put_stage(s, o);
    o = json_object_get(line, "trial");
    if (o)
        return put_trial(s, o);
    o = json_object_get(line, "set");
    return o ? set_facts(s, o) : store_commit(s, &err);
}

int main(int argc, char **argv)
{
    struct store *s = NULL;
    char *line = NULL;
    size_t room = 0;
    AUTO_FREE char *path = argc == 2 ? fs_join(argv[1], STORE_FILE) : NULL;
    if (!path ||
        store_open(argv[1], fs_exists(path) ? STORE_WRITE : STORE_CREATE, &s, &err) == -1) {
        fprintf(stderr, "store_tool: %s\n", path ? err.msg : "one directory is needed");
        return 1;
    }
    int rc = 0;
    while (rc == 0 && getline(&line, &room, stdin) > 0) {
        json_t *value = json_loads(line, 0, NULL);
        rc = value ? obey(s, value) : err_set(&err, ERR_PARSE, "malformed line: %s", line);
        json_decref(value);
    }
    if (rc == 0)
        rc = store_commit(s, &err);
    if (rc == -1)
        fprintf(stderr, "store_tool: %s\n", err.msg);
    free(line);
    store_close(s);
    return rc == 0 ? 0 : 1;
}
