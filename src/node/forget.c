/* See forget.h. */
#include "node/forget.h"
#include "base/mem.h"
#include "cli/text.h"
#include "node/config.h"
#include "os/proc.h"

#define TIMEOUT USEC_PER_MIN

/* Its arguments are the command and the addresses: who has not done it is printed. */
static const char script[] =
    "c=$1; shift\n"
    "printf '%s\\n' \"$@\" | xargs -r -P 16 -I '{}' sh -c 'ssh -n -o BatchMode=yes"
    " -o ConnectTimeout=5 -o ServerAliveInterval=5 -o ServerAliveCountMax=2 \"$1\" \"$2\""
    " >/dev/null 2>&1 || echo \"$1\"' sh '{}' \"$c\"\n";

static void run(struct loop *loop, const char *command, const struct strv *hosts,
                struct buf *failed)
{
    AUTO_STRV struct strv words = {0};
    struct proc_result r;
    strv_add(&words, "sh");
    strv_add(&words, "-c");
    strv_add(&words, script);
    strv_add(&words, "flambe-forget");
    strv_add(&words, command);
    strv_copy(&words, hosts);
    strv_take(&words, NULL);
    words.count--; /* the NULL stands behind the list */
    if (proc_run(loop, (const char *const *)words.items, NULL, STR(""), TIMEOUT, &r, NULL) == -1) {
        AUTO_FREE char *all = strv_join(hosts, "\n");
        buf_adds(failed, all);
        return;
    }
    buf_add_str(failed, str_trim(buf_view(&r.out)));
    proc_result_done(&r);
}

void forget_secrets(struct loop *loop, const struct queue *q, const struct queue_item *item,
                    struct buf *failed)
{
    struct config config;
    if (!queue_has_secrets_alone(q, item) || config_load(CONFIG_FILE, &config, NULL) == -1)
        return;
    if (config.factories.count) {
        AUTO_BUF struct buf command = {0};
        buf_adds(&command, "rm -f -- ");
        text_shell_quote(item->entry.secrets, &command);
        run(loop, buf_text(&command), &config.factories, failed);
    }
    config_done(&config);
}
