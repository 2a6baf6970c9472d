/* The rows of `flambe results`: which columns there are, and one trial as CSV, JSON or cells.
 *
 * Parameters and metrics differ from trial to trial: the columns are gathered in a first pass, the
 * rows are made in a second, and no more than one row is in memory. */
#ifndef FLAMBE_CLI_RESULTS_ROW_H
#define FLAMBE_CLI_RESULTS_ROW_H

#include "base/buf.h"
#include "base/strtab.h"
#include "cli/results.h"

#define ROW_PARAMS_MAX 1000 /* columns */
#define ROW_METRICS_MAX 10000

struct row_columns {
    struct strv params, metrics;
    struct strtab *param_set; /* the same, to look up; values mean nothing */
};

/* Adds the names that the trial's parameters (JSON, or NULL) have. */
void row_columns_add(struct row_columns *c, const char *params);
void row_columns_done(struct row_columns *c);

/* One trial, ready to be written. */
struct row {
    const struct store_trial *trial;
    const char *stage;
    const char *state; /* "interrupted" where it ran when its run ended */
    struct buf reason; /* why it failed; empty where it did not */
    usec_t duration;   /* 0: it has not begun */
    json_t *params;    /* an object */
    double *metrics;   /* by column */
    bool *has_metric;
};
int row_read(const struct results *r, const struct row_columns *c, const struct store_trial *t,
             usec_t wall, struct row *out, struct err *err) MUST_CHECK;
void row_done(struct row *row);

/* A parameter's value as text; "" where the trial has none. */
void row_param_text(const struct row *row, const char *name, bool shortened, struct buf *out);

/* A line, cleaned for a terminal as a table's cells are. */
void row_csv_clean(struct str line, struct buf *out);
/* A field by RFC 4180. One that a spreadsheet would take for a formula is quoted; no value is
 * changed. */
void csv_field(struct str text, struct buf *out);
void row_csv_header(const struct row_columns *c, struct buf *out);
void row_csv(const struct row *row, const struct row_columns *c, struct buf *out);
/* An object, without a new line. */
void row_json(const struct row *row, const struct row_columns *c, struct buf *out);

#endif
