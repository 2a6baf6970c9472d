/* CloudWatch's metric alarms: kept, listed, deleted; and fired by the operator's command, since the
 * sandbox has no metrics. https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/ */
#include "base/digest.h"
#include "base/json.h"
#include "sandbox/alarms.h"
#include "sandbox/query_reply.h"
#include "sandbox/world_priv.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define XMLNS "http://monitoring.amazonaws.com/doc/2010-08-01/"
#define NAMES_MAX 100 /* in one DescribeAlarms or DeleteAlarms */
#define ACTIONS_MAX 5 /* of each kind */
#define DIMENSIONS_MAX 30
#define TEXT_MAX 255
#define DESCRIPTION_MAX 1024
#define RECORDS_MAX 100
#define RECORDS_DEFAULT 50
#define SECONDS_A_DAY 86400
#define SECONDS_A_WEEK 604800
#define PERIOD_LONG 3600 /* from here on a week may be looked at, else a day */
#define ALARMS_MAX 5000  /* the account's quota */

static const char *const statistics[] = {"SampleCount", "Average", "Sum", "Minimum", "Maximum"};
static const char *const operators[] = {"GreaterThanOrEqualToThreshold", "GreaterThanThreshold",
                                        "LessThanThreshold", "LessThanOrEqualToThreshold"};
static const char *const missing_data[] = {"breaching", "notBreaching", "ignore", "missing"};
static const char *const states[] = {"OK", "ALARM", "INSUFFICIENT_DATA"};
static const char *const action_kinds[] = {"OKActions", "AlarmActions", "InsufficientDataActions"};

static bool is_one_of(const char *value, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(value, list[i]) == 0)
            return true;
    }
    return false;
}

/* ---- PutMetricAlarm ------------------------------------------------------------------------- */

/* A text parameter of at most `max` bytes; *out is NULL where it is absent and need not be there.
 */
static int take_text(const struct api_request *q, struct api_reply *r, json_t *alarm,
                     const char *name, size_t max, bool needed)
{
    const char *value = param(q->params, name);
    if (!value && !needed)
        return 0;
    if (!value || !*value)
        return query_invalid(r, name, value, "Member must not be null or empty");
    if (strlen(value) > max)
        return query_invalid(r, name, value, "Member must not be longer");
    json_object_set_new(alarm, name, json_string(value));
    return 0;
}

static int take_choice(const struct api_request *q, struct api_reply *r, json_t *alarm,
                       const char *name, const char *const *list, size_t count, bool needed)
{
    if (take_text(q, r, alarm, name, TEXT_MAX, needed) == -1)
        return -1;
    const char *value = json_text(alarm, name);
    if (value && !is_one_of(value, list, count))
        return query_invalid(r, name, value, "Member must satisfy enum value set");
    return 0;
}

static int take_count(const struct api_request *q, struct api_reply *r, json_t *alarm,
                      const char *name, int64_t max, bool needed)
{
    int64_t value = 0;
    const char *text = param(q->params, name);
    if (!text && !needed)
        return 0;
    if (!text || !param_int(q->params, name, 1, max, 0, &value))
        return query_invalid(r, name, text, "Member must be a whole number of at least 1");
    json_object_set_new(alarm, name, json_integer(value));
    return 0;
}

static int take_threshold(const struct api_request *q, struct api_reply *r, json_t *alarm)
{
    const char *text = param(q->params, "Threshold");
    char *end = NULL;
    double value = text ? strtod(text, &end) : 0;
    if (!text || end == text || *end || !isfinite(value))
        return query_invalid(r, "Threshold", text, "Member must be a number");
    json_object_set_new(alarm, "Threshold", json_real(value));
    return 0;
}

static int take_dimensions(const struct api_request *q, struct api_reply *r, json_t *alarm)
{
    json_t *list = json_array();
    json_object_set_new(alarm, "Dimensions", list);
    for (int i = 1;; i++) {
        const char *name = paramf(q->params, "Dimensions.member.%d.Name", i);
        const char *value = paramf(q->params, "Dimensions.member.%d.Value", i);
        if (!name && !value)
            return 0;
        if (!name || !value || !*name || !*value || i > DIMENSIONS_MAX)
            return query_invalid(r, "dimensions", value,
                                 "Member must have a name and a value, and be at most 30");
        json_t *one = json_object();
        json_object_set_new(one, "Name", json_string(name));
        json_object_set_new(one, "Value", json_string(value));
        json_array_append_new(list, one);
    }
}

static const char *dimension(const json_t *alarm, const char *wanted)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(alarm, "Dimensions"), i, one)
    {
        if (strcmp(json_text(one, "Name"), wanted) == 0)
            return json_text(one, "Value");
    }
    return NULL;
}

/* "arn:aws:automate:REGION:ec2:ACTION" is an action on the instance of the alarm's dimension; other
 * ARNs are topics and the like, which are only kept. */
static int check_action(const struct world *w, struct api_reply *r, const json_t *alarm,
                        const char *arn)
{
    struct str rest = str_of(arn);
    struct str parts[6] = {0};
    for (int i = 0; i < 6 && rest.p; i++)
        parts[i] = str_cut(&rest, ':');
    if (!str_is(parts[0], "arn") || !parts[5].p)
        return api_fail(r, 400, "ValidationError", "Invalid arn syntax: %.200s", arn);
    if (!str_is(parts[2], "automate"))
        return 0;
    if (!str_is(parts[3], w->region))
        return api_fail(r, 400, "ValidationError",
                        "Invalid region %.*s specified. Only %s is supported.",
                        (int)(parts[3].n < 40 ? parts[3].n : 40), parts[3].p, w->region);
    if (!str_is(parts[4], "ec2") || !alarm_ec2_action(arn))
        return api_fail(r, 400, "ValidationError", "Invalid arn syntax: %.200s", arn);
    if (!dimension(alarm, "InstanceId"))
        return api_fail(r, 400, "ValidationError", "An EC2 action needs the dimension InstanceId");
    return 0;
}

static int take_actions(const struct world *w, const struct api_request *q, struct api_reply *r,
                        json_t *alarm, const char *kind)
{
    AUTO_STRV struct strv arns = {0};
    param_list(q->params, kind, &arns);
    if (arns.count > ACTIONS_MAX)
        return query_invalid(r, kind, NULL, "Member must have length less than or equal to 5");
    json_t *list = json_array();
    json_object_set_new(alarm, kind, list);
    for (size_t i = 0; i < arns.count; i++) {
        if (check_action(w, r, alarm, arns.items[i]) == -1)
            return -1;
        json_array_append_new(list, json_string(arns.items[i]));
    }
    return 0;
}

static int check_times(struct api_reply *r, const json_t *alarm)
{
    int64_t period = json_integer_value(json_object_get(alarm, "Period"));
    int64_t periods = json_integer_value(json_object_get(alarm, "EvaluationPeriods"));
    int64_t points = json_integer_value(json_object_get(alarm, "DatapointsToAlarm"));
    if (period % 60 != 0 && period != 10 && period != 20 && period != 30)
        return api_fail(r, 400, "ValidationError", "Period must be 10, 20, 30 or a multiple of 60");
    if (period < PERIOD_LONG && period * periods > SECONDS_A_DAY)
        return api_fail(
            r, 400, "ValidationError",
            "Metrics cannot be checked across more than a day (EvaluationPeriods * Period "
            "must be <= %d).",
            SECONDS_A_DAY);
    if (period * periods > SECONDS_A_WEEK)
        return api_fail(r, 400, "ValidationError",
                        "Metrics cannot be checked across more than a week (EvaluationPeriods * "
                        "Period must be <= %d).",
                        SECONDS_A_WEEK);
    if (points > periods)
        return api_fail(r, 400, "ValidationError",
                        "DatapointsToAlarm must be less than or equal to EvaluationPeriods");
    return 0;
}

static int take_numbers(const struct api_request *q, struct api_reply *r, json_t *alarm)
{
    if (take_count(q, r, alarm, "Period", SECONDS_A_WEEK, true) == -1 ||
        take_count(q, r, alarm, "EvaluationPeriods", SECONDS_A_WEEK, true) == -1 ||
        take_count(q, r, alarm, "DatapointsToAlarm", SECONDS_A_WEEK, false) == -1)
        return -1;
    return take_threshold(q, r, alarm) == -1 ? -1 : check_times(r, alarm);
}

static int take_alarm(struct world *w, const struct api_request *q, struct api_reply *r,
                      json_t *alarm)
{
    if (param_any(q->params, "Metrics.member."))
        return api_fail(r, 400, "InvalidParameterCombination",
                        "The sandbox has alarms on one metric only");
    if (take_text(q, r, alarm, "AlarmName", TEXT_MAX, true) == -1 ||
        take_text(q, r, alarm, "AlarmDescription", DESCRIPTION_MAX, false) == -1 ||
        take_text(q, r, alarm, "MetricName", TEXT_MAX, true) == -1 ||
        take_text(q, r, alarm, "Namespace", TEXT_MAX, true) == -1 ||
        take_text(q, r, alarm, "Unit", TEXT_MAX, false) == -1 ||
        take_choice(q, r, alarm, "ComparisonOperator", operators, COUNT_OF(operators), true) ==
            -1 ||
        take_choice(q, r, alarm, "TreatMissingData", missing_data, COUNT_OF(missing_data), false) ==
            -1)
        return -1;
    bool extended = param(q->params, "ExtendedStatistic") != NULL;
    if (extended && param(q->params, "Statistic"))
        return api_fail(r, 400, "InvalidParameterCombination",
                        "Statistic and ExtendedStatistic cannot both be set");
    if ((extended
             ? take_text(q, r, alarm, "ExtendedStatistic", TEXT_MAX, true)
             : take_choice(q, r, alarm, "Statistic", statistics, COUNT_OF(statistics), true)) == -1)
        return -1;
    if (take_numbers(q, r, alarm) == -1 || take_dimensions(q, r, alarm) == -1)
        return -1;
    for (size_t i = 0; i < COUNT_OF(action_kinds); i++) {
        if (take_actions(w, q, r, alarm, action_kinds[i]) == -1)
            return -1;
    }
    bool off = param(q->params, "ActionsEnabled") && !param_true(q->params, "ActionsEnabled");
    json_object_set_new(alarm, "ActionsEnabled", json_boolean(!off));
    return 0;
}

static void set_state(json_t *alarm, const char *state, const char *reason, usec_t now)
{
    json_object_set_new(alarm, "StateValue", json_string(state));
    json_object_set_new(alarm, "StateReason", json_string(reason));
    json_object_set_new(alarm, "StateUpdatedTimestamp", json_integer(now));
}

static void put_metric_alarm(struct world *w, const struct api_request *q, struct api_reply *r)
{
    json_auto_t *alarm = json_object();
    if (take_alarm(w, q, r, alarm) == -1)
        return;
    const char *name = json_text(alarm, "AlarmName");
    json_t *old = json_object_get(w->alarms, name);
    if (!old && json_object_size(w->alarms) >= ALARMS_MAX) {
        api_fail(r, 400, "LimitExceeded",
                 "The quota for alarms for this customer has already been "
                 "reached.");
        return;
    }
    json_object_set_new(alarm, "AlarmConfigurationUpdatedTimestamp", json_integer(q->now));
    if (old) { /* an update overwrites everything but the state */
        json_object_set(alarm, "StateValue", json_object_get(old, "StateValue"));
        json_object_set(alarm, "StateReason", json_object_get(old, "StateReason"));
        json_object_set(alarm, "StateUpdatedTimestamp",
                        json_object_get(old, "StateUpdatedTimestamp"));
    } else {
        set_state(alarm, "INSUFFICIENT_DATA", "Unchecked: Initial alarm creation", q->now);
    }
    json_object_set(w->alarms, name, alarm);
    query_answer(q, r, XMLNS, NULL);
}

/* ---- DescribeAlarms ------------------------------------------------------------------------- */

/* As it is kept, with its ARN. */
static json_t *shown(const struct world *w, const json_t *alarm)
{
    AUTO_FREE char *arn = mem_printf("arn:aws:cloudwatch:%s:%s:alarm:%s", w->region, w->account,
                                     json_text(alarm, "AlarmName"));
    json_t *j = json_copy((json_t *)alarm);
    json_object_set_new(j, "AlarmArn", json_string(arn));
    return j;
}

struct alarm_filter {
    struct strv names;
    const char *prefix, *state, *action_prefix;
};

static bool action_fits(const json_t *alarm, const char *prefix)
{
    for (size_t k = 0; k < COUNT_OF(action_kinds); k++) {
        size_t i;
        json_t *one;
        json_array_foreach(json_object_get(alarm, action_kinds[k]), i, one)
        {
            if (str_starts(str_of(json_string_value(one)), prefix))
                return true;
        }
    }
    return false;
}

static bool filter_fits(const struct alarm_filter *f, const json_t *alarm)
{
    const char *name = json_text(alarm, "AlarmName");
    if (f->names.count && !strv_has(&f->names, name))
        return false;
    if (f->prefix && !str_starts(str_of(name), f->prefix))
        return false;
    if (f->state && strcmp(json_text(alarm, "StateValue"), f->state) != 0)
        return false;
    return !f->action_prefix || action_fits(alarm, f->action_prefix);
}

static int read_filter(const struct api_request *q, struct api_reply *r, struct alarm_filter *f)
{
    param_list(q->params, "AlarmNames", &f->names);
    f->prefix = param(q->params, "AlarmNamePrefix");
    f->state = param(q->params, "StateValue");
    f->action_prefix = param(q->params, "ActionPrefix");
    if (f->names.count > NAMES_MAX)
        return query_invalid(r, "alarmNames", NULL,
                             "Member must have length less than or equal to 100");
    if (f->names.count && f->prefix)
        return api_fail(r, 400, "InvalidParameterCombination",
                        "AlarmNames and AlarmNamePrefix cannot both be specified");
    if (f->state && !is_one_of(f->state, states, COUNT_OF(states)))
        return query_invalid(r, "stateValue", f->state, "Member must satisfy enum value set");
    return 0;
}

/* The token is the base64 of the last name shown; "" where there is none. */
static int read_token(const struct api_request *q, struct api_reply *r, struct buf *after)
{
    const char *token = param(q->params, "NextToken");
    size_t bad;
    if (!token || !*token)
        return 0;
    if (!digest_unbase64(str_of(token), after) || !str_is_utf8(buf_view(after), &bad))
        return api_fail(r, 400, "InvalidNextToken", "Invalid NextToken");
    return 0;
}

static void names_in_order(const struct world *w, struct strv *out)
{
    const char *name;
    json_t *alarm;
    json_object_foreach(w->alarms, name, alarm) strv_add(out, name);
    strv_sort(out);
}

static json_t *page(const struct world *w, const struct alarm_filter *f, const char *after,
                    int64_t max)
{
    AUTO_STRV struct strv names = {0};
    AUTO_BUF struct buf token = {0};
    const char *last = NULL;
    json_t *list = json_array();
    names_in_order(w, &names);
    for (size_t i = 0; i < names.count; i++) {
        const json_t *alarm = json_object_get(w->alarms, names.items[i]);
        if (strcmp(names.items[i], after) <= 0 || !filter_fits(f, alarm))
            continue;
        if (max-- == 0) {
            digest_base64(str_of(last), &token);
            break;
        }
        json_array_append_new(list, shown(w, alarm));
        last = names.items[i];
    }
    json_t *j = json_object();
    json_object_set_new(j, "CompositeAlarms", json_array());
    json_object_set_new(j, "MetricAlarms", list);
    if (token.len)
        json_object_set_new(j, "NextToken", json_string(buf_text(&token)));
    return j;
}

static void describe_alarms(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct alarm_filter f = {0};
    AUTO_BUF struct buf after = {0};
    int64_t max;
    if (!param_int(q->params, "MaxRecords", 1, RECORDS_MAX, RECORDS_DEFAULT, &max))
        query_invalid(r, "maxRecords", param(q->params, "MaxRecords"),
                      "Member must have value between 1 and 100");
    else if (read_filter(q, r, &f) == 0 && read_token(q, r, &after) == 0) {
        json_auto_t *j = page(w, &f, buf_text(&after), f.names.count ? NAMES_MAX : max);
        query_answer(q, r, XMLNS, j);
    }
    strv_done(&f.names);
}

/* ---- DeleteAlarms --------------------------------------------------------------------------- */

static void delete_alarms(struct world *w, const struct api_request *q, struct api_reply *r)
{
    AUTO_STRV struct strv names = {0};
    param_list(q->params, "AlarmNames", &names);
    if (names.count < 1 || names.count > NAMES_MAX) {
        query_invalid(r, "alarmNames", NULL, "Member must have length between 1 and 100");
        return;
    }
    for (size_t i = 0; i < names.count; i++) {
        if (!json_object_get(w->alarms, names.items[i])) {
            api_fail(r, 404, "ResourceNotFound", "Unknown alarm: %.255s", names.items[i]);
            return;
        }
    }
    for (size_t i = 0; i < names.count; i++)
        json_object_del(w->alarms, names.items[i]);
    query_answer(q, r, XMLNS, NULL);
}

const struct api_action cloudwatch_actions[] = {
    {"DeleteAlarms", delete_alarms, true},
    {"DescribeAlarms", describe_alarms, false},
    {"PutMetricAlarm", put_metric_alarm, true},
    {NULL, NULL, false},
};

/* ---- firing --------------------------------------------------------------------------------- */

const char *alarm_ec2_action(const char *arn)
{
    static const struct {
        const char *suffix, *action;
    } table[] = {{":ec2:terminate", "TerminateInstances"},
                 {":ec2:stop", "StopInstances"},
                 {":ec2:reboot", "RebootInstances"}};
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        if (str_starts(str_of(arn), "arn:aws:automate:") && str_ends(str_of(arn), table[i].suffix))
            return table[i].action;
    }
    return NULL;
}

int alarm_fire(struct world *w, const char *name, usec_t now, struct strv *actions,
               const char **instance_id, struct err *err)
{
    json_t *alarm = json_object_get(w->alarms, name);
    if (!alarm)
        return err_set(err, ERR_NOT_FOUND, "there is no alarm '%s'", name);
    set_state(alarm, "ALARM", "Threshold Crossed: fired by the operator", now);
    *instance_id = dimension(alarm, "InstanceId");
    if (!json_is_true(json_object_get(alarm, "ActionsEnabled")))
        return 0;
    size_t i;
    json_t *arn;
    json_array_foreach(json_object_get(alarm, "AlarmActions"), i, arn)
    {
        const char *action = alarm_ec2_action(json_string_value(arn));
        if (action)
            strv_add(actions, action);
    }
    return 0;
}

void alarm_names(const struct world *w, struct strv *out)
{
    names_in_order(w, out);
}
