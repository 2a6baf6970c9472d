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

int cli_confirm(struct cli *cli, struct loop *loop, const char *question, bool *declined,
                struct err *err)
{
    if (cli->opt.yes) {
        *declined = false;
        return 0;
    }
    if (!cli->screen.tty || isatty(STDIN_FILENO) != 1) {
        cli_hint(cli, "the same command with -y, which answers yes");
        return err_set(err, ERR_USAGE, "there is no terminal to ask on: '%s'", question);
    }
    struct buf text = {0};
    buf_addf(&text, "%s [y/N] ", question);
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
    *declined = !((word.n == 1 && strncasecmp(word.p, "y", 1) == 0) ||
                  (word.n == 3 && strncasecmp(word.p, "yes", 3) == 0));
    return 0;
}
