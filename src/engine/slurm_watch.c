/* What files tell: the wrappers' records, as they are written, and Slurm's list of ended jobs. */
#include "base/mem.h"
#include "engine/slurm_priv.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCKS_MAX 256 /* read of one file in one turn */
#define SCAN_EVERY                                                                  \
    USEC_PER_SEC /* beside the watch, which knows nothing of other hosts' writes on \
                  * some shared file systems */

/* ---- lines ----------------------------------------------------------------------------------- */

typedef void take_line(struct slurm *s, struct str line);

/* Hands over the whole lines of the block; returns how many bytes they are. */
static size_t take_lines(struct slurm *s, struct slurm_tail *t, struct str block, take_line *take)
{
    size_t done = 0;
    while (done < block.n) {
        const char *begin = block.p + done;
        const char *end = memchr(begin, '\n', block.n - done);
        if (!end)
            break;
        struct str line = {begin, (size_t)(end - begin)};
        if (!t->skip && line.n <= SLURM_LINE_MAX)
            take(s, line);
        t->skip = false;
        done += line.n + 1;
    }
    return done;
}

static void read_tail(struct slurm *s, struct slurm_tail *t, take_line *take)
{
    AUTO_FREE char *path = mem_dup(t->path); /* taking a line may move the tails */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0)
        return;
    if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
        close(fd);
        return;
    }
    if (t->file != (uint64_t)st.st_ino || t->at > (uint64_t)st.st_size) { /* another file */
        t->at = 0;
        t->skip = false;
    }
    t->file = (uint64_t)st.st_ino;
    AUTO_FREE char *block = mem_alloc(SLURM_ENDED_BLOCK);
    for (int i = 0; i < BLOCKS_MAX; i++) {
        ssize_t n = pread(fd, block, SLURM_ENDED_BLOCK, (off_t)t->at);
        if (n <= 0)
            break;
        size_t done = take_lines(s, t, (struct str){block, (size_t)n}, take);
        if (done == 0 && (size_t)n < SLURM_ENDED_BLOCK)
            break; /* the rest of the line is to come */
        if (done == 0) {
            t->skip = true;
            done = (size_t)n;
        }
        t->at += done;
    }
    close(fd);
}

/* ---- what they say --------------------------------------------------------------------------- */

static struct slurm_item *item_of(const struct slurm *s, const struct slurm_task *task)
{
    struct slurm_batch *b = strtab_get(s->by_token, str_of(task->token));
    if (!b || task->index >= b->count)
        return NULL;
    if (!b->job)
        b->job = task->job;
    return b->items[task->index];
}

static void take_record(struct slurm *s, struct str line)
{
    struct slurm_task task;
    struct slurm_start start;
    struct engine_result result;
    struct slurm_fact fact = {.start = &start, .result = &result};
    enum slurm_record kind = slurm_record_parse(line, &task, &start, &result);
    struct slurm_item *it = kind == SLURM_RECORD_NONE ? NULL : item_of(s, &task);
    if (!it)
        return;
    fact.kind = kind == SLURM_RECORD_START ? SLURM_FACT_START : SLURM_FACT_END;
    slurm_tell(s, it, fact);
}

/* ---- files ----------------------------------------------------------------------------------- */

/* The place of the tail, since the array may move. */
static size_t tail_of(struct slurm *s, const char *name)
{
    AUTO_FREE char *path = mem_printf("%s/%s", s->records, name);
    for (size_t i = 0; i < s->tail_count; i++) {
        if (strcmp(s->tails[i].path, path) == 0)
            return i;
    }
    MEM_PUSH_ROOM(s->tails, s->tail_count, s->tail_cap);
    s->tails[s->tail_count] = (struct slurm_tail){.path = TAKE(path)};
    return s->tail_count++;
}

static void read_record(struct slurm *s, const char *name)
{
    if (name[0] == '.' || strlen(name) >= SLURM_NODE_MAX)
        return;
    size_t i = tail_of(s, name);
    read_tail(s, &s->tails[i], take_record);
}

/* The host's own records are looked at first: a new file in a directory may be seen late where
 * another machine has the disk, but not one that is asked for by its name. */
static void take_ended(struct slurm *s, struct str line)
{
    struct slurm_task task;
    struct slurm_word word;
    if (!slurm_parse_ended(line, s->uid, &task, &word))
        return;
    struct slurm_item *it = item_of(s, &task);
    if (!it)
        return;
    if (word.node[0])
        read_record(s, word.node);
    if (it->view.phase != SLURM_OVER)
        slurm_tell(s, it, (struct slurm_fact){.kind = SLURM_FACT_WORD, .word = &word});
}

static void scan_records(struct slurm *s)
{
    DIR *dir = opendir(s->records);
    const struct dirent *entry;
    if (!dir)
        return;
    while ((entry = readdir(dir)))
        read_record(s, entry->d_name);
    closedir(dir);
}

static void changed(uv_fs_event_t *h, const char *name, int events, int status)
{
    (void)events;
    struct slurm *s = h->data;
    if (status == 0 && name)
        read_record(s, name);
}

void slurm_read_files(struct slurm *s)
{
    usec_t now = slurm_now(s);
    if (!s->watching || now >= s->scan_at) {
        scan_records(s);
        s->scan_at = now + SCAN_EVERY;
    }
    if (s->o.ended_jobs)
        read_tail(s, &s->ended, take_ended);
}

void slurm_watch_open(struct slurm *s)
{
    struct stat st;
    bool there = s->o.ended_jobs && stat(s->o.ended_jobs, &st) == 0;
    s->ended.path = mem_dup(s->o.ended_jobs ? s->o.ended_jobs : "");
    if (there && s->batch_count == 0) {
        s->ended.file = (uint64_t)st.st_ino;
        s->ended.at = (uint64_t)st.st_size;
    }
    uv_fs_event_init(loop_uv(s->loop), &s->watch);
    s->watch.data = s;
    s->watch_made = true;
    s->watching = uv_fs_event_start(&s->watch, changed, s->records, 0) == 0;
}

void slurm_watch_close(struct slurm *s)
{
    for (size_t i = 0; i < s->tail_count; i++)
        free(s->tails[i].path);
    free(s->tails);
    free(s->ended.path);
}
