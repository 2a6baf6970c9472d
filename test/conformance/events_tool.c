/* Reads and writes event files for test_events.py and the bench; prints JSON or plain lines.
 *
 *   events_tool read FILE      each scalar of one event file: tag, step and value, tabs between
 *   events_tool trial DIR      what the trial's directory reports, as read by one poll
 *   events_tool load DIR       all directories in DIR as trials, every point kept; prints the count
 *   events_tool write FILE     an event file from JSON lines on standard input, one record each */
#include "base/json.h"
#include "base/mem.h"
#include "base/strtab.h"
#include "experiment/eventfile.h"
#include "experiment/metrics.h"
#include "os/fs.h"
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_point(void *ctx, struct str tag, int64_t step, usec_t wall, double value)
{
    (void)ctx;
    printf("%.*s\t%" PRId64 "\t%" PRId64 "\t%.17g\n", STR_FMT(tag), step, wall, value);
}

static void print_restart(void *ctx, int64_t step)
{
    (void)ctx;
    printf("restart\t%" PRId64 "\n", step);
}

static void print_damage(void *ctx, const char *what)
{
    (void)ctx;
    printf("damage\t%s\n", what);
}

static int read_file(const char *path)
{
    const struct eventfile_sink sink = {print_point, print_restart, NULL};
    struct eventfile_reader *r = eventfile_reader_new();
    static char chunk[1 << 16];
    struct err err;
    FILE *f = fopen(path, "rb");
    size_t n;
    while (f && (n = fread(chunk, 1, sizeof chunk, f)))
        if (eventfile_reader_add(r, (struct str){chunk, n}, &sink, &err) == -1)
            print_damage(NULL, err.msg);
    eventfile_reader_free(r);
    if (!f)
        return 1;
    fclose(f);
    return 0;
}

static int read_trial(const char *directory)
{
    const struct metrics_sink sink = {print_point, print_restart, print_damage, NULL};
    struct metrics_reader *r = metrics_reader_new(directory, "", METRICS_FILE);
    metrics_reader_poll(r, true, &sink);
    metrics_reader_free(r);
    return 0;
}

/* ---- load --------------------------------------------------------------------------------- */

struct series {
    struct point {
        int64_t step;
        usec_t wall;
        double value;
    } * points;
    size_t count, cap;
};

static void keep_point(void *ctx, struct str tag, int64_t step, usec_t wall, double value)
{
    struct series *s = strtab_get(ctx, tag);
    if (!s) {
        s = mem_alloc(sizeof *s);
        strtab_put(ctx, tag, s);
    }
    MEM_PUSH_ROOM(s->points, s->count, s->cap);
    s->points[s->count++] = (struct point){step, wall, value};
}

static void no_purge(void *ctx, int64_t step)
{
    (void)ctx, (void)step;
}

static size_t count_points(const struct strtab *t)
{
    size_t at = 0, count = 0;
    struct str tag;
    void *value;
    while (strtab_next(t, &at, &tag, &value))
        count += ((struct series *)value)->count;
    return count;
}

/* Nothing is freed: the points are what a program that shows them would hold. */
static int load(const char *directory)
{
    DIR *d = opendir(directory);
    const struct dirent *e;
    size_t points = 0;
    while (d && (e = readdir(d))) {
        if (e->d_name[0] == '.')
            continue;
        struct strtab *t = strtab_new();
        const struct metrics_sink sink = {keep_point, no_purge, print_damage, t};
        AUTO_FREE char *path = fs_join(directory, e->d_name);
        struct metrics_reader *r = metrics_reader_new(path, "", METRICS_FILE);
        metrics_reader_poll(r, true, &sink);
        metrics_reader_free(r);
        points += count_points(t);
    }
    if (!d)
        return 1;
    closedir(d);
    printf("%zu\n", points);
    return 0;
}

/* ---- write -------------------------------------------------------------------------------- */

static void write_record(const json_t *in, struct buf *out)
{
    const char *what = json_text(in, "what");
    usec_t wall = json_integer_value(json_object_get(in, "wall"));
    if (strcmp(what, "begin") == 0)
        eventfile_begin(wall, out);
    else if (strcmp(what, "scalar") == 0)
        eventfile_scalar(wall, json_integer_value(json_object_get(in, "step")),
                         str_of(json_text(in, "tag")),
                         json_number_value(json_object_get(in, "value")), out);
    else if (strcmp(what, "start") == 0)
        eventfile_hparams_start(wall, json_text(in, "group"), json_object_get(in, "params"),
                                json_object_get(in, "domains"), out);
    else if (strcmp(what, "end") == 0)
        eventfile_hparams_end(
            wall, (enum eventfile_status)json_integer_value(json_object_get(in, "status")), out);
}

static int write_file(const char *path)
{
    AUTO_BUF struct buf out = {0};
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    struct err err;
    while ((n = getline(&line, &cap, stdin)) > 0) {
        json_t *in = NULL;
        if (json_parse((struct str){line, (size_t)n}, BUF_MAX_DEFAULT, &in, &err) == -1) {
            fprintf(stderr, "%s\n", err.msg);
            return 1;
        }
        write_record(in, &out);
        json_decref(in);
    }
    free(line);
    if (fs_write_atomic(path, 0644, buf_view(&out), &err) == -1) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    return 0;
}

static const struct {
    const char *name;
    int (*run)(const char *path);
} verbs[] = {{"read", read_file}, {"trial", read_trial}, {"load", load}, {"write", write_file}};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 3 && i < COUNT_OF(verbs); i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].run(argv[2]);
    fprintf(stderr, "usage: events_tool read|trial|load|write PATH\n");
    return 2;
}
