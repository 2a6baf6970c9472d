/* See call.h. A call's phase changes in set_phase() alone. */
#include "aws/call.h"
#include "aws/errors.h"
#include "aws/sigv4.h"
#include "base/digest.h"
#include "base/mem.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum call_phase {
    CALL_PARKED,  /* for want of credentials */
    CALL_WAITING, /* for its turn, or before another try */
    CALL_SENT,
    CALL_DONE,
};

struct aws_call {
    struct aws *aws;
    struct aws_call *prev, *next;
    const struct aws_call_ops *ops;
    void *state;
    enum call_phase phase;
    struct buf body;
    struct retry retry;
    int attempt, requests;
    bool clock_tried, refresh_tried;
    bool unsure; /* a request was sent whose end is not known */
    struct http_call *http;
    struct timer *timer;
    usec_t sent; /* mono */
    struct err err;
    char *denial;                 /* EC2's encoded reason, or NULL */
    const struct credentials *by; /* aws_call_now's: these keys, and no others */
};

#define SKEW_MIN (4 * USEC_PER_MIN) /* AWS allows 5 (15 in places) */

static void attempt(struct aws_call *c);

static void set_phase(struct aws_call *c, enum call_phase phase)
{
    assert(c->phase != CALL_DONE);
    c->phase = phase;
}

static void end(struct aws_call *c, const struct err *err)
{
    if (err) {
        c->err = *err;
        c->err.unsure = c->unsure;
    }
    set_phase(c, CALL_DONE);
}

/* ---- sending ----------------------------------------------------------------------------------
 */

static void begin_body(struct aws_call *c)
{
    const struct aws_service *s = c->ops->service;
    buf_clear(&c->body);
    if (s->protocol == AWS_QUERY)
        buf_addf(&c->body, "Action=%s&Version=%s", c->ops->action, s->version);
}

/* Asks the call for its next request; ends it where there is none. */
static void next_request(struct aws_call *c)
{
    c->clock_tried = c->refresh_tried = false;
    c->attempt = 0;
    begin_body(c);
    if (!c->ops->request(c->state, &c->body)) {
        end(c, NULL);
        return;
    }
    if (++c->requests > AWS_REQUESTS_MAX) {
        struct err err;
        err_set(&err, ERR_LIMIT, "more than %d pages of answers", AWS_REQUESTS_MAX);
        end(c, &err);
        return;
    }
    attempt(c);
}

static void wake(void *ctx)
{
    struct aws_call *c = ctx;
    timer_stop(TAKE(c->timer));
    attempt(c);
}

static void wait_and_attempt(struct aws_call *c, usec_t span)
{
    set_phase(c, CALL_WAITING);
    c->timer = timer_start(c->aws->loop, span, wake, c);
}

static void on_answer(void *ctx, const struct http_response *r, const struct err *err);

/* The request's header lines, wiped after use: they hold the session token. */
struct lines {
    struct buf text[6];
    const char *list[7]; /* NULL-terminated */
    size_t count;
};

static void add_line(struct lines *l, const char *name, struct str value)
{
    struct buf *b = &l->text[l->count];
    buf_adds(b, name);
    buf_adds(b, ": ");
    buf_add_str(b, value);
    l->list[l->count++] = buf_text(b);
}

static void lines_done(struct lines *l)
{
    for (size_t i = 0; i < l->count; i++)
        buf_wipe(&l->text[i]);
}

/* Signs by `by`, or leaves the request without a signature where `by` has no key: the one call of
 * ours that is made so is AssumeRoleWithWebIdentity. */
static void make_lines(struct aws_call *c, const struct credentials *by, struct lines *out)
{
    struct aws *aws = c->aws;
    const struct aws_service *s = c->ops->service;
    const struct aws_url *url = aws_service_url(aws, s);
    AUTO_FREE char *target = mem_printf("%s.%s", s->target ? s->target : "", c->ops->action);
    const char *type = s->protocol == AWS_JSON ? "application/x-amz-json-1.1"
                                               : "application/x-www-form-urlencoded; charset=utf-8";
    struct sigv4_header headers[] = {{STR("Host"), str_of(url->host)},
                                     {STR("Content-Type"), str_of(type)},
                                     {STR("X-Amz-Target"), str_of(target)}};
    size_t count = s->protocol == AWS_JSON ? 3 : 2;
    add_line(out, "Host", headers[0].value);
    add_line(out, "Content-Type", headers[1].value);
    if (count == 3)
        add_line(out, "X-Amz-Target", headers[2].value);
    if (!by->access_key_id)
        return;
    struct sigv4_request request = {.method = STR("POST"),
                                    .path = str_of(url->path),
                                    .headers = headers,
                                    .header_count = count,
                                    .body = buf_view(&c->body)};
    struct sigv4_signer signer = {.access_key_id = str_of(by->access_key_id),
                                  .secret_key = by->secret_key,
                                  .session_token = by->session_token,
                                  .region = s->only_region ? s->only_region : aws->region,
                                  .service = s->signing,
                                  .time = aws_now(aws)};
    struct sigv4_result signature;
    sigv4_sign(&request, &signer, &signature);
    add_line(out, "X-Amz-Date", str_of(signature.date));
    add_line(out, "Authorization", buf_view(&signature.authorization));
    if (!secret_is_empty(by->session_token))
        add_line(out, "X-Amz-Security-Token", secret_expose(by->session_token));
    sigv4_result_done(&signature);
}

static void send_now(struct aws_call *c)
{
    struct aws *aws = c->aws;
    struct err err;
    struct http *http = aws_http(aws, &err);
    if (!http) {
        end(c, &err);
        return;
    }
    struct lines lines = {0};
    make_lines(c, c->by ? c->by : &aws->credentials, &lines);
    struct http_request request = {.method = "POST",
                                   .url = aws_service_url(aws, c->ops->service)->url,
                                   .headers = lines.list,
                                   .body = buf_view(&c->body),
                                   .once = c->ops->once};
    c->attempt++;
    c->sent = clock_mono(loop_clock(aws->loop));
    set_phase(c, CALL_SENT);
    c->http = http_start(http, &request, on_answer, c);
    lines_done(&lines);
}

/* Its turn has come. */
static void on_turn(void *ctx)
{
    struct aws_call *c = ctx;
    timer_stop(TAKE(c->timer));
    send_now(c);
}

static void attempt(struct aws_call *c)
{
    struct aws *aws = c->aws;
    if (!c->by && !credentials_usable(aws)) {
        set_phase(c, CALL_PARKED);
        return;
    }
    usec_t turn = retry_rate_take(&aws->rate, clock_mono(loop_clock(aws->loop)));
    if (turn <= 0) {
        send_now(c);
        return;
    }
    set_phase(c, CALL_WAITING);
    c->timer = timer_start(aws->loop, turn, on_turn, c);
}

/* ---- understanding failures -------------------------------------------------------------------
 */

/* RFC 9110's "Sun, 06 Nov 1994 08:49:37 GMT", in no locale's words. */
bool aws_parse_http_date(struct str s, usec_t *out)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char text[40], month[4];
    struct tm tm = {0};
    if (s.n == 0 || s.n >= sizeof text)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    const char *comma = strchr(text, ',');
    if (!comma || sscanf(comma + 1, " %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT", &tm.tm_mday, month,
                         &tm.tm_year, &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6)
        return false;
    const char *at = strstr(months, month);
    if (!at || strlen(month) != 3 || (at - months) % 3)
        return false;
    tm.tm_mon = (int)(at - months) / 3;
    tm.tm_year -= 1900;
    *out = (usec_t)timegm(&tm) * USEC_PER_SEC;
    return true;
}

static void set_skew(struct err *err, usec_t offset)
{
    char span[CLOCK_SPAN_SIZE], origin[ERR_ORIGIN_MAX];
    memcpy(origin, err->origin, sizeof origin);
    usec_t whole = (offset < 0 ? -offset : offset) + USEC_PER_MIN / 2; /* Date tells seconds only */
    clock_span(whole - whole % USEC_PER_MIN, span);
    err_set_origin(err, ERR_CLOCK_SKEW, origin,
                   "this machine's clock is %s %s AWS's; to set it: sudo timedatectl set-ntp true",
                   span, offset < 0 ? "ahead of" : "behind");
}

/* Whether a wrong clock explains the failure and one more try by the server's clock is due. */
static bool correct_clock(struct aws_call *c, const struct http_response *r, struct err *err)
{
    usec_t theirs;
    if (!aws_error_may_be_skew(err) || !aws_parse_http_date(http_header(r, "Date"), &theirs))
        return false;
    usec_t offset = theirs - clock_wall(loop_clock(c->aws->loop));
    usec_t beyond = offset - c->aws->clock_offset; /* what the correction so far leaves */
    if (!c->clock_tried && (beyond > SKEW_MIN || beyond < -SKEW_MIN)) {
        c->clock_tried = true;
        c->aws->clock_offset = offset;
        set_skew(err, offset); /* for the trace: the person hears of it though the call goes on */
        return true;
    }
    if (offset > SKEW_MIN || offset < -SKEW_MIN)
        set_skew(err, offset);
    return false;
}

/* Whether fresh credentials may help, and can be had. */
static bool drop_credentials(struct aws_call *c, const struct err *err)
{
    struct aws *aws = c->aws;
    if (c->by || c->refresh_tried || !aws_error_may_be_expired(err) || !aws->provider ||
        !aws->provider->waits)
        return false;
    c->refresh_tried = true;
    aws->credentials_stale = true;
    return true;
}

static void explain(struct aws_call *c, struct err *err)
{
    const struct credentials *by = c->by ? c->by : &c->aws->credentials;
    if (err->code == ERR_CREDENTIALS)
        err_wrap(err, "the credentials of %s are refused%s", by->source ? by->source : "?",
                 aws_error_may_be_expired(err) ? " as expired" : "");
    err_wrap(err, "%s", c->ops->action);
}

static void trace(struct aws_call *c, int status, const struct err *err, usec_t retry_in)
{
    struct aws *aws = c->aws;
    if (!aws->trace)
        return;
    struct aws_trace t = {.service = c->ops->service->name,
                          .action = c->ops->action,
                          .attempt = c->attempt,
                          .status = status,
                          .took = clock_mono(loop_clock(aws->loop)) - c->sent,
                          .err = err,
                          .retry_in = retry_in};
    aws->trace(aws->trace_ctx, &t);
}

static double chance(void)
{
    uint32_t raw;
    digest_random(&raw, sizeof raw);
    return raw / 4294967296.0;
}

/* Whether the request may have had its effect nevertheless. */
static bool leaves_unsure(enum err_code code)
{
    return code == ERR_UNREACHABLE || code == ERR_TIMEOUT || code == ERR_SERVER ||
           code == ERR_PARSE || code == ERR_LIMIT;
}

static void failed(struct aws_call *c, const struct http_response *r, struct err *err)
{
    struct aws *aws = c->aws;
    int status = r ? r->status : 0;
    usec_t delay = 0;
    c->unsure = c->unsure || leaves_unsure(err->code);
    if (r && correct_clock(c, r, err)) {
        trace(c, status, err, 0);
        attempt(c);
        return;
    }
    if (drop_credentials(c, err)) {
        trace(c, status, err, 0);
        attempt(c);
        return;
    }
    if (retry_again(&c->retry, &aws->quota, aws->max_attempts, err, chance(), &delay)) {
        trace(c, status, err, delay);
        wait_and_attempt(c, delay);
        return;
    }
    trace(c, status, err, 0);
    if (r && err->code == ERR_PERMISSION && !c->denial)
        c->denial = aws_error_denial(buf_view(&r->body));
    if (c->ops->failed && c->ops->failed(c->state, err)) {
        c->retry = (struct retry){0};
        next_request(c);
        return;
    }
    explain(c, err);
    end(c, err);
}

static void on_answer(void *ctx, const struct http_response *r, const struct err *why)
{
    struct aws_call *c = ctx;
    struct aws *aws = c->aws;
    struct err err = {0};
    c->http = NULL;
    if (why)
        err = *why;
    else if (r->status < 200 || r->status > 299)
        aws_error_set(&err, r->status, buf_view(&r->body), http_header(r, "x-amzn-ErrorType"));
    retry_rate_update(&aws->rate, err.code == ERR_THROTTLED, clock_mono(loop_clock(aws->loop)));
    if (err.code) {
        failed(c, r, &err);
        return;
    }
    retry_succeeded(&c->retry, &aws->quota);
    if (c->ops->answer(c->state, buf_view(&r->body), &err) == -1) {
        trace(c, r->status, &err, 0);
        explain(c, &err);
        end(c, &err);
        return;
    }
    trace(c, r->status, NULL, 0);
    next_request(c);
}

/* ---- the future -------------------------------------------------------------------------------
 */

static struct aws_call *make(struct aws *aws, const struct aws_call_ops *ops, void *state,
                             const struct credentials *by)
{
    struct aws_call *c = mem_alloc(sizeof *c);
    c->aws = aws;
    c->ops = ops;
    c->state = state;
    c->by = by;
    c->phase = CALL_WAITING;
    c->next = aws->calls;
    if (aws->calls)
        aws->calls->prev = c;
    aws->calls = c;
    next_request(c);
    return c;
}

struct aws_call *aws_call_start(struct aws *aws, const struct aws_call_ops *ops, void *state)
{
    credentials_try_now(aws);
    return make(aws, ops, state, NULL);
}

struct aws *aws_call_owner(const struct aws_call *c)
{
    return c->aws;
}

void aws_call_free(struct aws_call *c)
{
    if (!c)
        return;
    if (c->prev)
        c->prev->next = c->next;
    else
        c->aws->calls = c->next;
    if (c->next)
        c->next->prev = c->prev;
    http_cancel(c->http);
    timer_stop(c->timer);
    free(c->denial);
    buf_wipe(&c->body); /* web identity tokens pass here */
    c->ops->free(c->state);
    free(c);
}

static bool any_parked(const struct aws *aws)
{
    for (const struct aws_call *c = aws->calls; c; c = c->next)
        if (c->phase == CALL_PARKED)
            return true;
    return false;
}

static bool done_or_parked(void *ctx)
{
    const struct aws_call *c = ctx;
    return c->phase == CALL_DONE || (!c->aws->resolving && any_parked(c->aws));
}

/* Fetches credentials, and lets all that are parked go on, or fail. */
static void unpark(struct aws *aws)
{
    struct err err = {0};
    bool ok = credentials_resolve(aws, &err) == 0;
    for (struct aws_call *c = aws->calls; c; c = c->next) {
        if (c->phase != CALL_PARKED)
            continue;
        if (ok)
            attempt(c);
        else
            end(c, &err);
    }
}

static int wait_for_end(struct aws_call *c, struct err *err)
{
    struct aws *aws = c->aws;
    while (c->phase != CALL_DONE) {
        if (!aws->resolving && any_parked(aws))
            unpark(aws);
        else if (loop_wait(aws->loop, done_or_parked, c, USEC_FOREVER, err) == -1)
            return err_wrap(err, "%s", c->ops->action);
    }
    if (!c->err.code)
        return 0;
    if (c->denial && !c->by)
        sts_explain_denial(aws, c->ops->action, c->denial, &c->err);
    return err_copy(err, &c->err);
}

static bool call_done(void *ctx)
{
    return ((const struct aws_call *)ctx)->phase == CALL_DONE;
}

bool aws_call_ended_within(struct aws_call *c, usec_t span)
{
    return loop_wait(c->aws->loop, call_done, c, span, NULL) == 0;
}

void aws_call_drop(struct aws_call *c)
{
    aws_call_free(c);
}

void *aws_call_wait(struct aws_call *c, const struct aws_call_ops *ops, struct err *err)
{
    assert(c->ops == ops);
    (void)ops;
    if (wait_for_end(c, err) == 0)
        return c->state;
    aws_call_free(c);
    return NULL;
}

int aws_call_finish(struct aws_call *c, const struct aws_call_ops *ops, struct err *err)
{
    if (!aws_call_wait(c, ops, err))
        return -1;
    aws_call_free(c);
    return 0;
}

/* ---- a call right here ------------------------------------------------------------------------
 */

struct now {
    struct str body;
    bool asked;
    struct buf *answer;
};

static bool now_request(void *state, struct buf *body)
{
    struct now *n = state;
    if (n->asked)
        return false;
    n->asked = true;
    buf_addc(body, '&');
    buf_add_str(body, n->body);
    return true;
}

static int now_answer(void *state, struct str body, struct err *err)
{
    (void)err;
    struct now *n = state;
    buf_add_str(n->answer, body);
    return 0;
}

static void now_free(void *state)
{
    (void)state; /* lives on aws_call_now's stack */
}

int aws_call_now(struct aws *aws, const struct aws_service *service, const char *action,
                 const struct credentials *by, struct str body, struct buf *answer, struct err *err)
{
    struct aws_call_ops ops = {.service = service,
                               .action = action,
                               .request = now_request,
                               .answer = now_answer,
                               .free = now_free};
    struct now state = {.body = body, .answer = answer};
    struct aws_call *c = make(aws, &ops, &state, by);
    return aws_call_finish(c, &ops, err);
}
