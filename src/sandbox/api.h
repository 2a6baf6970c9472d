/* The sandbox's inside door: how a signed HTTP request becomes a call on the world, and its answer.
 *
 * server.c takes the request (httpd), verifies the signature (sigv4.c), parses the parameters
 * (params.c), applies the faults on demand (faults.c), finds the action in a service's table and
 * writes the answer. Each service is a table of actions over the one `struct world`. */
#ifndef FLAMBE_SANDBOX_API_H
#define FLAMBE_SANDBOX_API_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct world;
struct faults;
struct identities;

/* ---- parameters of the Query protocols ----------------------------------------------------- */

struct params;

#define PARAMS_MAX 20000

/* Parses an x-www-form-urlencoded body; NULL if malformed. */
struct params *params_parse(struct str body);
/* The same from a JSON object, for a Query service that is spoken to in JSON: {"A": [{"B": 1}]} is
 * "A.member.1.B=1". NULL where it is too large or too deep. */
struct params *params_of_json(const json_t *object);
void params_free(struct params *p);
/* The value, or NULL where it is absent. */
const char *param(const struct params *p, const char *name);
/* The same with a printf-made name: paramf(p, "Filter.%d.Name", i). */
const char *paramf(const struct params *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* "NAME.1", "NAME.2", … until one is absent (and "NAME.member.1", … of the other Query services).
 */
void param_list(const struct params *p, const char *name, struct strv *out);
bool param_true(const struct params *p, const char *name);
/* False where the value is present and no whole number within [min, max]. */
bool param_int(const struct params *p, const char *name, int64_t min, int64_t max, int64_t fallback,
               int64_t *out);
/* Any parameter whose name starts with the prefix. */
bool param_any(const struct params *p, const char *prefix);
/* Visits all in the order of their names: start with *at = 0, stop at false. */
bool params_next(const struct params *p, size_t *at, const char **name, const char **value);
/* All of them, as "Name=value" in one canonical order, without those named in `except`
 * (NULL-terminated): what an idempotency check compares. */
void params_canonical(const struct params *p, const char *const *except, struct buf *out);

/* ---- requests and replies ------------------------------------------------------------------- */

/* How a service is spoken to. */
enum api_protocol {
    API_EC2,   /* Query; lists are NAME.1; <Response><Errors>… */
    API_QUERY, /* Query of STS and CloudWatch; lists are NAME.member.1; <ErrorResponse>… */
    API_JSON,  /* JSON 1.1; {"__type": …} */
};

struct api_request {
    const char *action;
    const char *request_id;
    const char *account; /* "123456789012" */
    const char *user_arn, *user_id;
    const struct params *params;   /* Query services */
    const json_t *json;            /* JSON 1.1 services */
    usec_t now;                    /* wall time */
    struct identities *identities; /* for sts.c */
    const char *access_key;        /* of the caller; "" where the action needs no signature */
};

/* A handler writes the whole body of a success (api_handler); api_fail() throws away what was
 * written and writes the error instead. */
struct api_reply {
    int status; /* HTTP's; 200 unless an error is set */
    struct buf body;
    bool failed; /* an error was written */
    char code[64];
    enum api_protocol protocol; /* set by server.c; zero is EC2 */
    const char *request_id;     /* or NULL */
};

/* Writes the error in the shape of the service that is asked; the first error stays. Returns -1. */
int api_fail(struct api_reply *r, int status, const char *code, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* Usual ones. */
int api_missing(struct api_reply *r, const char *parameter); /* 400 MissingParameter */
int api_bad_value(struct api_reply *r, const char *parameter, const char *value);

/* Writes the whole body of a success, envelope and request id included (each service has its own);
 * after api_fail() what it has written does not matter. */
typedef void api_handler(struct world *w, const struct api_request *q, struct api_reply *r);

struct api_action {
    const char *name;
    api_handler *run;
    bool changes; /* the world is saved before the answer goes out */
};

/* NULL-name-terminated tables. */
extern const struct api_action ec2_actions[];        /* ec2_*.c */
extern const struct api_action sts_actions[];        /* sts.c */
extern const struct api_action cloudwatch_actions[]; /* cloudwatch.c */
extern const struct api_action ssm_actions[];        /* ssm.c */
extern const struct api_action pricing_actions[];    /* pricing.c */

/* ---- XML ------------------------------------------------------------------------------------- */

/* Names are literals of ours; text is escaped, and characters that XML 1.0 forbids become '?'. */
void xml_open(struct buf *b, const char *name);
void xml_close(struct buf *b, const char *name);
void xml_text(struct buf *b, const char *name, const char *text); /* NULL text: nothing */
void xml_int(struct buf *b, const char *name, int64_t value);
void xml_bool(struct buf *b, const char *name, bool value);
void xml_time(struct buf *b, const char *name, usec_t wall);

/* ---- faults ---------------------------------------------------------------------------------- */

/* What the faults say about one launch into one zone; asked once by RunInstances, never by a dry
 * run. It uses up one time of each fault that speaks here. */
struct fault_launch {
    const char *code; /* "InsufficientInstanceCapacity", "VcpuLimitExceeded", or NULL */
    int status;       /* the code's HTTP status */
    const char *message;
    int at_most; /* launch no more than this (below MinCount: no capacity); -1: no limit */
};
/* `f` may be NULL: no faults. The strings live until the next call. */
void faults_for_launch(struct faults *f, const char *type, const char *zone,
                       struct fault_launch *out);

/* What the faults say about one instance; asked once for each that a launch makes. */
struct fault_instance {
    usec_t late_addresses; /* its addresses appear this much later than they would */
    bool never_boots, foreign_host_key;
};
void faults_for_instance(struct faults *f, const char *type, const char *zone,
                         struct fault_instance *out);

#endif
