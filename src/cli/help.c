/* See help.h. */
#include "cli/help.h"
#include "cli/commands.h"
#include "cli/text.h"
#include <string.h>

#define WIDTH 80
#define INDENT 2

static void heading(const char *text, struct buf *out)
{
    buf_addf(out, "\n%s:\n", text);
}

static void two_columns(const char *left, const char *right, size_t column, struct buf *out)
{
    buf_addf(out, "%*s%-*s", INDENT, "", (int)column, left);
    struct buf wrapped = {0};
    size_t indent = INDENT + column;
    text_wrap(right, indent, WIDTH, &wrapped);
    buf_adds(out, buf_text(&wrapped) + indent); /* the first line stands behind the left column */
    buf_done(&wrapped);
}

static void add_options(const struct option_row *rows, size_t count, struct buf *out)
{
    struct buf signature = {0};
    size_t column = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < count; i++) {
            buf_clear(&signature);
            if (!rows[i].letter)
                buf_adds(&signature, "    ");
            options_signature(&rows[i], &signature);
            if (pass == 1)
                two_columns(buf_text(&signature), rows[i].help, column, out);
            else if (signature.len + INDENT > column)
                column = signature.len + INDENT;
        }
    }
    buf_done(&signature);
}

static void add_examples(const struct command *c, struct buf *out)
{
    if (!c->examples)
        return;
    heading("Examples", out);
    for (size_t i = 0; c->examples[i]; i++)
        buf_addf(out, "%*s%s\n", INDENT, "", c->examples[i]);
}

void help_overview(struct buf *out)
{
    buf_adds(out, cli_program.usage);
    text_wrap(cli_program.about, 0, WIDTH, out);
    heading("Commands", out);
    for (size_t i = 0; i < command_count; i++)
        two_columns(commands[i]->name, commands[i]->summary, 12, out);
    heading("Options", out);
    add_options(global_options.rows, global_options.count, out);
    buf_addf(out, "\n'%s help COMMAND' says more; 'man %s' says all.\n", cli_program.name,
             cli_program.name);
}

void help_command(const struct command *c, struct buf *out)
{
    buf_addf(out, "Usage: %s %s [OPTION...]%s%s\n", cli_program.name, c->name, *c->usage ? " " : "",
             c->usage);
    if (strcmp(c->name, "up") == 0)
        buf_addf(out, "       flambe [OPTION...] %s\n", c->usage);
    buf_addc(out, '\n');
    text_wrap(c->help, 0, WIDTH, out);
    if (c->option_count)
        heading("Options", out);
    add_options(c->options, c->option_count, out);
    heading("Options of every command", out);
    add_options(global_options.rows, global_options.count, out);
    add_examples(c, out);
}
