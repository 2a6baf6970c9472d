/* The one question that a verb asks before it makes or destroys something. */
#include "base/mem.h"
#include "cli/cli.h"
#include "os/loop.h"
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define ANSWER_MAX 256

struct wait {
    uv_poll_t poll;
    bool readable, closed;
};

static void readable(uv_poll_t *p, int status, int events)
{
    (void)status, (void)events;
    ((struct wait *)p->data)->readable = true;
    uv_poll_stop(p);
}

static void closed(uv_handle_t *h)
{
    ((struct wait *)h->data)->closed = true;
}

static bool is_readable(void *ctx)
{
    return ((struct wait *)ctx)->readable;
}

static bool is_closed(void *ctx)
{
    return ((struct wait *)ctx)->closed;
}

/* Waits on the loop, so that Ctrl-C at the question is Ctrl-C of the program. */
static int wait_readable(struct loop *loop, struct err *err)
{
    struct wait w = {0};
    int rc = uv_poll_init(loop_uv(loop), &w.poll, STDIN_FILENO);
    if (rc != 0)
        return err_set_sys(err, -rc, "cannot wait for an answer");
    w.poll.data = &w;
    uv_poll_start(&w.poll, UV_READABLE | UV_DISCONNECT, readable);
    rc = loop_wait(loop, is_readable, &w, USEC_FOREVER, err);
    uv_close((uv_handle_t *)&w.poll, closed);
    loop_shield(loop);
    if (loop_wait(loop, is_closed, &w, USEC_FOREVER, NULL) == -1)
        rc = -1;
    loop_unshield(loop);
    return rc;
}

static bool is_word(struct str s, const char *word)
{
    return s.n == strlen(word) && strncasecmp(s.p, word, s.n) == 0;
}

/* *yes only for "yes", or where `letter` for "y". */
static int ask(struct cli *cli, struct loop *loop, const char *question, bool letter, bool *yes,
               struct err *err)
{
    struct buf text = {0};
    buf_addf(&text, "%s %s ", question, letter ? "[y/N]" : "[yes/no]");
    console_lines(&cli->screen, buf_view(&text));
    buf_done(&text);
    char answer[ANSWER_MAX] = {0};
    if (wait_readable(loop, err) == -1) {
        console_lines(&cli->screen, STR("\n"));
        return -1;
    }
    ssize_t n = read(STDIN_FILENO, answer, sizeof answer - 1);
    if (n <= 0)
        console_lines(&cli->screen, STR("\n")); /* Ctrl-D leaves the cursor behind the question */
    struct str word = str_trim((struct str){answer, n > 0 ? (size_t)n : 0});
    *yes = is_word(word, "yes") || (letter && is_word(word, "y"));
    return 0;
}

int cli_confirm(struct cli *cli, struct loop *loop, const char *question, bool *declined,
                struct err *err)
{
    bool yes = cli->opt.yes;
    if (!yes && (!cli->screen.tty || isatty(STDIN_FILENO) != 1)) {
        cli_hint(cli, "the same command with -y, which answers yes");
        return err_set(err, ERR_USAGE, "there is no terminal to ask on: '%s'", question);
    }
    if (!yes && ask(cli, loop, question, true, &yes, err) == -1)
        return -1;
    *declined = !yes;
    return 0;
}

int cli_confirm_in_full(struct cli *cli, struct loop *loop, const char *question, bool *declined,
                        struct err *err)
{
    bool yes = false;
    if (ask(cli, loop, question, false, &yes, err) == -1)
        return -1;
    *declined = !yes;
    return 0;
}
