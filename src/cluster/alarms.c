/* Idle alarms: the original's backstop, one CloudWatch alarm a host that terminates it.
 *
 * The original watched 60 periods of a minute for each hour; with basic monitoring CloudWatch gets
 * one value in five minutes, so a period is 300 s here, up to the day that such alarms may span,
 * and an hour above that. The CPU thresholds are the original's: below 4 % for the orchestrator,
 * below 0.5 % for factories.
 *
 * (Idleness judged on the hosts themselves, by flambe-node, will stand beside this.) */
#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include "cluster/cluster_priv.h"
#include "os/fs.h"
#include <stdlib.h>
#include <string.h>

#define ALARMS_AT_ONCE 3 /* PutMetricAlarm is good for about three a second */
#define ALARMS_THROTTLED_MAX 60
#define ALARMS_BYTES_MAX ((size_t)4 << 20)
#define ALARM_NAME_MAX 255
#define HOURS_A_DAY 24

bool alarm_shape(enum cluster_role role, int hours, struct alarm_shape *out)
{
    if (hours < 0 || hours > ALARM_HOURS_MAX)
        return false;
    out->cpu_percent = role == ROLE_ORCHESTRATOR ? 4.0 : 0.5;
    out->period_s = hours <= HOURS_A_DAY ? 300 : 3600;
    out->evaluations = hours == 0 ? 1 : hours * 3600 / out->period_s;
    return true;
}

/* '/' separates, so a name's own is escaped; a name too long for CloudWatch is cut and hashed. */
char *alarm_prefix(const char *creator, const char *name)
{
    AUTO_FREE char *who = state_component(creator);
    AUTO_FREE char *what = state_component(name);
    char *prefix = mem_printf("flambe/%s/%s/", who, what);
    if (strlen(prefix) <= ALARM_NAME_MAX - 64)
        return prefix;
    char hex[SHA256_HEX_SIZE];
    digest_sha256_hex(str_of(prefix), hex);
    free(prefix);
    return mem_printf("flambe/%.32s/", hex);
}

char *alarm_name(const char *creator, const char *name, const char *instance_id)
{
    AUTO_FREE char *prefix = alarm_prefix(creator, name);
    return mem_printf("%s%s/idle", prefix, instance_id);
}

struct alarm_work {
    struct cluster *c;
    const struct cluster_spec *spec;
    char *path;
    json_t *placed; /* instance id → the alarm's shape as text */
    int throttled;
    bool given_up;
};

static void shape_text(const struct cluster_spec *spec, enum cluster_role role, char out[48])
{
    struct alarm_shape s;
    int hours = role == ROLE_ORCHESTRATOR ? spec->orchestrator_timeout : spec->factories_timeout;
    if (alarm_shape(role, hours, &s))
        snprintf(out, 48, "%dx%d<%.1f", s.period_s, s.evaluations, s.cpu_percent);
    else
        snprintf(out, 48, "none");
}

struct alarm_work *alarms_open(struct cluster *c, const struct cluster_spec *spec)
{
    struct alarm_work *w = mem_alloc(sizeof *w);
    w->c = c;
    w->spec = spec;
    w->path = state_path(c, spec->creator, spec->name, "alarms.json");
    AUTO_BUF struct buf text = {0};
    if (fs_read(w->path, ALARMS_BYTES_MAX, &text, NULL) == 0)
        (void)!json_parse(buf_view(&text), ALARMS_BYTES_MAX, &w->placed, NULL);
    if (!json_is_object(w->placed)) { /* the worst that comes of it: alarms are renewed */
        json_decref(w->placed);
        w->placed = json_object();
    }
    return w;
}

void alarms_close(struct alarm_work *w)
{
    if (!w)
        return;
    json_decref(w->placed);
    free(w->path);
    free(w);
}

/* Whether the host's alarm, or its absence, is not yet as the file wants it. */
static bool due(const struct alarm_work *w, const struct cluster_host *h)
{
    if (!h->instance_id || h->phase == HOST_GOING || h->phase == HOST_GONE)
        return false;
    char wanted[48];
    shape_text(w->spec, h->role, wanted);
    const char *now = json_text(w->placed, h->instance_id);
    if (!now)
        return strcmp(wanted, "none") != 0;
    return strcmp(now, wanted) != 0;
}

bool alarms_pending(struct alarm_work *w, const struct cluster_hosts *hosts)
{
    if (w->given_up)
        return false;
    for (size_t i = 0; i < hosts->count; i++)
        if (due(w, &hosts->items[i]))
            return true;
    return false;
}

struct alarm_call {
    struct aws_call *call;
    const struct cluster_host *host;
    bool removal;
};

static struct alarm_call start(struct alarm_work *w, const struct cluster_host *h)
{
    AUTO_FREE char *name = alarm_name(w->spec->creator, w->spec->name, h->instance_id);
    bool first = h->role == ROLE_ORCHESTRATOR;
    int hours = first ? w->spec->orchestrator_timeout : w->spec->factories_timeout;
    struct alarm_call call = {.host = h};
    struct alarm_shape shape;
    if (!alarm_shape(h->role, hours, &shape)) {
        call.removal = true;
        call.call = cloudwatch_delete_alarms(w->c->aws, (const char *const[]){name}, 1);
        return call;
    }
    AUTO_FREE char *text = mem_printf(
        "flambe: terminates %s of cluster %s when its CPU stays below "
        "%.1f %% for %d min",
        h->name, w->spec->name, shape.cpu_percent, shape.period_s / 60 * shape.evaluations);
    call.call = cloudwatch_put_idle_alarm(w->c->aws, &(struct cloudwatch_alarm){
                                                         .name = name,
                                                         .instance_id = h->instance_id,
                                                         .period_s = shape.period_s,
                                                         .evaluation_periods = shape.evaluations,
                                                         .cpu_percent = shape.cpu_percent,
                                                         .description = text,
                                                     });
    return call;
}

static int finish(struct alarm_work *w, struct alarm_call *call, struct err *err)
{
    int rc = call->removal ? cloudwatch_delete_alarms_end(call->call, err)
                           : cloudwatch_put_idle_alarm_end(call->call, err);
    if (rc == -1)
        return -1;
    char text[48];
    shape_text(w->spec, call->host->role, text);
    if (call->removal)
        json_object_del(w->placed, call->host->instance_id);
    else
        json_object_set_new(w->placed, call->host->instance_id, json_string(text));
    return 0;
}

static void save(struct alarm_work *w)
{
    AUTO_BUF struct buf text = {0};
    json_write(w->placed, false, &text);
    struct err why = {0};
    if (fs_write_atomic(w->path, 0600, buf_view(&text), &why) == -1)
        warn_user(w->c, "%s (the next run renews the alarms)", why.msg);
}

/* What a failed call means: go on later (0), give alarms up with a word (0), or end (-1). */
static int judge(struct alarm_work *w, const struct err *why, struct err *err)
{
    if (why->code == ERR_CANCELLED)
        return err_copy(err, why);
    if (why->code == ERR_THROTTLED && ++w->throttled <= ALARMS_THROTTLED_MAX)
        return loop_pause(w->c->loop, USEC_PER_SEC, err);
    if (!w->given_up)
        warn_user(w->c,
                  "the idle alarms cannot be set: %s; hosts do not end by themselves when they "
                  "are idle: run again, or end the cluster with 'flambe down %s'",
                  why->msg, w->spec->name);
    w->given_up = true;
    return 0;
}

int alarms_step(struct alarm_work *w, const struct cluster_hosts *hosts, struct err *err)
{
    struct alarm_call calls[ALARMS_AT_ONCE];
    size_t n = 0;
    for (size_t i = 0; i < hosts->count && n < ALARMS_AT_ONCE; i++)
        if (due(w, &hosts->items[i]))
            calls[n++] = start(w, &hosts->items[i]);
    int rc = 0;
    struct err worst = {0};
    for (size_t i = 0; i < n; i++) { /* every call is ended, whatever became of the others */
        struct err why = {0};
        if (finish(w, &calls[i], &why) == -1 && worst.code != ERR_CANCELLED)
            worst = why;
    }
    if (worst.code)
        rc = judge(w, &worst, err);
    if (n && (rc == -1 || !alarms_pending(w, hosts)))
        save(w);
    return rc;
}
