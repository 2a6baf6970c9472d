/* flambe-node queue: adds an experiment to those that the cluster runs, lists them, removes one.
 * flambe on the user's machine calls it over SSH, as the login user. */
#include "base/json.h"
#include "base/mem.h"
#include "cli/table.h"
#include "cli/text.h"
#include "node/forget.h"
#include "node/node.h"
#include "node/queue.h"
#include "os/fs.h"
#include "os/lock.h"
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OUTCOMES_SHOWN 10

struct call {
    struct cli *cli;
    struct loop *loop;
    const char *directory;
    struct queue queue;
};

static json_t *items_json(const struct queue *q)
{
    json_t *list = json_array();
    for (size_t i = 0; i < q->count; i++)
        json_array_append_new(list, queue_item_json(&q->items[i]));
    return list;
}

/* ---- add --------------------------------------------------------------------------------------
 */

static int read_input(struct buf *out, struct err *err)
{
    char block[16384];
    out->max = ENTRY_BYTES_MAX + 1;
    for (;;) {
        ssize_t n = read(STDIN_FILENO, block, sizeof block);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set_sys(err, errno, "cannot read the entry");
        if (n == 0)
            return 0;
        buf_add(out, block, (size_t)n);
        if (out->overflowed)
            return err_set(err, ERR_LIMIT, "the entry is longer than %zu bytes", ENTRY_BYTES_MAX);
    }
}

static int read_entry(const char *word, struct buf *text, struct entry *out, struct err *err)
{
    int rc =
        strcmp(word, "-") == 0 ? read_input(text, err) : fs_read(word, ENTRY_BYTES_MAX, text, err);
    return rc == 0 ? entry_parse(buf_view(text), out, err) : -1;
}

static int admit(struct call *c, const struct entry *e, struct queue_admission *out,
                 struct err *err)
{
    const struct cli_options *opt = &c->cli->opt;
    if (queue_admit(&c->queue, e->name, opt->queue, opt->force, out, err) == 0)
        return 0;
    if (!opt->queue && !queue_by_name(&c->queue, e->name))
        cli_hint(c->cli, "--queue   to run it after that");
    cli_hint(c->cli, "--force   to run it in place of that");
    c->cli->error_details = json_pack("{s:o}", "entries", items_json(&c->queue));
    return -1;
}

/* The new one first: whatever dies behind that, nothing that was asked for is lost. */
static int put(struct call *c, const struct queue_admission *a, const struct entry *e,
               struct str text, char **id, struct err *err)
{
    usec_t now = clock_wall(loop_clock(c->loop));
    struct queue *q = &c->queue;
    if (queue_add(q, a->ahead, e->name, text, id, err) == -1)
        return -1;
    /* Its secrets are the new one's now. */
    if (a->drop && e->secrets && a->drop->entry.secrets &&
        strcmp(e->secrets, a->drop->entry.secrets) == 0) {
        free(a->drop->entry.secrets);
        a->drop->entry.secrets = NULL;
    }
    AUTO_BUF struct buf failed = {0};
    if (a->drop)
        forget_secrets(c->loop, q, a->drop, &failed);
    if (a->drop && queue_finish(q, a->drop, QUEUE_REPLACED, 130, NULL, now, err) == -1)
        return -1;
    return a->ask ? queue_ask(q, a->ask, QUEUE_REPLACED, e->by, err) : 0;
}

static int add(struct call *c, struct err *err)
{
    AUTO_BUF struct buf text = {0};
    AUTO_FREE char *id = NULL;
    struct queue_admission a;
    struct entry e;
    if (read_entry(c->cli->args.items[1], &text, &e, err) == -1)
        return -1;
    int rc = admit(c, &e, &a, err);
    if (rc == 0)
        rc = put(c, &a, &e, buf_view(&text), &id, err);
    if (rc == 0) {
        AUTO_FREE char *results = entry_results(&e);
        size_t before = a.ahead ? 0 : c->queue.count - (a.drop ? 1 : 0);
        if (c->cli->json)
            output_json(&c->cli->out, json_pack("{s:s, s:s, s:s, s:i, s:s?}", "id", id, "name",
                                                e.name, "results", results, "before", (int)before,
                                                "replaces", a.ask ? a.ask->entry.name : NULL));
        else
            output_printf(&c->cli->out, "%s\n", id);
    }
    entry_done(&e);
    return rc;
}

/* ---- list -------------------------------------------------------------------------------------
 */

static void add_time(struct table *t, usec_t wall)
{
    char text[CLOCK_ISO_SIZE] = "";
    if (wall)
        clock_iso(wall, text);
    table_add(t, STYLE_NONE, text);
}

static void show_items(struct call *c)
{
    static const struct table_column columns[] = {
        {"experiment", 0, false}, {"state", 0, false}, {"since", 1, false},
        {"deaths", 2, false},     {"by", 3, true},
    };
    struct table t;
    AUTO_STRV struct strv lines = {0};
    setlocale(LC_CTYPE, ""); /* wcwidth() */
    table_init(&t, columns, COUNT_OF(columns));
    for (size_t i = 0; i < c->queue.count; i++) {
        const struct queue_item *item = &c->queue.items[i];
        AUTO_FREE char *deaths =
            item->turn.death_count ? mem_printf("%d", item->turn.death_count) : mem_dup("");
        table_add(&t, STYLE_BOLD, item->damage ? item->id : item->entry.name);
        table_add(&t, STYLE_NONE, item->asked ? "ends" : item->has_turn ? "running" : "waiting");
        add_time(&t, item->has_turn ? item->turn.began : item->entry.submitted * USEC_PER_SEC);
        table_add(&t, STYLE_NONE, deaths);
        table_add(&t, STYLE_NONE, item->entry.by ? item->entry.by : "");
    }
    table_render(&t, cli_width(c->cli), c->cli->out.color, &lines);
    table_done(&t);
    AUTO_FREE char *text = strv_join(&lines, "\n");
    output_printf(&c->cli->out, "%s\n", c->queue.count ? text : "nothing runs or waits");
}

static int list(struct call *c, struct err *err)
{
    json_t *over;
    if (!c->cli->json) {
        show_items(c);
        return 0;
    }
    if (queue_outcomes(c->directory, NULL, OUTCOMES_SHOWN, &over, err) == -1)
        return -1;
    output_json(&c->cli->out,
                json_pack("{s:o, s:o}", "entries", items_json(&c->queue), "done", over));
    return 0;
}

/* ---- remove -----------------------------------------------------------------------------------
 */

static int remove_one(struct call *c, struct err *err)
{
    const char *word = c->cli->args.items[1];
    struct queue_item *item = queue_by_name(&c->queue, word);
    if (!item)
        return err_set(err, ERR_NOT_FOUND, "'%s' neither runs nor waits on this cluster", word);
    AUTO_FREE char *id = mem_dup(item->id);
    bool runs = item->has_turn;
    AUTO_BUF struct buf failed = {0};
    if (!runs)
        forget_secrets(c->loop, &c->queue, item, &failed);
    int rc = runs ? queue_ask(&c->queue, item, QUEUE_REMOVED, NULL, err)
                  : queue_finish(&c->queue, item, QUEUE_REMOVED, 130, NULL,
                                 clock_wall(loop_clock(c->loop)), err);
    if (rc == -1)
        return -1;
    if (c->cli->json)
        output_json(&c->cli->out, json_pack("{s:s, s:b}", "id", id, "runs", runs));
    else
        output_printf(&c->cli->out, "%s %s\n", id, runs ? "is being ended" : "is removed");
    return 0;
}

/* ---- the verb ---------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    size_t words; /* with the operand behind it */
    bool locked;
    int (*fn)(struct call *c, struct err *err);
} actions[] = {{"add", 2, true, add}, {"list", 1, false, list}, {"remove", 2, true, remove_one}};

static int act(struct call *c, size_t which, struct err *err)
{
    struct lock *lock = NULL;
    if (actions[which].locked && queue_lock(c->loop, c->directory, &lock, err) == -1)
        return -1;
    int rc = queue_read(c->directory, &c->queue, err);
    if (rc == 0)
        rc = actions[which].fn(c, err);
    queue_done(&c->queue);
    lock_release(lock);
    return rc;
}

static int run(struct cli *cli, struct err *err)
{
    size_t i = 0;
    while (i < COUNT_OF(actions) && strcmp(cli->args.items[0], actions[i].name) != 0)
        i++;
    if (i == COUNT_OF(actions) || cli->args.count != actions[i].words)
        return err_set(err, ERR_USAGE,
                       "'flambe-node queue' needs 'add FILE', 'list' or "
                       "'remove NAME'");
    struct call c = {.cli = cli,
                     .directory = cli->opt.directory ? cli->opt.directory : QUEUE_DIRECTORY,
                     .loop = loop_new()};
    loop_catch_signals(c.loop, NULL, NULL);
    int rc = act(&c, i, err);
    loop_free(c.loop);
    return rc;
}

static const struct option_row options[] = {
    {"queue", 0, OPTION_FLAG, NULL, NULL, "add: wait behind what runs or waits",
     offsetof(struct cli_options, queue)},
    {"force", 'f', OPTION_FLAG, NULL, NULL,
     "add: end what runs, and take its place; with --queue, only that of this name",
     offsetof(struct cli_options, force)},
    OPTION_DIRECTORY,
};

static const char *const examples[] = {"flambe-node queue add - --queue -o json <entry.json",
                                       "flambe-node queue list -o json",
                                       "flambe-node queue remove sweep", NULL};

const struct command node_queue = {
    .name = "queue",
    .usage = "add FILE|list|remove NAME",
    .summary = "add an experiment to those that the cluster runs, list or remove them",
    .help =
        "'add' takes an entry, see flambe-node(8), from a file or with '-' from standard input, "
        "and "
        "writes its id. Where an experiment runs or waits, that is an error with the code 'busy', "
        "which says what runs, unless --queue or --force is given. The results that an experiment "
        "of this name has are removed by the entry's own 'force'.\n"
        "\n"
        "'list' shows what runs and what waits, and with -o json also what became of the last "
        "ones. 'remove' takes away an entry that waits, and ends one that runs; its results stay.",
    .examples = examples,
    .options = options,
    .option_count = COUNT_OF(options),
    .min = 1,
    .max = 2,
    .complete = "",
    .run = run,
};
