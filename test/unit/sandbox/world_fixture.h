/* A world on a clock of the test's own, with fake hosts, and requests on it without HTTP. */
#ifndef FLAMBE_TEST_WORLD_FIXTURE_H
#define FLAMBE_TEST_WORLD_FIXTURE_H

#include "fake_hosts.h"
#include "sandbox/ec2_priv.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define UBUNTU "ami-02404a6d36f1a0003"
#define PUBLIC_KEY \
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP2ck0TFmKM48IfwE9dqyLTFyP5FYPFuOmu00/OT6u2O me@here"

struct fixture {
    struct fake_hosts hosts;
    struct clock clock;
    usec_t now;
    struct world_options o;
    struct world *w;
    int changes;
    struct buf body; /* of the last answer */
    int status;
    char code[64];
};

static usec_t fixture_now(void *ctx)
{
    return ((struct fixture *)ctx)->now;
}

static void fixture_changed(void *ctx)
{
    ((struct fixture *)ctx)->changes++;
}

static int fixture_open(void **state)
{
    struct fixture *f = mem_alloc(sizeof *f);
    f->now = 1800000000 * USEC_PER_SEC;
    f->clock = (struct clock){.wall = fixture_now, .mono = fixture_now, .ctx = f};
    f->o = (struct world_options){
        .clock = &f->clock,
        .region = "us-east-1",
        .account = "123456789012",
        .network = "10.213.0.0/16",
        .public_network = "10.214.0.0/16",
        .kind = HOST_BOOTED,
        .driver = {&fake_ops, &f->hosts},
        .user_public_key = PUBLIC_KEY,
        .changed = fixture_changed,
        .changed_ctx = f,
    };
    world_default_delays(&f->o);
    f->w = world_new(&f->o);
    *state = f;
    return 0;
}

static int fixture_close(void **state)
{
    struct fixture *f = *state;
    world_close(f->w, false);
    buf_done(&f->body);
    free(f);
    return 0;
}

/* Runs an action; the answer's body is left in f->body. Returns the HTTP status. */
static inline int ask(struct fixture *f, const char *action, const char *parameters)
{
    struct params *p = params_parse(str_of(parameters));
    assert_non_null(p);
    struct api_request q = {.action = action,
                            .request_id = "request-1",
                            .account = f->o.account,
                            .params = p,
                            .now = f->now};
    struct api_reply r = {.status = 200};
    const struct api_action *a = ec2_actions;
    while (a->name && strcmp(a->name, action) != 0)
        a++;
    assert_non_null(a->name);
    world_advance(f->w);
    a->run(f->w, &q, &r);
    params_free(p);
    buf_done(&f->body);
    f->body = r.body;
    f->status = r.status;
    snprintf(f->code, sizeof f->code, "%s", r.code);
    return r.status;
}

/* The text of the first <name> after `from` bytes; "" if there is none. The caller frees. */
static inline char *element(const struct fixture *f, const char *name)
{
    AUTO_FREE char *open = mem_printf("<%s>", name);
    const char *at = f->body.data ? strstr(f->body.data, open) : NULL;
    if (!at)
        return mem_dup("");
    at += strlen(open);
    return mem_dup_n(at, strcspn(at, "<"));
}

static inline int count_of(const struct fixture *f, const char *text)
{
    int n = 0;
    for (const char *at = buf_text(&f->body); (at = strstr(at, text)); at++)
        n++;
    return n;
}

#define RUN "ImageId=" UBUNTU "&InstanceType=t3.micro&MinCount=1&MaxCount=1"

/* Launches one and returns it. */
static inline struct world_instance *launch(struct fixture *f, const char *more)
{
    AUTO_FREE char *parameters = mem_printf(RUN "%s", more);
    assert_int_equal(ask(f, "RunInstances", parameters), 200);
    AUTO_FREE char *id = element(f, "instanceId");
    struct world_instance *i = world_find(f->w, id);
    assert_non_null(i);
    return i;
}

static inline void pass(struct fixture *f, usec_t span)
{
    f->now += span;
    world_advance(f->w);
}

/* One action on one instance. */
static inline int act(struct fixture *f, const char *action, const struct world_instance *i)
{
    AUTO_FREE char *parameters = mem_printf("InstanceId.1=%s", i->r.id);
    return ask(f, action, parameters);
}

#define SECOND USEC_PER_SEC

#endif
