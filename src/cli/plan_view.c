/* See plan_view.h. */
#include "cli/plan_view.h"
#include "base/mem.h"
#include "cli/hosttable.h"
#include "cli/text.h"
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
    if (p->spec.kind == CLUSTER_SSH)
        cluster_hosts_of_spec(&p->spec, &p->hosts);
    else if (cluster_observe(c, p->spec.creator, p->spec.name, &p->hosts, err) == -1)
        return -1;
    if (plan_make(&p->spec, &p->hosts, cluster_region(c), &p->plan, err) == -1)
        return -1;
    p->has_plan = true;
    if (!plan_is_empty(&p->plan))
        cluster_price(c, &p->plan);
    return 0;
}

int planned_load(struct planned *p, struct cli *cli, const char *path, bool with_key,
                 struct err *err)
{
    *p = (struct planned){0};
    session_init(&p->session, cli);
    if (target_load_spec(cli, path, with_key, &p->spec, err) == -1)
        return -1;
    p->has_spec = true;
    return 0;
}

int planned_look(struct planned *p, bool resume, struct err *err)
{
    struct session *s = &p->session;
    if (p->spec.kind == CLUSTER_SSH)
        return look(p, resume, err);
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

void planned_show(struct planned *p)
{
    AUTO_BUF struct buf text = {0}, clean = {0};
    plan_text(&p->plan, &text);
    text_clean(buf_view(&text), true, &clean);
    console_lines(&p->session.cli->screen, buf_view(&clean));
}

int planned_identity(struct planned *p, struct ssh_identity **out, struct err *err)
{
    struct target t = {.name = p->spec.name, .key_path = p->spec.key};
    return target_load_identity(p->session.cli, &t, out, err);
}

static void show_problems(struct cli *cli, const struct strv *problems)
{
    json_t *list = json_array();
    for (size_t i = 0; i < problems->count; i++) {
        AUTO_BUF struct buf line = {0};
        text_styled(STYLE_RED, cli->screen.color, STR("flambe:"), &line);
        buf_addc(&line, ' ');
        text_clean(str_of(problems->items[i]), true, &line);
        console_line(&cli->screen, "%s", buf_text(&line));
        json_array_append_new(list, json_string(problems->items[i]));
    }
    if (problems->count && !cli->error_details)
        cli->error_details = json_pack("{s:O}", "problems", list);
    json_decref(list);
}

int planned_preflight(struct planned *p, const struct ssh_identity *identity,
                      struct cluster_launch **launch, struct err *err)
{
    struct cluster *c = &p->session.cluster;
    struct cli *cli = p->session.cli;
    struct live *live = live_new(c->loop, &cli->screen, p->spec.name);
    if (cli->screen.tty) {
        live_watch(live, &c->watch);
        live_step(live, "looking at what the launch needs");
    }
    AUTO_STRV struct strv problems = {0};
    int rc = cluster_preflight(c, &p->spec, &p->plan, identity, launch, &problems, err);
    session_watch(&p->session);
    live_free(live);
    show_problems(cli, &problems);
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
