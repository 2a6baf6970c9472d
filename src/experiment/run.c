/* See run.h. */
#include "experiment/run.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/url.h"
#include "experiment/provenance.h"
#include "experiment/replace.h"
#include "os/fs.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A supervisor whose driver was killed ends its programs at once, and then lets the lock go. */
#define LOCK_WAIT (15 * USEC_PER_SEC)
#define LOCK_LOOK (50 * USEC_PER_MSEC)

char *run_directory(const char *save_path, const char *name)
{
    AUTO_FREE char *home = fs_expand_home(save_path);
    AUTO_FREE char *last = mem_printf("output__%s", name);
    return fs_join(home, last);
}

char *run_state_directory(const char *directory)
{
    AUTO_FREE char *link = fs_join(directory, RUN_STATE_LINK);
    return fs_exists(link) ? TAKE(link) : mem_dup(directory);
}

/* ---- what is there ----------------------------------------------------------------------------
 */

enum holding { HOLDS_NOTHING, HOLDS_RESULTS, HOLDS_OTHERS };

/* Only a directory with a state file, or with nothing but a lock, is taken for flambe's. */
static int look(const char *directory, const char *at, enum holding *out, struct err *err)
{
    AUTO_FREE char *store = fs_join(at, STORE_FILE);
    AUTO_STRV struct strv names = {0};
    if (fs_list(directory, &names, err) == -1)
        return -1;
    bool others = false;
    for (size_t i = 0; i < names.count; i++) {
        const char *n = names.items[i];
        others = others || !(strcmp(n, RUN_LOCK_FILE) == 0 || strcmp(n, STORE_FILE ".new") == 0 ||
                             strcmp(n, RUN_ENDS_FILE) == 0 || strcmp(n, RUN_STATE_LINK) == 0);
    }
    *out = fs_exists(store) ? HOLDS_RESULTS : others ? HOLDS_OTHERS : HOLDS_NOTHING;
    return 0;
}

bool run_is_half_written(const char *name)
{
    static const char *const whole[] = {RUN_RESOLVED_FILE ".", RUN_RECORD_FILE ".",
                                        PROVENANCE_DIFF "."};
    bool ours = false;
    for (size_t i = 0; i < COUNT_OF(whole); i++)
        ours = ours || str_starts(str_of(name), whole[i]);
    return strcmp(name, STORE_FILE ".new") == 0 || (ours && str_ends(str_of(name), ".tmp"));
}

static int take_lock(struct loop *loop, struct run *r, struct err *err)
{
    AUTO_FREE char *path = fs_join(r->state, RUN_LOCK_FILE);
    usec_t until = clock_mono(loop_clock(loop)) + LOCK_WAIT;
    for (;;) {
        struct err why = {0};
        if (lock_take(path, &r->lock, &why) == 0)
            return 0;
        struct lock_holder holder;
        bool dead = why.code == ERR_CONFLICT && lock_holder(path, &holder, NULL) == 0 &&
                    (!holder.held || holder.gone);
        if (!dead || clock_mono(loop_clock(loop)) > until) {
            err_copy(err, &why);
            return err_wrap(err, "'%s'", r->directory);
        }
        if (loop_pause(loop, LOCK_LOOK, err) == -1)
            return -1;
    }
}

/* ---- the earlier run --------------------------------------------------------------------------
 */

/* Moves a retired stage's directory; a crash before leaves some where they were. */
static int move_stage(struct run *r, const char *generation, const char *stage, struct err *err)
{
    AUTO_FREE char *from = fs_join(r->directory, stage);
    AUTO_FREE char *below = mem_printf("%s/" RUN_EARLIER "/%s", r->directory, generation);
    AUTO_FREE char *to = fs_join(below, stage);
    if (fs_mkdirs(below, 0777, err) == -1)
        return -1;
    if (rename(from, to) == 0 || errno == ENOENT)
        return 0;
    return err_set_sys(err, errno, "cannot move '%s'", from);
}

static int move_retired(struct run *r, struct err *err)
{
    AUTO_FREE char *stages = store_get(r->store, "retiring");
    AUTO_FREE char *generation = store_get(r->store, "generation");
    if (!stages || !*stages || !generation)
        return 0;
    struct str rest = str_of(stages);
    int64_t number;
    bool good = str_to_i64(str_of(generation), 1, INT64_MAX, &number);
    while (good && rest.p) {
        AUTO_FREE char *stage = str_dup(str_cut(&rest, '\n'));
        good = !*stage || store_is_name(stage);
        if (good && *stage && move_stage(r, generation, stage, err) == -1)
            return -1;
    }
    if (!good) /* somebody else's: they would lead elsewhere */
        return err_set(err, ERR_PARSE,
                       "the state of '%s' was not written by flambe (it names directories that "
                       "cannot be): begin anew with '--force', which removes these results",
                       r->directory);
    if (store_set(r->store, "retiring", "", err) == -1)
        return -1;
    return store_sync(r->store, err);
}

/* Of rows that are none any more: their numbers are given again. */
static void drop_record(const struct run *r)
{
    AUTO_FREE char *ends = fs_join(r->state, RUN_ENDS_FILE);
    unlink(ends);
}

static int retire(struct run *r, struct err *err)
{
    struct store_stage *stages;
    size_t count;
    int64_t generation;
    AUTO_BUF struct buf names = {0};
    if (store_stages(r->store, &stages, &count, err) == -1)
        return -1;
    for (size_t i = 0; i < count; i++)
        buf_addf(&names, "%s\n", stages[i].name);
    store_stages_free(stages, count);
    if (store_retire(r->store, &generation, err) == -1 ||
        store_set(r->store, "retiring", buf_text(&names), err) == -1 ||
        store_set(r->store, STORE_STATE, run_state_name(RUN_RUNNING), err) == -1 ||
        store_sync(r->store, err) == -1)
        return -1;
    drop_record(r);
    return move_retired(r, err);
}

static int exists(const struct run *r, const char *what, struct err *err)
{
    return err_set(err, ERR_EXISTS, "%s: '%s' has its results", what, r->directory);
}

/* The file's text without passwords and tokens, of which nothing is kept. */
static char *mask(struct str file)
{
    struct buf out = {0};
    url_mask(file, &out);
    return buf_take(&out);
}

/* What to do beside results that are there. */
static int meet(struct run *r, const struct run_options *o, struct err *err)
{
    AUTO_FREE char *file = store_get(r->store, "file");
    AUTO_FREE char *state = store_get(r->store, STORE_STATE);
    AUTO_FREE char *seed = store_get(r->store, "seed");
    AUTO_FREE char *masked = mask(o->file);
    bool same = file && strcmp(file, masked) == 0;
    bool finished = state && strcmp(state, run_state_name(RUN_FINISHED)) == 0;
    r->seed = seed ? strtoull(seed, NULL, 10) : o->seed;
    if (move_retired(r, err) == -1)
        return -1;
    AUTO_FREE char *reuse = store_get(r->store, "reuse");
    r->reuse = o->reuse || (reuse && strcmp(reuse, "yes") == 0);
    if (same && !finished) {
        r->kind = RUN_GOES_ON;
        return 0;
    }
    if (!o->reuse && (same || !o->resumes))
        return exists(r,
                      same ? "the experiment has run already"
                           : "an experiment of this name but another file has run",
                      err);
    r->kind = RUN_BEGINS_AGAIN;
    r->reuse = o->reuse;
    /* The run that goes on from this one takes what this one would have taken. */
    if (store_set(r->store, "reuse", o->reuse ? "yes" : "no", err) == -1)
        return -1;
    return retire(r, err);
}

/* ---- opening ----------------------------------------------------------------------------------
 */

static int begin(struct run *r, const struct run_options *o, struct err *err)
{
    AUTO_FREE char *seed = mem_printf("%llu", (unsigned long long)o->seed);
    AUTO_FREE char *ends = fs_join(r->state, RUN_ENDS_FILE);
    r->kind = RUN_BEGINS;
    r->seed = o->seed;
    if (unlink(ends) == -1 && errno != ENOENT) /* of trials that this state does not know */
        return err_set_sys(err, errno, "cannot remove '%s'", ends);
    drop_record(r);
    return store_set(r->store, "seed", seed, err);
}

/* Whether these results are the order's own, begun by a process that died. */
static bool is_begun(const struct run *r, const char *order)
{
    struct store *store;
    if (!order || store_open(r->state, STORE_READ, &store, NULL) == -1)
        return false;
    AUTO_FREE char *before = store_get(store, RUN_ORDER);
    store_close(store);
    return before && strcmp(before, order) == 0;
}

static int open_there(struct run *r, const struct run_options *o, struct err *err)
{
    enum holding holding = HOLDS_OTHERS;
    /* That it failed was said when it was tried first. */
    (void)!replace_remove(r->directory, r->state, NULL);
    if (replace_undo(r->directory, r->state, err) == -1)
        return -1;
    if (look(r->directory, r->state, &holding, err) == -1)
        return -1;
    if (holding == HOLDS_OTHERS)
        return err_set(err, ERR_EXISTS,
                       "'%s' holds files, but no state of an experiment: nothing in it is touched",
                       r->directory);
    if (holding == HOLDS_RESULTS && o->force && !is_begun(r, o->order)) {
        if (replace_begin(r->directory, r->state, o->stages, &r->foreign, err) == -1)
            return -1;
        r->replaces = true;
        holding = HOLDS_NOTHING;
    }
    if (holding == HOLDS_NOTHING) {
        if (store_open(r->state, STORE_CREATE, &r->store, err) == -1)
            return -1;
        return begin(r, o, err);
    }
    if (store_open(r->state, STORE_WRITE, &r->store, err) == -1 ||
        fs_remove_entries(r->directory, run_is_half_written, err) == -1)
        return -1;
    AUTO_FREE char *file = store_get(r->store, "file");
    if (!file) /* a first run was killed when it had but made the state */
        return begin(r, o, err);
    return meet(r, o, err);
}

/* Makes the state's directory, and lets whoever has the results find it. */
static int place_state(struct run *r, const char *wanted, struct err *err)
{
    AUTO_FREE char *link = fs_join(r->directory, RUN_STATE_LINK);
    AUTO_FREE char *there = wanted ? mem_dup(wanted) : run_state_directory(r->directory);
    if (fs_mkdirs(there, 0777, err) == -1)
        return -1;
    r->state = realpath(there, NULL);
    if (!r->state)
        return err_set_sys(err, errno, "cannot use '%s'", there);
    if (!wanted || strcmp(r->state, r->directory) == 0)
        return 0;
    AUTO_FREE char *own = fs_join(r->directory, STORE_FILE);
    if (fs_exists(own))
        return err_set(err, ERR_EXISTS, "'%s' has its state in it, not in '%s'", r->directory,
                       r->state);
    AUTO_FREE char *before = realpath(link, NULL);
    if (before && strcmp(before, r->state) == 0)
        return 0;
    if ((unlink(link) == -1 && errno != ENOENT) || symlink(r->state, link) == -1)
        return err_set_sys(err, errno, "cannot make '%s'", link);
    return 0;
}

int run_open(struct loop *loop, const struct run_options *o, struct run *out, struct err *err)
{
    AUTO_FREE char *path = run_directory(o->save_path, o->name);
    struct run r = {0};
    if (fs_mkdirs(path, 0777, err) == -1)
        return -1;
    r.directory = realpath(path, NULL);
    if (!r.directory)
        return err_set_sys(err, errno, "cannot use '%s'", path);
    AUTO_FREE char *text = mask(o->file);
    int rc = place_state(&r, o->state, err);
    if (rc == 0)
        rc = take_lock(loop, &r, err);
    if (rc == 0)
        rc = open_there(&r, o, err);
    if (rc == 0)
        rc = store_set(r.store, "file", text, err);
    if (rc == 0)
        rc = store_set(r.store, "name", o->name, err);
    if (rc == 0)
        rc = store_set(r.store, "path", o->path, err);
    if (rc == 0)
        rc = store_set(r.store, RUN_ORDER, o->order ? o->order : "", err);
    if (rc == 0)
        rc = store_commit(r.store, err);
    if (rc == 0)
        *out = r;
    else
        run_close(&r);
    return rc;
}

void run_close(struct run *r)
{
    store_close(r->store);
    if (r->replaces)
        (void)!replace_undo(r->directory, r->state, NULL); /* else when it is opened again */
    strv_done(&r->foreign);
    lock_release(r->lock);
    free(r->directory);
    free(r->state);
    *r = (struct run){0};
}

int run_keep(struct run *r, struct err *err)
{
    if (!r->replaces)
        return 0;
    if (replace_finish(r->directory, r->state, err) == -1)
        return -1;
    r->replaces = false;
    return replace_remove(r->directory, r->state, err);
}

/* ---- the resolved file ------------------------------------------------------------------------
 */

struct drawn_list {
    const struct choice **items;
    size_t count, cap;
};

/* Text that takes the place of some of the file's. */
struct edit {
    size_t start, end;
    char *text;
};

struct edits {
    struct edit *items;
    size_t count, cap;
};

static void gather_drawn(const struct choice_list *l, struct drawn_list *out)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct choice *c = l->items[i];
        if (c->drawn) {
            MEM_PUSH_ROOM(out->items, out->count, out->cap);
            out->items[out->count++] = c;
        }
        for (size_t k = 0; c->inner && k < c->count; k++)
            gather_drawn(&c->inner[k], out);
    }
}

static int by_node(const void *a, const void *b)
{
    const struct choice *const *x = a, *const *y = b;
    return ((*x)->node->start > (*y)->node->start) - ((*x)->node->start < (*y)->node->start);
}

static int by_start(const void *a, const void *b)
{
    const struct edit *x = a, *y = b;
    return (x->start > y->start) - (x->start < y->start);
}

static void add_edit(struct edits *e, size_t start, size_t end, char *text)
{
    MEM_PUSH_ROOM(e->items, e->count, e->cap);
    e->items[e->count++] = (struct edit){start, end, text};
}

static void write_drawn(const struct choice *c, struct buf *out)
{
    buf_adds(out, "!g [");
    for (size_t i = 0; i < c->count; i++) {
        buf_adds(out, i ? ", " : "");
        if (c->whole)
            buf_addf(out, "%lld", (long long)c->numbers[i].integer);
        else
            number_write(c->numbers[i].real, out);
    }
    buf_addc(out, ']');
}

/* True where some are left as they are: a search draws them, or an alias has one text for several
 * places, each of which drew other numbers. */
static bool edit_draws(const struct experiment *e, struct edits *edits)
{
    struct drawn_list drawn = {0};
    bool left = false;
    for (size_t i = 0; i < e->stage_count; i++) {
        bool grid = e->stages[i].search.kind == SEARCH_GRID;
        left = left || !grid;
        if (grid)
            gather_drawn(&e->stages[i].space.choices, &drawn);
    }
    if (drawn.count)
        qsort(drawn.items, drawn.count, sizeof *drawn.items, by_node);
    for (size_t i = 0; i < drawn.count; i++) {
        const struct yaml_node *n = drawn.items[i]->node;
        bool shared = (i + 1 < drawn.count && drawn.items[i + 1]->node == n) ||
                      (i > 0 && drawn.items[i - 1]->node == n);
        struct buf text = {0};
        left = left || shared;
        if (shared)
            continue;
        write_drawn(drawn.items[i], &text);
        add_edit(edits, n->start, n->end, buf_take(&text));
    }
    free(drawn.items);
    return left;
}

/* Whether the map is written as '{key: value}': a '{' stands in front of its first key. */
static bool is_in_braces(const struct yaml_node *map, struct str text)
{
    bool comment = false;
    for (size_t i = map->start; i < map->pairs[0].key->start; i++) {
        if (text.p[i] == '{' && !comment)
            return true;
        comment = text.p[i] == '#' || (comment && text.p[i] != '\n');
    }
    return false;
}

/* The seed in use, for a file without one: in the place of the -1, or in front of the first key. */
static void edit_seed(const struct experiment *e, struct str text, struct edits *edits)
{
    const struct yaml_node *root = e->file.documents[e->file.document_count - 1];
    const struct yaml_node *seed = yaml_get(root, "seed");
    if (seed) {
        add_edit(edits, seed->start, seed->end,
                 mem_printf("%llu", (unsigned long long)e->drawn_with));
        return;
    }
    size_t first = root->pairs[0].key->start, line = first;
    while (line > 0 && text.p[line - 1] == ' ')
        line--;
    add_edit(edits, first, first,
             !is_in_braces(root, text)
                 ? mem_printf("seed: %llu\n%.*s", (unsigned long long)e->drawn_with,
                              (int)(first - line), text.p + line)
                 : mem_printf("seed: %llu, ", (unsigned long long)e->drawn_with));
}

int run_write_resolved(const struct run *r, const struct experiment *e, struct str text,
                       struct err *err)
{
    AUTO_BUF struct buf out = {0};
    struct edits edits = {0};
    if (edit_draws(e, &edits) && e->seed == -1)
        edit_seed(e, text, &edits);
    if (edits.count)
        qsort(edits.items, edits.count, sizeof *edits.items, by_start);
    buf_addf(&out, "# Resolved from '%s'; numbers were drawn with the seed %llu.\n", e->path,
             (unsigned long long)e->drawn_with);
    size_t at = 0;
    for (size_t i = 0; i < edits.count; i++) {
        const struct edit *edit = &edits.items[i];
        if (edit->start >= at) { /* else it is within another one */
            buf_add(&out, text.p + at, edit->start - at);
            buf_adds(&out, edit->text);
            at = edit->end;
        }
        free(edit->text);
    }
    buf_add(&out, text.p + at, text.n - at);
    free(edits.items);
    AUTO_BUF struct buf masked = {0};
    if (url_has_secret(buf_view(&out)))
        buf_adds(&masked, "# '" URL_MASK "' stands for passwords and tokens in URLs.\n");
    url_mask(buf_view(&out), &masked);
    AUTO_FREE char *path = fs_join(r->directory, RUN_RESOLVED_FILE);
    return fs_write_atomic(path, 0666, buf_view(&masked), err);
}
