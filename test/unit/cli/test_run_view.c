/* What a run shows: the live table at several sizes, plain lines, and the summary. */
#include "base/mem.h"
#include "cli/run_view.h"
#include "cli/text.h"
#include "experiment/trial_files.h"
#include "os/fs.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants those before it */
#include <cmocka.h>

#define TEXT_MAX ((size_t)1 << 20)

static struct driver_stage stage(const char *name, enum stage_state state)
{
    return (struct driver_stage){.name = name, .state = state, .time_left = -1};
}

/* Three stages: one has ended, one runs, one waits. */
static void three(struct driver_stage g[3])
{
    g[0] = stage("prepare", STAGE_DONE);
    g[0].planned = g[0].by_state[TRIAL_SUCCESS] = 1;
    g[1] = stage("train", STAGE_RUNNING);
    g[1].planned = 12;
    g[1].by_state[TRIAL_PENDING] = 4;
    g[1].by_state[TRIAL_RUNNING] = 2;
    g[1].by_state[TRIAL_SUCCESS] = 5;
    g[1].by_state[TRIAL_FAILURE] = 1;
    g[1].metric = "loss";
    g[1].has_best = true;
    g[1].best = 0.123456789;
    snprintf(g[1].best_name, sizeof g[1].best_name, "lr=0.1,layers=2_7");
    g[1].time_left = 95 * USEC_PER_SEC + 1;
    g[2] = stage("test", STAGE_PENDING);
    g[2].planned = g[2].by_state[TRIAL_PENDING] = 12;
    g[2].at_most = true;
}

static void assert_table(const struct driver_status *s, size_t width, size_t height, bool color,
                         const char *want)
{
    AUTO_STRV struct strv lines = {0};
    run_table_render(s, 62 * USEC_PER_SEC, NULL, width, height, color, &lines);
    assert_true(lines.count < height || height < 5);
    for (size_t i = 0; i < lines.count; i++)
        assert_true(text_width(str_of(lines.items[i])) <= width);
    AUTO_FREE char *have = strv_join(&lines, "\n");
    assert_string_equal(have, want);
}

static void three_stages(void **state)
{
    (void)state;
    struct driver_stage g[3];
    three(g);
    struct driver_status s = {.stages = g, .count = 3, .time_left = 200 * USEC_PER_SEC};
    assert_table(
        &s, 120, 24, false,
        "stage    state    pending  running  success  failure  best           left        trial\n"
        "prepare  success                    1\n"
        "train    running  4        2        5        1        loss 0.123457  1 min 35 s  "
        "lr=0.1,layers=2_7\n"
        "test     pending  <=12\n"
        "1 min 2 s, about 3 min 20 s left; Ctrl-C: finish the running trials; twice: end them");
    assert_table(&s, 60, 24, false,
                 "stage    pending  running  success  failure  best\n"
                 "prepare                    1\n"
                 "train    4        2        5        1        loss 0.123457\n"
                 "test     <=12\n"
                 "1 min 2 s, about 3 min 20 s left; Ctrl-C: finish the runn...");
    s.draining = true;
    s.time_left = -1;
    assert_table(&s, 40, 24, false,
                 "stage    running  success  failure\n"
                 "prepare           1\n"
                 "train    2        5        1\n"
                 "test\n"
                 "1 min 2 s; finishing the running tria...");
}

static void colors_say_the_state(void **state)
{
    (void)state;
    struct driver_stage g = stage("train", STAGE_RUNNING);
    g.by_state[TRIAL_FAILURE] = 1;
    g.by_state[TRIAL_SUCCESS] = 2;
    struct driver_status s = {.stages = &g, .count = 1, .time_left = -1, .draining = true};
    assert_table(&s, 60, 24, true,
                 "\x1b[2mstage\x1b[0m  \x1b[2mstate\x1b[0m    \x1b[2msuccess\x1b[0m  "
                 "\x1b[2mfailure\x1b[0m\n"
                 "\x1b[1mtrain\x1b[0m  \x1b[36mrunning\x1b[0m  \x1b[32m2\x1b[0m        "
                 "\x1b[31m1\x1b[0m\n"
                 "\x1b[33m1 min 2 s; finishing the running trials; Ctrl-C: end them\x1b[0m");
}

static void many_stages_are_gathered_the_ended_ones_first(void **state)
{
    (void)state;
    struct driver_stage g[20];
    char names[20][8];
    for (int i = 0; i < 20; i++) {
        snprintf(names[i], sizeof names[i], "s%d", i);
        g[i] = stage(names[i], i < 10 ? STAGE_DONE : i < 12 ? STAGE_RUNNING : STAGE_PENDING);
        g[i].by_state[i < 10 ? TRIAL_SUCCESS : i < 12 ? TRIAL_RUNNING : TRIAL_PENDING] = i + 1;
    }
    struct driver_status s = {.stages = g, .count = 20, .time_left = -1};
    assert_table(&s, 80, 10, false,
                 "stage  state    pending  running\n"
                 "10 more stages have ended: 55 success\n"
                 "s10    running           11\n"
                 "s11    running           12\n"
                 "s12    pending  13\n"
                 "s13    pending  14\n"
                 "s14    pending  15\n"
                 "5 more stages wait: 90 pending\n"
                 "1 min 2 s; Ctrl-C: finish the running trials; twice: end them");
    assert_table(&s, 80, 16, false,
                 "stage  state    pending  running  success\n"
                 "8 more stages have ended: 36 success\n"
                 "s8     success                    9\n"
                 "s9     success                    10\n"
                 "s10    running           11\n"
                 "s11    running           12\n"
                 "s12    pending  13\n"
                 "s13    pending  14\n"
                 "s14    pending  15\n"
                 "s15    pending  16\n"
                 "s16    pending  17\n"
                 "s17    pending  18\n"
                 "s18    pending  19\n"
                 "s19    pending  20\n"
                 "1 min 2 s; Ctrl-C: finish the running trials; twice: end them");
    for (int i = 0; i < 20; i++)
        g[i].state = STAGE_RUNNING;
    AUTO_STRV struct strv lines = {0};
    run_table_render(&s, 0, NULL, 80, 10, false, &lines);
    assert_int_equal(lines.count, 9);
    assert_non_null(strstr(lines.items[7], "14 more stages are not shown: "));
    for (size_t width = 1; width < 30; width++)
        for (size_t height = 1; height < 30; height++) {
            AUTO_STRV struct strv some = {0};
            run_table_render(&s, 0, NULL, width, height, true, &some);
            assert_true(some.count > 0 && (some.count < height || height < 5));
        }
}

static void nothing_yet(void **state)
{
    (void)state;
    struct driver_status s = {.time_left = -1};
    assert_table(&s, 80, 24, false,
                 "1 min 2 s; Ctrl-C: finish the running trials; twice: end them");
    assert_table(&s, 3, 1, false, "...");
}

/* ---- without a terminal -----------------------------------------------------------------------
 */

struct world {
    struct cli cli;
    char directory[64];
    int screen, out; /* files */
    usec_t mono;
    struct clock clock;
};

static usec_t mono(void *ctx)
{
    return ((struct world *)ctx)->mono;
}

static int open_file(const struct world *w, const char *name)
{
    AUTO_FREE char *path = fs_join(w->directory, name);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    return fd;
}

static void begin(struct world *w)
{
    *w = (struct world){.directory = "/tmp/flambe-run-view-XXXXXX", .mono = USEC_PER_SEC};
    assert_non_null(mkdtemp(w->directory));
    w->clock = (struct clock){.wall = mono, .mono = mono, .ctx = w};
    w->screen = open_file(w, "screen");
    w->out = open_file(w, "out");
    w->cli.out.fd = w->out;
    console_init(&w->cli.screen, w->screen, false);
}

static void finish(struct world *w)
{
    console_done(&w->cli.screen);
    close(w->screen);
    close(w->out);
    assert_int_equal(fs_remove_tree(w->directory, NULL), 0);
}

static void assert_file(struct world *w, const char *name, const char *want)
{
    AUTO_FREE char *path = fs_join(w->directory, name);
    AUTO_BUF struct buf have = {0};
    assert_int_equal(fs_read(path, TEXT_MAX, &have, NULL), 0);
    assert_string_equal(buf_text(&have), want);
}

static void tell(struct run_view *v, const struct driver_status *s, enum driver_event_kind kind,
                 const struct store_trial *trial, const char *text)
{
    struct driver_event e = {.kind = kind, .stage = 1, .trial = trial, .text = text};
    run_view_event(v, &e, s);
}

static void plain_lines(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    struct driver_stage g[3];
    three(g);
    struct driver_status s = {.stages = g, .count = 3, .time_left = 200 * USEC_PER_SEC};
    struct run_view *v = run_view_new(&w.cli, &w.clock, "out/output__x");
    tell(v, &s, DRIVER_SAYS, NULL, "fetching \x1b[2J data");
    tell(v, &s, DRIVER_STAGE_BEGAN, NULL, NULL);
    struct store_trial good = {.name = (char *)"lr=1_0",
                               .state = TRIAL_SUCCESS,
                               .has_objective = true,
                               .objective = 0.5},
                       bad = {.name = (char *)"lr=2_1",
                              .state = TRIAL_FAILURE,
                              .end = (char *)"exited",
                              .exit_status = 3,
                              .message = (char *)"no\nroom"};
    tell(v, &s, DRIVER_TRIAL_BEGAN, &good, NULL);
    tell(v, &s, DRIVER_TRIAL_ENDED, &good, NULL);
    tell(v, &s, DRIVER_TRIAL_ENDED, &bad, NULL);
    w.cli.opt.verbose = 1;
    tell(v, &s, DRIVER_TRIAL_ENDED, &good, NULL);
    bad.exit_status = -1;
    bad.signal = 9;
    bad.message = NULL;
    run_view_event(v,
                   &(struct driver_event){
                       .kind = DRIVER_TRIAL_ENDED, .stage = 1, .trial = &bad, .again = true},
                   &s);
    bad.end = (char *)"time limit"; /* by a signal, too, but that is not why */
    tell(v, &s, DRIVER_TRIAL_ENDED, &bad, NULL);
    tell(v, &s, DRIVER_WARNING, NULL, "an event file is damaged");
    AUTO_FREE char *here = getcwd(NULL, 0);
    AUTO_FREE char *message = mem_printf("no '%s/a/b' beside /else%s/a", here, here);
    tell(v, &s, DRIVER_WARNING, NULL, message);
    AUTO_FREE char *kept = mem_printf("flambe: warning: no 'a/b' beside /else%s/a\n", here);
    for (int i = 0; i < 25; i++) {
        w.mono += USEC_PER_SEC;
        run_view_tick(v, &s);
    }
    tell(v, &s, DRIVER_STAGE_ENDED, NULL, NULL);
    run_view_free(v);
    char kept_file[TRIAL_ERROR_NAME_SIZE]; /* the next attempt begins its console anew */
    trial_files_error_name(&bad, kept_file);
    AUTO_FREE char *want = mem_printf(
        "fetching \\x1b[2J data\n"
        "stage 'train': 12 trials\n"
        "train/lr=2_1: failure (exit status 3: no\\x0aroom): see "
        "out/output__x/train/lr=2_1/console.out\n"
        "train/lr=1_0: success, objective 0.5\n"
        "train/lr=2_1: it is tried again (signal 9): see out/output__x/train/lr=2_1/%s\n"
        "train/lr=2_1: failure (time limit): see out/output__x/train/lr=2_1/console.out\n"
        "flambe: warning: an event file is damaged\n"
        "%s16 pending, 2 running, 6 success, 1 failure (10 s, about 3 min 20 s left)\n"
        "16 pending, 2 running, 6 success, 1 failure (20 s, about 3 min 20 s left)\n"
        "stage 'train': running: 4 pending, 2 running, 5 success, 1 failure; best loss 0.123457 of "
        "lr=0.1,layers=2_7\n",
        kept_file, kept);
    assert_file(&w, "screen", want);
    run_view_free(NULL);
    finish(&w);
}

static void a_terminal_is_drawn_ten_times_a_second(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    w.cli.screen.tty = true;
    w.cli.screen.fixed_width = 80;
    w.cli.screen.fixed_height = 24;
    struct driver_status s = {.time_left = -1};
    struct run_view *v = run_view_new(&w.cli, &w.clock, "d");
    for (int i = 0; i < 2000; i++) { /* two seconds, by milliseconds */
        run_view_tick(v, &s);
        w.mono += USEC_PER_MSEC;
    }
    AUTO_FREE char *path = fs_join(w.directory, "screen");
    AUTO_BUF struct buf have = {0};
    assert_int_equal(fs_read(path, TEXT_MAX, &have, NULL), 0);
    int draws = 0;
    for (const char *p = buf_text(&have); (p = strstr(p, "Ctrl-C: ")); p++)
        draws++;
    assert_int_equal(draws, 20);
    run_view_free(v);
    finish(&w);
}

/* ---- the end ----------------------------------------------------------------------------------
 */

static void the_summary(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    struct err err = {0};
    struct store *store = NULL;
    assert_int_equal(store_open(w.directory, STORE_CREATE, &store, &err), 0);
    struct store_trial t = {.stage = 1,
                            .number = 7,
                            .name = (char *)"lr=0.1,layers=2_7",
                            .params = (char *)"{\"lr\": 0.1, \"layers\": 2, \"opt\": \"a b\"}"};
    assert_int_equal(store_put_trial(store, &t, &err), 0);
    struct driver_stage g[3];
    three(g);
    struct driver_status s = {.stages = g, .count = 3, .time_left = -1};
    struct run_view *v = run_view_new(&w.cli, &w.clock, "out/output__x");
    w.mono += 61 * USEC_PER_SEC;
    err_set(&err, ERR_CANCELLED, "stopped");
    run_view_end(v, &s, store, "my exp.yaml", &err);
    const char *first = "stopped after 1 min 1 s: 18 pending, 6 success, 1 failure\n"
                        "  best of train: loss 0.123457 of lr=0.1,layers=2_7\n"
                        "    lr=0.1, layers=2, opt=a b\n"
                        "  results in out/output__x\n"
                        "next: flambe results out/output__x\n"
                        "      tensorboard --logdir out/output__x\n"
                        "      flambe 'my exp.yaml', which goes on where it ended\n";
    assert_file(&w, "out", first);
    run_view_end(v, &s, NULL, NULL, NULL);
    AUTO_FREE char *both =
        mem_printf("%sfinished after 1 min 1 s: 18 pending, 6 success, 1 failure\n"
                   "  best of train: loss 0.123457 of lr=0.1,layers=2_7\n"
                   "  results in out/output__x\n"
                   "next: flambe results out/output__x\n"
                   "      tensorboard --logdir out/output__x\n",
                   first);
    assert_file(&w, "out", both);
    w.cli.json = true;
    run_view_end(v, &s, store, "x", NULL);
    assert_file(&w, "out", both);
    run_view_free(v);
    store_close(store);
    finish(&w);
}

static void nothing_runs_when_it_is_over(void **state)
{
    (void)state;
    struct world w;
    struct driver_stage g[3];
    three(g);
    struct driver_status s = {.stages = g, .count = 3, .time_left = 200 * USEC_PER_SEC};
    static const struct {
        enum err_code code;
        const char *want;
    } cases[] = {{ERR_CANCELLED, "train    stopped  6        5"},
                 {ERR_IO, "train    stopped  6        5"},
                 {ERR_PARTIAL, "train    failed   6        5"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err why = {0};
        begin(&w);
        w.cli.screen.tty = true;
        w.cli.screen.fixed_width = 80;
        w.cli.screen.fixed_height = 24;
        struct run_view *v = run_view_new(&w.cli, &w.clock, "d");
        err_set(&why, cases[i].code, "x");
        run_view_end(v, &s, NULL, "x.yaml", &why);
        run_view_free(v);
        AUTO_FREE char *path = fs_join(w.directory, "screen");
        AUTO_BUF struct buf have = {0};
        assert_int_equal(fs_read(path, TEXT_MAX, &have, NULL), 0);
        if (!strstr(buf_text(&have), cases[i].want) || strstr(buf_text(&have), "running"))
            fail_msg("%s", buf_text(&have));
        finish(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_stages),
        cmocka_unit_test(colors_say_the_state),
        cmocka_unit_test(many_stages_are_gathered_the_ended_ones_first),
        cmocka_unit_test(nothing_yet),
        cmocka_unit_test(plain_lines),
        cmocka_unit_test(a_terminal_is_drawn_ten_times_a_second),
        cmocka_unit_test(the_summary),
        cmocka_unit_test(nothing_runs_when_it_is_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
