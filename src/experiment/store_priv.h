/* What the files of the store share: statements that are prepared once, and errors. */
#ifndef FLAMBE_EXPERIMENT_STORE_PRIV_H
#define FLAMBE_EXPERIMENT_STORE_PRIV_H

#include "base/strtab.h"
#include "experiment/store.h"
#include <sqlite3.h>

#define STORE_APPLICATION 0x666c6d62 /* "flmb", in the file's header */
#define STORE_BUSY_MS 10000          /* a reader may hold the file so long */
#define STORE_TEXT_MAX (32 << 20)    /* bytes of a row: twice the longest file of an experiment */
#define STORE_STAGES_MAX 1024        /* more than a pipeline has */
#define STORE_TAGS_CACHED 20000      /* whose ids are kept in memory */

/* What a file of somebody else's may say, so that what is computed of it stays a number. */
#define STORE_COUNT_MAX ((int64_t)1 << 50)
#define STORE_TIME_MAX (253402300799 * USEC_PER_SEC) /* the end of the year 9999 */

enum store_statement {
    BEGIN,
    COMMIT,
    PUT_FACT,
    GET_FACT,
    PUT_STAGE,
    COUNT_TRIALS,
    ADD_TRIAL,
    PUT_TRIAL,
    GET_TRIAL,
    ADD_ATTEMPT,
    GET_ATTEMPTS,
    GET_TAG,
    ADD_TAG,
    GET_SUMMARY,
    PUT_SUMMARY,
    DROP_SUMMARY,
    ADD_POINT,
    GET_EXTREMES,
    DROP_POINTS_OF_TAG,
    GET_LAST_POINT,
    GET_METRICS,
    GET_POINTS,
    FIND_BY_PRINT,
    FIND_BY_PARAMS,
    ADOPT,
    STATEMENT_COUNT,
};

struct store {
    sqlite3 *db;
    char *path;
    bool writing; /* a transaction is open */
    /* Why that transaction can only be rolled back: SQLite ends one by itself when a disk is full,
     * and what is written behind that would be durable at once. */
    struct err doom;
    bool writable;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    struct strtab *tags; /* to struct tag; STORE_TAGS_CACHED of a store that writes, or NULL */
};

/* The statement, prepared and without values; NULL with the error. */
sqlite3_stmt *store_statement(struct store *s, enum store_statement which, struct err *err);
/* A statement of its own; finalize it. */
sqlite3_stmt *store_prepare(struct store *s, const char *sql, struct err *err);
/* SQLite's last error as ours; returns -1. The transaction, where one is open, is doomed by it. */
int store_fail(struct store *s, struct err *err);
/* ERR_PARSE: "the state file … is damaged (WHY): …"; returns -1. */
int store_damaged(const char *path, const char *why, struct err *err);
/* Opens the transaction that the next store_commit() ends. */
int store_write(struct store *s, struct err *err) MUST_CHECK;
/* Runs a statement that gives no rows, and resets it. */
int store_run(struct store *s, sqlite3_stmt *st, struct err *err) MUST_CHECK;
int store_exec(struct store *s, const char *sql, struct err *err) MUST_CHECK;

void store_bind_text(sqlite3_stmt *st, int at, const char *text); /* NULL stays NULL; not copied */
char *store_column_dup(sqlite3_stmt *st, int at);                 /* NULL stays NULL */
int64_t store_column_within(sqlite3_stmt *st, int at, int64_t low, int64_t high);

void store_tags_done(struct store *s);

#endif
