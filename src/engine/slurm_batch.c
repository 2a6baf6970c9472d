/* Arrays and their files: written before Slurm hears of them, read again by the next process. */
#include "base/digest.h"
#include "base/mem.h"
#include "engine/slurm_priv.h"
#include "os/fs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- in memory ------------------------------------------------------------------------------- */

struct slurm_batch *slurm_batch_new(struct slurm *s, const char *token, size_t count)
{
    struct slurm_batch *b = mem_alloc(sizeof *b);
    if (token)
        snprintf(b->token, sizeof b->token, "%s", token);
    else
        digest_random_hex(b->token, SLURM_TOKEN);
    b->count = b->live = count;
    b->items = mem_array(count + 1, sizeof *b->items);
    b->created = clock_wall(loop_clock(s->loop));
    MEM_PUSH_ROOM(s->batches, s->batch_count, s->batch_cap);
    s->batches[s->batch_count++] = b;
    (void)strtab_put(s->by_token, str_of(b->token), b);
    return b;
}

void slurm_batch_free(struct slurm *s, struct slurm_batch *b)
{
    (void)strtab_remove(s->by_token, str_of(b->token));
    for (size_t i = 0; i < s->batch_count; i++) {
        if (s->batches[i] == b) {
            memmove(s->batches + i, s->batches + i + 1,
                    (s->batch_count - i - 1) * sizeof *s->batches);
            s->batch_count--;
            break;
        }
    }
    for (size_t i = 0; i < b->count; i++) {
        if (b->items[i])
            slurm_item_free(b->items[i]);
    }
    free(b->items);
    free(b);
}

/* ---- its file -------------------------------------------------------------------------------- */

static char *path_of(const struct slurm *s, const char *token, bool held)
{
    return mem_printf("%s/%s%s", s->specs, token, held ? SLURM_HOLD : "");
}

static void move(const char *from, const char *to)
{
    (void)!rename(from, to); /* where it fails, tasks find no file, and say so */
}

void slurm_batch_hold(struct slurm *s, struct slurm_batch *b, bool hold)
{
    if (b->held == hold)
        return;
    AUTO_FREE char *from = path_of(s, b->token, b->held), *to = path_of(s, b->token, hold);
    move(from, to);
    b->held = hold;
}

/* A new token, under which nothing in Slurm can be. */
void slurm_batch_rename(struct slurm *s, struct slurm_batch *b)
{
    AUTO_FREE char *from = path_of(s, b->token, b->held);
    (void)strtab_remove(s->by_token, str_of(b->token));
    digest_random_hex(b->token, SLURM_TOKEN);
    (void)strtab_put(s->by_token, str_of(b->token), b);
    AUTO_FREE char *to = path_of(s, b->token, false);
    move(from, to);
    b->held = false;
}

static void put_file(const struct slurm *s, const struct slurm_batch *b, struct buf *out)
{
    struct stat st = {0};
    if (s->o.ended_jobs)
        (void)!stat(s->o.ended_jobs, &st); /* zeros where it is not there yet */
    struct slurm_spec spec = {.created = b->created,
                              .stop_grace = s->o.stop_grace,
                              .ended_file = (uint64_t)st.st_ino,
                              .ended_size = (uint64_t)st.st_size,
                              .count = b->count};
    slurm_spec_put_head(&spec, out);
    uint64_t at = SLURM_HEAD_SIZE + b->count * SLURM_ROW_SIZE;
    for (size_t i = 0; i < b->count; i++) {
        const struct slurm_item *it = b->items[i];
        struct slurm_row row = {it->view.result.id, (uint64_t)it->cpus, (uint64_t)it->gpu_count, at,
                                it->frame.len};
        slurm_spec_put_row(&row, out);
        at += it->frame.len;
    }
    for (size_t i = 0; i < b->count; i++)
        buf_add_str(out, buf_view(&b->items[i]->frame));
}

static char *lost_path(const struct slurm *s, const struct slurm_item *it)
{
    return mem_printf("%s/%s.%" PRIu32 "." SLURM_LOST, s->specs, it->batch->token, it->index);
}

void slurm_batch_give_up(struct slurm *s, struct slurm_item *it)
{
    AUTO_FREE char *path = lost_path(s, it);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
    if (fd < 0)
        return; /* Slurm will end it too, when its host is back */
    close(fd);
    it->lost = true;
}

int slurm_batch_write(struct slurm *s, struct slurm_batch *b, struct err *err)
{
    struct buf text = {.max = 2 * SLURM_SPEC_MAX};
    AUTO_FREE char *path = path_of(s, b->token, false);
    put_file(s, b, &text);
    int rc = fs_write_atomic(path, 0600, buf_view(&text), err);
    buf_wipe(&text); /* its environments may hold secrets */
    for (size_t i = 0; rc == 0 && i < b->count; i++)
        buf_wipe(&b->items[i]->frame);
    return rc;
}

void slurm_batches_clear(struct slurm *s, bool all)
{
    usec_t now = slurm_now(s);
    for (size_t i = s->batch_count; i-- > 0;) {
        struct slurm_batch *b = s->batches[i];
        if (!all && (b->live || now < b->gone_at))
            continue;
        AUTO_FREE char *path = path_of(s, b->token, b->held);
        (void)!unlink(path);
        for (size_t k = 0; k < b->count; k++) {
            AUTO_FREE char *lost = b->items[k]->lost ? lost_path(s, b->items[k]) : NULL;
            if (lost)
                (void)!unlink(lost);
        }
        slurm_batch_free(s, b);
    }
}

/* ---- what an earlier process left ------------------------------------------------------------ */

/* The head and the rows of a file. */
static int read_rows(const char *path, struct buf *out, struct slurm_spec *spec)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    char head[SLURM_HEAD_SIZE];
    if (fd < 0)
        return -1;
    int rc = -1;
    if (read(fd, head, sizeof head) == (ssize_t)sizeof head &&
        slurm_spec_head((struct str){head, sizeof head}, spec) && spec->count > 0 &&
        spec->count <= SLURM_LIVE_MAX) {
        size_t size = (size_t)spec->count * SLURM_ROW_SIZE;
        AUTO_FREE char *rows = mem_alloc(size);
        if (read(fd, rows, size) == (ssize_t)size) {
            buf_add(out, rows, size);
            rc = 0;
        }
    }
    close(fd);
    return rc;
}

static struct slurm_item *former_item(struct slurm_batch *b, uint32_t index,
                                      const struct slurm_row *row)
{
    struct slurm_item *it = mem_alloc(sizeof *it);
    it->view = slurm_view_new(row->id);
    it->view.phase = SLURM_QUEUED;
    it->batch = b;
    it->index = index;
    it->cpus = (int)row->cpus;
    it->gpu_count = (int)row->gpus;
    it->former = true;
    it->kill_at = it->cancel_at = USEC_FOREVER;
    return it;
}

/* A file that is none of ours is left alone. */
static void load_one(struct slurm *s, const char *name)
{
    struct str token = str_of(name);
    bool held = str_ends(token, SLURM_HOLD);
    struct slurm_spec spec;
    struct slurm_row row;
    AUTO_BUF struct buf rows = {.max = 1 << 20};
    if (held)
        token.n -= strlen(SLURM_HOLD);
    if (!slurm_is_token(token))
        return;
    AUTO_FREE char *text = str_dup(token), *path = path_of(s, text, held);
    if (strtab_get(s->by_token, token) || read_rows(path, &rows, &spec) == -1)
        return;
    struct slurm_batch *b = slurm_batch_new(s, text, (size_t)spec.count);
    b->state = BATCH_UNSEEN;
    b->held = held;
    b->created = spec.created;
    b->look = 1;
    for (uint32_t i = 0; i < b->count; i++) {
        struct str at = {rows.data + i * SLURM_ROW_SIZE, SLURM_ROW_SIZE};
        if (!slurm_spec_row(at, &row))
            row = (struct slurm_row){0}; /* it will be ended, or lost */
        b->items[i] = former_item(b, i, &row);
    }
    slurm_batch_hold(s, b, false);
    /* The list of ended jobs is read from where it was when the oldest of them was submitted. */
    bool same = s->ended.file == spec.ended_file;
    s->ended.at = s->batch_count == 1                     ? spec.ended_size
                  : same && spec.ended_size < s->ended.at ? spec.ended_size
                  : same                                  ? s->ended.at
                                                          : 0;
    s->ended.file = spec.ended_file;
}

static bool every(const char *name)
{
    (void)name;
    return true;
}

int slurm_batches_load(struct slurm *s, struct err *err)
{
    DIR *dir = opendir(s->specs);
    const struct dirent *entry;
    if (!dir)
        return err_set_sys(err, errno, "cannot read '%s'", s->specs);
    while ((entry = readdir(dir)))
        load_one(s, entry->d_name);
    closedir(dir);
    return s->batch_count ? 0 : fs_remove_entries(s->records, every, err);
}
