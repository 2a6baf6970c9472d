/* Equip: from hosts that answer SSH to a place where experiments run.
 *
 *   ask the orchestrator → ask the factories → decide (pure) → the orchestrator's script
 *   → hand flambe-node on → experiments' files → the factories' scripts → let them join
 *
 * A host says what it is and how it was equipped; what it should be is a script, made of what all
 * hosts said. The script runs where its fingerprint is not the one that the host has, or where what
 * it started does not run. So a second run asks each host once, and does nothing. */
#include "base/mem.h"
#include "cluster/equip_priv.h"
#include <stdlib.h>
#include <string.h>

#define EQUIP_TIMEOUT (4 * USEC_PER_MIN)
#define SPREAD_TIMEOUT (10 * USEC_PER_MIN)
#define CLOCKS_APART_MAX (4 * USEC_PER_SEC) /* Slurm's credentials live 5 s: AuthInfo */
#define DISK_FREE_MIN_MB 512
#define DISK_USED_MAX 98

static void set_note(struct equip *e, const struct equip_member *m, const char *note)
{
    host_set_phase(e->c, e->hosts, m->host, equip_host_of(e, m)->phase, note);
}

/* Said once something is to be done: a look at hosts that are as they should be is no news. */
static void begin_change(struct equip *e)
{
    if (!e->out->changed)
        step(e->c, "equipping %zu host%s for experiments", e->count, e->count == 1 ? "" : "s");
    e->out->changed = true;
}

void equip_leave_out(struct equip *e, struct equip_member *m, const char *why)
{
    m->in = false;
    err_set(&m->why, ERR_REMOTE, "%s", why);
    set_note(e, m, NULL);
    if (m != e->members)
        warn_user(e->c, "%s takes no part in experiments: %s", equip_host_of(e, m)->name, why);
}

/* ---- asking ------------------------------------------------------------------------------- */

static void probe_said(void *ctx, size_t target, struct str line)
{
    struct equip *e = ctx;
    struct equip_member *m = &e->members[target];
    bool was = m->probe.installing;
    probe_line(&m->probe, line, clock_wall(loop_clock(e->c->loop)));
    if (was || !m->probe.installing)
        return;
    begin_change(e);
    set_note(e, m, "installing packages");
}

/* Asks those of `which`; who cannot be used is left out. */
static int ask(struct equip *e, enum cluster_role role, const size_t *which, size_t count,
               struct err *err)
{
    AUTO_BUF struct buf script = {0};
    AUTO_FREE struct str *inputs = mem_array(count + 1, sizeof *inputs);
    AUTO_FREE struct ssh_fanout_result *results = mem_array(count + 1, sizeof *results);
    script_probe(&(struct probe_ask){.role = role,
                                     .slurm = cluster_has_slurm(e->spec),
                                     .shared = e->spec->shared,
                                     .existed = e->spec->kind == CLUSTER_SSH},
                 &script);
    for (size_t i = 0; i < count; i++)
        inputs[i] = buf_view(&script);
    e->fan.line = probe_said;
    if (equip_fan(&e->fan, which, count, COMMAND_PROBE, inputs, EQUIP_PACKAGES_TIMEOUT, results,
                  err) == -1)
        return -1;
    for (size_t i = 0; i < count; i++) {
        struct equip_member *m = &e->members[which[i]];
        const struct equip_probe *p = &m->probe;
        m->in = true;
        if (results[i].err.code) {
            equip_leave_out(e, m, results[i].err.msg);
            m->why.code = results[i].err.code;
        } else if (p->refused) {
            equip_leave_out(e, m, p->refused);
        } else if (!p->answered && (p->systemd || results[i].exec.status != 0)) {
            AUTO_FREE char *why =
                mem_printf("it did not say what it is (status %d)%s%s", results[i].exec.status,
                           p->error ? ": " : "", p->error ? p->error : "");
            equip_leave_out(e, m, why);
        } else if (p->systemd && !p->packages_ok) {
            AUTO_FREE char *why = mem_printf(
                "its packages cannot be installed: %s; all of it: /var/lib/flambe/packages.log",
                p->packages_error ? p->packages_error : "it does not say why");
            equip_leave_out(e, m, why);
        }
    }
    return 0;
}

/* What is true of a host whatever happens next, and worth a word. */
static void warn_of_facts(struct equip *e, const struct equip_member *m)
{
    const struct equip_probe *p = &m->probe, *first = &e->members[0].probe;
    const char *name = equip_host_of(e, m)->name;
    if (p->disk_used_percent >= DISK_USED_MAX ||
        (p->disk_used_percent > 0 && p->disk_free_mb < DISK_FREE_MIN_MB))
        warn_user(e->c, "the disk of %s is full: %d %% used, %lld MiB free", name,
                  p->disk_used_percent, (long long)p->disk_free_mb);
    usec_t apart = p->clock_offset - first->clock_offset;
    if (p->clock_known && first->clock_known && cluster_has_slurm(e->spec) &&
        (apart > CLOCKS_APART_MAX || apart < -CLOCKS_APART_MAX))
        warn_user(e->c,
                  "the clock of %s is %lld s %s the orchestrator's: Slurm and munge refuse what "
                  "it signs; look at 'timedatectl' there",
                  name, (long long)((apart < 0 ? -apart : apart) / USEC_PER_SEC),
                  apart < 0 ? "behind" : "ahead of");
    if (p->uid != first->uid)
        warn_user(e->c,
                  "%s is user %d on %s and %d on the orchestrator: Slurm and the shared tree "
                  "want one number",
                  e->spec->username, p->uid, name, first->uid);
    if (p->slurm_version > first->slurm_version)
        warn_user(e->c, "Slurm on %s is newer than the orchestrator's, which may refuse it", name);
}

/* ---- doing -------------------------------------------------------------------------------- */

static void script_said(void *ctx, size_t target, struct str line)
{
    struct equip *e = ctx;
    struct equip_member *m = &e->members[target];
    struct contact_answer a;
    line = str_trim(line);
    if (str_starts(line, "flambe: munge-key ")) {
        if (target == 0 && !e->key)
            e->key = secret_new((struct str){line.p + 18, line.n - 18});
        return;
    }
    e->reconfigure = e->reconfigure || str_is(line, "flambe: reconfigure");
    contact_answer_read(line, &a);
    m->ok = m->ok || a.ok;
    if (a.error)
        snprintf(m->said, sizeof m->said, "%s", a.error);
    contact_answer_done(&a);
}

/* The error of a script's end on one host, or nothing. */
static bool failed(const struct equip_member *m, const struct ssh_fanout_result *r, struct err *why)
{
    if (r->err.code) {
        *why = r->err;
        return true;
    }
    if (r->exec.status == 0 && m->ok)
        return false;
    if (m->said[0])
        err_set(why, ERR_REMOTE, "%s", m->said);
    else
        err_set(why, ERR_REMOTE, "the script that equips it ended with status %d", r->exec.status);
    return true;
}

static int run_first(struct equip *e, const char *command, struct str input, usec_t timeout,
                     struct err *err)
{
    struct equip_member *m = &e->members[0];
    struct ssh_fanout_result r;
    m->ok = false;
    m->said[0] = '\0';
    e->fan.line = script_said;
    return equip_fan(&e->fan, (const size_t[]){0}, 1, command, &input, timeout, &r, err) == -1 ||
                   failed(m, &r, err)
               ? -1
               : 0;
}

/* munge's keys differ wherever they have to be made the same. */
static bool keys_differ(const struct equip *e)
{
    for (size_t i = 0; e->plan.slurm && i < e->count; i++) {
        const struct equip_member *m = &e->members[i];
        if (m->in && (!m->probe.munge[0] || strcmp(m->probe.munge, e->members[0].probe.munge) != 0))
            return true;
    }
    return false;
}

static bool stands(const struct equip_member *m)
{
    return m->probe.units_active && strcmp(m->probe.equipped, m->print) == 0;
}

static int put_program(struct equip *e, struct err *err)
{
    if (!e->plan.has_node || strcmp(e->members[0].probe.node, e->program.digest) == 0)
        return 0;
    begin_change(e);
    set_note(e, e->members, "taking flambe-node");
    AUTO_BUF struct buf command = {0};
    AUTO_BUF struct buf packed = {0};
    command_node_put(e->program.digest, &command);
    if (node_program_pack(&e->program, &packed, err) == -1)
        return -1;
    struct ssh_fanout_result r;
    struct str input = buf_view(&packed);
    e->fan.line = script_said;
    if (equip_fan(&e->fan, (const size_t[]){0}, 1, buf_text(&command), &input, SPREAD_TIMEOUT, &r,
                  err) == -1)
        return -1;
    if (r.err.code)
        return err_copy(err, &r.err);
    if (r.exec.status == 0)
        return 0;
    /* The rest is of use without it. */
    e->plan.has_node = false;
    snprintf(e->out->why_not, sizeof e->out->why_not, "flambe-node cannot run on its hosts");
    warn_user(e->c, "flambe-node cannot run on %s: %s", equip_host_of(e, e->members)->name,
              e->members[0].said[0] ? e->members[0].said : "it says no more");
    return 0;
}

static int do_orchestrator(struct equip *e, bool *done, struct err *err)
{
    struct equip_member *m = &e->members[0];
    script_orchestrator(&e->plan, &m->script);
    script_print(&m->script, m->print);
    *done = !stands(m) || keys_differ(e);
    if (!*done)
        return 0;
    begin_change(e);
    set_note(e, m, "equipping");
    script_end(m->print, e->plan.slurm != NULL, &m->script);
    if (run_first(e, COMMAND_EQUIP, buf_view(&m->script), EQUIP_TIMEOUT, err) == -1)
        return err_wrap(err, "%s cannot be equipped", equip_host_of(e, m)->name);
    if (!e->plan.slurm)
        return 0;
    struct buf bytes = {0};
    if (!e->key || !digest_unbase64(secret_expose(e->key), &bytes) || bytes.len < 32) {
        buf_wipe(&bytes);
        return err_set(err, ERR_REMOTE, "%s gave no munge key", equip_host_of(e, m)->name);
    }
    digest_sha256_hex(buf_view(&bytes), m->probe.munge);
    buf_wipe(&bytes);
    return 0;
}

static const struct equip_node_state *state_of(const struct equip *e, const char *name)
{
    const struct equip_probe *p = &e->members[0].probe;
    const struct equip_node_state *last = NULL; /* what was said last counts */
    for (size_t i = 0; i < p->node_count; i++)
        if (strcmp(p->nodes[i].name, name) == 0)
            last = &p->nodes[i];
    return last;
}

static bool works(const struct equip_node_state *s)
{
    static const char *const good[] = {"idle", "allocated", "mixed", "completing", "planned"};
    for (size_t i = 0; s && i < COUNT_OF(good); i++)
        if (strcmp(s->state, good[i]) == 0)
            return true;
    return false;
}

/* Slurm called it dead, or is about to, and here it is. The controller looks at such a node seldom,
 * but hears of it at once when its slurmd begins anew, which ends no job. */
static bool is_given_up(const struct equip_node_state *s)
{
    return s && (str_ends(str_of(s->state), "*") || strncmp(s->state, "down", 4) == 0);
}

static const struct equip_host *listed(const struct equip *e, const struct equip_member *m)
{
    for (size_t i = 0; i < e->plan.count; i++)
        if (strcmp(e->list[i].instance_id, equip_host_of(e, m)->instance_id) == 0)
            return &e->list[i];
    return NULL;
}

/* The factories that are not as they should be, all at once. */
static int do_factories(struct equip *e, size_t *done, struct err *err)
{
    AUTO_FREE size_t *which = mem_array(e->count + 1, sizeof *which);
    AUTO_FREE struct str *inputs = mem_array(e->count + 1, sizeof *inputs);
    AUTO_FREE struct ssh_fanout_result *results = mem_array(e->count + 1, sizeof *results);
    size_t n = 0;
    for (size_t i = 1; i < e->count; i++) {
        struct equip_member *m = &e->members[i];
        if (!m->in)
            continue;
        AUTO_BUF struct buf body = {0};
        script_factory(&e->plan, listed(e, m), &body);
        script_print(&body, m->print);
        bool same_key = strcmp(m->probe.munge, e->members[0].probe.munge) == 0;
        bool given_up = is_given_up(state_of(e, m->name));
        if (stands(m) && same_key && !given_up)
            continue;
        script_key(same_key ? STR("") : secret_expose(e->key), given_up, &m->script);
        buf_add_str(&m->script, buf_view(&body));
        script_end(m->print, false, &m->script);
        begin_change(e);
        set_note(e, m, "equipping");
        m->ok = false;
        which[n] = i;
        inputs[n++] = buf_view(&m->script);
    }
    size_t asked = n;
    if (equip_give_files(e, which, n, err) == -1)
        return -1;
    for (size_t i = n = 0; i < asked; i++) {
        if (!e->members[which[i]].in)
            continue;
        which[n] = which[i];
        inputs[n++] = inputs[i];
    }
    *done = n;
    e->fan.line = script_said;
    if (equip_fan(&e->fan, which, n, COMMAND_EQUIP, inputs, EQUIP_TIMEOUT, results, err) == -1)
        return -1;
    for (size_t i = 0; i < n; i++) {
        struct equip_member *m = &e->members[which[i]];
        struct err why = {0};
        buf_wipe(&m->script); /* the key is in it */
        if (failed(m, &results[i], &why))
            equip_leave_out(e, m, why.msg);
        else
            set_note(e, m, NULL);
    }
    return 0;
}

/* ---- joining ------------------------------------------------------------------------------ */

static void join_said(void *ctx, size_t target, struct str line)
{
    struct equip *e = ctx;
    probe_line(&e->members[target].probe, line, 0);
    script_said(ctx, target, line);
}

static size_t node_names(const struct equip *e, const char **names)
{
    size_t n = 0;
    for (size_t i = 0; i < e->count; i++)
        if (e->members[i].in && (i > 0 || e->plan.jobs_here))
            names[n++] = e->members[i].name;
    return n;
}

static int join(struct equip *e, bool acted, bool reconfigure, struct err *err)
{
    AUTO_FREE const char **names = mem_array(e->count + 1, sizeof *names);
    size_t n = node_names(e, names), good = 0;
    for (size_t i = 0; i < n; i++)
        good += works(state_of(e, names[i]));
    if (acted || good < n) {
        AUTO_BUF struct buf script = {0};
        script_join(names, n, reconfigure, &script);
        struct equip_member *m = &e->members[0];
        struct ssh_fanout_result r;
        struct str input = buf_view(&script);
        m->ok = false;
        e->fan.line = join_said;
        if (equip_fan(&e->fan, (const size_t[]){0}, 1, COMMAND_JOIN, &input, EQUIP_TIMEOUT, &r,
                      err) == -1 ||
            failed(m, &r, err))
            return err_wrap(err, "Slurm cannot be asked for its nodes");
    }
    for (size_t i = 0; i < n; i++) {
        const struct equip_node_state *s = state_of(e, names[i]);
        e->out->nodes += works(s);
        if (!works(s))
            warn_user(e->c, "Slurm has %s as '%s'%s%s: it gets no trials", names[i],
                      s ? s->state : "unknown",
                      s && *s->reason && strcmp(s->reason, "none") != 0 ? ", " : "",
                      s && strcmp(s->reason, "none") != 0 ? s->reason : "");
    }
    return 0;
}

static void spread_said(void *ctx, size_t target, struct str line)
{
    struct equip *e = ctx;
    line = str_trim(line);
    for (size_t i = 1; str_starts(line, "flambe: spread ") && i < e->count; i++)
        if (str_is((struct str){line.p + 15, line.n - 15},
                   equip_host_of(e, &e->members[i])->private_ip))
            e->members[i].spread = true;
    script_said(ctx, target, line);
}

static int spread_program(struct equip *e, struct err *err)
{
    AUTO_FREE const char **addresses = mem_array(e->count + 1, sizeof *addresses);
    size_t n = 0;
    for (size_t i = 1; e->plan.has_node && i < e->count; i++) {
        struct equip_member *m = &e->members[i];
        m->spread = !m->in || strcmp(m->probe.node, e->program.digest) == 0;
        if (!m->spread)
            addresses[n++] = equip_host_of(e, m)->private_ip;
    }
    if (!n)
        return 0;
    begin_change(e);
    set_note(e, e->members, "handing flambe-node on");
    AUTO_BUF struct buf script = {0};
    script_node_spread(addresses, n, e->spec->ssh_port, e->program.digest, &script);
    struct ssh_fanout_result r;
    struct str input = buf_view(&script);
    e->members[0].ok = false;
    e->fan.line = spread_said;
    if (equip_fan(&e->fan, (const size_t[]){0}, 1, COMMAND_NODE_SPREAD, &input, SPREAD_TIMEOUT, &r,
                  err) == -1)
        return -1;
    for (size_t i = 1; i < e->count; i++)
        if (!e->members[i].spread)
            equip_leave_out(e, &e->members[i],
                            "flambe-node did not reach it from the orchestrator");
    return 0;
}

/* ---- the whole ---------------------------------------------------------------------------- */

static int begin(struct equip *e, const struct ssh_identity *identity, struct err *err)
{
    const struct cluster_spec *s = e->spec;
    if (cluster_targets(e->c, s->creator, s->name, e->hosts, s->username, s->ssh_port, &e->targets,
                        err) == -1)
        return -1;
    e->members = mem_array(e->targets.count + 1, sizeof *e->members);
    e->nodes = mem_array(e->hosts->count + 1, sizeof *e->nodes);
    e->list = mem_array(e->hosts->count + 1, sizeof *e->list);
    for (size_t i = 0; i < e->targets.count; i++) {
        struct cluster_host *h = &e->hosts->items[e->targets.host_index[i]];
        e->out->wanted += h->role == ROLE_FACTORY;
        /* one that could not be made ready has been named already */
        if (h->phase == HOST_FAILED || !h->private_ip)
            continue;
        if (e->count == 0 && h->role != ROLE_ORCHESTRATOR)
            break;
        e->targets.items[e->count] = e->targets.items[i];
        e->members[e->count++] =
            (struct equip_member){.host = e->targets.host_index[i], .name = equip_short_name(e, h)};
    }
    if (!e->count)
        return err_set(err, ERR_NOT_FOUND, "no orchestrator of '%s' can be reached", s->name);
    e->fan =
        (struct equip_fan){.c = e->c, .identity = identity, .targets = e->targets.items, .ctx = e};
    if (e->c->node_program && node_program_load(e->c->node_program, &e->program, err) == -1)
        return err_wrap(err, "flambe-node cannot be read");
    return 0;
}

static int ask_factories(struct equip *e, struct err *err)
{
    AUTO_FREE size_t *which = mem_array(e->count + 1, sizeof *which);
    for (size_t i = 1; i < e->count; i++)
        which[i - 1] = i;
    return ask(e, ROLE_FACTORY, which, e->count - 1, err);
}

static int not_usable(struct equip *e)
{
    snprintf(e->out->why_not, sizeof e->out->why_not,
             "its hosts have no systemd, as light hosts and ghosts of a sandbox");
    step(e->c, "the hosts have no systemd: they are not equipped for experiments");
    return 0;
}

/* What has to be there: all factories failing is no place for an experiment. */
static int judge(struct equip *e, struct err *err)
{
    if (!e->plan.slurm)
        e->out->nodes = 1;
    if (e->plan.jobs_here || !e->plan.slurm)
        e->out->wanted = 1;
    e->out->usable = e->out->nodes > 0 && e->plan.has_node;
    if (!e->plan.has_node && !e->out->why_not[0])
        snprintf(e->out->why_not, sizeof e->out->why_not, "there is no flambe-node for its hosts");
    if (e->out->nodes > 0)
        return 0;
    for (size_t i = 1; i < e->count; i++)
        if (e->members[i].why.code)
            return err_set(err, e->members[i].why.code, "no factory can run trials: %s: %s",
                           equip_host_of(e, &e->members[i])->name, e->members[i].why.msg);
    return err_set(err, ERR_REMOTE, "no host of '%s' can run trials", e->spec->name);
}

static int equip(struct equip *e, struct err *err)
{
    bool acted = false;
    size_t factories = 0;
    if (ask(e, ROLE_ORCHESTRATOR, (const size_t[]){0}, 1, err) == -1)
        return -1;
    struct equip_member *first = &e->members[0];
    if (!first->in)
        return err_set(err, first->why.code, "%s cannot be equipped: %s",
                       equip_host_of(e, first)->name, first->why.msg);
    if (!first->probe.systemd)
        return not_usable(e);
    if (ask_factories(e, err) == -1)
        return -1;
    for (size_t i = 1; i < e->count; i++)
        if (e->members[i].in && !e->members[i].probe.systemd)
            equip_leave_out(e, &e->members[i], "it has no systemd");
    for (size_t i = 0; i < e->count; i++)
        if (e->members[i].in)
            warn_of_facts(e, &e->members[i]);
    if (first->probe.tensorboard)
        warn_user(e->c, "TensorBoard cannot be installed on the orchestrator: %s",
                  first->probe.tensorboard);
    if (equip_decide(e, err) == -1 || put_program(e, err) == -1 ||
        do_orchestrator(e, &acted, err) == -1)
        return -1;
    /* Slurm may give a factory trials as soon as it is one: what they need is there before. */
    if (spread_program(e, err) == -1 ||
        (e->plan.slurm && (do_factories(e, &factories, err) == -1 ||
                           join(e, acted || factories, e->reconfigure, err) == -1)))
        return -1;
    return judge(e, err);
}

int cluster_equip(struct cluster *c, const struct cluster_spec *spec, struct cluster_hosts *hosts,
                  const struct ssh_identity *identity, struct cluster_equipped *out,
                  struct err *err)
{
    *out = (struct cluster_equipped){0};
    struct equip e = {.c = c, .spec = spec, .hosts = hosts, .out = out};
    int rc = begin(&e, identity, err);
    if (rc == 0)
        rc = equip(&e, err);
    for (size_t i = 0; i < e.count; i++) {
        set_note(&e, &e.members[i], NULL);
        probe_done(&e.members[i].probe);
        buf_wipe(&e.members[i].script);
    }
    secret_free(e.key);
    node_program_done(&e.program);
    strv_done(&e.texts);
    free(e.shared_dir);
    free(e.members);
    free(e.nodes);
    free(e.list);
    cluster_targets_done(&e.targets);
    return rc;
}
