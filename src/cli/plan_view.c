/* See plan_view.h. */
#include "cli/plan_view.h"
#include "cli/hosttable.h"
#include <stdio.h>

const char *price_text(double usd_per_hour)
{
    static char text[64];
    text[0] = '\0';
    if (usd_per_hour >= 0)
        snprintf(text, sizeof text, "about $%.*f an hour", usd_per_hour < 0.01 ? 4 : 2,
                 usd_per_hour);
    return text;
}

/* One call where nothing is to be done. */
static int look(struct planned *p, bool resume, struct err *err)
{
    struct cluster *c = &p->session.cluster;
    size_t resumed = 0;
    if (resume && cluster_resume(c, p->spec.creator, p->spec.name, &resumed, err) == -1)
        return -1;
    if (resumed)
        console_line(&p->session.cli->screen,
                     "an earlier run was cut off while it launched: its %zu %s found again",
                     resumed, resumed == 1 ? "machine is" : "machines are");
    if (cluster_observe(c, p->spec.creator, p->spec.name, &p->hosts, err) == -1)
        return -1;
    if (plan_make(&p->spec, &p->hosts, aws_region(c->aws), &p->plan, err) == -1)
        return -1;
    p->has_plan = true;
    if (!plan_is_empty(&p->plan))
        cluster_price(c, &p->plan);
    return 0;
}

int planned_load(struct planned *p, struct cli *cli, const char *path, struct err *err)
{
    *p = (struct planned){0};
    session_init(&p->session, cli);
    if (target_load_spec(cli, path, &p->spec, err) == -1)
        return -1;
    p->has_spec = true;
    return 0;
}

int planned_look(struct planned *p, bool resume, struct err *err)
{
    struct session *s = &p->session;
    if (session_connect(s, p->spec.region_name, err) == -1)
        return -1;
    struct live *live = live_new(s->loop, &s->cli->screen, p->spec.name);
    live_watch(live, &s->cluster.watch);
    live_step(live, "looking for '%s' in %s", p->spec.name, aws_region(s->cluster.aws));
    int rc = look(p, resume, err);
    session_watch(s);
    live_free(live);
    return rc;
}

void planned_done(struct planned *p)
{
    if (p->has_plan)
        plan_done(&p->plan);
    cluster_hosts_done(&p->hosts);
    if (p->has_spec)
        cluster_spec_done(&p->spec);
    session_done(&p->session);
}
