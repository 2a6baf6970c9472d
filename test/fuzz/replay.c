/* Runs a fuzz target without libFuzzer: all inputs of the given files and folders, then a number of
 * mutations of them. The random numbers are seeded with a constant, so that every run is the same.
 * Prints TAP.
 *
 *   replay [--mutations N] [--dict FILE] FILE|DIR…
 *
 * The input at work is kept in memory and written to PROGRAM.input where the process dies of it or
 * takes longer than SECONDS_MAX. */
#include "base/buf.h"
#include "base/mem.h"
#include "fuzz.h"
#include "os/fs.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INPUT_MAX ((size_t)64 << 10) /* of a mutation */
#define SECONDS_MAX 10
#define SEED 0x9e3779b97f4a7c15ULL

static struct {
    const uint8_t *data;
    size_t size;
    char path[256];
} at_work;

/* Only calls that are safe in a signal handler. */
static void keep_input(void)
{
    static const char note[] = "the input at work is kept in ";
    int fd = open(at_work.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return;
    ssize_t n = write(fd, at_work.data, at_work.size);
    n += write(STDERR_FILENO, note, sizeof note - 1);
    n += write(STDERR_FILENO, at_work.path, strlen(at_work.path));
    n += write(STDERR_FILENO, "\n", 1);
    close(fd);
    (void)n;
}

static void on_death(int sig)
{
    static const char slow[] = "an input takes too long\n";
    if (sig == SIGALRM && write(STDERR_FILENO, slow, sizeof slow - 1) < 0)
        _exit(1);
    keep_input();
    _exit(1);
}

/* The sanitizers end the process themselves; where they are linked, this is their last word. */
__attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)(void));

static void watch_deaths(const char *program)
{
    const char *slash = strrchr(program, '/');
    snprintf(at_work.path, sizeof at_work.path, "%s.input", slash ? slash + 1 : program);
    signal(SIGABRT, on_death);
    signal(SIGALRM, on_death);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(keep_input);
    else
        signal(SIGSEGV, on_death);
}

/* From memory of exactly this size, so that a read past its end is seen. */
static void run(const void *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        exit(1);
    if (size)
        memcpy(copy, data, size);
    at_work.data = copy;
    at_work.size = size;
    alarm(SECONDS_MAX);
    LLVMFuzzerTestOneInput(copy, size);
    alarm(0);
    at_work.size = 0;
    free(copy);
}

/* ---- inputs --------------------------------------------------------------------------------- */

struct inputs {
    struct buf *items;
    size_t count, cap;
};

static void add_file(struct inputs *in, const char *path)
{
    struct buf text = {0};
    struct err err = {0};
    if (fs_read(path, BUF_MAX_DEFAULT - 1, &text, &err) != 0) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    MEM_PUSH_ROOM(in->items, in->count, in->cap);
    in->items[in->count++] = text;
}

/* In the names' order: a folder's own order is not the same everywhere. */
static void add_path(struct inputs *in, const char *path)
{
    DIR *dir = opendir(path);
    if (!dir) {
        add_file(in, path);
        return;
    }
    AUTO_STRV struct strv names = {0};
    struct dirent *e;
    while ((e = readdir(dir)))
        if (e->d_name[0] != '.' && !str_ends(str_of(e->d_name), ".expected"))
            strv_take(&names, fs_join(path, e->d_name));
    closedir(dir);
    strv_sort(&names);
    for (size_t i = 0; i < names.count; i++) {
        struct stat st;
        if (stat(names.items[i], &st) == -1 || !S_ISDIR(st.st_mode)) /* a folder is no input */
            add_file(in, names.items[i]);
    }
}

/* One "token" a line, with \xNN, \\ and \" inside; other lines are passed over. */
static void add_token(struct inputs *tokens, struct str line)
{
    line = str_trim(line);
    if (line.n < 3 || line.p[0] != '"' || line.p[line.n - 1] != '"')
        return;
    struct buf token = {0};
    for (size_t i = 1; i + 1 < line.n; i++) {
        if (line.p[i] != '\\' || i + 2 >= line.n) {
            buf_addc(&token, line.p[i]);
        } else if (line.p[i + 1] == 'x' && i + 4 < line.n) {
            char hex[3] = {line.p[i + 2], line.p[i + 3], '\0'};
            buf_addc(&token, (char)strtoul(hex, NULL, 16));
            i += 3;
        } else {
            buf_addc(&token, line.p[++i]);
        }
    }
    MEM_PUSH_ROOM(tokens->items, tokens->count, tokens->cap);
    tokens->items[tokens->count++] = token;
}

static void add_dict(struct inputs *tokens, const char *path)
{
    struct inputs file = {0};
    add_file(&file, path);
    struct str rest = buf_view(&file.items[0]);
    while (rest.p)
        add_token(tokens, str_cut(&rest, '\n'));
    buf_done(&file.items[0]);
    free(file.items);
}

static void inputs_done(struct inputs *in)
{
    for (size_t i = 0; i < in->count; i++)
        buf_done(&in->items[i]);
    free(in->items);
}

/* ---- mutations ------------------------------------------------------------------------------ */

static uint64_t random_state = SEED;

static size_t pick(size_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return below ? (size_t)(random_state % below) : 0;
}

/* Replaces `cut` bytes at `at` by others. */
static void put_piece(struct buf *b, size_t at, size_t cut, struct str with)
{
    struct buf out = {.max = INPUT_MAX};
    buf_add(&out, buf_text(b), at);
    buf_add_str(&out, with);
    buf_add(&out, buf_text(b) + at + cut, b->len - at - cut);
    buf_done(b);
    *b = out;
}

static struct str piece(const struct buf *b)
{
    size_t at = pick(b->len + 1), n = pick(b->len - at + 1);
    return (struct str){buf_text(b) + at, n};
}

static void mutate_once(struct buf *b, const struct inputs *in, const struct inputs *tokens)
{
    size_t at = pick(b->len + 1), left = b->len - at;
    const struct buf *other = &in->items[pick(in->count)];
    char byte = (char)pick(256);
    switch (pick(6)) {
    case 0:
        put_piece(b, at, left ? 1 : 0, (struct str){&byte, 1});
        return;
    case 1:
        put_piece(b, at, 0, (struct str){&byte, 1});
        return;
    case 2:
        put_piece(b, at, pick(left < 32 ? left + 1 : 32), STR(""));
        return;
    case 3:
        put_piece(b, at, pick(left + 1), piece(other));
        return;
    case 4: {
        AUTO_FREE char *copy = str_dup(piece(b));
        put_piece(b, at, 0, str_of(copy));
        return;
    }
    default:
        if (tokens->count)
            put_piece(b, at, pick(2) && left ? 1 : 0,
                      buf_view(&tokens->items[pick(tokens->count)]));
    }
}

static void run_mutation(const struct inputs *in, const struct inputs *tokens)
{
    AUTO_BUF struct buf b = {.max = INPUT_MAX};
    buf_add_str(&b, buf_view(&in->items[pick(in->count)]));
    for (size_t n = 1 + pick(6); n > 0; n--)
        mutate_once(&b, in, tokens);
    run(buf_text(&b), b.len);
}

int main(int argc, char **argv)
{
    struct inputs in = {0}, tokens = {0};
    int64_t mutations = 0;
    watch_deaths(argv[0]);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--mutations") == 0 && i + 1 < argc) {
            if (!str_to_i64(str_of(argv[++i]), 0, 1000000000, &mutations))
                return 2;
        } else if (strcmp(argv[i], "--dict") == 0 && i + 1 < argc) {
            add_dict(&tokens, argv[++i]);
        } else {
            add_path(&in, argv[i]);
        }
    }
    if (in.count == 0) {
        fprintf(stderr, "usage: %s [--mutations N] [--dict FILE] FILE|DIR…\n", argv[0]);
        return 2;
    }
    printf("1..2\n");
    for (size_t i = 0; i < in.count; i++)
        run(buf_text(&in.items[i]), in.items[i].len);
    printf("ok 1 - %zu inputs\n", in.count);
    for (int64_t i = 0; i < mutations; i++)
        run_mutation(&in, &tokens);
    printf("ok 2 - %lld mutations\n", (long long)mutations);
    inputs_done(&in);
    inputs_done(&tokens);
    return 0;
}
