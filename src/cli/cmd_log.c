/* flambe log: a program within a trial reports one number. It is called often, perhaps once a step:
 * nothing is opened but the file. */
#include "cli/commands.h"
#include "cli/metric_line.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define VARIABLE "FLAMBE_METRICS"

/* One write, so that lines of programs side by side never mix. */
static int append(const char *path, struct str line, struct err *err)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return err_set_sys(err, errno, "cannot open '%s'", path);
    ssize_t n = write(fd, line.p, line.n);
    int sys = n < 0 ? errno : ENOSPC;
    if (close(fd) == -1 && n >= 0) {
        sys = errno;
        n = -1;
    }
    return n == (ssize_t)line.n ? 0 : err_set_sys(err, sys, "cannot write '%s'", path);
}

static int run(struct cli *cli, struct err *err)
{
    const char *const *word = cli->args.items;
    const char *path = getenv(VARIABLE);
    AUTO_BUF struct buf line = {0};
    if (metric_line(word[0], word[1], cli->args.count > 2 ? word[2] : NULL,
                    clock_wall(clock_system()), &line, err) == -1)
        return -1;
    if (!path || !*path)
        return err_set(err, ERR_USAGE,
                       "'flambe log' is for programs that an experiment runs: " VARIABLE
                       ", which a trial has, is not set");
    return append(path, buf_view(&line), err);
}

static const char *const examples[] = {"flambe log loss 0.25", "flambe log accuracy 0.9 1000",
                                       NULL};

const struct command cmd_log = {
    .name = "log",
    .usage = "TAG VALUE [STEP]",
    .summary = "report a number from within a trial",
    .help =
        "For programs that an experiment runs: adds one point of the metric TAG to the trial's "
        "metrics. VALUE is a number, nan and inf too; STEP a whole number, and the next one where "
        "it is not given. A point at a step that the metric has passed voids those from that step "
        "on, as a program that began again at a checkpoint means it.\n"
        "\n"
        "The line goes to the file that the environment's FLAMBE_METRICS names; without it this is "
        "no trial, and the exit status is 2.",
    .examples = examples,
    .min = 2,
    .max = 3,
    .complete = "",
    .run = run,
};
