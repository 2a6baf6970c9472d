/* What the terminal shows while an experiment runs: a live table, or plain lines without a
 * terminal, and what came of it at the end. */
#ifndef FLAMBE_CLI_RUN_VIEW_H
#define FLAMBE_CLI_RUN_VIEW_H

#include "cli/cli.h"
#include "experiment/driver.h"

/* Pure: the lines for a terminal of this size. Where the stages do not fit, one line stands in for
 * those that have ended, then one for those that wait. `elapsed` is of this session. `over` is
 * NULL, or the run has ended, and this is what it came to ("stopped"): so did the stage that ran,
 * and there is no last line with time and hint. */
void run_table_render(const struct driver_status *s, usec_t elapsed, const char *over, size_t width,
                      size_t height, bool color, struct strv *lines);
/* "3 running, 12 success, 1 failure" over all stages. */
void run_table_counts(const struct driver_status *s, bool color, struct buf *out);
/* "about 3 min 20 s left", or "" where it is not known. */
void run_table_left(usec_t time_left, struct buf *out);

struct run_view;

/* `directory` is output__NAME as the user would type it (copied); the others live as long. Standard
 * error is drawn on. */
struct run_view *run_view_new(struct cli *cli, const struct clock *clock, const char *directory);
/* The run has been going on for so long already. */
void run_view_began(struct run_view *v, usec_t elapsed);
/* Takes the table off the screen and frees; NULL is legal. */
void run_view_free(struct run_view *v);
/* Of the driver's event(): `s` is driver_status() then. */
void run_view_event(struct run_view *v, const struct driver_event *e,
                    const struct driver_status *s);
/* Of the driver's tick(): draws, at most 10 times a second. */
void run_view_tick(struct run_view *v, const struct driver_status *s);
/* When driver_run() has returned: lets the table stand, and writes the summary on standard output:
 * counts, the best trial of each stage with its parameters (`store` may be NULL: without), where
 * the results are and what to type next. `file` is the experiment's, as it was typed. With -o json
 * it writes nothing: see results_json(). `why` is driver_run()'s error, or NULL; it is not
 * reported here. */
void run_view_end(struct run_view *v, const struct driver_status *s, struct store *store,
                  const char *file, const struct err *why);

#endif
