/* flambe-sandbox's command line: one table of commands, each with its options. */
#ifndef FLAMBE_SANDBOX_CLI_H
#define FLAMBE_SANDBOX_CLI_H

#include "base/err.h"
#include "base/str.h"

struct cli_option {
    const char *name;  /* "--count" */
    const char *value; /* what stands behind it in the help ("N"), or NULL: a flag */
    const char *help;
    const char *const *choices; /* NULL-terminated, or NULL: any */
};

#define CLI_OPTIONS_MAX 24

struct cli_command;

struct cli_args {
    const struct cli_command *command;
    const char *values[CLI_OPTIONS_MAX]; /* by the option's place in its table; "" for a flag */
    const char *const *words;            /* what is no option */
    size_t word_count;
    char *dir; /* absolute */
};

struct cli_command {
    const char *name;                 /* "fault add" */
    const char *words;                /* "INSTANCE", or "" */
    const char *help;                 /* one line */
    const char *more;                 /* paragraphs, or NULL */
    const struct cli_option *options; /* NULL-name-terminated, or NULL */
    size_t words_min, words_max;
    int (*run)(const struct cli_args *args, struct err *err);
    void (*print_more)(void); /* more of the help, or NULL */
};

extern const struct cli_command cli_commands[]; /* NULL-name-terminated */

/* The whole program; returns its exit status: 0, 1, or 2 for a wrong command line. */
int cli_main(int argc, const char *const *argv);
/* The value of an option, or NULL where it was not given. */
const char *cli_option(const struct cli_args *args, const char *name);
/* A number within [min, max]; *out is untouched where the option was not given. */
int cli_number(const struct cli_args *args, const char *name, double min, double max, double *out,
               struct err *err) MUST_CHECK;
int cli_int(const struct cli_args *args, const char *name, int64_t min, int64_t max, int64_t *out,
            struct err *err) MUST_CHECK;

/* cmd_*.c */
int cmd_start(const struct cli_args *args, struct err *err) MUST_CHECK;
int cmd_env(const struct cli_args *args, struct err *err) MUST_CHECK;
int cmd_stop(const struct cli_args *args, struct err *err) MUST_CHECK;
int cmd_reset(const struct cli_args *args, struct err *err) MUST_CHECK;
int cmd_status(const struct cli_args *args, struct err *err) MUST_CHECK;
int cmd_fault_add(const struct cli_args *args, struct err *err) MUST_CHECK;
int cmd_fault_list(const struct cli_args *args, struct err *err) MUST_CHECK;
int cmd_fault_clear(const struct cli_args *args, struct err *err) MUST_CHECK;
int cmd_instance(const struct cli_args *args, struct err *err) MUST_CHECK; /* kill, freeze, … */
int cmd_set(const struct cli_args *args, struct err *err) MUST_CHECK;
int cmd_release(const struct cli_args *args, struct err *err) MUST_CHECK;
int cmd_fire_alarm(const struct cli_args *args, struct err *err) MUST_CHECK;
int cmd_image_build(const struct cli_args *args, struct err *err) MUST_CHECK;

char *cli_state_dir(void); /* the caller frees */

/* exports.c: what a shell evaluates to reach the sandbox, on standard output. */
void exports_print(const char *dir, int port, const char *region);

#endif
