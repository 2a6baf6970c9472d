/* The AWS client: one per account and region. Credentials, region, endpoint, signing and retries
 * happen here; ec2.h, ssm.h, sts.h and cloudwatch.h are the calls on top.
 *
 * Calls are futures: NAME(…) starts one and returns at once; NAME_end(…) waits for it, gives its
 * result and frees it. Start several, then end them, and they run side by side. Every started call
 * is ended exactly once; aws_close() comes after the last. */
#ifndef FLAMBE_AWS_AWS_H
#define FLAMBE_AWS_AWS_H

#include "base/err.h"
#include "base/secret.h"
#include "base/str.h"
#include "os/loop.h"

struct aws;
struct aws_call;

/* What a finished HTTP exchange looked like: for -v and for counting, never with secrets. */
struct aws_trace {
    const char *service; /* "ec2" */
    const char *action;  /* "RunInstances" */
    int attempt;         /* from 1 */
    int status;          /* HTTP's, or 0 without an answer */
    usec_t took;
    const struct err *err; /* NULL on success */
    usec_t retry_in;       /* 0 where it is not tried again */
};

struct aws_options {
    struct loop *loop;
    const char *region;  /* the YAML's region_name, or NULL to go on along the chain */
    const char *profile; /* --profile, or NULL; given, the environment's keys are not used */
    const char *(*getenv)(const char *name); /* NULL: the process's own */
    void (*trace)(void *ctx, const struct aws_trace *t);
    void *trace_ctx;
};

/* Reads configuration and finds the region and endpoints; asks no server yet, but for the metadata
 * service where this machine is EC2's and no region is configured. ERR_CREDENTIALS (no such
 * profile) and ERR_FILE (a malformed config file, with line) name what was looked for and what to
 * type. */
int aws_open(const struct aws_options *o, struct aws **out, struct err *err) MUST_CHECK;
/* As `like` was opened (profile, environment), for another region; without its trace. */
int aws_open_region(const struct aws *like, const char *region, struct aws **out,
                    struct err *err) MUST_CHECK;
void aws_close(struct aws *aws); /* NULL is legal */
const char *aws_region(const struct aws *aws);
/* "https://ec2.us-east-1.amazonaws.com/" or the configured endpoint. */
const char *aws_endpoint(struct aws *aws, const char *service);
/* Where the credentials came from: "profile 'x' in ~/.aws/credentials". Resolves them if needed. */
int aws_credentials_source(struct aws *aws, char *out, size_t size, struct err *err) MUST_CHECK;

/* For what nobody waits long for: whether the call has ended, waiting at most `span` for it. Where
 * it has not, aws_call_drop() may end it in place of its NAME_end(). */
bool aws_call_ended_within(struct aws_call *c, usec_t span) MUST_CHECK;
void aws_call_drop(struct aws_call *c);

struct aws_identity {
    char *account, *arn, *user_id;
};
struct aws_call *sts_get_caller_identity(struct aws *aws);
int sts_get_caller_identity_end(struct aws_call *c, struct aws_identity *out,
                                struct err *err) MUST_CHECK;
void aws_identity_done(struct aws_identity *i);

/* SSM GetParameters: up to 10 names in one call. *values gets `count` owned strings, NULL for a
 * name that does not exist. */
struct aws_call *ssm_get_parameters(struct aws *aws, const char *const *names, size_t count);
int ssm_get_parameters_end(struct aws_call *c, struct strv *values, struct err *err) MUST_CHECK;

/* CloudWatch: an idle alarm that terminates one instance. */
struct cloudwatch_alarm {
    const char *name;        /* up to 255 characters, unique in account and region */
    const char *instance_id; /* the dimension */
    int period_s;            /* a multiple of 60, at least 300 with basic monitoring */
    int evaluation_periods;
    double cpu_percent; /* average CPUUtilization below this */
    const char *description;
};
struct aws_call *cloudwatch_put_idle_alarm(struct aws *aws, const struct cloudwatch_alarm *a);
int cloudwatch_put_idle_alarm_end(struct aws_call *c, struct err *err) MUST_CHECK;
/* All alarm names that start with the prefix (DescribeAlarms, paginated). */
struct aws_call *cloudwatch_describe_alarms(struct aws *aws, const char *name_prefix);
int cloudwatch_describe_alarms_end(struct aws_call *c, struct strv *names,
                                   struct err *err) MUST_CHECK;
/* Any number of names (split by 100). Names that do not exist are fine. */
struct aws_call *cloudwatch_delete_alarms(struct aws *aws, const char *const *names, size_t count);
int cloudwatch_delete_alarms_end(struct aws_call *c, struct err *err) MUST_CHECK;

/* The price list: US dollars an hour of an instance type in this client's region, on demand, Linux,
 * shared tenancy. ERR_NOT_FOUND where the list has none. It changes rarely: callers cache it. */
struct aws_call *pricing_on_demand(struct aws *aws, const char *type);
int pricing_on_demand_end(struct aws_call *c, double *usd_per_hour, struct err *err) MUST_CHECK;

#endif
