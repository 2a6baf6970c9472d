/* flambe exec: one command on many hosts at once. */
#include "base/digest.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/prefix.h"
#include "cli/reach.h"
#include "cli/text.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define JSON_OUTPUT_MAX ((size_t)4 << 20) /* of each host and stream with -o json */
#define STATUS_SIGNAL 128                 /* plus the signal's number, as shells say it */
#define PROGRESS_AFTER USEC_PER_SEC
#define PROGRESS_GAP (250 * USEC_PER_MSEC)

struct exec_host {
    const char *name;
    bool has_target;
    struct prefix streams[2]; /* standard output and error */
    struct buf kept[2];       /* with -o json */
    struct err err;           /* code ERR_NONE where the command ran to its end */
    struct ssh_exec_result result;
};

struct exec {
    struct cli *cli;
    struct reach reach;
    struct buf command;
    struct exec_host *hosts; /* as picked */
    size_t count, done;
    size_t *host_of_target;
    struct timer *progress;
};

/* ---- output ------------------------------------------------------------------------------- */

static void to_stdout(void *ctx, struct str lines)
{
    struct exec *e = ctx;
    bool shared = e->cli->out.tty && e->cli->screen.area.count;
    if (shared)
        console_erase(&e->cli->screen);
    output_write(&e->cli->out, lines);
    if (e->cli->out.failed)
        loop_cancel(e->reach.session.loop); /* nobody reads on: as SIGPIPE would end it */
}

static void to_stderr(void *ctx, struct str lines)
{
    struct exec *e = ctx;
    console_lines(&e->cli->screen, lines);
}

static void got_output(void *ctx, size_t target, bool is_err, struct str bytes)
{
    struct exec *e = ctx;
    struct exec_host *h = &e->hosts[e->host_of_target[target]];
    if (e->cli->json)
        buf_add_str(&h->kept[is_err], bytes);
    else
        prefix_add(&h->streams[is_err], bytes);
}

static void host_done(void *ctx, size_t target, const struct ssh_fanout_result *r)
{
    struct exec *e = ctx;
    struct exec_host *h = &e->hosts[e->host_of_target[target]];
    (void)r;
    prefix_end(&h->streams[0]);
    prefix_end(&h->streams[1]);
    e->done++;
}

static void show_progress(void *ctx)
{
    struct exec *e = ctx;
    timer_stop(TAKE(e->progress));
    struct strv lines = {0};
    strv_take(&lines, mem_printf("%zu of %zu hosts done", e->done, e->count));
    console_draw(&e->cli->screen, &lines);
    e->progress = timer_start(e->reach.session.loop, PROGRESS_GAP, show_progress, e);
}

static char *label(const struct exec *e, size_t i, bool color)
{
    static const char *const styles[] = {STYLE_CYAN, STYLE_GREEN, STYLE_MAGENTA, STYLE_YELLOW,
                                         STYLE_BLUE};
    struct buf text = {0};
    AUTO_FREE char *name = mem_printf("%s:", e->hosts[i].name);
    text_styled(styles[i % COUNT_OF(styles)], color, str_of(name), &text);
    buf_addc(&text, ' ');
    return buf_take(&text);
}

static void set_up_hosts(struct exec *e)
{
    e->count = e->reach.picked.count;
    e->hosts = mem_array(e->count, sizeof *e->hosts);
    e->host_of_target = mem_array(e->reach.targets.count + 1, sizeof *e->host_of_target);
    for (size_t t = 0; t < e->reach.targets.count; t++)
        e->host_of_target[t] = e->reach.targets.host_index[t];
    for (size_t i = 0; i < e->count; i++) {
        struct exec_host *h = &e->hosts[i];
        h->name = reach_name(&e->reach, i);
        h->has_target = reach_target(&e->reach, i) != NULL;
        h->streams[0] = (struct prefix){label(e, i, e->cli->out.color), to_stdout, e, {0}};
        h->streams[1] = (struct prefix){label(e, i, e->cli->screen.color), to_stderr, e, {0}};
        h->kept[0].max = h->kept[1].max = JSON_OUTPUT_MAX;
        if (!h->has_target)
            reach_no_address(&e->reach, i, &h->err);
    }
}

static void free_hosts(struct exec *e)
{
    for (size_t i = 0; i < e->count; i++) {
        for (int s = 0; s < 2; s++) {
            prefix_done(&e->hosts[i].streams[s]);
            buf_done(&e->hosts[i].kept[s]);
        }
    }
    free(e->hosts);
    free(e->host_of_target);
}

/* ---- the end ------------------------------------------------------------------------------ */

static int signal_number(const char *name)
{
    for (int n = 1; n < NSIG; n++) {
        const char *known = sigabbrev_np(n);
        if (known && strcmp(known, name) == 0)
            return n;
    }
    return 0;
}

/* What a shell on the host would have called the end. */
static int host_status(const struct exec_host *h)
{
    if (h->err.code)
        return err_exit_status(h->err.code);
    if (h->result.signal[0])
        return STATUS_SIGNAL + signal_number(h->result.signal);
    return h->result.status < 0 ? 1 : h->result.status;
}

static json_t *stream_json(const struct buf *b, const char *name, json_t *host)
{
    size_t bad;
    if (str_is_utf8(buf_view(b), &bad)) {
        json_object_set_new(host, name, json_stringn(buf_text(b), b->len));
    } else {
        AUTO_BUF struct buf coded = {0};
        AUTO_FREE char *key = mem_printf("%s_base64", name);
        digest_base64(buf_view(b), &coded);
        json_object_set_new(host, key, json_string(buf_text(&coded)));
    }
    if (b->overflowed)
        json_object_set_new(host, "truncated", json_true());
    return host;
}

static void write_json(struct exec *e, int status)
{
    json_t *list = json_array();
    for (size_t i = 0; i < e->count; i++) {
        const struct exec_host *h = &e->hosts[i];
        json_t *host = json_pack("{s:s, s:s?, s:i}", "host", h->name, "instance_id",
                                 e->reach.picked.items[i].instance_id, "status", host_status(h));
        if (h->err.code)
            json_object_set_new(host, "error", cli_error_json(&h->err));
        if (h->result.signal[0])
            json_object_set_new(host, "signal", json_string(h->result.signal));
        stream_json(&h->kept[0], "stdout", host);
        stream_json(&h->kept[1], "stderr", host);
        json_array_append_new(list, host);
    }
    output_json(&e->cli->out,
                json_pack("{s:s, s:s, s:i, s:o}", "cluster", e->reach.target.name, "command",
                          buf_text(&e->command), "status", status, "hosts", list));
}

static void say_failure(struct exec *e, const struct exec_host *h)
{
    AUTO_BUF struct buf why = {0}, clean = {0};
    if (h->err.code)
        cli_error_text(&h->err, e->cli->opt.verbose > 0, &why);
    else if (h->result.signal[0])
        buf_addf(&why, "ended by signal %s", h->result.signal);
    else
        buf_addf(&why, "exit status %d", h->result.status);
    text_clean(buf_view(&why), true, &clean);
    console_line(&e->cli->screen, "flambe: %s: %s", h->name, buf_text(&clean));
}

/* Says what failed, and makes the highest status the program's own. */
static void finish(struct exec *e)
{
    size_t failed = 0, unreached = 0;
    int worst = 0;
    for (size_t i = 0; i < e->count; i++) {
        const struct exec_host *h = &e->hosts[i];
        int status = host_status(h);
        if (status > worst)
            worst = status;
        failed += !h->err.code && status != 0;
        unreached += h->err.code != 0;
        if (status != 0)
            say_failure(e, h);
    }
    if (failed || unreached) {
        AUTO_BUF struct buf text = {0};
        buf_addf(&text, "flambe: %zu of %zu hosts ended well", e->count - failed - unreached,
                 e->count);
        if (failed)
            buf_addf(&text, ", %zu failed", failed);
        if (unreached)
            buf_addf(&text, ", %zu could not be reached", unreached);
        console_line(&e->cli->screen, "%s", buf_text(&text));
    }
    if (e->cli->json)
        write_json(e, worst);
    e->cli->exit_status = worst;
}

static int fan_out(struct exec *e, const struct ssh_identity *identity, struct err *err)
{
    struct loop *loop = e->reach.session.loop;
    struct ssh_fanout_request r = {
        .targets = e->reach.targets.items,
        .count = e->reach.targets.count,
        .connect = {.identity = identity},
        .command = buf_text(&e->command),
        .output = got_output,
        .host_done = host_done,
        .ctx = e,
    };
    AUTO_FREE struct ssh_fanout_result *results = mem_array(r.count + 1, sizeof *results);
    if (e->cli->screen.tty)
        e->progress = timer_start(loop, PROGRESS_AFTER, show_progress, e);
    int rc = ssh_fanout(loop, &r, results, err);
    timer_stop(TAKE(e->progress));
    console_erase(&e->cli->screen);
    for (size_t t = 0; rc == 0 && t < r.count; t++) {
        struct exec_host *h = &e->hosts[e->host_of_target[t]];
        h->err = results[t].err;
        h->result = results[t].exec;
    }
    return rc;
}

/* One word is a line for the remote shell; several are words that it must not split again. */
static void join_command(const struct operands *args, struct buf *out)
{
    if (args->count == 2) {
        buf_adds(out, args->items[1]);
        return;
    }
    for (size_t i = 1; i < args->count; i++) {
        if (i > 1)
            buf_addc(out, ' ');
        text_shell_quote(args->items[i], out);
    }
}

static int run(struct cli *cli, struct err *err)
{
    struct exec e = {.cli = cli};
    join_command(&cli->args, &e.command);
    struct ssh_identity *identity = NULL;
    int rc = reach_open(&e.reach, cli, cli->args.items[0], cli->opt.on, err);
    if (rc == 0)
        rc = target_load_identity(cli, &e.reach.target, &identity, err);
    if (rc == 0) {
        set_up_hosts(&e);
        rc = fan_out(&e, identity, err);
        if (rc == 0)
            finish(&e);
        else if (cli->out.failed)
            rc = 0; /* not Ctrl-C: the reader of the output went away, which the end reports */
        else
            err_set(err, ERR_CANCELLED, "stopped: %zu of %zu hosts were done", e.done, e.count);
    }
    free_hosts(&e);
    ssh_identity_free(identity);
    reach_done(&e.reach);
    buf_done(&e.command);
    return rc;
}

static const struct option_row options[] = {
    {"on", 0, OPTION_TEXT, "HOSTS", NULL,
     "only on these: orchestrator, factories, or hosts with commas between",
     offsetof(struct cli_options, on)},
    OPTION_CREATOR,
    OPTION_IDENTITY,
};

static const char *const examples[] = {
    "flambe exec mine -- nvidia-smi", "flambe exec mine --on factories -- 'cd work && make'",
    "flambe exec mine --on 1,2 -- tail -n 3 /var/log/syslog", NULL};

const struct command cmd_exec = {
    .name = "exec",
    .usage = "CLUSTER [--] COMMAND...",
    .summary = "run a command on all hosts of a cluster at once",
    .help =
        "Runs the command on all hosts, or on those of --on, side by side. Each line of output "
        "comes "
        "behind its host's name; standard output and standard error stay apart. COMMAND given as "
        "one "
        "word is a line for the host's shell; several words are passed as they are, quoted. "
        "Options of flambe stand before the command. Its standard input is empty.\n"
        "\n"
        "The exit status is the highest of all hosts: the command's own, 128 plus its number for a "
        "signal, 6 where a host could not be reached.",
    .examples = examples,
    .options = options,
    .option_count = COUNT_OF(options),
    .min = 2,
    .max = OPERANDS_ANY,
    .parsed = 1,
    .complete = "cluster",
    .run = run,
};
