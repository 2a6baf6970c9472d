/* flambe-node watch: the service of a host (flambe-node.service).
 *
 * On the orchestrator it is two processes: root's, which only keeps the other one going, and the
 * keeper of the queue, which is the login user. On a factory it is root's alone. */
#include "base/mem.h"
#include "cli/text.h"
#include "node/config.h"
#include "node/keeper.h"
#include "node/node.h"
#include "node/queue.h"
#include "node/worker.h"
#include "os/fs.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATHS "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define PAUSE_FIRST USEC_PER_SEC /* between a keeper's death and the next one */
#define PAUSE_MAX (30 * USEC_PER_SEC)
#define STEADY (5 * USEC_PER_MIN) /* one that lived so long had no trouble at its start */
#define END_MAX (20 * USEC_PER_SEC)

struct service {
    struct cli *cli;
    struct loop *loop;
    struct config config;
    const char *directory; /* of the queue */
    struct worker *keeper;
    bool quitting;
};

static void on_signal(void *ctx, int count)
{
    (void)count;
    ((struct service *)ctx)->quitting = true;
}

static bool quits(void *ctx)
{
    return ((const struct service *)ctx)->quitting;
}

static bool has_news(void *ctx)
{
    const struct service *s = ctx;
    return s->quitting || worker_ended(s->keeper);
}

static bool has_ended(void *ctx)
{
    return worker_ended(((const struct service *)ctx)->keeper);
}

/* A loop that is not cancelled ends a wait only when it is over or out of time. */
static bool wait_for(struct service *s, bool (*done)(void *ctx), usec_t timeout)
{
    return loop_wait(s->loop, done, s, timeout, NULL) == 0;
}

/* ---- the orchestrator -------------------------------------------------------------------------
 */

/* Nothing of the service's own environment, which systemd made for root. */
static void make_env(const struct service *s, struct strv *env)
{
    const char *lang = getenv("LANG");
    login_env(&s->config.login, env);
    strv_add(env, "PATH=" PATHS);
    strv_take(env, mem_printf("LANG=%s", lang && *lang ? lang : "C.UTF-8"));
    strv_take(env, NULL);
    env->count--; /* the NULL stands behind the list */
}

static int make_queue(const struct service *s, struct err *err)
{
    const struct login *l = &s->config.login;
    if (fs_exists(s->directory))
        return 0;
    if (fs_mkdirs(s->directory, 0755, err) == -1)
        return -1;
    if (chmod(s->directory, 0700) == -1 || chown(s->directory, l->uid, l->gid) == -1)
        return err_set_sys(err, errno, "cannot give '%s' to '%s'", s->directory, l->name);
    return 0;
}

static int start_keeper(struct service *s, struct err *err)
{
    AUTO_STRV struct strv env = {0};
    AUTO_FREE char *as = login_word(&s->config.login);
    const char *args[] = {"watch", "--directory", s->directory, "--as",
                          as,      "--color",     "never",      NULL};
    make_env(s, &env);
    return worker_start(s->loop, args, (const char *const *)env.items, false, &s->keeper, err);
}

static void end_keeper(struct service *s)
{
    worker_signal(s->keeper, SIGTERM);
    if (!wait_for(s, has_ended, END_MAX))
        console_line(&s->cli->screen,
                     "flambe-node: the queue's keeper does not end, and is killed");
    worker_free(TAKE(s->keeper));
}

static int keep_queue(struct service *s, struct err *err)
{
    usec_t pause = PAUSE_FIRST;
    if (make_queue(s, err) == -1)
        return -1;
    while (!s->quitting) {
        usec_t began = clock_mono(loop_clock(s->loop));
        if (start_keeper(s, err) == -1)
            return -1;
        (void)wait_for(s, has_news, USEC_FOREVER);
        if (s->quitting)
            break;
        console_line(&s->cli->screen, "flambe-node: the queue's keeper ended with status %d",
                     worker_exit_status(s->keeper));
        worker_free(TAKE(s->keeper));
        if (clock_mono(loop_clock(s->loop)) - began > STEADY)
            pause = PAUSE_FIRST;
        (void)wait_for(s, quits, pause);
        pause = pause * 2 < PAUSE_MAX ? pause * 2 : PAUSE_MAX;
    }
    if (s->keeper)
        end_keeper(s);
    return 0;
}

/* ---- a factory --------------------------------------------------------------------------------
 */

/* Slurm's own service keeps the host in the cluster; what is to be looked after besides, such as
 * whether the host is idle or ill, is looked after in this wait. */
static void stay(struct service *s)
{
    (void)wait_for(s, quits, USEC_FOREVER);
}

/* ---- the service ------------------------------------------------------------------------------
 */

static int serve(struct cli *cli, const char *directory, struct err *err)
{
    struct service s = {.cli = cli, .directory = directory};
    if (config_load(cli->opt.config ? cli->opt.config : CONFIG_FILE, &s.config, err) == -1)
        return -1;
    s.loop = loop_new();
    loop_catch_signals(s.loop, NULL, NULL);
    loop_on_signal(s.loop, on_signal, &s);
    int rc = 0;
    if (s.config.role == ROLE_ORCHESTRATOR)
        rc = keep_queue(&s, err);
    else
        stay(&s);
    loop_free(s.loop);
    config_done(&s.config);
    return rc;
}

static int run(struct cli *cli, struct err *err)
{
    const char *directory = cli->opt.directory ? cli->opt.directory : QUEUE_DIRECTORY;
    if (!cli->opt.as)
        return serve(cli, directory, err);
    return login_become(cli->opt.as, err) == 0 ? keeper_run(cli, directory, err) : -1;
}

static const struct option_row options[] = {
    OPTION_CONFIG,
    OPTION_DIRECTORY,
    {"as", 0, OPTION_TEXT, "UID:GID:GROUPS", NULL, "keep the queue, as this user",
     offsetof(struct cli_options, as)},
};

const struct command node_watch = {
    .name = "watch",
    .usage = "",
    .summary = "carry out what is in the queue: the host's service",
    .help =
        "On the orchestrator the queue's entries are carried out, one after the other, by "
        "processes of 'flambe-node run' that are the login user's. Where one dies, the next goes "
        "on; after five deaths within a minute the entry has failed, and the next one has its "
        "turn. On a factory it waits.\n"
        "\n"
        "SIGTERM ends it; what has its turn goes on at the next start.",
    .options = options,
    .option_count = COUNT_OF(options),
    .complete = "",
    .run = run,
};
