/* Looking at the keys that hosts show, side by side. See ssh.h. */
#include "base/mem.h"
#include "ssh/ssh.h"
#include <stdlib.h>

struct glance {
    struct looking *all;
    struct ssh_looked *result;
};

struct looking {
    size_t left;
};

static void ended(void *ctx, struct ssh_session *s, const struct err *err)
{
    struct glance *g = ctx;
    (void)s;
    if (!g->result->line && err)
        g->result->err = *err;
    g->all->left--;
}

static bool all_ended(void *ctx)
{
    return ((const struct looking *)ctx)->left == 0;
}

int ssh_look(struct loop *loop, const struct ssh_target *targets, size_t count, usec_t timeout,
             struct ssh_looked *results, struct err *err)
{
    struct looking all = {.left = count};
    AUTO_FREE struct glance *glances = mem_array(count + 1, sizeof *glances);
    struct ssh_pool *pool = ssh_pool_new(loop);
    for (size_t i = 0; i < count; i++) {
        results[i] = (struct ssh_looked){0};
        glances[i] = (struct glance){&all, &results[i]};
        struct ssh_connect_options o = {.attempt_timeout = timeout, .look = &results[i].line};
        (void)ssh_session_open(pool, &targets[i], &o, ended, &glances[i]);
    }
    int rc = loop_wait(loop, all_ended, &all, USEC_FOREVER, err);
    ssh_pool_free(pool); /* with what is left of the sessions: no call back into this frame */
    for (size_t i = 0; rc == -1 && i < count; i++) {
        free(results[i].line);
        results[i].line = NULL;
    }
    return rc;
}
