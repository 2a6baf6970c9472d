/* See trust.h. */
#include "cli/trust.h"
#include "base/mem.h"
#include "cli/text.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void show(struct cli *cli, const struct cluster_stranger *s)
{
    AUTO_FREE char *fingerprint = ssh_fingerprint(s->line);
    struct str rest = str_of(s->line), type = str_cut(&rest, ' ');
    AUTO_BUF struct buf text = {0}, clean = {0};
    buf_addf(&text, "%s (%s): %.*s %s", s->host->name, s->host->public_ip, STR_FMT(type),
             fingerprint ? fingerprint : "?");
    text_clean(buf_view(&text), true, &clean);
    console_line(&cli->screen, "  %s", buf_text(&clean));
}

int trust_ask(void *session, const struct cluster_stranger *list, size_t count, struct err *err)
{
    struct session *s = session;
    struct cli *cli = s->cli;
    const char *what = count == 1 ? "this host key" : "these host keys";
    bool declined = false;
    console_line(&cli->screen, "nothing on this machine vouches for %s:", what);
    for (size_t i = 0; i < count; i++)
        show(cli, &list[i]);
    if (cli->opt.accept_new_host_keys)
        return 0;
    if (!cli->screen.tty || isatty(STDIN_FILENO) != 1) {
        cli_hint(cli, "the same command at a terminal, which asks whether to trust %s", what);
        cli_hint(cli, "ssh %s   which puts a key into your known_hosts", list[0].host->public_ip);
        cli_hint(cli, "--accept-new-host-keys, on a network where nobody can be in between");
        return err_set(err, ERR_HOST_KEY,
                       "the host key of %s (%s) is not known, and there is no terminal to ask on; "
                       "nothing was sent to it",
                       list[0].host->name, list[0].host->public_ip);
    }
    AUTO_FREE char *question = mem_printf("trust %s from now on? compare with 'ssh-keygen -lf "
                                          "/etc/ssh/ssh_host_ed25519_key.pub' on the machine",
                                          what);
    if (cli_confirm_in_full(cli, s->loop, question, &declined, err) == -1)
        return -1;
    return declined ? err_set(err, ERR_REJECTED, "nothing was done") : 0;
}
