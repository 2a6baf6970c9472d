/* The way in: finds the verb, parses its options, runs it, and says what went wrong.
 *
 * Nothing heavy happens before the verb runs: `flambe --version` and shell completion are typed
 * often. Results go to standard output, all else to standard error. */
#include "cli/cli.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/text.h"
#include "os/core.h"
#include "os/fs.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATUS_USAGE 2
#define TERMINAL_MAX 10000 /* columns, and rows */

void cli_hint(struct cli *cli, const char *fmt, ...)
{
    struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_addv(&text, fmt, ap);
    va_end(ap);
    strv_take(&cli->hints, buf_take(&text));
}

void cli_verbose(struct cli *cli, int level, const char *fmt, ...)
{
    if (cli->opt.verbose < level)
        return;
    struct buf text = {0}, clean = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_addv(&text, fmt, ap);
    va_end(ap);
    text_clean(buf_view(&text), true, &clean);
    console_line(&cli->screen, "%s", buf_text(&clean));
    buf_done(&text);
    buf_done(&clean);
}

static void say(struct cli *cli, const char *style, const char *label, const char *text)
{
    struct buf line = {0};
    text_styled(style, cli->screen.color, str_of(label), &line);
    buf_addc(&line, ' ');
    text_clean(str_of(text), true, &line);
    console_line(&cli->screen, "%s", buf_text(&line));
    buf_done(&line);
}

void cli_warn(struct cli *cli, const char *text)
{
    AUTO_FREE char *label = mem_printf("%s: warning:", cli_program.name);
    say(cli, STYLE_YELLOW, label, text);
}

size_t cli_width(const struct cli *cli)
{
    size_t width, height;
    if (cli->width)
        return cli->width;
    struct console out = {.fd = cli->out.fd, .tty = cli->out.tty};
    console_size(&out, &width, &height);
    return cli->out.tty ? width : 0;
}

void cli_error_text(const struct err *err, bool origin, struct buf *out)
{
    buf_adds(out, err->msg[0] ? err->msg : err_name(err->code));
    if (origin && err->origin[0])
        buf_addf(out, " [%s]", err->origin);
}

json_t *cli_error_json(const struct err *err)
{
    return json_pack("{s:s, s:s, s:s*, s:i}", "code", err_name(err->code), "message", err->msg,
                     "origin", err->origin[0] ? err->origin : NULL, "exit_status",
                     err_exit_status(err->code));
}

static void report(struct cli *cli, const struct err *err)
{
    struct buf text = {0};
    cli_error_text(err, cli->opt.verbose > 0, &text);
    AUTO_FREE char *label = mem_printf("%s:", cli_program.name);
    say(cli, STYLE_RED, label, buf_text(&text));
    buf_done(&text);
    for (size_t i = 0; i < cli->hints.count; i++)
        say(cli, STYLE_BOLD, "try:", cli->hints.items[i]);
    if (!cli->json || cli->out.wrote)
        return;
    json_t *value = json_pack("{s:o}", "error", cli_error_json(err));
    if (cli->error_details)
        json_object_update(value, cli->error_details);
    output_json(&cli->out, value);
}

static bool wants_color(const char *choice, int fd)
{
    if (choice && strcmp(choice, "auto") != 0)
        return strcmp(choice, "always") == 0;
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return !(no && *no) && term && strcmp(term, "dumb") != 0 && isatty(fd) == 1;
}

/* "120x40": the terminal on which somebody else shows what is written here. */
static void use_terminal(struct cli *cli, const char *size)
{
    struct str rest = str_of(size), width = str_cut(&rest, 'x');
    int64_t w, h;
    if (!rest.p || !str_to_i64(width, 1, TERMINAL_MAX, &w) ||
        !str_to_i64(rest, 1, TERMINAL_MAX, &h))
        return;
    cli->screen.fixed_width = (int)w;
    cli->screen.fixed_height = (int)h;
    cli->width = (size_t)w;
}

static void set_up_outputs(struct cli *cli)
{
    cli->out.tty = isatty(cli->out.fd) == 1;
    cli->screen.color = wants_color(cli->opt.color, cli->screen.fd);
    cli->out.color = wants_color(cli->opt.color, cli->out.fd);
    if (cli_program.terminal_variable)
        use_terminal(cli, getenv(cli_program.terminal_variable));
    cli->json = cli->opt.output && strcmp(cli->opt.output, "json") == 0;
}

/* `flambe FILE` is `flambe up FILE`, or `flambe run FILE` of an experiment. */
static bool looks_like_file(const char *word)
{
    struct str s = str_of(word);
    return str_ends(s, ".yaml") || str_ends(s, ".yml") || strchr(word, '/') || fs_exists(word);
}

static int find_verb(struct cli *cli, const char *word, bool *is_file, struct err *err)
{
    cli->command = command_find(word);
    *is_file = !cli->command && cli_program.command_of_file && looks_like_file(word);
    if (*is_file)
        cli->command = cli_program.command_of_file(word);
    if (cli->command)
        return 0;
    const char *near = command_nearest(word);
    if (near)
        return err_set(err, ERR_USAGE, "unknown command '%s'; did you mean '%s'?", word, near);
    return cli_program.command_of_file
               ? err_set(err, ERR_USAGE, "'%s' is neither a command nor a file", word)
               : err_set(err, ERR_USAGE, "unknown command '%s'", word);
}

static int check_operands(const struct cli *cli, struct err *err)
{
    const struct command *c = cli->command;
    if (cli->args.count < c->min)
        return err_set(err, ERR_USAGE, "'%s %s' needs %s", cli_program.name, c->name, c->usage);
    if (cli->args.count > c->max)
        return err_set(err, ERR_USAGE, "'%s %s' has no use for '%s'", cli_program.name, c->name,
                       cli->args.items[c->max]);
    if (!c->csv && cli->opt.output && strcmp(cli->opt.output, "csv") == 0)
        return err_set(err, ERR_USAGE, "'%s %s' has no CSV: '--output' is one of 'text', 'json'",
                       cli_program.name, c->name);
    return 0;
}

/* `flambe -f FILE`: the options of `run` before an experiment's file, as the original had them. */
static bool parse_experiment_first(struct cli *cli, int argc, char **argv)
{
    const struct command *run = command_find("run");
    const struct option_table tables[] = {global_options, {run->options, run->option_count}};
    struct cli_options opt = {0};
    struct operands words = {.dashes = OPERANDS_NO_DASHES};
    bool is_file = false;
    int rc = options_parse(tables, 2, OPERANDS_ANY, (size_t)argc - 1, (const char *const *)argv + 1,
                           &opt, &words, NULL);
    bool meant = rc == 0 && words.count == 1 &&
                 find_verb(cli, words.items[0], &is_file, NULL) == 0 && cli->command == run &&
                 is_file;
    if (!meant) {
        cli->command = NULL;
        operands_done(&words);
        return false;
    }
    cli->opt = opt;
    cli->args = words;
    return true;
}

static int parse(struct cli *cli, int argc, char **argv, struct err *err)
{
    struct operands words = {.dashes = OPERANDS_NO_DASHES};
    if (options_parse(&global_options, 1, 0, (size_t)argc - 1, (const char *const *)argv + 1,
                      &cli->opt, &words, err) == -1)
        return parse_experiment_first(cli, argc, argv) ? 0 : -1;
    bool is_file = false;
    int rc = words.count ? find_verb(cli, words.items[0], &is_file, err) : 0;
    if (rc == 0 && cli->command) {
        const struct option_table tables[] = {global_options,
                                              {cli->command->options, cli->command->option_count}};
        size_t skip = is_file ? 0 : 1;
        rc = options_parse(tables, 2, cli->command->parsed ? cli->command->parsed : OPERANDS_ANY,
                           words.count - skip, words.items + skip, &cli->opt, &cli->args, err);
    }
    operands_done(&words);
    if (rc == -1 || cli->opt.help || cli->opt.version)
        return rc;
    if (!cli->command)
        return err_set(err, ERR_USAGE, "a %scommand is missing",
                       cli_program.command_of_file ? "cluster file or a " : "");
    return check_operands(cli, err);
}

static int run(struct cli *cli, struct err *err)
{
    if (!cli->opt.version && !cli->opt.help)
        return cli->command->run(cli, err);
    struct buf text = {0};
    if (cli->opt.version) {
        buf_addf(&text, "%s %s", cli_program.name, FLAMBE_VERSION);
        if (cli_program.add_build)
            cli_program.add_build(&text);
        buf_addc(&text, '\n');
    } else if (cli->command)
        help_command(cli->command, &text);
    else
        help_overview(&text);
    output_write(&cli->out, buf_view(&text));
    buf_done(&text);
    return 0;
}

int cli_main(int argc, char **argv)
{
    /* Credentials and keys live in memory: a crash leaves no copy of them on the disk. */
    core_forbid();
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of write(2), reported below */

    struct cli cli = {
        .argv = argv, .out = {.fd = STDOUT_FILENO}, .args = {.dashes = OPERANDS_NO_DASHES}};
    console_init(&cli.screen, STDERR_FILENO, false);
    struct err err = {0};
    int rc = parse(&cli, argc, argv, &err);
    set_up_outputs(&cli);
    if (rc == -1)
        cli_hint(&cli, "%s help%s%s", cli_program.name, cli.command ? " " : "",
                 cli.command ? cli.command->name : "");
    else
        rc = run(&cli, &err);

    if (rc == -1)
        report(&cli, &err);
    int status = rc == -1 ? err_exit_status(err.code) : cli.exit_status;
    struct err late = {0};
    if (output_close(&cli.out, &late) == -1) {
        if (late.sys != EPIPE)
            say(&cli, STYLE_RED, "flambe:", late.msg);
        status = status ? status : 1;
    }
    console_done(&cli.screen);
    operands_done(&cli.args);
    strv_done(&cli.hints);
    json_decref(cli.error_details);
    return status;
}
