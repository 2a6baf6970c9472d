/* flambe stop: asks the run that is at work on an experiment to end, and waits for that.
 *
 * The run drains at the first SIGTERM: its trials end by themselves and no more are started. At the
 * second it ends them. */
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/results.h"
#include "cli/text.h"
#include "os/loop.h"
#include <signal.h>
#include <string.h>

#define BETWEEN_SIGNALS (200 * USEC_PER_MSEC)
#define LOOK_GAP (100 * USEC_PER_MSEC)
#define PROGRESS_AFTER USEC_PER_SEC
#define PROGRESS_GAP USEC_PER_SEC
#define PLAIN_GAP (10 * USEC_PER_SEC)
#define WAIT_DEFAULT_S (24 * 3600) /* running trials may take long to end by themselves */
#define WAIT_NOW_DEFAULT_S 120
#define WAIT_MAX_S (366 * 24 * 3600)

struct stopping {
    struct cli *cli;
    struct loop *loop;
    struct results results;
    struct lock_holder holder;
    usec_t began, said; /* monotonic */
};

static int64_t running(const struct stopping *s)
{
    int64_t sum = 0;
    for (size_t i = 0; i < s->results.stage_count; i++) {
        struct store_counts c = {0};
        if (store_counts(s->results.store, s->results.stages[i].id, &c, NULL) == 0)
            sum += c.by_state[TRIAL_RUNNING];
    }
    return sum;
}

static const char *plural(int64_t n)
{
    return n == 1 ? "" : "s";
}

static void progress(struct stopping *s)
{
    usec_t now = clock_mono(loop_clock(s->loop));
    bool tty = s->cli->screen.tty;
    if (now - s->began < PROGRESS_AFTER || now - s->said < (tty ? PROGRESS_GAP : PLAIN_GAP))
        return;
    int64_t n = running(s);
    char span[CLOCK_SPAN_SIZE];
    clock_span(now - s->began, span);
    AUTO_FREE char *text =
        mem_printf("%lld trial%s still run%s (%s)%s", (long long)n, plural(n), n == 1 ? "s" : "",
                   span, s->cli->opt.now ? "" : "; --now ends them");
    s->said = now;
    if (!tty) {
        console_line(&s->cli->screen, "%s", text);
        return;
    }
    struct strv lines = {0};
    strv_take(&lines, TAKE(text));
    console_draw(&s->cli->screen, &lines);
}

/* A process that ended meanwhile is what was wanted; where it had ended before, and its trials are
 * being ended, there is nobody to ask. */
static int signal_run(const struct stopping *s, struct err *err)
{
    return s->holder.pid ? results_signal(&s->results, s->holder.pid, SIGTERM, err) : 0;
}

static int wait_for_end(struct stopping *s, usec_t timeout, struct err *err)
{
    s->began = clock_mono(loop_clock(s->loop));
    for (;;) {
        struct lock_holder holder;
        if (results_holder(&s->results, &holder, err) == -1)
            return -1;
        if (!holder.held)
            return 0;
        if (clock_mono(loop_clock(s->loop)) - s->began >= timeout) {
            int64_t n = running(s);
            if (!s->cli->opt.now)
                cli_hint(s->cli, "flambe stop %s --now", s->results.typed);
            return err_set(err, ERR_TIMEOUT, "'%s' was asked to stop, and %lld trial%s still run%s",
                           s->results.name, (long long)n, plural(n), n == 1 ? "s" : "");
        }
        progress(s);
        if (loop_pause(s->loop, LOOK_GAP, NULL) == -1)
            return err_set(err, ERR_CANCELLED,
                           "no longer waiting: '%s' was asked to stop, and goes on ending",
                           s->results.name);
    }
}

static int say_end(struct stopping *s, struct err *err)
{
    struct cli *cli = s->cli;
    struct results_state state;
    json_t *value = NULL;
    struct results fresh;
    struct store_counts total = {0};
    if (results_open(cli, s->results.directory, &fresh, err) == -1)
        return -1;
    int rc = results_state(&fresh, &state, err);
    if (rc == 0 && cli->json)
        rc = results_json(&fresh, &state, &value, err);
    for (size_t i = 0; rc == 0 && i < fresh.stage_count; i++) {
        struct results_counts c;
        if ((rc = results_count(&fresh, &fresh.stages[i], &c, err)) == -1)
            break;
        for (int k = 0; k < TRIAL_STATE_COUNT; k++)
            total.by_state[k] += c.trials.by_state[k];
        results_counts_done(&c);
    }
    if (rc == 0 && !cli->json) {
        AUTO_BUF struct buf text = {0}, counts = {0}, clean = {0}, file = {0};
        const char *typed = s->results.typed, *path = s->results.file;
        bool elsewhere = strcmp(typed, s->results.directory) != 0;
        if (elsewhere && path && strrchr(path, '/')) /* its place there is nobody's to type */
            path = strrchr(path, '/') + 1;
        text_shell_quote(path ? path : "FILE", &file);
        results_counts_text(&total, cli->out.color, &counts);
        buf_addf(&text, "'%s' is %s: ", fresh.name,
                 s->holder.held ? run_state_name(state.state) : "not running");
        text_clean(buf_view(&text), false, &clean);
        buf_addf(&clean, "%s\n", buf_text(&counts));
        if (state.state != RUN_FINISHED && state.state != RUN_RUNNING)
            buf_addf(&clean, "next: flambe %s%s%.*s, which goes on\n", buf_text(&file),
                     elsewhere ? " -c " : "", elsewhere ? (int)strcspn(typed, ":") : 0, typed);
        output_write(&cli->out, buf_view(&clean));
    }
    if (value)
        output_json(&cli->out, value);
    results_done(&fresh);
    return rc;
}

static int stop(struct stopping *s, int64_t timeout_s, struct err *err)
{
    if (results_holder(&s->results, &s->holder, err) == -1)
        return -1;
    if (!s->holder.held)
        return say_end(s, err);
    if (!s->holder.pid && !s->holder.gone) {
        cli_hint(s->cli, "Ctrl-C where it was started, if that is another machine");
        return err_set(err, ERR_CONFLICT,
                       "which process is at work in '%s' is not known here: none is signalled",
                       s->results.directory);
    }
    if (signal_run(s, err) == -1)
        return -1;
    if (s->cli->opt.now &&
        (loop_pause(s->loop, BETWEEN_SIGNALS, err) == -1 || signal_run(s, err) == -1))
        return -1;
    if (!timeout_s) {
        if (s->cli->json)
            return say_end(s, err);
        if (s->holder.pid)
            output_printf(&s->cli->out, "process %ld was asked to stop\n", (long)s->holder.pid);
        else
            output_printf(&s->cli->out, "process %ld is gone, and its trials are being ended\n",
                          (long)s->holder.gone);
        return 0;
    }
    int rc = wait_for_end(s, timeout_s * USEC_PER_SEC, err);
    console_erase(&s->cli->screen);
    return rc == 0 ? say_end(s, err) : -1;
}

static int run(struct cli *cli, struct err *err)
{
    int64_t timeout_s = cli->opt.now ? WAIT_NOW_DEFAULT_S : WAIT_DEFAULT_S;
    const char *text = cli->opt.timeout;
    if (text && !str_to_i64(str_of(text), 0, WAIT_MAX_S, &timeout_s))
        return err_set(err, ERR_USAGE, "'--timeout' is a number of seconds from 0 to %d, not '%s'",
                       WAIT_MAX_S, text);
    struct stopping s = {.cli = cli};
    if (results_open(cli, cli->args.items[0], &s.results, err) == -1)
        return -1;
    s.loop = loop_new();
    loop_catch_signals(s.loop, NULL, NULL);
    int rc = stop(&s, timeout_s, err);
    loop_free(s.loop);
    results_done(&s.results);
    return rc;
}

static const struct option_row options[] = {
    {"now", 0, OPTION_FLAG, NULL, NULL, "end the running trials too, rather than wait for them",
     offsetof(struct cli_options, now)},
    {"timeout", 0, OPTION_TEXT, "SECONDS", NULL,
     "wait at most so long; 0: do not wait (default: a day; with --now, 2 minutes)",
     offsetof(struct cli_options, timeout)},
    OPTION_CREATOR,
    OPTION_IDENTITY,
};

static const char *const examples[] = {"flambe stop experiment.yaml",
                                       "flambe stop flambe-output/output__sweep --now",
                                       "flambe stop mine:sweep", NULL};

const struct command cmd_stop = {
    .name = "stop",
    .usage = "DIR|CLUSTER:EXPERIMENT",
    .summary = "end an experiment that runs on this machine",
    .help =
        "DIR is an experiment's results on this machine: the directory output__NAME, the one that "
        "holds it, or the experiment's file. The run that is at work there starts no more trials, "
        "lets those that run come to their end, and ends; with --now it ends them too. This waits "
        "until it is gone. What has ended is kept, and 'flambe FILE' goes on with the rest.\n"
        "\n"
        "Where nothing runs there is nothing to do, and the exit status is 0." HELP_ELSEWHERE,
    .examples = examples,
    .options = options,
    .option_count = COUNT_OF(options),
    .min = 1,
    .max = 1,
    .complete = "file",
    .elsewhere = true,
    .run = run,
};
