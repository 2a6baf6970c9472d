/* The operator's requests: POST /_sandbox/COMMAND with a JSON object, by whoever has the token of
 * DIR/control.json. The answer is {"text": …, "result": …}, or {"error": …, "exit": …}. */
#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include "sandbox/alarms.h"
#include "sandbox/sandbox.h"
#include "sandbox/world_priv.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "/_sandbox/"
#define NAMES_MAX 512
#define NOTICE_DEFAULT 120.0 /* seconds between a reclaim's notice and its end, as in EC2 */

struct control {
    struct sandbox *s;
    const json_t *args;
    struct buf text;
    json_t *result; /* or NULL */
};

typedef int control_fn(struct control *c, struct err *err);

/* ---- answers -------------------------------------------------------------------------------- */

static void send_json(struct httpd_request *r, int status, const json_t *j)
{
    static const char *const headers[] = {"Content-Type: application/json",
                                          "Cache-Control: no-store", NULL};
    AUTO_BUF struct buf body = {0};
    json_write(j, false, &body);
    httpd_answer(r, status, headers, buf_view(&body));
}

static void send_error(struct httpd_request *r, int status, const struct err *err)
{
    json_auto_t *j = json_object();
    json_object_set_new(j, "error", json_string(err->msg));
    json_object_set_new(j, "exit", json_integer(err_exit_status(err->code) == 2 ? 2 : 1));
    send_json(r, status, j);
}

void control_done(struct httpd_request *r, const char *text, const struct err *err)
{
    if (!r)
        return;
    if (err) {
        send_error(r, 500, err);
        return;
    }
    json_auto_t *j = json_object();
    json_object_set_new(j, "text", json_string(text));
    send_json(r, 200, j);
}

/* ---- arguments ------------------------------------------------------------------------------ */

static const char *text_arg(const struct control *c, const char *name)
{
    return json_text(c->args, name);
}

static bool flag_arg(const struct control *c, const char *name)
{
    return json_is_true(json_object_get(c->args, name));
}

static bool number_arg(const struct control *c, const char *name, double *out)
{
    const json_t *j = json_object_get(c->args, name);
    if (!json_is_number(j))
        return false;
    *out = json_number_value(j);
    return true;
}

static struct world_instance *instance_arg(const struct control *c, struct err *err)
{
    const char *name = text_arg(c, "instance");
    if (!name) {
        err_set(err, ERR_USAGE, "which instance? give its id or its Name tag");
        return NULL;
    }
    struct world_instance *found = world_find(c->s->world, name);
    if (found)
        return found;
    const char *names[NAMES_MAX];
    size_t count = 0;
    FOR_EACH(struct world_instance, i, c->s->world, KIND_INSTANCE)
    {
        const char *tag = tag_get(&i->r, "Name");
        if (count + 2 > NAMES_MAX)
            break;
        names[count++] = i->r.id;
        if (tag)
            names[count++] = tag;
    }
    const char *near = str_nearest(name, names, count);
    if (near)
        err_set(err, ERR_NOT_FOUND, "there is no instance '%s'; did you mean '%s'?", name, near);
    else
        err_set(err, ERR_NOT_FOUND, "there is no instance '%s'", name);
    return NULL;
}

/* ---- status --------------------------------------------------------------------------------- */

static void status_text(struct control *c)
{
    const json_t *r = c->result;
    size_t at;
    json_t *i;
    buf_addf(&c->text, "running at %s, region %s, %s hosts, in %s\n", json_text(r, "endpoint"),
             json_text(r, "region"), json_text(r, "hosts"), c->s->dir);
    size_t faults = json_array_size(json_object_get(r, "faults"));
    if (faults)
        buf_addf(&c->text, "%zu fault%s on demand: type 'flambe-sandbox fault list'\n", faults,
                 faults == 1 ? "" : "s");
    int held = server_held(c->s->server);
    if (held)
        buf_addf(&c->text, "%d request%s held: type 'flambe-sandbox release'\n", held,
                 held == 1 ? "" : "s");
    json_t *instances = json_object_get(r, "instances");
    if (json_array_size(instances) == 0)
        buf_adds(&c->text, "no instances\n");
    json_array_foreach(instances, at, i)
    {
        const char *name = json_text(i, "name"), *ip = json_text(i, "public_ip");
        buf_addf(&c->text, "%-20s %-13s %-12s %-11s %-15s %s\n", json_text(i, "id"),
                 json_text(i, "state"), json_text(i, "type"), json_text(i, "zone"), ip ? ip : "-",
                 name ? name : "");
    }
}

static int run_status(struct control *c, struct err *err)
{
    (void)err;
    struct sandbox *s = c->s;
    AUTO_FREE char *endpoint = mem_printf("http://127.0.0.1:%d", s->settings.port);
    AUTO_STRV struct strv alarms = {0};
    alarm_names(s->world, &alarms);
    json_t *names = json_array();
    for (size_t i = 0; i < alarms.count; i++)
        json_array_append_new(names, json_string(alarms.items[i]));
    c->result = world_status(s->world);
    json_object_set_new(c->result, "endpoint", json_string(endpoint));
    json_object_set_new(c->result, "dir", json_string(s->dir));
    json_object_set_new(c->result, "pid", json_integer(getpid()));
    json_object_set_new(c->result, "version", json_string(FLAMBE_VERSION));
    json_object_set_new(c->result, "ssh_port", json_integer(s->settings.ssh_port));
    json_object_set_new(c->result, "faults", faults_list(s->faults));
    json_object_set_new(c->result, "held", json_integer(server_held(s->server)));
    json_object_set_new(c->result, "alarms", names);
    status_text(c);
    return 0;
}

/* ---- faults
 * -------------------------------------------------------------------------------------------------
 */

static int check_action(const char *name, struct err *err)
{
    const char *names[NAMES_MAX];
    size_t count = 0;
    for (const struct service *s = sandbox_services; s->name; s++) {
        for (const struct api_action *a = s->actions; a->name && count < NAMES_MAX; a++) {
            if (strcmp(a->name, name) == 0)
                return 0;
            names[count++] = a->name;
        }
    }
    const char *near = str_nearest(name, names, count);
    return near ? err_set(err, ERR_USAGE, "unknown action '%s'; did you mean '%s'?", name, near)
                : err_set(err, ERR_USAGE, "unknown action '%s'", name);
}

static int check_type(const char *name, struct err *err)
{
    const char *names[NAMES_MAX];
    size_t count = 0;
    if (catalog_type(name))
        return 0;
    for (; count < catalog_type_count && count < NAMES_MAX; count++)
        names[count] = catalog_types[count].name;
    const char *near = str_nearest(name, names, count);
    return near ? err_set(err, ERR_USAGE, "unknown type '%s'; did you mean '%s'?", name, near)
                : err_set(err, ERR_USAGE, "unknown type '%s'", name);
}

static int check_zone(const struct world *w, const char *name, struct err *err)
{
    if (zone_exists(w, name))
        return 0;
    AUTO_FREE char *first = zone_name(w, 0);
    return err_set(err, ERR_USAGE, "unknown zone '%s'; zones are '%s' and so on", name, first);
}

/* "KIND" or "KIND=VALUE". */
static int read_kind(const char *text, struct fault *f, struct err *err)
{
    const char *names[FAULT_KIND_COUNT];
    struct str rest = str_of(text ? text : "");
    AUTO_FREE char *name = str_dup(str_cut(&rest, '='));
    for (size_t i = 0; i < FAULT_KIND_COUNT; i++)
        names[i] = fault_infos[i].name;
    if (!fault_kind_from_name(name, &f->kind)) {
        const char *near = str_nearest(name, names, FAULT_KIND_COUNT);
        return near ? err_set(err, ERR_USAGE, "unknown fault '%s'; did you mean '%s'?", name, near)
                    : err_set(err, ERR_USAGE,
                              "unknown fault '%s'; type 'flambe-sandbox fault add --help'", name);
    }
    const struct fault_info *info = &fault_infos[f->kind];
    f->value = info->fallback;
    if (!rest.p)
        return info->value_needed
                   ? err_set(err, ERR_USAGE, "'%s' needs a value: %s=%s", name, name, info->unit)
                   : 0;
    AUTO_FREE char *value = str_dup(rest);
    char *end = NULL;
    f->value = strtod(value, &end);
    if (!info->unit)
        return err_set(err, ERR_USAGE, "'%s' takes no value", name);
    if (end == value || *end)
        return err_set(err, ERR_USAGE, "'%s' is no number", value);
    if (f->value == FAULT_FOREVER && info->point != FAULT_POINT_CLOCK)
        return err_set(err, ERR_USAGE, "the value of '%s' is negative", name);
    return 0;
}

static void fault_line(struct buf *b, const json_t *f)
{
    static const char *const options[] = {"action", "type", "zone"};
    const json_t *value = json_object_get(f, "value");
    buf_addf(b, "%-4lld %s", (long long)json_integer_value(json_object_get(f, "id")),
             json_text(f, "kind"));
    if (value && json_number_value(value) != FAULT_FOREVER)
        buf_addf(b, "=%g", json_number_value(value));
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        if (json_text(f, options[i]))
            buf_addf(b, " --%s %s", options[i], json_text(f, options[i]));
    }
    long long count = json_integer_value(json_object_get(f, "count"));
    if (count == FAULT_FOREVER)
        buf_adds(b, " --count forever");
    else
        buf_addf(b, " --count %lld", count);
    long long skip = json_integer_value(json_object_get(f, "skip"));
    if (skip)
        buf_addf(b, " --skip %lld", skip);
    buf_addc(b, '\n');
}

static int run_fault_add(struct control *c, struct err *err)
{
    struct fault f = {.action = text_arg(c, "action"),
                      .type = text_arg(c, "type"),
                      .zone = text_arg(c, "zone"),
                      .count = 1};
    double number;
    if (read_kind(text_arg(c, "fault"), &f, err) == -1 ||
        (f.action && check_action(f.action, err) == -1) ||
        (f.type && check_type(f.type, err) == -1) ||
        (f.zone && check_zone(c->s->world, f.zone, err) == -1))
        return -1;
    if (fault_infos[f.kind].point == FAULT_POINT_CLOCK)
        f.count = FAULT_FOREVER;
    if (number_arg(c, "count", &number))
        f.count = (int64_t)number;
    if (number_arg(c, "skip", &number))
        f.skip = (int64_t)number;
    int id = faults_add(c->s->faults, &f, err);
    if (id == -1)
        return -1;
    buf_addf(&c->text, "fault %d is armed\n", id);
    c->result = json_pack("{s:i}", "id", id);
    return 0;
}

static int run_fault_list(struct control *c, struct err *err)
{
    (void)err;
    json_t *list = faults_list(c->s->faults), *one;
    size_t i;
    int held = server_held(c->s->server);
    json_array_foreach(list, i, one) fault_line(&c->text, one);
    if (held)
        buf_addf(&c->text, "%d request%s held: type 'flambe-sandbox release'\n", held,
                 held == 1 ? " is" : "s are");
    if (json_array_size(list) == 0 && !held)
        buf_adds(&c->text, "no faults\n");
    c->result = json_pack("{s:o, s:i}", "faults", list, "held", held);
    return 0;
}

static int run_fault_clear(struct control *c, struct err *err)
{
    double id = 0;
    (void)number_arg(c, "id", &id);
    int n = faults_clear(c->s->faults, (int)id, err);
    if (n == -1)
        return -1;
    buf_addf(&c->text, "%d fault%s cleared\n", n, n == 1 ? "" : "s");
    return 0;
}

static int run_release(struct control *c, struct err *err)
{
    (void)err;
    int n = server_release(c->s->server);
    buf_addf(&c->text, "%d request%s released\n", n, n == 1 ? "" : "s");
    c->result = json_pack("{s:i}", "released", n);
    return 0;
}

/* ---- instances ------------------------------------------------------------------------------ */

static int run_kill(struct control *c, struct err *err)
{
    struct world_instance *i = instance_arg(c, err);
    if (!i || world_kill(c->s->world, i, err) == -1)
        return -1;
    buf_addf(&c->text, "%s has lost its power\n", i->r.id);
    return 0;
}

static int run_reclaim(struct control *c, struct err *err)
{
    double notice = NOTICE_DEFAULT;
    (void)number_arg(c, "notice", &notice);
    struct world_instance *i = instance_arg(c, err);
    if (!i)
        return -1;
    if (!(notice >= 0 && notice <= 86400))
        return err_set(err, ERR_USAGE, "the notice must be between 0 and 86400 seconds");
    if (world_reclaim(c->s->world, i, (usec_t)(notice * (double)USEC_PER_SEC), err) == -1)
        return -1;
    buf_addf(&c->text, "%s is told now, and ended in %g s\n", i->r.id, notice);
    return 0;
}

static int run_partition(struct control *c, struct err *err)
{
    struct world_instance *i = instance_arg(c, err);
    bool on = !flag_arg(c, "off");
    if (!i || world_partition(c->s->world, i, on, err) == -1)
        return -1;
    buf_addf(&c->text, "%s is %s the network\n", i->r.id, on ? "cut off from" : "back on");
    return 0;
}

static int freeze(struct control *c, bool on, struct err *err)
{
    struct world_instance *i = instance_arg(c, err);
    if (!i || world_freeze(c->s->world, i, on, err) == -1)
        return -1;
    buf_addf(&c->text, "%s %s\n", i->r.id, on ? "hangs" : "goes on");
    return 0;
}

static int run_freeze(struct control *c, struct err *err)
{
    return freeze(c, true, err);
}

static int run_thaw(struct control *c, struct err *err)
{
    return freeze(c, false, err);
}

static int run_console(struct control *c, struct err *err)
{
    struct world_instance *i = instance_arg(c, err);
    AUTO_BUF struct buf raw = {0};
    if (!i)
        return -1;
    world_console(c->s->world, i, &raw);
    size_t bad, from = 0;
    while (!str_is_utf8((struct str){buf_text(&raw) + from, raw.len - from}, &bad)) {
        from += bad;
        raw.data[from++] = '?';
    }
    buf_add_str(&c->text, buf_view(&raw));
    return 0;
}

static int run_set(struct control *c, struct err *err)
{
    const char *name = text_arg(c, "name");
    double value;
    if (!name || !number_arg(c, "value", &value))
        return err_set(err, ERR_USAGE, "give a setting's name and a number");
    if (world_set(c->s->world, name, value, err) == -1 || sandbox_save(c->s, err) == -1)
        return -1;
    buf_addf(&c->text, "%s is %g\n", name, value);
    return 0;
}

/* ---- alarms
 * ----------------------------------------------------------------------------------------------------
 */

static int act_on(struct control *c, const char *action_name, const char *instance_id,
                  struct err *err)
{
    const struct service *ec2 = service_named(sandbox_services, STR("ec2"));
    const struct api_action *action = service_action(ec2, action_name);
    AUTO_FREE char *text =
        mem_printf("Action=%s&Version=%s&InstanceId.1=%s", action_name, ec2->version, instance_id);
    struct params *params = params_parse(str_of(text));
    struct api_reply reply = {0};
    int rc = 0;
    if (!action || !params)
        rc = err_set(err, ERR_INTERNAL, "cannot run %s", action_name);
    else
        server_run(c->s->server, ec2, action, params, &reply);
    if (reply.failed)
        rc = err_set(err, ERR_REJECTED, "%s of '%s' failed: %s", action_name, instance_id,
                     reply.code);
    params_free(params);
    buf_done(&reply.body);
    return rc;
}

static int run_fire_alarm(struct control *c, struct err *err)
{
    const char *name = text_arg(c, "alarm"), *instance_id = NULL;
    AUTO_STRV struct strv actions = {0};
    if (!name)
        return err_set(err, ERR_USAGE, "which alarm? give its name");
    if (alarm_fire(c->s->world, name, clock_wall(c->s->clock), &actions, &instance_id, err) == -1) {
        AUTO_STRV struct strv names = {0};
        alarm_names(c->s->world, &names);
        const char *near = str_nearest(name, (const char *const *)names.items, names.count);
        if (near)
            return err_set(err, ERR_NOT_FOUND, "there is no alarm '%s'; did you mean '%s'?", name,
                           near);
        return -1;
    }
    for (size_t i = 0; i < actions.count; i++) {
        if (!instance_id || act_on(c, actions.items[i], instance_id, err) == -1)
            return -1;
        buf_addf(&c->text, "'%s' fired: %s of %s\n", name, actions.items[i], instance_id);
    }
    if (actions.count == 0)
        buf_addf(&c->text, "'%s' fired; it has no action on an instance\n", name);
    return sandbox_save(c->s, err);
}

/* ---- the whole
 * ---------------------------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    control_fn *run;
} commands[] = {
    {"console", run_console},
    {"fault-add", run_fault_add},
    {"fault-clear", run_fault_clear},
    {"fault-list", run_fault_list},
    {"fire-alarm", run_fire_alarm},
    {"freeze", run_freeze},
    {"kill", run_kill},
    {"partition", run_partition},
    {"reclaim", run_reclaim},
    {"release", run_release},
    {"set", run_set},
    {"status", run_status},
    {"thaw", run_thaw},
};

static control_fn *find_command(struct str name)
{
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        if (str_is(name, commands[i].name))
            return commands[i].run;
    }
    return NULL;
}

static bool may(const struct sandbox *s, const struct httpd_request *r)
{
    AUTO_FREE char *wanted = mem_printf("Bearer %s", s->control_token);
    return digest_equal(httpd_header(r, "Authorization"), str_of(wanted));
}

/* Errands take time, and are run from the main path. */
static void take_errand(struct sandbox *s, struct httpd_request *r, enum sandbox_errand errand)
{
    if (errand == ERRAND_STOP) {
        s->errand = errand;
        control_done(r, "stopping", NULL);
        return;
    }
    s->errand = errand;
    s->errand_request = r;
}

static void run_command(struct sandbox *s, struct httpd_request *r, control_fn *run)
{
    struct err err = {0};
    json_auto_t *args = NULL;
    if (json_parse(httpd_body(r), HTTPD_BODY_MAX, &args, &err) == -1) {
        send_error(r, 400, &err);
        return;
    }
    struct control c = {.s = s, .args = args};
    sandbox_advance(s);
    if (run(&c, &err) == -1) {
        send_error(r, 400, &err);
    } else {
        json_auto_t *j = json_object();
        json_object_set_new(j, "text", json_stringn_nocheck(buf_text(&c.text), c.text.len));
        if (c.result)
            json_object_set(j, "result", c.result);
        send_json(r, 200, j);
    }
    sandbox_advance(s);
    json_decref(c.result);
    buf_done(&c.text);
}

void control_handle(struct sandbox *s, struct httpd_request *r)
{
    struct str path = httpd_path(r);
    struct str name = {path.p + sizeof PREFIX - 1, path.n - (sizeof PREFIX - 1)};
    control_fn *run = find_command(name);
    struct err err = {0};
    if (!may(s, r)) {
        err_set(&err, ERR_PERMISSION, "the token of control.json is needed");
        send_error(r, 403, &err);
    } else if (!str_is(httpd_method(r), "POST")) {
        err_set(&err, ERR_USAGE, "the sandbox's own commands are sent by POST");
        send_error(r, 405, &err);
    } else if (s->errand != ERRAND_NONE || !s->world) {
        err_set(&err, ERR_CONFLICT, "the sandbox is stopping or being reset");
        send_error(r, 503, &err);
    } else if (str_is(name, "stop")) {
        take_errand(s, r, ERRAND_STOP);
    } else if (str_is(name, "reset")) {
        take_errand(s, r, ERRAND_RESET);
    } else if (!run) {
        err_set(&err, ERR_USAGE, "unknown command");
        send_error(r, 404, &err);
    } else {
        run_command(s, r, run);
    }
}
