/* See queue.h: the queue on the disk. */
#include "node/queue.h"
#include "base/json.h"
#include "base/mem.h"
#include "os/fs.h"
#include "os/lock.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENTRY_SUFFIX ".json"
#define TURN_SUFFIX ".turn"
#define ASK_SUFFIX ".ask"
#define DONE "done"
#define LOCK_FILE "lock"
#define LOCK_LOOK (20 * USEC_PER_MSEC)
#define NOTE_MAX ((size_t)65536) /* bytes of a .turn or an .ask */
#define REASON_MAX 1024

char *queue_path(const struct queue *q, const struct queue_item *item, const char *suffix)
{
    return mem_printf("%s/%s%s", q->directory, item->id, suffix);
}

static char *done_path(const char *directory, const char *id)
{
    return mem_printf("%s/" DONE "/%s" ENTRY_SUFFIX, directory, id);
}

int queue_lock(struct loop *loop, const char *directory, struct lock **out, struct err *err)
{
    AUTO_FREE char *path = fs_join(directory, LOCK_FILE), *done = fs_join(directory, DONE);
    usec_t until = clock_mono(loop_clock(loop)) + QUEUE_LOCK_WAIT;
    if (fs_mkdirs(done, 0700, err) == -1)
        return -1;
    for (;;) {
        struct err why = {0};
        if (lock_take(path, out, &why) == 0)
            return 0;
        if (why.code != ERR_CONFLICT)
            return err_copy(err, &why);
        if (clock_mono(loop_clock(loop)) > until)
            return err_set(err, ERR_TIMEOUT, "the queue is in use: another flambe holds '%s'",
                           path);
        if (loop_pause(loop, LOCK_LOOK, err) == -1)
            return -1;
    }
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static json_t *read_note(const struct queue *q, const struct queue_item *item, const char *suffix)
{
    AUTO_FREE char *path = queue_path(q, item, suffix);
    AUTO_BUF struct buf text = {0};
    json_t *note = NULL;
    if (fs_read(path, NOTE_MAX, &text, NULL) == -1 ||
        json_parse(buf_view(&text), NOTE_MAX, &note, NULL) == -1)
        return NULL;
    return note;
}

/* A turn that cannot be read is one all the same, since its file is there. */
static void read_turn(const struct queue *q, struct queue_item *item)
{
    AUTO_FREE char *path = queue_path(q, item, TURN_SUFFIX);
    item->has_turn = fs_exists(path);
    if (!item->has_turn)
        return;
    json_auto_t *note = read_note(q, item, TURN_SUFFIX);
    const json_t *deaths = json_object_get(note, "deaths");
    size_t count = json_array_size(deaths);
    item->turn.began = json_integer_value(json_object_get(note, "began"));
    item->turn.death_count = (int)json_integer_value(json_object_get(note, "death_count"));
    if (item->turn.death_count < 0 || item->turn.death_count > QUEUE_DEATHS_EVER ||
        count > QUEUE_DEATHS_MAX || (int)count > item->turn.death_count)
        item->turn.death_count = 0;
    for (size_t i = 0; i < count && item->turn.death_count; i++)
        item->turn.deaths[i] = json_integer_value(json_array_get(deaths, i));
}

static void read_ask(const struct queue *q, struct queue_item *item)
{
    AUTO_FREE char *path = queue_path(q, item, ASK_SUFFIX);
    item->asked = fs_exists(path);
    if (!item->asked)
        return;
    json_auto_t *note = read_note(q, item, ASK_SUFFIX);
    const char *how = json_text(note, "how");
    bool replaced = how && strcmp(how, queue_outcome_name(QUEUE_REPLACED)) == 0;
    item->ask = replaced ? QUEUE_REPLACED : QUEUE_REMOVED;
    item->asked_by = mem_dup(json_text(note, "by"));
}

static void item_done(struct queue_item *item)
{
    entry_done(&item->entry);
    free(item->id);
    free(item->damage);
    free(item->asked_by);
}

void queue_done(struct queue *q)
{
    for (size_t i = 0; i < q->count; i++)
        item_done(&q->items[i]);
    free(q->items);
    free(q->directory);
    *q = (struct queue){0};
}

static void read_item(struct queue *q, struct str id, bool ahead, uint64_t number, struct str name)
{
    struct queue_item item = {.id = str_dup(id), .ahead = ahead, .number = number};
    AUTO_FREE char *path = queue_path(q, &item, ENTRY_SUFFIX);
    AUTO_FREE char *over = done_path(q->directory, item.id);
    struct err why = {0};
    if (fs_exists(over)) {
        item_done(&item);
        return;
    }
    if (entry_load(path, &item.entry, &why) == -1)
        item.damage = mem_dup(why.msg);
    else if (!str_is(name, item.entry.name))
        item.damage = mem_printf("the entry is of '%s'", item.entry.name);
    if (why.code == ERR_NOT_FOUND) { /* gone since the directory was read */
        item_done(&item);
        return;
    }
    read_turn(q, &item);
    read_ask(q, &item);
    MEM_PUSH_ROOM(q->items, q->count, q->cap);
    q->items[q->count++] = item;
}

/* The names of the directory's entries, and the largest number. */
static int list(const char *directory, struct strv *ids, uint64_t *largest, struct err *err)
{
    DIR *dir = opendir(directory);
    if (!dir && errno == ENOENT)
        return 0;
    if (!dir)
        return err_set_sys(err, errno, "cannot read '%s'", directory);
    struct dirent *e;
    while ((e = readdir(dir))) {
        struct str id = str_of(e->d_name), name;
        bool ahead;
        uint64_t number;
        if (!str_ends(id, ENTRY_SUFFIX))
            continue;
        id.n -= strlen(ENTRY_SUFFIX);
        if (!queue_read_id(id, &ahead, &number, &name))
            continue;
        if (number > *largest)
            *largest = number;
        strv_add_str(ids, id);
    }
    closedir(dir);
    strv_sort(ids);
    return 0;
}

int queue_read(const char *directory, struct queue *out, struct err *err)
{
    AUTO_STRV struct strv ids = {0}, over = {0};
    AUTO_FREE char *done = fs_join(directory, DONE);
    struct queue q = {0};
    uint64_t largest = 0;
    if (list(directory, &ids, &largest, err) == -1 || list(done, &over, &largest, err) == -1)
        return -1;
    q.directory = mem_dup(directory);
    q.next = largest + 1;
    for (size_t i = 0; i < ids.count; i++) {
        bool ahead = false;
        uint64_t number = 0;
        struct str name = {0};
        if (queue_read_id(str_of(ids.items[i]), &ahead, &number, &name))
            read_item(&q, str_of(ids.items[i]), ahead, number, name);
    }
    queue_sort(&q);
    *out = q;
    return 0;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

static int write_json(const char *path, const json_t *value, struct err *err)
{
    AUTO_BUF struct buf text = {0};
    json_write(value, true, &text);
    return fs_write_atomic(path, 0600, buf_view(&text), err);
}

int queue_add(struct queue *q, bool ahead, const char *name, struct str text, char **id,
              struct err *err)
{
    AUTO_FREE char *fresh = queue_id(ahead, q->next, name);
    AUTO_FREE char *path = mem_printf("%s/%s" ENTRY_SUFFIX, q->directory, fresh);
    if (fs_write_atomic(path, 0600, text, err) == -1)
        return -1;
    q->next++;
    *id = TAKE(fresh);
    return 0;
}

int queue_ask(const struct queue *q, const struct queue_item *item, enum queue_outcome how,
              const char *by, struct err *err)
{
    AUTO_FREE char *path = queue_path(q, item, ASK_SUFFIX);
    json_auto_t *note = json_pack("{s:s, s:s?}", "how", queue_outcome_name(how), "by", by);
    return write_json(path, note, err);
}

int queue_put_turn(const struct queue *q, struct queue_item *item, const struct queue_turn *t,
                   struct err *err)
{
    AUTO_FREE char *path = queue_path(q, item, TURN_SUFFIX);
    json_auto_t *deaths = json_array();
    for (int i = 0; i < t->death_count && i < QUEUE_DEATHS_MAX; i++)
        json_array_append_new(deaths, json_integer(t->deaths[i]));
    json_auto_t *note = json_pack("{s:I, s:i, s:O}", "began", (json_int_t)t->began, "death_count",
                                  t->death_count, "deaths", deaths);
    if (write_json(path, note, err) == -1)
        return -1;
    item->has_turn = true;
    item->turn = *t;
    return 0;
}

/* ---- what is over -----------------------------------------------------------------------------
 */

static int by_number(const void *a, const void *b)
{
    uint64_t x = 0, y = 0;
    bool ahead;
    struct str name;
    (void)queue_read_id(str_of(*(char *const *)a), &ahead, &x, &name);
    (void)queue_read_id(str_of(*(char *const *)b), &ahead, &y, &name);
    return (x > y) - (x < y);
}

/* By rising number. */
static int list_done(const char *directory, struct strv *ids, struct err *err)
{
    AUTO_FREE char *done = fs_join(directory, DONE);
    uint64_t largest = 0;
    if (list(done, ids, &largest, err) == -1)
        return -1;
    if (ids->count)
        qsort(ids->items, ids->count, sizeof *ids->items, by_number);
    return 0;
}

static int prune(const char *directory, struct err *err)
{
    AUTO_STRV struct strv ids = {0};
    if (list_done(directory, &ids, err) == -1)
        return -1;
    for (size_t i = 0; i + QUEUE_DONE_MAX < ids.count; i++) {
        AUTO_FREE char *path = done_path(directory, ids.items[i]);
        if (unlink(path) == -1 && errno != ENOENT)
            return err_set_sys(err, errno, "cannot remove '%s'", path);
    }
    return 0;
}

/* The entry goes last: until then it is known for one that is over. */
static int take_away(const char *directory, const char *id, struct err *err)
{
    static const char *const suffixes[] = {TURN_SUFFIX, ASK_SUFFIX, ENTRY_SUFFIX};
    for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
        AUTO_FREE char *path = mem_printf("%s/%s%s", directory, id, suffixes[i]);
        if (unlink(path) == -1 && errno != ENOENT)
            return err_set_sys(err, errno, "cannot remove '%s'", path);
    }
    return 0;
}

static json_t *entry_json(const struct queue *q, const struct queue_item *item)
{
    AUTO_FREE char *path = queue_path(q, item, ENTRY_SUFFIX);
    AUTO_BUF struct buf text = {0};
    json_t *entry = NULL;
    if (fs_read(path, ENTRY_BYTES_MAX, &text, NULL) == 0 &&
        json_parse(buf_view(&text), ENTRY_BYTES_MAX, &entry, NULL) == 0)
        return entry;
    return json_null();
}

bool queue_has_secrets_alone(const struct queue *q, const struct queue_item *item)
{
    const char *path = item->entry.secrets;
    for (size_t i = 0; path && i < q->count; i++) {
        const char *other = q->items[i].entry.secrets;
        if (&q->items[i] != item && other && strcmp(other, path) == 0)
            return false;
    }
    return path != NULL;
}

static int remove_secrets(const struct queue *q, const struct queue_item *item, struct err *err)
{
    const char *path = item->entry.secrets;
    if (!queue_has_secrets_alone(q, item) || unlink(path) == 0 || errno == ENOENT)
        return 0;
    return err_set_sys(err, errno, "cannot remove '%s'", path);
}

int queue_finish(const struct queue *q, const struct queue_item *item, enum queue_outcome outcome,
                 int exit_status, const char *reason, usec_t wall, struct err *err)
{
    AUTO_FREE char *path = done_path(q->directory, item->id);
    AUTO_FREE char *said = reason ? mem_dup_n(reason, strnlen(reason, REASON_MAX)) : NULL;
    size_t bad = 0;
    if (said && !str_is_utf8(str_of(said), &bad))
        said[bad] = '\0';
    json_auto_t *over = json_pack("{s:o, s:{s:s, s:i, s:s?, s:I, s:I, s:I, s:i, s:s?}}", "entry",
                                  entry_json(q, item), "outcome", "state",
                                  queue_outcome_name(outcome), "exit", exit_status, "reason", said,
                                  "began", (json_int_t)(item->turn.began / USEC_PER_SEC), "ended",
                                  (json_int_t)(wall / USEC_PER_SEC), "ended_usec", (json_int_t)wall,
                                  "deaths", item->turn.death_count, "asked_by", item->asked_by);
    /* The secrets first: they are not to outlive the run. */
    if (remove_secrets(q, item, err) == -1)
        return -1;
    if (write_json(path, over, err) == -1 || take_away(q->directory, item->id, err) == -1)
        return -1;
    return prune(q->directory, err);
}

/* ---- what a process that died has left --------------------------------------------------------
 */

static bool is_orphan(const char *directory, const char *name)
{
    static const char *const suffixes[] = {TURN_SUFFIX, ASK_SUFFIX};
    struct str s = str_of(name);
    if (str_ends(s, ".tmp"))
        return true;
    for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
        if (!str_ends(s, suffixes[i]))
            continue;
        AUTO_FREE char *entry =
            mem_printf("%s/%.*s" ENTRY_SUFFIX, directory, (int)(s.n - strlen(suffixes[i])), name);
        return !fs_exists(entry);
    }
    return false;
}

static int clean_orphans(const char *directory, struct err *err)
{
    DIR *dir = opendir(directory);
    AUTO_STRV struct strv names = {0};
    struct dirent *e;
    if (!dir)
        return err_set_sys(err, errno, "cannot read '%s'", directory);
    while ((e = readdir(dir)))
        if (is_orphan(directory, e->d_name))
            strv_add(&names, e->d_name);
    closedir(dir);
    for (size_t i = 0; i < names.count; i++) {
        AUTO_FREE char *path = fs_join(directory, names.items[i]);
        if (unlink(path) == -1 && errno != ENOENT)
            return err_set_sys(err, errno, "cannot remove '%s'", path);
    }
    return 0;
}

int queue_clean(const char *directory, struct err *err)
{
    AUTO_STRV struct strv over = {0};
    AUTO_FREE char *done = fs_join(directory, DONE);
    if (list_done(directory, &over, err) == -1)
        return -1;
    for (size_t i = 0; i < over.count; i++)
        if (take_away(directory, over.items[i], err) == -1)
            return -1;
    if (clean_orphans(directory, err) == -1)
        return -1;
    return clean_orphans(done, err);
}

/* ---- for who looks ----------------------------------------------------------------------------
 */

json_t *queue_item_json(const struct queue_item *item)
{
    AUTO_FREE char *results = item->damage ? NULL : entry_results(&item->entry);
    return json_pack("{s:s, s:s?, s:s, s:s?, s:I, s:I, s:i, s:s?, s:s?, s:s?}", "id", item->id,
                     "name", item->entry.name, "state", item->has_turn ? "running" : "waiting",
                     "by", item->entry.by, "submitted", (json_int_t)item->entry.submitted, "began",
                     (json_int_t)(item->turn.began / USEC_PER_SEC), "deaths",
                     item->turn.death_count, "results", results, "asked",
                     item->asked ? queue_outcome_name(item->ask) : NULL, "damage", item->damage);
}

static json_t *read_outcome(const char *directory, const char *id)
{
    AUTO_FREE char *path = done_path(directory, id);
    AUTO_BUF struct buf text = {0};
    json_auto_t *over = NULL;
    bool ahead;
    uint64_t number;
    struct str name = {0};
    if (!queue_read_id(str_of(id), &ahead, &number, &name) ||
        fs_read(path, 2 * ENTRY_BYTES_MAX, &text, NULL) == -1 ||
        json_parse(buf_view(&text), 2 * ENTRY_BYTES_MAX, &over, NULL) == -1)
        return NULL;
    json_t *entry = json_object_get(over, "entry");
    json_t *row = json_pack("{s:s, s:o, s:O?, s:O?, s:O?}", "id", id, "name",
                            json_stringn(name.p, name.n), "by", json_object_get(entry, "by"),
                            "save_path", json_object_get(entry, "save_path"), "submitted",
                            json_object_get(entry, "submitted"));
    json_object_update(row, json_object_get(over, "outcome"));
    return row;
}

static int latest_first(const void *a, const void *b)
{
    json_t *const *x = a, *const *y = b;
    json_int_t s = json_integer_value(json_object_get(*x, "ended_usec"));
    json_int_t t = json_integer_value(json_object_get(*y, "ended_usec"));
    return (s < t) - (s > t);
}

int queue_outcomes(const char *directory, const char *name, size_t max, json_t **out,
                   struct err *err)
{
    AUTO_STRV struct strv ids = {0};
    if (list_done(directory, &ids, err) == -1)
        return -1;
    json_t **rows = mem_array(ids.count + 1, sizeof *rows);
    size_t count = 0;
    for (size_t i = 0; i < ids.count; i++) {
        json_t *row = read_outcome(directory, ids.items[i]);
        const char *of = json_text(row, "name");
        if (of && (!name || strcmp(of, name) == 0))
            rows[count++] = row;
        else
            json_decref(row);
    }
    if (count)
        qsort(rows, count, sizeof *rows, latest_first);
    json_t *all = json_array();
    for (size_t i = 0; i < count; i++) {
        if (i < max)
            json_array_append(all, rows[i]);
        json_decref(rows[i]);
    }
    free(rows);
    *out = all;
    return 0;
}
