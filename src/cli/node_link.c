/* See node_link.h. */
#include "cli/node_link.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/text.h"
#include <stdlib.h>
#include <string.h>

#define WORDS_SHOWN 200 /* bytes of what a host says that go into a message */

/* ---- the connection -------------------------------------------------------------------------- */

static void connected(void *ctx, struct ssh_session *s, const struct err *err)
{
    struct node_link *l = ctx;
    (void)s;
    l->connected = err == NULL;
    if (err)
        l->why = *err;
}

static bool is_settled(void *ctx)
{
    const struct node_link *l = ctx;
    return l->connected || l->why.code != ERR_NONE;
}

int node_link_reconnect(struct node_link *l, usec_t patience, struct err *err)
{
    const struct ssh_target *target = reach_target(&l->reach, l->index);
    if (!target) {
        reach_no_address(&l->reach, l->index, err);
        return err_wrap(err, "the orchestrator of '%s'", l->reach.target.name);
    }
    struct ssh_connect_options o = {.identity = l->identity,
                                    .retry_for = patience,
                                    .attempt_timeout = patience ? 0 : NODE_GLANCE};
    ssh_session_free(l->session);
    l->connected = false;
    l->why = (struct err){0};
    l->session = ssh_session_open(l->pool, target, &o, connected, l);
    if (loop_wait(l->reach.session.loop, is_settled, l, USEC_FOREVER, err) == -1)
        return -1;
    return l->connected ? 0 : err_copy(err, &l->why);
}

static int find_orchestrator(struct node_link *l, struct err *err)
{
    for (l->index = 0; l->index < l->reach.picked.count; l->index++) {
        if (l->reach.picked.items[l->index].role == ROLE_ORCHESTRATOR)
            return 0;
    }
    return err_set(err, ERR_NOT_FOUND, "'%s' has no orchestrator that is up", l->reach.target.name);
}

static int open_on(struct node_link *l, struct cli *cli, const char *word, const char *on,
                   usec_t patience, struct err *err)
{
    *l = (struct node_link){0};
    if (reach_open(&l->reach, cli, word, on, err) == -1 || find_orchestrator(l, err) == -1 ||
        target_load_identity(cli, &l->reach.target, &l->identity, err) == -1)
        return -1;
    l->pool = ssh_pool_new(l->reach.session.loop);
    return node_link_reconnect(l, patience, err);
}

int node_link_open(struct node_link *l, struct cli *cli, const char *word, usec_t patience,
                   struct err *err)
{
    return open_on(l, cli, word, "orchestrator", patience, err);
}

int node_link_open_all(struct node_link *l, struct cli *cli, const char *word, usec_t patience,
                       struct err *err)
{
    return open_on(l, cli, word, NULL, patience, err);
}

void node_link_done(struct node_link *l)
{
    ssh_session_free(l->session);
    ssh_pool_free(l->pool);
    ssh_identity_free(l->identity);
    reach_done(&l->reach);
}

/* ---- calls ----------------------------------------------------------------------------------- */

struct calling {
    const struct node_call *call;
    struct node_answer *answer;
    struct err err;
    bool done;
};

static void got_output(void *ctx, bool is_err, struct str bytes)
{
    struct calling *c = ctx;
    if (c->call->output)
        c->call->output(c->call->ctx, is_err, bytes);
    else
        buf_add_str(is_err ? &c->answer->err_out : &c->answer->out, bytes);
}

static void call_done(void *ctx, const struct ssh_exec_result *r, const struct err *err)
{
    struct calling *c = ctx;
    c->done = true;
    if (err)
        c->err = *err;
    else
        c->answer->result = *r;
}

static bool is_done(void *ctx)
{
    const struct calling *c = ctx;
    return c->done;
}

void node_answer_done(struct node_answer *a)
{
    buf_done(&a->out);
    buf_done(&a->err_out);
}

int node_call(struct node_link *l, const struct node_call *call, struct node_answer *out,
              struct err *err)
{
    *out = (struct node_answer){.out.max = NODE_ANSWER_MAX, .err_out.max = NODE_ANSWER_MAX};
    struct calling c = {.call = call, .answer = out};
    AUTO_BUF struct buf command = {0};
    for (size_t i = 0; i < call->words->count; i++) {
        if (i)
            buf_addc(&command, ' ');
        text_shell_quote(call->words->items[i], &command);
    }
    struct ssh_exec_request r = {.command = buf_text(&command),
                                 .input = call->input,
                                 .timeout = call->timeout,
                                 .output = got_output,
                                 .done = call_done,
                                 .ctx = &c};
    (void)ssh_exec_start(l->session, &r);
    if (loop_wait(l->reach.session.loop, is_done, &c, USEC_FOREVER, err) == -1) {
        ssh_session_free(TAKE(l->session)); /* no call back into this frame */
        l->connected = false;
        return -1;
    }
    return c.err.code ? err_copy(err, &c.err) : 0;
}

static enum err_code code_named(const char *name)
{
    for (int code = ERR_NONE + 1; code < ERR_CODE_COUNT; code++)
        if (name && strcmp(err_name((enum err_code)code), name) == 0)
            return (enum err_code)code;
    return ERR_REMOTE;
}

/* What a command that failed had to say, as one line. */
static int failed(const struct node_answer *a, struct err *err)
{
    struct str text = str_trim(buf_view(&a->err_out));
    if (text.n > WORDS_SHOWN)
        text.n = WORDS_SHOWN;
    AUTO_BUF struct buf clean = {0};
    text_clean(text, false, &clean);
    if (a->result.signal[0])
        return err_set(err, ERR_REMOTE, "flambe-node on the orchestrator was ended by signal %s",
                       a->result.signal);
    return err_set(err, ERR_REMOTE, "flambe-node on the orchestrator failed with status %d%s%s",
                   a->result.status, clean.len ? ": " : "", buf_text(&clean));
}

int node_ask(struct node_link *l, const char *const *words, struct str input, json_t **out,
             struct err *err)
{
    AUTO_STRV struct strv all = {0};
    strv_add(&all, NODE_PROGRAM);
    for (; *words; words++)
        strv_add(&all, *words);
    struct node_call call = {.words = &all, .input = input, .timeout = NODE_CALL_TIMEOUT};
    struct node_answer a;
    struct err why = {0};
    json_t *value = NULL;
    int rc = node_call(l, &call, &a, err);
    if (rc == 0 && json_parse(buf_view(&a.out), NODE_ANSWER_MAX, &value, &why) == -1) {
        rc = failed(&a, err);
    } else if (rc == 0 && a.result.status != 0) {
        const json_t *e = json_object_get(value, "error");
        const char *message = json_string_value(json_object_get(e, "message"));
        rc = message ? err_set(err, code_named(json_string_value(json_object_get(e, "code"))), "%s",
                               message)
                     : failed(&a, err);
    }
    node_answer_done(&a);
    if (rc == -1) {
        json_decref(value);
        return -1;
    }
    *out = value;
    return 0;
}

int node_queue(struct node_link *l, json_t **out, struct err *err)
{
    static const char *const words[] = {"queue", "list", "-o", "json", NULL};
    return node_ask(l, words, (struct str){0}, out, err);
}
