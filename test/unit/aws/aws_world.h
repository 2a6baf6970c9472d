/* A client against a server in the same process, with an environment and files of its own. Included
 * by tests, once each. */
#ifndef TEST_AWS_WORLD_H
#define TEST_AWS_WORLD_H

#include "../net/fake_http.h"
#include "aws/aws_priv.h"
#include "os/fs.h"
#include <unistd.h>

struct world {
    struct loop *loop;
    struct fake_http fake;
    struct aws *aws;
    char dir[64];    /* HOME */
    struct buf last; /* the last request */
    struct strv bodies;
    int step; /* requests so far */
    /* the test's own answer to request number `step` (from 1) */
    void (*answer)(struct world *w, struct str request, struct buf *reply, bool *drop);
    struct buf trace;
};

/* The environment of the client: what a test sets, nothing else. */
static struct {
    char name[64];
    char value[512];
} world_env[32];
static size_t world_env_count;

static const char *world_getenv(const char *name)
{
    for (size_t i = world_env_count; i-- > 0;)
        if (strcmp(world_env[i].name, name) == 0)
            return world_env[i].value;
    return NULL;
}

static inline void world_set(const char *name, const char *value)
{
    assert_true(world_env_count < sizeof world_env / sizeof *world_env);
    snprintf(world_env[world_env_count].name, 64, "%s", name);
    snprintf(world_env[world_env_count++].value, 512, "%s", value);
}

static void world_answer(void *ctx, struct str request, struct buf *reply, bool *drop)
{
    struct world *w = ctx;
    buf_clear(&w->last);
    buf_add_str(&w->last, request);
    strv_add_str(&w->bodies, fake_body(request));
    w->step++;
    w->answer(w, request, reply, drop);
}

static void world_trace(void *ctx, const struct aws_trace *t)
{
    struct world *w = ctx;
    buf_addf(&w->trace, "%s %s #%d %d %s%s\n", t->service, t->action, t->attempt, t->status,
             t->err ? t->err->origin : "ok", t->retry_in ? " again" : "");
}

static inline void world_write(struct world *w, const char *name, const char *text)
{
    AUTO_FREE char *path = fs_join(w->dir, name);
    AUTO_FREE char *dir = mem_dup(path);
    *strrchr(dir, '/') = '\0';
    assert_int_equal(fs_mkdirs(dir, 0700, NULL), 0);
    assert_int_equal(fs_write_atomic(path, 0600, str_of(text), NULL), 0);
}

static inline int world_set_up(void **state)
{
    struct world *w = mem_alloc(sizeof *w);
    w->loop = loop_new();
    snprintf(w->dir, sizeof w->dir, "/tmp/flambe-test-aws-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    fake_start(&w->fake, w->loop, world_answer, w);
    world_env_count = 0;
    AUTO_FREE char *url = mem_printf("http://127.0.0.1:%d", w->fake.port);
    world_set("HOME", w->dir);
    world_set("AWS_ENDPOINT_URL", url);
    world_set("AWS_EC2_METADATA_DISABLED", "true");
    *state = w;
    return 0;
}

static inline void world_set_keys(void)
{
    world_set("AWS_ACCESS_KEY_ID", "AKIDENV");
    world_set("AWS_SECRET_ACCESS_KEY", "secret-env");
}

/* -1 and *err where opening fails. */
static inline int world_open(struct world *w, const char *profile, struct err *err)
{
    struct aws_options o = {.loop = w->loop,
                            .profile = profile,
                            .getenv = world_getenv,
                            .trace = world_trace,
                            .trace_ctx = w};
    return aws_open(&o, &w->aws, err);
}

static inline int world_tear_down(void **state)
{
    struct world *w = *state;
    aws_close(w->aws);
    fake_stop(&w->fake, w->loop);
    loop_free(w->loop);
    assert_int_equal(fs_remove_tree(w->dir, NULL), 0);
    buf_done(&w->last);
    buf_done(&w->trace);
    strv_done(&w->bodies);
    free(w);
    return 0;
}

/* EC2's error answer. */
static inline void world_ec2_error(struct buf *reply, int status, const char *headers,
                                   const char *code, const char *message)
{
    AUTO_FREE char *body = mem_printf(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>%s</Code>"
        "<Message>%s</Message></Error></Errors><RequestID>r-1</RequestID></Response>",
        code, message);
    fake_reply(reply, status, headers, body);
}

/* The test's files are text that stands in this folder. */
static inline void world_recorded(struct buf *reply, const char *name)
{
    AUTO_FREE char *path = mem_printf("%s/test/unit/aws/answers/%s", SOURCE_ROOT, name);
    AUTO_BUF struct buf text = {0};
    assert_int_equal(fs_read(path, 1 << 20, &text, NULL), 0);
    fake_reply(reply, 200, "Content-Type: text/xml\r\n", buf_text(&text));
}

#endif
