/* See elsewhere.h. */
#include "cli/elsewhere.h"
#include "base/mem.h"
#include "cli/attach.h"
#include "cli/commands.h"
#include "cli/file.h"
#include "cli/prefix.h"
#include "cli/results.h"
#include "cli/text.h"
#include "cluster/files.h"
#include "os/fs.h"
#include <stdlib.h>
#include <string.h>

#define STATUS_CTRL_C 130
#define PATIENCE (10 * USEC_PER_SEC) /* for an orchestrator that does not answer at once */

/* ---- what a word means ----------------------------------------------------------------------- */

static bool is_cluster_file(const char *path)
{
    struct str s = str_of(path);
    return (str_ends(s, ".yaml") || str_ends(s, ".yml")) && fs_exists(path) &&
           !file_is_experiment(path);
}

static bool is_known_cluster(struct cli *cli, const char *name)
{
    struct session s;
    session_init(&s, cli);
    bool known = session_knows(&s, name);
    session_done(&s);
    return known;
}

/* Without a ':' a word is a cluster only where it can be nothing else: a missing directory is to be
 * called missing, not looked for in AWS. */
static bool names_cluster(struct cli *cli, const char *word)
{
    if (is_cluster_file(word))
        return true;
    if (strchr(word, '/') || fs_exists(word))
        return false;
    return cli->opt.creator || is_known_cluster(cli, word);
}

bool elsewhere_parse(struct cli *cli, const char *word, struct elsewhere *out)
{
    *out = (struct elsewhere){0};
    if (results_meant(word))
        return false;
    const char *colon = strrchr(word, ':');
    if (colon && colon > word && !strchr(colon, '/')) {
        out->cluster = mem_dup_n(word, (size_t)(colon - word));
        out->colon = true;
        out->experiment = colon[1] ? mem_dup(colon + 1) : NULL;
        return true;
    }
    if (!names_cluster(cli, word))
        return false;
    out->cluster = mem_dup(word);
    return true;
}

void elsewhere_done(struct elsewhere *e)
{
    free(e->cluster);
    free(e->experiment);
    *e = (struct elsewhere){0};
}

/* The first of the list's entries that has a name, NULL without one. */
static const char *first_name(const json_t *list)
{
    size_t i;
    const json_t *entry;
    json_array_foreach(list, i, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "name"));
        if (name)
            return name;
    }
    return NULL;
}

int elsewhere_results(struct node_link *l, const struct elsewhere *e, char **directory,
                      struct err *err)
{
    if (e->experiment) {
        if (strchr(e->experiment, '/'))
            return err_set(err, ERR_USAGE, "'%s' is no experiment's name", e->experiment);
        *directory = mem_printf("%s/%s%s", FILES_RESULTS, RESULTS_PREFIX, e->experiment);
        return 0;
    }
    json_auto_t *queue = NULL;
    if (node_queue(l, &queue, err) == -1)
        return -1;
    const char *name = first_name(json_object_get(queue, "entries"));
    if (!name)
        name = first_name(json_object_get(queue, "done"));
    if (!name || strchr(name, '/')) {
        cli_hint(l->reach.session.cli, "flambe FILE -c %s   to run an experiment there",
                 e->cluster);
        return err_set(err, ERR_NOT_FOUND, "no experiment has run on '%s'", l->reach.target.name);
    }
    *directory = mem_printf("%s/%s%s", FILES_RESULTS, RESULTS_PREFIX, name);
    return 0;
}

/* ---- the verb, there ------------------------------------------------------------------------- */

static bool is_for_here(const struct option_row *row)
{
    return row->offset == offsetof(struct cli_options, creator) ||
           row->offset == offsetof(struct cli_options, identity);
}

static void add_options(const struct cli *cli, struct strv *words)
{
    const struct command *c = cli->command;
    for (size_t i = 0; i < c->option_count; i++) {
        const struct option_row *row = &c->options[i];
        const void *field = (const char *)&cli->opt + row->offset;
        if (is_for_here(row))
            continue;
        if (row->kind == OPTION_FLAG && *(const bool *)field)
            strv_take(words, mem_printf("--%s", row->name));
        else if (row->kind == OPTION_TEXT && *(const char *const *)field)
            strv_take(words, mem_printf("--%s=%s", row->name, *(const char *const *)field));
    }
}

/* A style of ours (text_styled) at the text's beginning: its length, or 0. */
static size_t style_length(struct str s)
{
    size_t i = 2;
    if (s.n < 3 || s.p[0] != '\033' || s.p[1] != '[')
        return 0;
    while (i < s.n && ((s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == ';'))
        i++;
    return i < s.n && s.p[i] == 'm' ? i + 1 : 0;
}

/* What a host wrote, for this terminal: its colours may pass, nothing else that moves it. */
static void clean_line(struct str line, struct buf *out)
{
    while (line.n) {
        size_t style = style_length(line), plain = 0;
        while (plain < line.n && !style_length((struct str){line.p + plain, line.n - plain}))
            plain++;
        if (style)
            buf_add_str(out, (struct str){line.p, style});
        else
            text_clean((struct str){line.p, plain}, true, out);
        line.p += style ? style : plain;
        line.n -= style ? style : plain;
    }
}

struct showing {
    struct cli *cli;
    struct loop *loop;
    struct prefix streams[2];
};

static void clean_lines(struct str lines, struct buf *out)
{
    while (lines.p && lines.n) {
        clean_line(str_cut(&lines, '\n'), out);
        buf_addc(out, '\n');
    }
}

static void show_out(void *ctx, struct str lines)
{
    struct showing *s = ctx;
    AUTO_BUF struct buf clean = {0};
    clean_lines(lines, &clean);
    output_write(&s->cli->out, buf_view(&clean));
}

static void show_err(void *ctx, struct str lines)
{
    struct showing *s = ctx;
    AUTO_BUF struct buf clean = {0};
    clean_lines(lines, &clean);
    console_lines(&s->cli->screen, buf_view(&clean));
}

static void got_output(void *ctx, bool is_err, struct str bytes)
{
    struct showing *s = ctx;
    if (is_err || s->cli->out.tty)
        prefix_add(&s->streams[is_err], bytes);
    else
        output_write(&s->cli->out, bytes);
    if (s->cli->out.failed)
        loop_cancel(s->loop); /* nobody reads on */
}

/* How the other side is to write: for this terminal, or for a file; and what it is to call the
 * results. */
static void add_environment(const struct cli *cli, const char *word, struct strv *words)
{
    size_t width, height;
    struct console out = {.fd = cli->out.fd, .tty = cli->out.tty};
    strv_add(words, "env");
    strv_take(words, mem_printf("FLAMBE_OPERAND=%s", word));
    if (!cli->out.tty)
        return;
    console_size(&out, &width, &height);
    strv_take(words, mem_printf("FLAMBE_TERMINAL=%zux%zu", width, height));
}

/* `words`: what stands behind the program's name. */
static int call(struct cli *cli, struct node_link *l, const char *word, const struct strv *behind,
                struct err *err)
{
    AUTO_STRV struct strv words = {0};
    add_environment(cli, word, &words);
    strv_add(&words, NODE_PROGRAM);
    strv_copy(&words, behind);
    struct showing s = {.cli = cli, .loop = l->reach.session.loop};
    s.streams[0] = (struct prefix){.label = mem_dup(""), .write = show_out, .ctx = &s};
    s.streams[1] = (struct prefix){.label = mem_dup(""), .write = show_err, .ctx = &s};
    struct node_call c = {.words = &words, .output = got_output, .ctx = &s};
    struct node_answer a;
    int rc = node_call(l, &c, &a, err);
    for (int i = 0; i < 2; i++) {
        prefix_end(&s.streams[i]);
        prefix_done(&s.streams[i]);
    }
    if (rc == 0 && a.result.signal[0])
        rc = err_set(err, ERR_REMOTE, "flambe-node on the orchestrator was ended by signal %s",
                     a.result.signal);
    else if (rc == 0)
        cli->exit_status = a.result.status;
    else if (cli->out.failed)
        rc = 0; /* the end of the program reports it */
    node_answer_done(&a);
    return rc;
}

static void add_output(const struct cli *cli, struct strv *words)
{
    if (cli->opt.output)
        strv_take(words, mem_printf("--output=%s", cli->opt.output));
    strv_add(words, cli->out.color ? "--color=always" : "--color=never");
}

int elsewhere_summary(struct node_link *l, const char *word, const char *directory,
                      const struct attach_end *end, struct err *err)
{
    struct cli *cli = l->reach.session.cli;
    AUTO_STRV struct strv words = {0};
    strv_add(&words, "status");
    add_output(cli, &words);
    strv_add(&words, "--");
    strv_add(&words, directory);
    if (call(cli, l, word, &words, err) == -1)
        return -1;
    if (end->reason[0])
        console_line(&cli->screen, "flambe: %s", end->reason);
    cli->exit_status = end->status;
    return 0;
}

static int pass_on(struct cli *cli, struct node_link *l, const char *word, const char *directory,
                   struct err *err)
{
    AUTO_STRV struct strv words = {0};
    strv_add(&words, cli->command->name);
    add_options(cli, &words);
    add_output(cli, &words);
    strv_add(&words, "--");
    strv_add(&words, directory);
    for (size_t i = 1; i < cli->args.count; i++)
        strv_add(&words, cli->args.items[i]);
    return call(cli, l, word, &words, err);
}

static int watch(struct cli *cli, struct node_link *l, const char *word, const char *directory,
                 struct err *err)
{
    struct attach_end end;
    if (attach_follow(l, word, directory, &end, err) == -1)
        return -1;
    if (end.detached) {
        cli->exit_status = STATUS_CTRL_C;
        return 0;
    }
    return elsewhere_summary(l, word, directory, &end, err);
}

int elsewhere_run(struct cli *cli, bool *ours, struct err *err)
{
    struct elsewhere e;
    *ours = cli->args.count && elsewhere_parse(cli, cli->args.items[0], &e);
    if (*ours && cli->command == &cmd_status && !e.colon) { /* that is about its hosts */
        elsewhere_done(&e);
        *ours = false;
    }
    if (!*ours)
        return 0;
    struct node_link l;
    AUTO_FREE char *directory = NULL;
    int rc = node_link_open(&l, cli, e.cluster, PATIENCE, err);
    if (rc == 0)
        rc = elsewhere_results(&l, &e, &directory, err);
    if (rc == 0) {
        const char *name = strstr(directory, RESULTS_PREFIX);
        AUTO_FREE char *word =
            mem_printf("%s:%s", l.reach.target.name, name ? name + strlen(RESULTS_PREFIX) : "");
        rc = cli->command == &cmd_attach ? watch(cli, &l, word, directory, err)
                                         : pass_on(cli, &l, word, directory, err);
    }
    node_link_done(&l);
    elsewhere_done(&e);
    return rc;
}
