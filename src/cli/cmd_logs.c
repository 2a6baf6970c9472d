/* flambe logs: what trials printed, and what they print while they run.
 *
 * A scan goes over the trials that are meant and reads what is new of each; -f scans again and
 * again until no run is at work. */
#include "base/mem.h"
#include "base/strtab.h"
#include "cli/commands.h"
#include "cli/prefix.h"
#include "cli/results.h"
#include "cli/tail.h"
#include "cli/text.h"
#include "os/loop.h"
#include <limits.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#define SCAN_GAP (250 * USEC_PER_MSEC)
#define SCAN_SHARE 10     /* a scan that takes long is made so much more seldom */
#define NAMES_MAX 1000    /* of a stage's trials, for suggestions */
#define MATCHES_SHOWN 5   /* of a beginning that several trials share */
#define STATUS_CTRL_C 130 /* as a shell says it */

struct logs;

/* One trial's output. */
struct follower {
    struct logs *logs;
    struct tail tail;
    struct prefix prefix;
    char *label;   /* on a terminal, where lines are cleaned before it stands before them */
    bool finished; /* all that it printed has been read */
    int attempts;
};

struct logs {
    struct cli *cli;
    struct loop *loop; /* NULL without -f */
    struct results results;
    const char *stage; /* its name; NULL: all */
    char *variant;     /* the trial's name; NULL: all */
    usec_t began;      /* the run, wall: a trial that failed before is tried again */
    int64_t lines;
    struct strtab *followers; /* by trial id, with -f */
    size_t seen;              /* trials, in all */
    bool printed, done;       /* done: the one trial has ended */
    struct err err;
};

/* ---- which trial ------------------------------------------------------------------------------
 */

struct match {
    const char *word;
    size_t length;
    char *exact;
    struct strv beginning; /* names that begin so; at most MATCHES_SHOWN + 1 */
    struct strv names;
};

static bool match_trial(void *ctx, const struct store_trial *t)
{
    struct match *m = ctx;
    if (strcmp(t->name, m->word) == 0) {
        m->exact = mem_dup(t->name);
        return false;
    }
    if (m->beginning.count <= MATCHES_SHOWN && strncmp(t->name, m->word, m->length) == 0)
        strv_add(&m->beginning, t->name);
    if (m->names.count < NAMES_MAX)
        strv_add(&m->names, t->name);
    return true;
}

static int decide(struct logs *l, const struct store_stage *stage, struct match *m, char **out,
                  struct err *err)
{
    struct store_trial t;
    int64_t number;
    if (m->exact) {
        *out = TAKE(m->exact);
        return 0;
    }
    if (str_to_i64(str_of(m->word), 0, INT64_MAX, &number) &&
        store_trial(l->results.store, stage->id, number, &t, NULL) == 0) {
        *out = TAKE(t.name);
        store_trial_done(&t);
        return 0;
    }
    if (m->beginning.count == 1) {
        *out = mem_dup(m->beginning.items[0]);
        return 0;
    }
    for (size_t i = 0; i < m->beginning.count && i < MATCHES_SHOWN; i++)
        cli_hint(l->cli, "%s", m->beginning.items[i]);
    if (m->beginning.count)
        return err_set(err, ERR_CONFLICT, "several trials of '%s' begin with '%s'", stage->name,
                       m->word);
    const char *near = str_nearest(m->word, (const char *const *)m->names.items, m->names.count);
    if (!near && m->names.count)
        cli_hint(l->cli, "its number, or the beginning of its name, as '%s'", m->names.items[0]);
    return err_set(err, ERR_NOT_FOUND, "no trial of '%s' that has begun is called '%s'%s%s%s",
                   stage->name, m->word, near ? "; did you mean '" : "", near ? near : "",
                   near ? "'?" : "");
}

static int find_variant(struct logs *l, const struct store_stage *stage, const char *word,
                        struct err *err)
{
    struct match m = {.word = word, .length = strlen(word)};
    struct store_query q = {.stage = stage->id, .state = -1};
    int rc = store_each_trial(l->results.store, &q, match_trial, &m, err);
    if (rc == 0)
        rc = decide(l, stage, &m, &l->variant, err);
    free(m.exact);
    strv_done(&m.beginning);
    strv_done(&m.names);
    return rc;
}

/* ---- output -----------------------------------------------------------------------------------
 */

static void write_lines(void *ctx, struct str lines)
{
    struct follower *f = ctx;
    struct output *out = &f->logs->cli->out;
    if (!out->tty) {
        output_write(out, lines);
        return;
    }
    AUTO_BUF struct buf text = {0};
    while (lines.p && lines.n) {
        buf_adds(&text, f->label);
        tail_clean_line(str_cut(&lines, '\n'), &text);
        buf_addc(&text, '\n');
    }
    output_write(out, buf_view(&text));
}

/* One trial into a file or a pipe goes as it is; all else by whole lines. */
static bool take(void *ctx, struct str bytes)
{
    struct follower *f = ctx;
    struct logs *l = f->logs;
    l->printed = true;
    if (l->variant && !l->cli->out.tty)
        output_write(&l->cli->out, bytes);
    else
        prefix_add(&f->prefix, bytes);
    return !l->cli->out.failed;
}

static char *label(const struct logs *l, const struct store_stage *stage, const char *trial)
{
    static const char *const styles[] = {STYLE_CYAN, STYLE_GREEN, STYLE_MAGENTA, STYLE_YELLOW,
                                         STYLE_BLUE};
    if (l->variant)
        return mem_dup("");
    AUTO_FREE char *name = mem_printf("%s/%s:", stage->name, trial);
    AUTO_BUF struct buf clean = {0};
    struct buf text = {0};
    text_clean(str_of(name), false, &clean);
    text_styled(styles[l->seen % COUNT_OF(styles)], l->cli->out.color, buf_view(&clean), &text);
    buf_addc(&text, ' ');
    return buf_take(&text);
}

static void follower_init(struct follower *f, struct logs *l, const struct store_stage *stage,
                          const struct store_trial *t)
{
    bool tty = l->cli->out.tty;
    char *text = label(l, stage, t->name);
    *f = (struct follower){.logs = l, .attempts = t->attempts, .label = tty ? text : mem_dup("")};
    f->prefix = (struct prefix){.label = tty ? mem_dup("") : text, .write = write_lines, .ctx = f};
}

static void follower_done(struct follower *f)
{
    prefix_done(&f->prefix);
    free(f->label);
}

/* ---- scans ------------------------------------------------------------------------------------
 */

struct scan {
    struct logs *logs;
    const struct store_stage *stage;
    bool last; /* no run is at work: what is there is all */
};

/* Nothing more comes of it in this run. */
static bool is_over(const struct logs *l, const struct store_trial *t)
{
    return t->state == TRIAL_SUCCESS || t->state == TRIAL_STOPPED ||
           (t->state == TRIAL_FAILURE && t->ended >= l->began);
}

static bool is_at_rest(const struct store_trial *t)
{
    return t->state != TRIAL_RUNNING && t->state != TRIAL_PENDING;
}

static struct follower *follower_of(struct scan *s, const struct store_trial *t)
{
    struct logs *l = s->logs;
    struct str key = {(const char *)&t->id, sizeof t->id};
    struct follower *f = strtab_get(l->followers, key);
    if (f)
        return f;
    f = mem_alloc(sizeof *f);
    follower_init(f, l, s->stage, t);
    (void)strtab_put(l->followers, key, f);
    return f;
}

static bool read_trial(void *ctx, const struct store_trial *t)
{
    struct scan *s = ctx;
    struct logs *l = s->logs;
    struct follower own, *f = &own;
    bool whole = s->last || is_at_rest(t);
    if (l->followers)
        f = follower_of(s, t);
    else
        follower_init(f, l, s->stage, t);
    l->seen++;
    bool again = f->attempts != t->attempts;
    if (again) {
        prefix_end(&f->prefix);
        tail_restart(&f->tail, t->started);
    }
    if (is_at_rest(t))
        f->tail.since = 0;
    if (!f->finished || again) {
        AUTO_FREE char *path = results_console(&l->results, t->stage, t->name);
        if (tail_read(&f->tail, path, l->lines, take, f, &l->err) == 0 && whole)
            prefix_end(&f->prefix);
        f->finished = whole;
        f->attempts = t->attempts;
    }
    l->done = l->variant && is_over(l, t);
    if (!l->followers)
        follower_done(f);
    return !l->err.code && !l->cli->out.failed;
}

static int scan(struct logs *l, bool last, struct err *err)
{
    AUTO_FREE char *began = store_get(l->results.store, STORE_BEGAN);
    if (!began || !str_to_i64(str_of(began), 0, INT64_MAX, &l->began))
        l->began = 0;
    if (results_refresh(&l->results, err) == -1)
        return -1;
    l->seen = 0;
    for (size_t i = 0; i < l->results.stage_count && !l->cli->out.failed; i++) {
        struct scan s = {l, &l->results.stages[i], last};
        if (l->stage && strcmp(l->stage, s.stage->name) != 0)
            continue;
        struct store_query q = {.stage = s.stage->id, .state = -1, .name = l->variant};
        if (store_each_trial(l->results.store, &q, read_trial, &s, err) == -1)
            return -1;
        if (l->err.code)
            return err_copy(err, &l->err);
    }
    return 0;
}

static int follow(struct logs *l, struct err *err)
{
    const struct clock *clock = loop_clock(l->loop);
    for (bool last = false; !last && !l->done && output_is_read(&l->cli->out);) {
        struct lock_holder holder;
        if (results_holder(&l->results, &holder, err) == -1)
            return -1;
        last = !holder.held;
        usec_t began = clock_mono(clock);
        if (scan(l, last, err) == -1)
            return -1;
        usec_t gap = (clock_mono(clock) - began) * SCAN_SHARE;
        if (!last && !l->done && loop_pause(l->loop, gap > SCAN_GAP ? gap : SCAN_GAP, NULL) == -1) {
            l->cli->exit_status = STATUS_CTRL_C;
            return 0;
        }
    }
    return 0;
}

static void followers_done(struct logs *l)
{
    size_t at = 0;
    struct str key;
    void *value;
    while (l->followers && strtab_next(l->followers, &at, &key, &value)) {
        follower_done(value);
        free(value);
    }
    strtab_free(l->followers);
}

/* ---- the verb ---------------------------------------------------------------------------------
 */

static int open_logs(struct logs *l, struct err *err)
{
    const struct operands *args = &l->cli->args;
    l->lines = TAIL_ALL;
    const char *lines = l->cli->opt.lines;
    if (l->cli->json)
        return err_set(err, ERR_USAGE, "'flambe logs' writes what trials printed: it has no JSON");
    if (lines && !str_to_i64(str_of(lines), 0, INT64_MAX, &l->lines))
        return err_set(err, ERR_USAGE, "'--lines' is a number from 0, not '%s'", lines);
    if (results_open(l->cli, args->items[0], &l->results, err) == -1)
        return -1;
    if (args->count == 1)
        return 0;
    const struct store_stage *stage;
    if (results_stage(l->cli, &l->results, args->items[1], &stage, err) == -1)
        return -1;
    l->stage = args->items[1];
    return args->count > 2 ? find_variant(l, stage, args->items[2], err) : 0;
}

static int run(struct cli *cli, struct err *err)
{
    struct logs l = {.cli = cli};
    setlocale(LC_CTYPE, ""); /* wcwidth() */
    int rc = open_logs(&l, err);
    if (rc == 0 && cli->opt.follow) {
        l.loop = loop_new();
        l.followers = strtab_new();
        loop_catch_signals(l.loop, NULL, NULL);
        rc = follow(&l, err);
    } else if (rc == 0) {
        rc = scan(&l, true, err);
    }
    if (rc == 0 && !l.printed && !cli->out.failed && !cli->exit_status)
        console_line(&cli->screen, "flambe: %s",
                     l.seen ? "nothing has been printed" : "no trials have begun");
    followers_done(&l);
    loop_free(l.loop);
    free(l.variant);
    results_done(&l.results);
    return rc;
}

static const struct option_row options[] = {
    {"follow", 'f', OPTION_FLAG, NULL, NULL, "go on with what is printed, until the run ends",
     offsetof(struct cli_options, follow)},
    {"lines", 'n', OPTION_TEXT, "N", NULL, "only the last N lines of each trial",
     offsetof(struct cli_options, lines)},
    OPTION_CREATOR,
    OPTION_IDENTITY,
};

static const char *const examples[] = {
    "flambe logs experiment.yaml -f", "flambe logs flambe-output train lr=0.1 -n 20",
    "flambe logs flambe-output/output__sweep train 12", "flambe logs mine:sweep -f", NULL};

const struct command cmd_logs = {
    .name = "logs",
    .usage = "DIR|CLUSTER:EXPERIMENT [STAGE [VARIANT]]",
    .summary = "show what an experiment's trials printed",
    .help =
        "DIR is an experiment's results on this machine: the directory output__NAME, the one that "
        "holds it, or the experiment's file. VARIANT is a trial's name, a beginning that no other "
        "has, or its number.\n"
        "\n"
        "The output of one trial comes as it is; of several, each line behind STAGE/VARIANT. On a "
        "terminal, sequences that move its cursor or colour it are left out. With -f it goes on "
        "until the run has ended, with trials that begin meanwhile; Ctrl-C ends this command "
        "alone, "
        "with exit status 130." HELP_ELSEWHERE,
    .examples = examples,
    .options = options,
    .option_count = COUNT_OF(options),
    .min = 1,
    .max = 3,
    .complete = "file",
    .elsewhere = true,
    .run = run,
};
