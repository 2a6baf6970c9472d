/* The user's set-up commands on one host: run in order, stopped at the first that fails, their
 * output kept in STATE/setup/HOST.log. */
#include "base/digest.h"
#include "base/mem.h"
#include "cluster/contact_priv.h"
#include "os/fs.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SETUP_LOG_MAX ((size_t)16 << 20)
#define SETUP_TAIL_MAX 2000 /* what an error shows of a failing command's output */
#define LINE_MAX_KEPT 4096

struct setup_run {
    char nonce[48]; /* marks our own lines among the commands' */
    int fd;         /* the log; -1 where it cannot be written */
    char *log_path;
    size_t logged;
    size_t running; /* which command, from 1 */
    int failed_status;
    bool failed, done;
    struct buf line;
    struct buf tail; /* of the running command's output */
};

void contact_setup_free(struct contact *k)
{
    struct setup_run *s = k->setup;
    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    free(s->log_path);
    buf_done(&s->line);
    buf_done(&s->tail);
    free(s);
    k->setup = NULL;
}

static void open_log(struct contact *k, struct setup_run *s)
{
    struct contacts *cs = k->cs;
    AUTO_FREE char *dir = state_path(cs->c, cs->spec->creator, cs->spec->name, "setup");
    AUTO_FREE char *file = state_component(contact_host(k)->name);
    s->log_path = mem_printf("%s/%s.log", dir, file);
    s->fd = -1;
    if (fs_mkdirs(dir, 0700, NULL) == 0)
        s->fd = open(s->log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->fd < 0)
        warn_user(cs->c, "the set-up output of %s is not kept: cannot write '%s'",
                  contact_host(k)->name, s->log_path);
}

static void log_line(struct setup_run *s, struct str line)
{
    while (s->fd >= 0 && line.n && s->logged < SETUP_LOG_MAX) {
        ssize_t n = write(s->fd, line.p, line.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        s->logged += (size_t)n;
        line.p += n;
        line.n -= (size_t)n;
    }
}

/* A command's text on one line, printable and short. */
static char *command_text(const struct contact *k, size_t number)
{
    const struct strv *commands = &k->cs->spec->setup_cmds;
    char *text =
        mem_dup(number >= 1 && number <= commands->count ? commands->items[number - 1] : "?");
    for (char *p = text; *p; p++)
        if (!isprint((unsigned char)*p))
            *p = ' ';
    if (strlen(text) > 120)
        strncpy(text + 117, "...", 4);
    return text;
}

static void began(struct contact *k, struct setup_run *s, struct str number)
{
    int64_t n;
    if (!str_to_i64(number, 1, (int64_t)k->cs->spec->setup_cmds.count, &n))
        return;
    s->running = (size_t)n;
    buf_clear(&s->tail);
    AUTO_FREE char *text = command_text(k, s->running);
    AUTO_FREE char *note =
        mem_printf("%zu of %zu: %s", s->running, k->cs->spec->setup_cmds.count, text);
    contact_phase(k, HOST_SETTING_UP, note);
    AUTO_FREE char *head = mem_printf("$ %s\n", text);
    log_line(s, str_of(head));
}

static bool after(struct str line, const char *nonce, const char *word, struct str *rest)
{
    size_t n = strlen(nonce), m = strlen(word);
    if (!str_starts(line, nonce) || line.n < n + 1 + m || memcmp(line.p + n + 1, word, m) != 0)
        return false;
    *rest = str_trim((struct str){line.p + n + 1 + m, line.n - n - 1 - m});
    return true;
}

static void take_line(struct contact *k, struct setup_run *s, struct str line)
{
    struct str rest;
    if (after(line, s->nonce, "begin", &rest)) {
        began(k, s, rest);
    } else if (after(line, s->nonce, "failed", &rest)) {
        struct str number = str_cut(&rest, ' ');
        int64_t status = -1;
        (void)number;
        (void)!(rest.p && str_to_i64(rest, 0, 255, &status));
        s->failed = true;
        s->failed_status = (int)status;
    } else if (after(line, s->nonce, "done", &rest)) {
        s->done = true;
    } else {
        log_line(s, line);
        log_line(s, STR("\n"));
        buf_add_str(&s->tail, line);
        buf_addc(&s->tail, '\n');
        if (s->tail.len > 2 * SETUP_TAIL_MAX)
            buf_consume(&s->tail, s->tail.len - SETUP_TAIL_MAX);
    }
}

static void setup_output(void *ctx, bool is_err, struct str bytes)
{
    struct contact *k = ctx;
    struct setup_run *s = k->setup;
    (void)is_err;
    while (bytes.n) {
        const char *nl = memchr(bytes.p, '\n', bytes.n);
        size_t n = nl ? (size_t)(nl - bytes.p) : bytes.n;
        buf_add(&s->line, bytes.p, n);
        if (nl || s->line.len > LINE_MAX_KEPT) {
            take_line(k, s, buf_view(&s->line));
            buf_clear(&s->line);
        }
        n += nl != NULL;
        bytes.p += n;
        bytes.n -= n;
    }
}

void contact_setup_start(struct contact *k)
{
    struct setup_run *s = mem_alloc(sizeof *s);
    contact_setup_free(k);
    k->setup = s;
    char hex[17];
    digest_random_hex(hex, 16);
    snprintf(s->nonce, sizeof s->nonce, "flambe-setup-%s", hex);
    open_log(k, s);
    contact_phase(k, HOST_SETTING_UP, NULL);
    AUTO_BUF struct buf script = {0};
    script_setup(&k->cs->spec->setup_cmds, s->nonce, &script);
    k->stage = STAGE_SETUP;
    contact_exec(k, COMMAND_SETUP, buf_view(&script), SETUP_MINUTES * USEC_PER_MIN, setup_output);
}

void contact_setup_ended(struct contact *k, const struct ssh_exec_result *r)
{
    struct setup_run *s = k->setup;
    if (s->line.len)
        take_line(k, s, buf_view(&s->line));
    if (r->status == 0 && !s->failed) {
        contact_setup_free(k);
        return;
    }
    struct err why = {0};
    AUTO_FREE char *text = command_text(k, s->running);
    AUTO_FREE char *last = last_line(buf_view(&s->tail));
    err_set(&why, ERR_REMOTE,
            "set-up command %zu of %zu failed with status %d: '%s'%s%s (all of its "
            "output: %s)",
            s->running, k->cs->spec->setup_cmds.count, s->failed ? s->failed_status : r->status,
            text, last ? ": " : "", last ? last : "", s->log_path);
    contact_setup_free(k);
    contact_fail(k, &why);
}
