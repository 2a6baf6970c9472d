/* See server.h.
 *
 * A call lives from the request's arrival to its answer. It goes through three steps, each of which
 * may be where a hold stops it: before the effect, the effect, after the effect. */
#include "sandbox/server.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include "sandbox/auth.h"
#include "sandbox/request_log.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define JSON_BODY_MAX ((size_t)1 << 20)
#define REQUEST_ID_SIZE 37
#define ACTION_NAME_MAX ((size_t)100)

struct server {
    struct server_options o;
    struct httpd *httpd;
    struct request_log *log;
    struct call *held;    /* calls that a fault holds */
    struct call *unsaved; /* calls that have had their effect, which is to be saved */
    struct timer *save_timer;
};

enum step { STEP_EFFECT, STEP_ANSWER };

struct call {
    struct server *server;
    struct httpd_request *http;
    usec_t began; /* monotonic */
    char id[REQUEST_ID_SIZE];
    const struct service *service;
    const struct api_action *action;
    char *action_name;
    struct params *params;
    json_t *json;
    struct identity who;
    struct api_reply reply;
    const char *fault;         /* the last one that acted */
    struct call *next, **link; /* while held or unsaved */
    struct timer *timer;
    enum step resume_at;
};

static void run_effect(struct call *c);
static void after_effect(struct call *c);
static void save_unsaved(struct server *s);

/* ---- a call's life -------------------------------------------------------------------------- */

static void make_request_id(char out[REQUEST_ID_SIZE])
{
    char hex[33];
    digest_random_hex(hex, 32);
    hex[12] = '4'; /* a version 4 UUID, RFC 4122 */
    hex[16] = "89ab"[hex[16] & 3];
    snprintf(out, REQUEST_ID_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
             hex + 20);
}

static struct call *call_new(struct server *s, struct httpd_request *http)
{
    struct call *c = mem_alloc(sizeof *c);
    c->server = s;
    c->http = http;
    c->began = clock_mono(s->o.clock);
    make_request_id(c->id);
    c->reply.status = 200;
    c->reply.request_id = c->id;
    return c;
}

static void call_free(struct call *c)
{
    timer_stop(c->timer);
    params_free(c->params);
    json_decref(c->json);
    identity_done(&c->who);
    buf_done(&c->reply.body);
    free(c->action_name);
    free(c);
}

static usec_t server_now(const struct server *s)
{
    return clock_wall(s->o.clock) + faults_skew(s->o.faults);
}

/* RFC 9110, 5.6.7. */
static void http_date(usec_t wall, char *out, size_t size)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)(wall / USEC_PER_SEC);
    struct tm tm = {0};
    gmtime_r(&seconds, &tm);
    snprintf(out, size, "Date: %s, %02d %s %d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday,
             months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void log_call(const struct call *c, int status)
{
    struct server *s = c->server;
    request_log_add(
        s->log, &(struct request_log_line){.time = clock_wall(s->o.clock),
                                           .took = clock_mono(s->o.clock) - c->began,
                                           .service = c->service ? c->service->name : NULL,
                                           .action = c->action_name,
                                           .status = status,
                                           .code = c->reply.failed ? c->reply.code : NULL,
                                           .request_id = c->id,
                                           .fault = c->fault,
                                           .attempt = httpd_header(c->http, "amz-sdk-request")});
}

static void answer(struct call *c)
{
    static const char *const types[] = {
        [API_EC2] = "Content-Type: text/xml;charset=UTF-8",
        [API_QUERY] = "Content-Type: text/xml",
        [API_JSON] = "Content-Type: application/x-amz-json-1.1",
    };
    bool json_1_0 = c->reply.protocol == API_JSON && c->service &&
                    c->service->protocol != API_JSON; /* what CloudWatch's newer clients speak */
    char date[64], id[64];
    http_date(server_now(c->server), date, sizeof date);
    snprintf(id, sizeof id, "x-amzn-RequestId: %s", c->id);
    const char *type =
        json_1_0 ? "Content-Type: application/x-amz-json-1.0" : types[c->reply.protocol];
    const char *headers[] = {
        type, date, id, "Server: flambe-sandbox/" FLAMBE_VERSION, "Cache-Control: no-store", NULL};
    log_call(c, c->reply.status);
    httpd_answer(c->http, c->reply.status, headers, buf_view(&c->reply.body));
    call_free(c);
}

static void drop(struct call *c)
{
    log_call(c, 0);
    httpd_drop(c->http);
    call_free(c);
}

/* ---- holding -------------------------------------------------------------------------------- */

static void unhold(struct call *c)
{
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    timer_stop(TAKE(c->timer));
}

static void go_on(void *ctx)
{
    struct call *c = ctx;
    unhold(c);
    if (c->resume_at == STEP_EFFECT)
        run_effect(c);
    else
        answer(c);
}

static void hold(struct call *c, double seconds, enum step resume_at)
{
    struct server *s = c->server;
    c->resume_at = resume_at;
    c->next = s->held;
    c->link = &s->held;
    if (s->held)
        s->held->link = &c->next;
    s->held = c;
    if (seconds >= 0)
        c->timer = timer_start(s->o.loop, (usec_t)(seconds * (double)USEC_PER_SEC), go_on, c);
}

int server_held(const struct server *s)
{
    int n = 0;
    for (const struct call *c = s->held; c; c = c->next)
        n++;
    return n;
}

void server_drop_held(struct server *s)
{
    save_unsaved(s);
    while (s->held) {
        struct call *c = s->held;
        unhold(c);
        drop(c);
    }
}

int server_release(struct server *s)
{
    int n = server_held(s);
    for (int i = 0; i < n && s->held; i++)
        go_on(s->held);
    return n;
}

/* ---- the effect ----------------------------------------------------------------------------- */

/* Changes that come in together are saved together: writing the account costs more than most
 * requests, and none is answered before it is written. */
static void save_unsaved(struct server *s)
{
    struct call *all = TAKE(s->unsaved);
    struct err err = {0};
    timer_stop(TAKE(s->save_timer));
    int rc = all ? s->o.save(s->o.ctx, &err) : 0;
    while (all) {
        struct call *c = all;
        all = c->next;
        if (rc == -1)
            api_fail(&c->reply, 500, "InternalError", "the sandbox cannot keep its state: %s",
                     err.msg);
        after_effect(c);
    }
}

static void save_due(void *ctx)
{
    save_unsaved(ctx);
}

static void save_soon(struct call *c)
{
    struct server *s = c->server;
    c->next = s->unsaved;
    s->unsaved = c;
    if (!s->save_timer)
        s->save_timer = timer_start(s->o.loop, 0, save_due, s);
}

static void run_effect(struct call *c)
{
    struct server *s = c->server;
    if (s->o.world && !s->o.world(s->o.ctx)) {
        api_fail(&c->reply, 503, "Unavailable", "The sandbox is being reset");
        answer(c);
        return;
    }
    if (s->o.advance)
        s->o.advance(s->o.ctx);
    struct api_request q = {.action = c->action_name,
                            .request_id = c->id,
                            .account = s->o.account,
                            .user_arn = c->who.arn ? c->who.arn : "",
                            .user_id = c->who.user_id ? c->who.user_id : "",
                            .params = c->params,
                            .json = c->json,
                            .now = clock_wall(s->o.clock),
                            .identities = s->o.identities,
                            .access_key = c->who.access_key ? c->who.access_key : ""};
    c->action->run(s->o.world ? s->o.world(s->o.ctx) : NULL, &q, &c->reply);
    if (s->o.advance)
        s->o.advance(s->o.ctx);
    if (c->action->changes && !c->reply.failed && s->o.save)
        save_soon(c);
    else
        after_effect(c);
}

/* The fault that acts on this call at this point, or NULL. */
static const struct fault *fault_of(struct call *c, enum fault_point point)
{
    const struct server *s = c->server;
    struct fault_target t = {.action = c->action_name};
    if (c->params) {
        const char *subnet = param(c->params, "SubnetId");
        if (!subnet)
            subnet = param(c->params, "NetworkInterface.1.SubnetId");
        t.type = param(c->params, "InstanceType");
        t.zone = param(c->params, "Placement.AvailabilityZone");
        if (!t.zone && subnet && s->o.subnet_zone && s->o.world(s->o.ctx))
            t.zone = s->o.subnet_zone(s->o.ctx, subnet);
    }
    const struct fault *f = faults_for_request(s->o.faults, point, &t);
    if (f)
        c->fault = fault_infos[f->kind].name;
    return f;
}

static void after_effect(struct call *c)
{
    const struct fault *f = fault_of(c, FAULT_POINT_AFTER);
    if (!f) {
        answer(c);
        return;
    }
    if (f->kind == FAULT_DROP_AFTER)
        drop(c);
    else
        hold(c, f->value, STEP_ANSWER);
}

void server_run(struct server *s, const struct service *service, const struct api_action *action,
                const struct params *params, struct api_reply *reply)
{
    char id[REQUEST_ID_SIZE];
    make_request_id(id);
    AUTO_FREE char *arn = mem_printf("arn:aws:iam::%s:root", s->o.account);
    struct api_request q = {.action = action->name,
                            .request_id = id,
                            .account = s->o.account,
                            .user_arn = arn,
                            .user_id = s->o.account,
                            .params = params,
                            .now = clock_wall(s->o.clock),
                            .identities = s->o.identities,
                            .access_key = ""};
    reply->status = 200;
    reply->protocol = service->protocol;
    action->run(s->o.world(s->o.ctx), &q, reply);
    reply->request_id = NULL;
}

/* ---- faults in each service's own words ----------------------------------------------------- */

static const struct {
    int status;
    const char *code, *message;
} fault_answers[][3] = {
    [FAULT_THROTTLE] = {{503, "RequestLimitExceeded", "Request limit exceeded."},
                        {400, "Throttling", "Rate exceeded"},
                        {400, "ThrottlingException", "Rate exceeded"}},
    [FAULT_ERROR] = {{500, "InternalError", "An internal error has occurred"},
                     {500, "InternalFailure", "An internal error has occurred"},
                     {500, "InternalServerError", "An internal error has occurred"}},
    [FAULT_EXPIRED] = {{400, "RequestExpired", "Request has expired."},
                       {403, "ExpiredToken",
                        "The security token included in the request is expired"},
                       {400, "ExpiredTokenException",
                        "The security token included in the request is expired"}},
};

/* The message that sts:DecodeAuthorizationMessage opens again. */
static void refuse(struct call *c)
{
    AUTO_FREE char *call = mem_printf("%s:%s", c->service->name, c->action_name);
    AUTO_BUF struct buf plain = {0}, encoded = {0};
    json_auto_t *j =
        json_pack("{s:b, s:b, s:{s:[]}, s:{s:[]}, s:{s:{s:s}, s:s, s:s}}", "allowed", 0,
                  "explicitDeny", 0, "matchedStatements", "items", "failures", "items", "context",
                  "principal", "arn", c->who.arn, "action", call, "resource", "*");
    json_write(j, false, &plain);
    digest_base64(buf_view(&plain), &encoded);
    if (c->reply.protocol == API_EC2)
        api_fail(&c->reply, 403, "UnauthorizedOperation",
                 "You are not authorized to perform this operation. User: %s is not authorized to "
                 "perform: %s because no identity-based policy allows the %s action. Encoded "
                 "authorization failure message: %s",
                 c->who.arn, call, call, buf_text(&encoded));
    else
        api_fail(
            &c->reply, c->reply.protocol == API_JSON ? 400 : 403,
            c->reply.protocol == API_JSON ? "AccessDeniedException" : "AccessDenied",
            "User: %s is not authorized to perform: %s because no identity-based policy allows "
            "the %s action",
            c->who.arn, call, call);
}

static void fail_on_demand(struct call *c, const struct fault *f)
{
    if (f->kind == FAULT_UNAUTHORIZED) {
        refuse(c);
    } else if (f->kind == FAULT_ERROR && f->value == 503) {
        api_fail(&c->reply, 503,
                 c->reply.protocol == API_EC2 ? "Unavailable" : "ServiceUnavailable",
                 "The server is overloaded and can't handle the request.");
    } else {
        api_fail(&c->reply, fault_answers[f->kind][c->reply.protocol].status,
                 fault_answers[f->kind][c->reply.protocol].code, "%s",
                 fault_answers[f->kind][c->reply.protocol].message);
    }
    answer(c);
}

static void before_effect(struct call *c)
{
    const struct fault *f = fault_of(c, FAULT_POINT_BEFORE);
    if (!f) {
        run_effect(c);
        return;
    }
    if (f->kind == FAULT_DROP_BEFORE)
        drop(c);
    else if (f->kind == FAULT_HOLD_BEFORE)
        hold(c, f->value, STEP_EFFECT);
    else
        fail_on_demand(c, f);
}

/* ---- understanding the request -------------------------------------------------------------- */

static const struct service *by_target(const struct service *all, struct str target)
{
    for (; all->name; all++) {
        if (all->target_prefix && str_starts(target, all->target_prefix))
            return all;
    }
    return NULL;
}

static const struct service *by_unsigned_action(const struct service *all, const char *action)
{
    for (; all->name; all++) {
        if (all->unsigned_action && action && strcmp(all->unsigned_action, action) == 0)
            return all;
    }
    return NULL;
}

/* Names of actions go into messages and the log: what is no name becomes plain. */
static char *clean_name(struct str name)
{
    char *out = str_dup((struct str){name.p, name.n < ACTION_NAME_MAX ? name.n : ACTION_NAME_MAX});
    for (char *p = out; *p; p++) {
        bool plain =
            (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9');
        if (!plain)
            *p = '?';
    }
    return out;
}

static int parse_json(struct call *c, struct str target)
{
    size_t prefix = strlen(c->service->target_prefix);
    c->action_name = clean_name((struct str){target.p + prefix, target.n - prefix});
    struct str body = httpd_body(c->http);
    struct err err = {0};
    if (json_parse(body.n ? body : STR("{}"), JSON_BODY_MAX, &c->json, &err) == -1 ||
        !json_is_object(c->json))
        return api_fail(&c->reply, 400, "SerializationException", "%s",
                        err.msg[0] ? err.msg : "the body is no JSON object");
    if (c->service->protocol == API_JSON)
        return 0;
    c->params = params_of_json(c->json);
    return c->params ? 0
                     : api_fail(&c->reply, 400, "SerializationException",
                                "the request is too large or too deep");
}

static int parse_query(struct call *c)
{
    bool get = str_is(httpd_method(c->http), "GET");
    c->params = params_parse(get ? httpd_query(c->http) : httpd_body(c->http));
    if (!c->params)
        return api_fail(&c->reply, 400, "MalformedQueryString",
                        "The query string contains a syntax error");
    const char *name = param(c->params, "Action");
    c->action_name = name ? clean_name(str_of(name)) : NULL;
    return 0;
}

static int check_version(struct call *c)
{
    const char *version = param(c->params, "Version");
    if (!version)
        return api_missing(&c->reply, "Version");
    if (strcmp(version, c->service->version) != 0)
        return api_fail(&c->reply, 400, "NoSuchVersion",
                        "The requested version (%.40s) of service %s does not exist", version,
                        c->service->name);
    return 0;
}

static int find_action(struct call *c)
{
    if (!c->action_name)
        return api_fail(&c->reply, 400, "MissingAction", "The request must contain an Action");
    c->action = service_action(c->service, c->action_name);
    if (c->action)
        return c->json ? 0 : check_version(c); /* JSON has the version in its target */
    if (c->reply.protocol == API_JSON)
        return api_fail(&c->reply, 400, "UnknownOperationException",
                        "The operation %s is unknown to the sandbox", c->action_name);
    return api_fail(&c->reply, 400, "InvalidAction",
                    "The action %s is not valid for this web service.", c->action_name);
}

static int check_method(struct call *c)
{
    struct str method = httpd_method(c->http);
    bool json = c->reply.protocol == API_JSON;
    if (str_is(method, "POST") || (!json && str_is(method, "GET")))
        return 0;
    return api_fail(&c->reply, 405, "MethodNotAllowed", "The method %.*s is not served",
                    (int)(method.n < 20 ? method.n : 20), method.p);
}

static bool speaks_json(const struct service *s, struct str target)
{
    return s->protocol == API_JSON || (s->target_prefix && str_starts(target, s->target_prefix));
}

/* The service that is asked, from the credential's scope, the target header, or the action. */
static int find_service(struct call *c, struct str target)
{
    const struct service *all = c->server->o.services;
    bool is_signed = auth_service(c->http, all, &c->service);
    if (!c->service && target.n)
        c->service = by_target(all, target);
    bool json = c->service ? speaks_json(c->service, target) : target.n > 0;
    c->reply.protocol = json ? API_JSON : c->service ? c->service->protocol : API_QUERY;
    if (!json && parse_query(c) == -1)
        return -1;
    if (!c->service && !is_signed)
        c->service = by_unsigned_action(all, c->action_name);
    if (!c->service && !is_signed)
        c->service = &all[0];
    if (!c->service)
        return api_fail(&c->reply, 400, target.n ? "UnknownOperationException" : "InvalidAction",
                        "The sandbox does not serve the service of this request");
    if (!json)
        c->reply.protocol = c->service->protocol;
    return check_method(c);
}

/* Everything up to the effect; what is wrong is in the reply. */
static int understand(struct call *c)
{
    struct server *s = c->server;
    struct str target = httpd_header(c->http, "X-Amz-Target");
    if (find_service(c, target) == -1)
        return -1;
    const char *open = c->service->unsigned_action;
    bool needs_none = open && c->action_name && strcmp(c->action_name, open) == 0 &&
                      httpd_header(c->http, "Authorization").n == 0;
    if (!needs_none && auth_check(c->http, c->service, s->o.region, s->o.identities, server_now(s),
                                  &c->who, &c->reply) == -1)
        return -1;
    if (c->reply.protocol == API_JSON) {
        if (!c->service->target_prefix || !str_starts(target, c->service->target_prefix))
            return api_fail(&c->reply, 400, "UnknownOperationException", "The target is unknown");
        if (parse_json(c, target) == -1)
            return -1;
    }
    return find_action(c);
}

static void handle(void *ctx, struct httpd_request *http)
{
    struct server *s = ctx;
    if (str_starts(httpd_path(http), "/_sandbox/")) {
        if (s->o.control)
            s->o.control(s->o.ctx, http);
        else
            httpd_answer(http, 404, NULL, STR(""));
        return;
    }
    struct call *c = call_new(s, http);
    if (understand(c) == -1)
        answer(c);
    else
        before_effect(c);
}

/* ---- start and stop ------------------------------------------------------------------------- */

int server_start(const struct server_options *o, struct server **out, struct err *err)
{
    struct server *s = mem_alloc(sizeof *s);
    s->o = *o;
    struct httpd_options ho = {.listen_fd = -1, .handle = handle, .ctx = s};
    struct sockaddr_in *a = (struct sockaddr_in *)&ho.address;
    a->sin_family = AF_INET;
    a->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a->sin_port = htons((uint16_t)o->port);
    if ((o->log_path && request_log_open(o->log_path, &s->log, err) == -1) ||
        httpd_start(o->loop, &ho, &s->httpd, err) == -1) {
        request_log_close(s->log);
        free(s);
        return -1;
    }
    *out = s;
    return 0;
}

void server_stop(struct server *s)
{
    if (!s)
        return;
    server_drop_held(s);
    httpd_stop(s->httpd);
    request_log_close(s->log);
    free(s);
}

int server_port(const struct server *s)
{
    return httpd_port(s->httpd);
}
