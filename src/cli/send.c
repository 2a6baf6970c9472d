/* See send.h. */
#include "cli/send.h"
#include "base/mem.h"
#include "cli/text.h"
#include "os/fs.h"
#include "ssh/sync.h"
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT (20 * USEC_PER_SEC)
#define SECRETS_MAX ((size_t)1 << 20)

static const struct ssh_target *find_orchestrator(const struct reach *r, size_t *index,
                                                  struct err *err)
{
    for (size_t i = 0; i < r->picked.count; i++) {
        if (r->picked.items[i].role != ROLE_ORCHESTRATOR)
            continue;
        const struct ssh_target *t = reach_target(r, i);
        if (!t) {
            reach_no_address(r, i, err);
            err_wrap(err, "%s", reach_name(r, i));
        }
        *index = i;
        return t;
    }
    err_set(err, ERR_NOT_FOUND, "'%s' has no orchestrator that is up", r->target.name);
    return NULL;
}

int send_open(struct reach *r, struct ssh_identity **identity, struct remote **out, size_t *index,
              struct err *err)
{
    const struct ssh_target *t = find_orchestrator(r, index, err);
    struct ssh_identity *id = NULL;
    if (!t || target_load_identity(r->session.cli, &r->target, &id, err) == -1)
        return -1;
    if (remote_open(r->session.loop, t, id, CONNECT_TIMEOUT, out, err) == -1) {
        ssh_identity_free(id);
        return -1;
    }
    *identity = id;
    return 0;
}

/* ---- what is shown ----------------------------------------------------------------------------
 */

struct sending {
    struct cli *cli;
    struct reach *reach;
    struct remote *orchestrator;
    size_t index; /* of the orchestrator */
    struct manifest *m;
    struct strv options; /* of ssh */
    struct sync_result total;
    size_t spread, spread_count;
};

static void show(struct sending *s, char *line)
{
    struct strv lines = {0};
    strv_take(&lines, line);
    console_draw(&s->cli->screen, &lines);
}

static void show_sync(void *ctx, const struct sync_progress *p)
{
    struct sending *s = ctx;
    show(s, mem_printf("sending: %d %%, %.1f MB, %llu files", p->percent, (double)p->bytes / 1e6,
                       (unsigned long long)(s->total.files + p->files)));
}

static void say_clean(struct cli *cli, const char *prefix, const char *text)
{
    AUTO_BUF struct buf clean = {0};
    text_clean(str_of(text), false, &clean);
    console_line(&cli->screen, "%s%s", prefix, buf_text(&clean));
}

static void show_spread(void *ctx, const struct files_host *h)
{
    struct sending *s = ctx;
    s->spread++;
    if (h->err.code)
        say_clean(s->cli, "flambe: ", h->err.msg);
    show(s, mem_printf("%zu of %zu factories have the files", s->spread, s->spread_count));
}

/* ---- the steps --------------------------------------------------------------------------------
 */

static int consent(struct sending *s, const char *text, struct err *err)
{
    bool declined = false;
    AUTO_FREE char *question = mem_printf("send %s to the hosts?", text);
    if (!manifest_is_huge(s->m))
        return 0;
    if (cli_confirm(s->cli, s->reach->session.loop, question, &declined, err) == -1)
        return -1;
    return declined ? err_set(err, ERR_REJECTED, "nothing was sent") : 0;
}

static int list(struct sending *s, const struct send_order *o, struct err *err)
{
    const char *chosen = s->cli->opt.identity;
    AUTO_FREE char *key = chosen ? fs_expand_home(chosen) : mem_dup(s->reach->target.key_path);
    const char *never[] = {key ? key : o->secrets, key ? o->secrets : NULL, NULL};
    struct manifest_options options = {.loop = s->reach->session.loop,
                                       .working = o->working,
                                       .resources = o->resources,
                                       .never = never};
    if (manifest_make(o->experiment, &options, s->m, err) == -1)
        return -1;
    AUTO_BUF struct buf text = {0}, warning = {0}, clean = {0};
    manifest_text(s->m, &text);
    text_clean(buf_view(&text), false, &clean);
    console_line(&s->cli->screen, "the hosts get %s", buf_text(&clean));
    if (manifest_warning(s->m, &warning)) {
        buf_clear(&clean);
        text_clean(buf_view(&warning), false, &clean);
        cli_warn(s->cli, buf_text(&clean));
    }
    return consent(s, buf_text(&text), err);
}

/* "resources/NAME", "extensions/MODULE": the first two parts below REMOTE. The caller frees. */
static char *beside_of(const struct manifest *m, const struct manifest_transfer *t)
{
    const char *path = t->remote + strlen(m->remote) + 1;
    const char *end = strchr(strchr(path, '/') + 1, '/');
    return end ? mem_dup_n(path, (size_t)(end - path)) : mem_dup(path);
}

static int prepare(struct sending *s, const char *name, struct err *err)
{
    AUTO_STRV struct strv beside = {0};
    for (size_t i = 0; i < s->m->beside_count; i++)
        strv_take(&beside, beside_of(s->m, &s->m->beside[i]));
    struct files_order order = {.name = name,
                                .names = buf_view(&s->m->names),
                                .beside = (const char *const *)beside.items,
                                .beside_count = beside.count};
    return files_prepare(s->orchestrator, &order, err);
}

static int sync_one(struct sending *s, const struct sync_request *request, struct err *err)
{
    struct sync_result result;
    struct sync_request r = *request;
    r.target = remote_target(s->orchestrator);
    r.options = &s->options;
    r.upload = true;
    r.progress = s->cli->screen.tty ? show_sync : NULL;
    r.ctx = s;
    int rc = sync_run(s->reach->session.loop, &r, &result, err);
    console_erase(&s->cli->screen);
    if (rc == -1)
        return -1;
    s->total.files += result.files;
    s->total.bytes += result.bytes;
    s->total.wire += result.wire;
    return 0;
}

static int sync_all(struct sending *s, struct err *err)
{
    const struct manifest *m = s->m;
    AUTO_FREE char *work = fs_join(m->remote, "work");
    struct sync_request tree = {.local = m->tree,
                                .remote = work,
                                .names = buf_view(&m->names),
                                .rest = m->rest.len ? buf_view(&m->rest) : STR("")};
    if (m->names.len && sync_one(s, &tree, err) == -1)
        return -1;
    for (size_t i = 0; i < m->beside_count; i++) {
        const struct manifest_transfer *t = &m->beside[i];
        struct sync_request r = {.local = t->local,
                                 .remote = t->remote,
                                 .is_file = t->is_file,
                                 .delete_gone = !t->is_file};
        if (sync_one(s, &r, err) == -1)
            return -1;
    }
    console_line(&s->cli->screen, "sent %llu new or changed files, %.1f MB, as %.1f MB",
                 (unsigned long long)s->total.files, (double)s->total.bytes / 1e6,
                 (double)s->total.wire / 1e6);
    return 0;
}

static int send_secrets(struct sending *s, const char *name, const char *path, struct err *err)
{
    if (!path)
        return 0;
    struct buf text = {0};
    int rc = fs_read_user_file(path, "a file of secrets", SECRETS_MAX, &text, err);
    if (rc == 0)
        rc = files_put_secrets(s->orchestrator, name, buf_view(&text), err);
    buf_wipe(&text);
    return rc;
}

static int spread(struct sending *s, const struct send_order *o, struct err *err)
{
    const struct reach *r = s->reach;
    AUTO_FREE struct files_host *hosts = mem_array(r->picked.count + 1, sizeof *hosts);
    size_t count = 0;
    for (size_t i = 0; i < r->picked.count; i++)
        if (r->picked.items[i].role == ROLE_FACTORY && reach_target(r, i))
            hosts[count++].name = reach_name(r, i);
    s->spread_count = count;
    if (!count)
        return 0;
    int rc = files_spread(s->orchestrator, o->experiment->name, o->secrets != NULL, hosts, count,
                          show_spread, s, err);
    console_erase(&s->cli->screen);
    return rc;
}

/* By the caller's connection, or one of its own. */
static int connect_to(struct sending *s, const struct send_order *o, struct ssh_identity **identity,
                      struct err *err)
{
    if (!o->session)
        return send_open(s->reach, identity, &s->orchestrator, &s->index, err);
    const struct ssh_target *t = find_orchestrator(s->reach, &s->index, err);
    if (!t)
        return -1;
    s->orchestrator = remote_over(s->reach->session.loop, t, o->session);
    return 0;
}

int send_experiment(struct reach *r, const struct send_order *o, struct manifest *out,
                    struct err *err)
{
    struct manifest m = {0};
    struct sending s = {.cli = r->session.cli, .reach = r, .m = &m};
    struct ssh_identity *identity = NULL;
    struct err why = {0};
    const char *name = o->experiment->name;
    int rc = list(&s, o, &why);
    if (rc == 0)
        rc = connect_to(&s, o, &identity, &why);
    if (rc == 0)
        rc = reach_ssh_options(r, s.index, &s.options, &why);
    if (rc == 0)
        rc = prepare(&s, name, &why);
    if (rc == 0)
        rc = sync_all(&s, &why);
    if (rc == 0)
        rc = send_secrets(&s, name, o->secrets, &why);
    bool carried = rc == 0;
    if (rc == 0)
        rc = spread(&s, o, &why);
    remote_close(s.orchestrator);
    ssh_identity_free(identity);
    strv_done(&s.options);
    if (rc == 0 || (carried && why.code == ERR_PARTIAL))
        *out = m;
    else
        manifest_done(&m);
    return rc == 0 ? 0 : err_copy(err, &why);
}
