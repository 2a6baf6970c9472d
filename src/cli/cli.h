/* What every verb gets: the command line, its two outputs, and how to say what to type next. */
#ifndef FLAMBE_CLI_CLI_H
#define FLAMBE_CLI_CLI_H

#include "cli/console.h"
#include "cli/options.h"
#include "cli/output.h"
#include <sys/resource.h>

/* The fields that option rows point to; see commands.c. */
struct cli_options {
    bool help, version, yes, all, recursive, follow, now, reverse;
    bool install, force, debug, reuse, queue, lose_results, accept_new_host_keys;
    int verbose;
    const char *output, *region, *profile, *color, *creator, *on, *identity;
    const char *lines, *stage, *sort, *limit, *timeout, *secrets, *port, *to, *cluster;
    const char *as, *config, *directory, *width, *height;
};

struct cli {
    const struct command *command;
    struct cli_options opt;
    struct operands args;
    char **argv;           /* the whole command line */
    struct output out;     /* results */
    struct console screen; /* all else, on standard error */
    size_t width;          /* of the terminal that shows the results elsewhere; or 0 */
    bool json;             /* -o json */
    int exit_status;       /* what a verb that succeeded exits with, where not 0 */
    struct strv hints;     /* shown behind an error, each as "try: …" */
    json_t *error_details; /* joins the error that -o json prints; or NULL */
};

struct command {
    const char *name;
    const char *usage;           /* the operands: "CLUSTER [HOST]" */
    const char *summary;         /* a phrase: "log in to a host" */
    const char *help;            /* paragraphs */
    const char *const *examples; /* NULL-terminated, or NULL */
    const struct option_row *options;
    size_t option_count;
    size_t min, max;      /* operands; max OPERANDS_ANY: any number */
    size_t parsed;        /* see options_parse; 0 stands for OPERANDS_ANY */
    const char *complete; /* what an operand is, for completion: "file", "cluster", "path", "verb",
                           * "shell" or "" */
    bool csv;             /* it can write CSV too */
    bool elsewhere;       /* its first operand may be an experiment on a cluster */
    int (*run)(struct cli *cli, struct err *err);
};

/* The whole program; returns the exit status. */
int cli_main(int argc, char **argv);

/* "try: …" behind the error that the verb is about to return. */
void cli_hint(struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A line on standard error, shown with -v (level 1) or -vv (level 2). */
void cli_verbose(struct cli *cli, int level, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* "flambe: warning: …" on standard error. */
void cli_warn(struct cli *cli, const char *text);
/* The columns that results have: the terminal's, or 0 (any number) for a file or a pipe. */
size_t cli_width(const struct cli *cli);
/* The error as it is shown, without a new line at its end. */
void cli_error_text(const struct err *err, bool origin, struct buf *out);
json_t *cli_error_json(const struct err *err);

/* Asks on the terminal and waits for a line: 0 for yes. ERR_USAGE where there is no terminal to
 * ask on, ERR_CANCELLED after Ctrl-C, and *declined with 0 for any other answer. -y answers. */
struct loop;
int cli_confirm(struct cli *cli, struct loop *loop, const char *question, bool *declined,
                struct err *err) MUST_CHECK;
/* The same of what -y does not answer and only the word "yes" does: whoever calls it has seen to it
 * that there is a terminal. */
int cli_confirm_in_full(struct cli *cli, struct loop *loop, const char *question, bool *declined,
                        struct err *err) MUST_CHECK;

#endif
