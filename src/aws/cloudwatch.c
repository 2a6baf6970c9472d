/* CloudWatch's alarms: the backstop that terminates an idle instance. See aws.h. */
#include "aws/call.h"
#include "aws/query.h"
#include "aws/xml.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

#define ALARMS_BATCH 100 /* names in one DeleteAlarms, records in one DescribeAlarms */

struct alarms {
    struct buf parameters;
    struct strv names; /* to delete, or found */
    size_t at;
    char *token;
    bool asked;
};

static void alarms_free(void *state)
{
    struct alarms *a = state;
    buf_done(&a->parameters);
    strv_done(&a->names);
    free(a->token);
    free(a);
}

static bool ask_once(void *state, struct buf *body)
{
    struct alarms *a = state;
    if (a->asked && !a->token)
        return false;
    a->asked = true;
    buf_addc(body, '&');
    buf_add_str(body, buf_view(&a->parameters));
    query_add(body, "NextToken", a->token);
    return true;
}

static int take_nothing(void *state, struct str text, struct err *err)
{
    (void)state, (void)text, (void)err;
    return 0;
}

/* ---- PutMetricAlarm ---------------------------------------------------------------------------
 */

static const struct aws_call_ops put_alarm = {.service = &aws_cloudwatch,
                                              .action = "PutMetricAlarm",
                                              .request = ask_once,
                                              .answer = take_nothing,
                                              .free = alarms_free};

struct aws_call *cloudwatch_put_idle_alarm(struct aws *aws, const struct cloudwatch_alarm *a)
{
    struct alarms *s = mem_alloc(sizeof *s);
    struct buf *p = &s->parameters;
    AUTO_FREE char *action = mem_printf("arn:%s:automate:%s:ec2:terminate",
                                        aws_partition(aws_region(aws)), aws_region(aws));
    AUTO_FREE char *threshold = mem_printf("%.6g", a->cpu_percent);
    query_add(p, "AlarmName", a->name);
    query_add(p, "AlarmDescription", a->description);
    query_add(p, "ActionsEnabled", "true");
    query_add(p, "AlarmActions.member.1", action);
    query_add(p, "Namespace", "AWS/EC2");
    query_add(p, "MetricName", "CPUUtilization");
    query_add(p, "Statistic", "Average");
    query_add(p, "Dimensions.member.1.Name", "InstanceId");
    query_add(p, "Dimensions.member.1.Value", a->instance_id);
    query_add_int(p, "Period", a->period_s);
    query_add_int(p, "EvaluationPeriods", a->evaluation_periods);
    query_add(p, "Threshold", threshold);
    query_add(p, "ComparisonOperator", "LessThanThreshold");
    query_add(p, "TreatMissingData", "notBreaching");
    return aws_call_start(aws, &put_alarm, s);
}

int cloudwatch_put_idle_alarm_end(struct aws_call *c, struct err *err)
{
    return aws_call_finish(c, &put_alarm, err);
}

/* ---- DescribeAlarms ---------------------------------------------------------------------------
 */

static int take_names(void *state, struct str text, struct err *err)
{
    struct alarms *a = state;
    CLEANUP(xml_freep) struct xml *x = NULL;
    if (xml_parse(text, &x, err) == -1)
        return -1;
    const struct xml_node *result = xml_child(xml_root(x), "DescribeAlarmsResult");
    for (const struct xml_node *m = xml_items(result, "MetricAlarms"); m; m = m->next)
        if (xml_text(m, "AlarmName"))
            strv_add(&a->names, xml_text(m, "AlarmName"));
    AUTO_FREE char *token = xml_dup(result, "NextToken");
    if (token && a->token && strcmp(token, a->token) == 0)
        return err_set(err, ERR_PARSE, "the server gives the same page again and again");
    free(a->token);
    a->token = TAKE(token);
    return 0;
}

static const struct aws_call_ops describe_alarms = {.service = &aws_cloudwatch,
                                                    .action = "DescribeAlarms",
                                                    .request = ask_once,
                                                    .answer = take_names,
                                                    .free = alarms_free};

struct aws_call *cloudwatch_describe_alarms(struct aws *aws, const char *name_prefix)
{
    struct alarms *a = mem_alloc(sizeof *a);
    query_add_int(&a->parameters, "MaxRecords", ALARMS_BATCH);
    if (name_prefix && *name_prefix)
        query_add(&a->parameters, "AlarmNamePrefix", name_prefix);
    return aws_call_start(aws, &describe_alarms, a);
}

int cloudwatch_describe_alarms_end(struct aws_call *c, struct strv *names, struct err *err)
{
    struct alarms *a = aws_call_wait(c, &describe_alarms, err);
    if (!a)
        return -1;
    *names = a->names;
    a->names = (struct strv){0};
    aws_call_free(c);
    return 0;
}

/* ---- DeleteAlarms -----------------------------------------------------------------------------
 */

static bool ask_delete(void *state, struct buf *body)
{
    struct alarms *a = state;
    size_t n = a->names.count - a->at;
    if (n > ALARMS_BATCH)
        n = ALARMS_BATCH;
    query_add_list(body, "AlarmNames.member", (const char *const *)a->names.items + a->at, n);
    a->at += n;
    return n > 0;
}

/* Of several names none may be missing; one that is alone may. CloudWatch deletes all that exist
 * before it says so, which is what was asked for. */
static bool is_gone(void *state, const struct err *err)
{
    (void)state;
    return err->code == ERR_NOT_FOUND;
}

static const struct aws_call_ops delete_alarms = {.service = &aws_cloudwatch,
                                                  .action = "DeleteAlarms",
                                                  .request = ask_delete,
                                                  .answer = take_nothing,
                                                  .failed = is_gone,
                                                  .free = alarms_free};

struct aws_call *cloudwatch_delete_alarms(struct aws *aws, const char *const *names, size_t count)
{
    struct alarms *a = mem_alloc(sizeof *a);
    for (size_t i = 0; i < count; i++)
        strv_add(&a->names, names[i]);
    return aws_call_start(aws, &delete_alarms, a);
}

int cloudwatch_delete_alarms_end(struct aws_call *c, struct err *err)
{
    return aws_call_finish(c, &delete_alarms, err);
}
