/* One command on some of a cluster's hosts, each with its own input, its output line by line. */
#include "base/mem.h"
#include "base/port.h"
#include "cluster/equip_priv.h"
#include <string.h>

#define FAN_LINE_MAX 8192 /* a munge key is one line */

struct fan_run {
    const struct equip_fan *f;
    const size_t *which;
    struct buf *lines; /* one for each of `which` */
};

static void give(struct fan_run *r, size_t i)
{
    r->f->line(r->f->ctx, r->which[i], buf_view(&r->lines[i]));
    if (r->lines[i].len)
        port_wipe(r->lines[i].data, r->lines[i].len); /* it may be a key */
    buf_clear(&r->lines[i]);
}

static void output(void *ctx, size_t i, bool is_err, struct str bytes)
{
    struct fan_run *r = ctx;
    while (!is_err && bytes.n) {
        const char *nl = memchr(bytes.p, '\n', bytes.n);
        size_t n = nl ? (size_t)(nl - bytes.p) : bytes.n;
        buf_add(&r->lines[i], bytes.p, n);
        if (nl)
            give(r, i);
        n += nl != NULL;
        bytes = (struct str){bytes.p + n, bytes.n - n};
    }
}

int equip_fan(const struct equip_fan *f, const size_t *which, size_t count, const char *command,
              const struct str *inputs, usec_t timeout, struct ssh_fanout_result *results,
              struct err *err)
{
    AUTO_FREE struct ssh_target *targets = mem_array(count + 1, sizeof *targets);
    AUTO_FREE struct buf *lines = mem_array(count + 1, sizeof *lines);
    struct fan_run run = {.f = f, .which = which, .lines = lines};
    for (size_t i = 0; i < count; i++) {
        targets[i] = f->targets[which[i]];
        lines[i].max = FAN_LINE_MAX;
    }
    struct ssh_fanout_request request = {
        .targets = targets,
        .count = count,
        .connect = {.identity = f->identity,
                    .attempt_timeout = 10 * USEC_PER_SEC,
                    .retry_for = 10 * USEC_PER_SEC},
        .command = command,
        .inputs = inputs,
        .timeout = timeout,
        .output = output,
        .ctx = &run,
    };
    int rc = count ? ssh_fanout(f->c->loop, &request, results, err) : 0;
    for (size_t i = 0; i < count; i++) {
        if (rc == 0 && lines[i].len)
            give(&run, i);
        buf_wipe(&lines[i]);
    }
    return rc;
}
