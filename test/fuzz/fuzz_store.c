/* A state that somebody else wrote: any bytes as flambe.db where they begin as an SQLite file does;
 * else the values of its rows, a byte for the kind of each. Whatever it is, it is refused with
 * words or read, no name leads out of its directory, and a writer can go on with it. */
#include "base/mem.h"
#include "experiment/store.h"
#include "fuzz.h"
#include "os/fs.h"
#include <math.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROWS_MAX 40
#define TRIALS_MAX 200

static char dir[64];
static struct buf whole; /* a good file */

static void tidy(void)
{
    (void)!fs_remove_tree(dir, NULL);
    buf_done(&whole);
}

static void check(int rc, const struct err *err)
{
    FUZZ_CHECK(rc == 0 || (err->code && *err->msg));
}

static void make_whole(void)
{
    struct err err = {0};
    struct store *s = NULL;
    struct store_stage g = {.name = (char *)"a", .planned = 3, .metric = (char *)"loss"};
    FUZZ_CHECK(store_open(dir, STORE_CREATE, &s, &err) == 0);
    FUZZ_CHECK(store_put_stage(s, &g, &err) == 0);
    FUZZ_CHECK(store_set(s, "generation", "1", &err) == 0);
    for (int i = 0; i < 3; i++) {
        struct store_trial t = {
            .number = i, .name = (char *)"x", .params = (char *)"{}", .state = TRIAL_SUCCESS};
        struct store_attempt a = {.number = 1, .end = (char *)"exited"};
        FUZZ_CHECK(store_put_trial(s, &t, &err) == 0);
        FUZZ_CHECK(store_add_attempt(s, t.id, &a, &err) == 0);
        for (int k = 0; k < 4; k++)
            FUZZ_CHECK(store_add_point(s, t.id, STR("loss"), k, 1, k, &err) == 0);
    }
    FUZZ_CHECK(store_commit(s, &err) == 0);
    store_close(s);
    AUTO_FREE char *path = fs_join(dir, STORE_FILE);
    FUZZ_CHECK(fs_read(path, BUF_MAX_DEFAULT, &whole, &err) == 0);
}

static void begin(void)
{
    struct stat st;
    bool memory = stat("/dev/shm", &st) == 0 && access("/dev/shm", W_OK) == 0;
    snprintf(dir, sizeof dir, "%s/flambe-fuzz-store-XXXXXX", memory ? "/dev/shm" : "/tmp");
    FUZZ_CHECK(mkdtemp(dir));
    atexit(tidy);
    make_whole();
}

/* ---- crafted files ----------------------------------------------------------------------------
 */

static uint8_t take(struct str *in)
{
    if (!in->n)
        return 0;
    uint8_t byte = (uint8_t)*in->p;
    *in = (struct str){in->p + 1, in->n - 1};
    return byte;
}

static void bind(sqlite3_stmt *st, int at, struct str *in)
{
    static const int64_t numbers[] = {
        0,     1,      2,         3,         4,         1023,      1024,
        -1,    -1025,  INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, (int64_t)1 << 53,
        -2049, 9999999};
    static const double reals[] = {0.5, -0.0, 1e308, -1e308, 1e-320, 9.3e18, INFINITY, -INFINITY};
    uint8_t kind = take(in);
    size_t n = take(in) & 31;
    struct str bytes = {in->p, n < in->n ? n : in->n};
    switch (kind & 7) {
    case 0:
        sqlite3_bind_null(st, at);
        return;
    case 1:
    case 2:
        sqlite3_bind_int64(st, at, numbers[n & 15]);
        return;
    case 3:
        sqlite3_bind_double(st, at, reals[n & 7]);
        return;
    case 4:
        sqlite3_bind_zeroblob(st, at, (int)n << 8);
        return;
    case 5:
        sqlite3_bind_blob(st, at, bytes.p, (int)bytes.n, SQLITE_TRANSIENT);
        break;
    default:
        sqlite3_bind_text(st, at, bytes.p, (int)bytes.n, SQLITE_TRANSIENT);
    }
    *in = (struct str){in->p + bytes.n, in->n - bytes.n};
}

static void craft(struct str in)
{
    static const char *const tables[] = {"fact", "stage",   "trial", "attempt",
                                         "tag",  "summary", "metric"};
    static const int columns[] = {2, 10, 22, 8, 2, 8, 5};
    AUTO_FREE char *path = fs_join(dir, STORE_FILE);
    sqlite3 *db;
    FUZZ_CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    sqlite3_exec(db, "PRAGMA synchronous=OFF; BEGIN", NULL, NULL, NULL);
    for (int row = 0; in.n && row < ROWS_MAX; row++) {
        size_t table = take(&in) % COUNT_OF(tables);
        AUTO_BUF struct buf sql = {0};
        buf_addf(&sql, "INSERT OR REPLACE INTO %s VALUES(?", tables[table]);
        for (int i = 1; i < columns[table]; i++)
            buf_adds(&sql, ",?");
        buf_adds(&sql, ")");
        sqlite3_stmt *st;
        FUZZ_CHECK(sqlite3_prepare_v2(db, buf_text(&sql), -1, &st, NULL) == SQLITE_OK);
        for (int i = 1; i <= columns[table]; i++)
            bind(st, i, &in);
        sqlite3_step(st); /* what the schema refuses is left out */
        sqlite3_finalize(st);
    }
    sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    sqlite3_close(db);
}

/* ---- reading ----------------------------------------------------------------------------------
 */

struct seen {
    int64_t ids[TRIALS_MAX];
    char *params[TRIALS_MAX];
    size_t count;
    int64_t sum;
};

static void check_name(const char *name)
{
    FUZZ_CHECK(*name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
}

/* Sums that a reader makes; the sanitizer sees what runs over. */
static bool on_trial(void *ctx, const struct store_trial *t)
{
    struct seen *seen = ctx;
    AUTO_BUF struct buf text = {0};
    check_name(t->name);
    FUZZ_CHECK(t->number >= 0 && t->stage >= 0 && t->attempts + 1 > 0);
    FUZZ_CHECK((unsigned)t->state < TRIAL_STATE_COUNT);
    seen->sum = t->ended - t->started + t->user_time + t->system_time;
    char iso[CLOCK_ISO_SIZE];
    clock_iso(t->started, iso);
    store_trial_reason(t, &text);
    if (seen->count < TRIALS_MAX) {
        seen->params[seen->count] = mem_dup(t->params);
        seen->ids[seen->count++] = t->id;
    }
    return true;
}

static void on_metric(void *ctx, const struct store_metric *m)
{
    FUZZ_CHECK(m->tag && m->count >= 0);
    FUZZ_CHECK(!(m->min > m->max));
    (void)ctx;
}

static void on_attempt(void *ctx, const struct store_attempt *a)
{
    ((struct seen *)ctx)->sum += a->number;
}

static bool on_point(void *ctx, int64_t step, usec_t wall, double value)
{
    (void)step;
    (void)value;
    FUZZ_CHECK(wall >= 0);
    return ++((struct seen *)ctx)->sum < 1000000;
}

static void read_stages(struct store *s)
{
    struct err err = {0};
    struct store_stage *stages = NULL;
    struct store_counts counts;
    size_t count = 0;
    int64_t total = 0;
    int rc = store_stages(s, &stages, &count, &err);
    check(rc, &err);
    for (size_t i = 0; i < count; i++) {
        check_name(stages[i].name);
        check(store_counts(s, stages[i].id, &counts, &err), &err);
        total += stages[i].planned;
    }
    FUZZ_CHECK(total >= 0);
    if (rc == 0)
        store_stages_free(stages, count);
}

static void read_all(struct store *s, struct seen *seen)
{
    static const struct store_query queries[] = {
        {.stage = -1, .state = -1},
        {.stage = 0, .state = -1, .order = "", .descending = true},
        {.stage = -1, .state = 2, .order = "loss"},
        {.stage = 0, .state = -1, .time = STORE_DURATION, .limit = 3, .offset = 1},
        {.stage = 0, .state = -1, .name = "x"}};
    struct err err = {0};
    struct store_trial t;
    AUTO_STRV struct strv tags = {0};
    read_stages(s);
    for (size_t i = 0; i < COUNT_OF(queries); i++)
        check(store_each_trial(s, &queries[i], on_trial, seen, &err), &err);
    if (store_trial(s, 0, 1, &t, &err) == 0)
        store_trial_done(&t);
    for (size_t i = 0; i < seen->count; i++) {
        seen->sum = 0;
        check(store_each_metric(s, seen->ids[i], on_metric, seen, &err), &err);
        check(store_each_point(s, seen->ids[i], "loss", on_point, seen, &err), &err);
        check(store_each_attempt(s, seen->ids[i], on_attempt, seen, &err), &err);
    }
    check(store_tags(s, -1, 100, &tags, &err), &err);
    check(store_tags(s, 0, 100, &tags, &err), &err);
    for (size_t i = 0; i < tags.count; i++)
        FUZZ_CHECK(tags.items[i]);
    free(store_get(s, "name"));
}

static void write_all(struct store *s, const struct seen *seen)
{
    struct err err = {0};
    int64_t generation = 0;
    for (size_t i = 0; i < seen->count && i < 8; i++) {
        for (int64_t step = 5; step > 1; step -= 2)
            check(store_add_point(s, seen->ids[i], STR("loss"), step, 1, 1, &err), &err);
        check(store_purge(s, seen->ids[i], 2, &err), &err);
    }
    check(store_retire(s, &generation, &err), &err);
    for (size_t i = 0; i < seen->count; i++) {
        struct store_retired r;
        if (store_find_retired(s, NULL, "a", seen->params[i], &r, &err) == -1)
            continue;
        FUZZ_CHECK(str_starts(str_of(r.path), ".earlier/") && !strstr(r.path, "/../"));
        check(store_adopt(s, r.id, 0, (int64_t)i, "taken", &err), &err);
        store_retired_done(&r);
    }
    free(store_retired_stage(s, "a"));
    check(store_drop_retired(s, &err), &err);
    check(store_commit(s, &err), &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum store_mode modes[] = {STORE_READ, STORE_WRITE};
    struct str in = {(const char *)data, size};
    if (!*dir)
        begin();
    AUTO_FREE char *path = fs_join(dir, STORE_FILE);
    bool file = str_starts(in, "SQLite format 3");
    struct str bytes = file ? in : buf_view(&whole);
    FILE *out = fopen(path, "w");
    FUZZ_CHECK(out && fwrite(bytes.p, 1, bytes.n, out) == bytes.n && fclose(out) == 0);
    if (!file)
        craft(in);
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        struct err err = {0};
        struct store *s = NULL;
        struct seen seen = {0};
        int rc = store_open(dir, modes[i], &s, &err);
        check(rc, &err);
        if (rc == 0)
            read_all(s, &seen);
        if (rc == 0 && modes[i] == STORE_WRITE)
            write_all(s, &seen);
        store_close(s);
        for (size_t k = 0; k < seen.count; k++)
            free(seen.params[k]);
    }
    static const char *const behind[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < COUNT_OF(behind); i++) {
        AUTO_FREE char *gone = mem_printf("%s%s", path, behind[i]);
        unlink(gone);
    }
    return 0;
}
