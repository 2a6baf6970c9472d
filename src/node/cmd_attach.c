/* flambe-node attach: tells, as lines of JSON, how an experiment of this cluster goes on, for the
 * terminal of flambe on the user's machine. */
#include "base/json.h"
#include "base/mem.h"
#include "cli/follow.h"
#include "cli/results.h"
#include "experiment/run.h"
#include "node/config.h"
#include "node/node.h"
#include "node/queue.h"
#include <stdlib.h>
#include <string.h>

struct place {
    const char *queue; /* its directory */
    char *name;        /* of the experiment */
    char *directory;   /* of its results */
};

/* ---- what the queue says ----------------------------------------------------------------------
 */

static bool expects(void *ctx, struct buf *why)
{
    const struct place *p = ctx;
    struct queue q;
    if (queue_read(p->queue, &q, NULL) == -1)
        return false;
    struct queue_item *item = queue_by_name(&q, p->name);
    size_t before = item ? (size_t)(item - q.items) : 0;
    if (item && before)
        buf_addf(why, "'%s' waits for '%s'%s", p->name,
                 q.items[0].damage ? q.items[0].id : q.items[0].entry.name,
                 before > 1 ? " and others" : "");
    else if (item)
        buf_addf(why, "'%s' %s", p->name, item->turn.death_count ? "is to go on" : "begins");
    bool found = item != NULL;
    queue_done(&q);
    return found;
}

static bool ended(void *ctx, int *exit_status, char **reason)
{
    const struct place *p = ctx;
    json_auto_t *last = NULL;
    if (queue_outcomes(p->queue, p->name, 1, &last, NULL) == -1 || !json_array_size(last))
        return false;
    const json_t *row = json_array_get(last, 0);
    *exit_status = (int)json_integer_value(json_object_get(row, "exit"));
    const char *state = json_text(row, "state"), *by = json_text(row, "asked_by");
    if (state && strcmp(state, queue_outcome_name(QUEUE_REPLACED)) == 0)
        *reason =
            mem_printf("it was replaced by an experiment%s%s", by ? " of " : "", by ? by : "");
    else
        *reason = mem_dup(json_text(row, "reason"));
    return true;
}

/* ---- where it is ------------------------------------------------------------------------------
 */

/* Where the queue has the results of that name, or had them last. */
static char *in_queue(const char *queue, const char *name)
{
    struct queue q;
    char *directory = NULL;
    if (queue_read(queue, &q, NULL) == -1)
        return NULL;
    const struct queue_item *item = queue_by_name(&q, name);
    if (item && !item->damage)
        directory = entry_results(&item->entry);
    queue_done(&q);
    json_auto_t *last = NULL;
    if (directory || queue_outcomes(queue, name, 1, &last, NULL) == -1)
        return directory;
    const char *save_path = json_text(json_array_get(last, 0), "save_path");
    return save_path ? run_directory(save_path, name) : NULL;
}

static char *in_tree(struct cli *cli, const char *name)
{
    struct config config;
    if (config_load(cli->opt.config ? cli->opt.config : CONFIG_FILE, &config, NULL) == -1) {
        AUTO_FREE char *results = mem_dup(CONFIG_SHARED "/results");
        return run_directory(results, name);
    }
    char *directory = config_results(&config, name);
    config_done(&config);
    return directory;
}

/* A name, or a directory, which a run that waits may not have made yet. */
static int find(struct cli *cli, const char *word, struct place *p, struct err *err)
{
    if (entry_name_ok(word)) {
        p->name = mem_dup(word);
        p->directory = in_queue(p->queue, word);
        if (!p->directory)
            p->directory = in_tree(cli, word);
        return 0;
    }
    p->directory = mem_dup(word);
    for (size_t n = strlen(word); n > 1 && word[n - 1] == '/'; n--)
        p->directory[n - 1] = '\0';
    const char *slash = strrchr(p->directory, '/'), *base = slash ? slash + 1 : p->directory;
    if (!str_starts(str_of(base), RESULTS_PREFIX) || !entry_name_ok(base + strlen(RESULTS_PREFIX)))
        return err_set(err, ERR_USAGE, "'%s' is neither an experiment nor its results", word);
    p->name = mem_dup(base + strlen(RESULTS_PREFIX));
    return 0;
}

static int follow(struct cli *cli, struct place *p, struct err *err)
{
    AUTO_BUF struct buf why = {0};
    struct results r;
    if (!expects(p, &why)) { /* then there must be something to see */
        if (results_open(cli, p->directory, &r, err) == -1)
            return -1;
        results_done(&r);
    }
    struct follow_order o = {.directory = p->directory,
                             .expects = expects,
                             .ended = ended,
                             .ctx = p,
                             .lines = !cli->opt.output || cli->json};
    return follow_run(cli, &o, err);
}

static int run(struct cli *cli, struct err *err)
{
    struct place p = {.queue = cli->opt.directory ? cli->opt.directory : QUEUE_DIRECTORY};
    int rc = find(cli, cli->args.items[0], &p, err);
    if (rc == 0)
        rc = follow(cli, &p, err);
    free(p.name);
    free(p.directory);
    return rc;
}

static const struct option_row options[] = {
    OPTION_DIRECTORY,
    OPTION_CONFIG,
};

static const char *const examples[] = {
    "flambe-node attach sweep", "flambe-node attach /srv/flambe/results/output__sweep", NULL};

const struct command node_attach = {
    .name = "attach",
    .usage = "NAME|DIR",
    .summary = "tell how an experiment goes on, as lines of JSON",
    .help =
        "NAME is an experiment of this cluster, DIR its results. Each change is a line of JSON on "
        "standard output: {\"frame\": [LINE...]} is what stands on the terminal now, {\"say\": "
        "LINE} a line that stays, and {\"end\": {\"state\": ..., \"exit\": STATUS}} the last one, "
        "when the experiment is over. Where it waits in the queue, it is waited for.\n"
        "\n"
        "FLAMBE_TERMINAL=COLUMNSxROWS in the environment says for which terminal the frames are. "
        "With -o text they are drawn on this one.",
    .examples = examples,
    .options = options,
    .option_count = COUNT_OF(options),
    .min = 1,
    .max = 1,
    .complete = "",
    .run = run,
};
