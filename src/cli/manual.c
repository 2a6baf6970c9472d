/* The parts of the manual that the tables know, in scdoc's language (scdoc(5)). */
#include "cli/commands.h"
#include "cli/help.h"
#include "cluster/spec.h"
#include "experiment/spec.h"
#include "experiment/tuner.h"
#include <string.h>

/* scdoc takes '*', '_' and '\' as markup. */
static void escape(const char *text, struct buf *out)
{
    for (; *text; text++) {
        if (strchr("*_\\", *text))
            buf_addc(out, '\\');
        buf_addc(out, *text);
    }
}

static void add_option(const struct option_row *row, struct buf *out)
{
    if (row->letter)
        buf_addf(out, "*-%c*, ", row->letter);
    buf_addf(out, "*--%s*", row->name);
    if (row->kind == OPTION_TEXT)
        buf_addf(out, "=_%s_", row->value);
    buf_adds(out, "\n\t");
    escape(row->help, out);
    buf_adds(out, "\n\n");
}

void manual_synopsis(struct buf *out)
{
    buf_adds(out, "*flambe* [OPTION...] FILE.yaml\n\n");
    for (size_t i = 0; i < command_count; i++) {
        buf_addf(out, "*flambe %s* [OPTION...]%s", commands[i]->name,
                 *commands[i]->usage ? " " : "");
        escape(commands[i]->usage, out);
        buf_adds(out, "\n\n");
    }
}

static void add_command(const struct command *c, struct buf *out)
{
    buf_addf(out, "## flambe %s", c->name);
    if (*c->usage)
        buf_addc(out, ' ');
    escape(c->usage, out);
    buf_adds(out, "\n\n");
    struct str rest = str_of(c->help);
    while (rest.p) {
        struct str line = str_cut(&rest, '\n');
        AUTO_BUF struct buf text = {0};
        buf_add_str(&text, line);
        escape(buf_text(&text), out);
        buf_addc(out, '\n');
    }
    buf_addc(out, '\n');
    for (size_t i = 0; i < c->option_count; i++)
        add_option(&c->options[i], out);
    if (!c->examples)
        return;
    buf_adds(out, "```\n");
    for (size_t i = 0; c->examples[i]; i++)
        buf_addf(out, "%s\n", c->examples[i]);
    buf_adds(out, "```\n\n");
}

void manual_commands(struct buf *out)
{
    for (size_t i = 0; i < command_count; i++)
        add_command(commands[i], out);
}

void manual_options(struct buf *out)
{
    for (size_t i = 0; i < global_options.count; i++)
        add_option(&global_options.rows[i], out);
}

void manual_keys(struct buf *out)
{
    schema_to_scdoc(&cluster_schema, out);
}

void manual_ssh_keys(struct buf *out)
{
    schema_to_scdoc(&ssh_cluster_schema, out);
}

void manual_experiment_keys(struct buf *out)
{
    schema_to_scdoc(&experiment_schema, out);
}

void manual_script_keys(struct buf *out)
{
    schema_to_scdoc(&script_schema, out);
}

void manual_command_keys(struct buf *out)
{
    schema_to_scdoc(&command_schema, out);
}

void manual_device_keys(struct buf *out)
{
    schema_to_scdoc(&devices_schema, out);
}

void manual_objective_keys(struct buf *out)
{
    schema_to_scdoc(&objective_schema, out);
}

void manual_scheduler_keys(struct buf *out)
{
    schema_to_scdoc(&scheduler_schema, out);
}

void manual_random_keys(struct buf *out)
{
    schema_to_scdoc(&random_schema, out);
}

void manual_optuna_keys(struct buf *out)
{
    schema_to_scdoc(&optuna_schema, out);
}
