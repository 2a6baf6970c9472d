/* The commands that a ghost answers. See ghost_ssh.h.
 *
 * A ghost is no machine: it knows just enough words for a client to prove that it reached it, fed
 * it a script and got an exit status back. */
#include "base/mem.h"
#include "sandbox/ghost_ssh.h"
#include <stdlib.h>
#include <string.h>

#define SLEEP_MAX_SECONDS 86400

static void finish(struct ghost_exec *x, int exit_status)
{
    x->work = GHOST_DONE;
    x->exit_status = exit_status;
}

static void do_true(struct ghost_exec *x, struct str args)
{
    (void)args;
    finish(x, 0);
}

static void do_false(struct ghost_exec *x, struct str args)
{
    (void)args;
    finish(x, 1);
}

static void do_hostname(struct ghost_exec *x, struct str args)
{
    (void)args;
    void *ctx;
    struct ghost_facts facts;
    ghost_exec_door(x, &ctx)->facts(ctx, &facts);
    buf_addf(&x->out, "%s\n", facts.hostname);
    finish(x, 0);
}

static void do_echo(struct ghost_exec *x, struct str args)
{
    buf_add_str(&x->out, args);
    buf_addc(&x->out, '\n');
    finish(x, 0);
}

static void do_exit(struct ghost_exec *x, struct str args)
{
    int64_t status = 0;
    if (args.n && !str_to_i64(args, 0, 255, &status))
        status = 2;
    finish(x, (int)status);
}

static void do_cat(struct ghost_exec *x, struct str args)
{
    (void)args;
    x->work = GHOST_CAT;
}

static void do_contact(struct ghost_exec *x, struct str args)
{
    (void)args;
    x->work = GHOST_CONTACT;
}

static void do_activate(struct ghost_exec *x, struct str args)
{
    (void)args;
    x->work = GHOST_ACTIVATE;
}

static void do_read(struct ghost_exec *x, struct str args)
{
    (void)args;
    x->work = GHOST_READ;
}

static void slept(void *ctx)
{
    struct ghost_exec *x = ctx;
    finish(x, 0);
    ghost_session_pump_later(x->session);
}

static void do_sleep(struct ghost_exec *x, struct str args)
{
    int64_t seconds;
    if (!str_to_i64(args, 0, SLEEP_MAX_SECONDS, &seconds)) {
        buf_adds(&x->err_out, "sleep: invalid time interval\n");
        finish(x, 1);
        return;
    }
    x->work = GHOST_SLEEP;
    x->timer = timer_start(ghost_session_loop(x->session), seconds * USEC_PER_SEC, slept, x);
}

static void do_power_off(struct ghost_exec *x, struct str args)
{
    (void)args;
    void *ctx;
    ghost_exec_door(x, &ctx)->power_off(ctx);
    finish(x, 0);
}

static void do_reboot(struct ghost_exec *x, struct str args)
{
    (void)args;
    void *ctx;
    ghost_exec_door(x, &ctx)->reboot(ctx);
    finish(x, 0);
}

/* The longest word that the command starts with wins; the first that fits, so order matters. */
static const struct {
    const char *start;
    void (*begin)(struct ghost_exec *x, struct str args);
} commands[] = {
    {"sudo -n sh -s flambe-contact", do_contact},
    {"sudo -n sh -s flambe-contact-activate", do_activate},
    {"sudo -n sh -s flambe-", do_read},
    {"sh -s flambe-", do_read},
    {"true", do_true},
    {":", do_true},
    {"false", do_false},
    {"hostname", do_hostname},
    {"echo", do_echo},
    {"exit", do_exit},
    {"cat", do_cat},
    {"sleep", do_sleep},
    {"sudo -n poweroff", do_power_off},
    {"sudo poweroff", do_power_off},
    {"sudo systemctl poweroff", do_power_off},
    {"sudo -n systemctl poweroff", do_power_off},
    {"sudo reboot", do_reboot},
    {"sudo -n reboot", do_reboot},
};

/* Whether the command is the word, alone or before a space; a start that ends in '-' may go on. */
static bool begins(struct str command, const char *start)
{
    size_t n = strlen(start);
    if (!str_starts(command, start))
        return false;
    return command.n == n || command.p[n] == ' ' || start[n - 1] == '-';
}

bool ghost_exec_begin(struct ghost_exec *x, const char *command)
{
    if (x->work != GHOST_IDLE)
        return false;
    struct str text = str_trim(str_of(command));
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        if (!begins(text, commands[i].start))
            continue;
        size_t n = strlen(commands[i].start);
        commands[i].begin(x, str_trim((struct str){text.p + n, text.n - n}));
        return true;
    }
    buf_adds(&x->err_out, "ghost: not found\n");
    finish(x, 127);
    return true;
}

size_t ghost_exec_input(struct ghost_exec *x, const char *bytes, size_t n)
{
    if (x->work != GHOST_CAT)
        return n;
    size_t room = GHOST_PENDING_MAX > x->out.len ? GHOST_PENDING_MAX - x->out.len : 0;
    size_t taken = n < room ? n : room;
    buf_add(&x->out, bytes, taken);
    return taken;
}

static void contact(struct ghost_exec *x)
{
    void *ctx;
    AUTO_FREE char *host_key = ghost_exec_door(x, &ctx)->next_host_key(ctx);
    ssh_key key = ghost_key_new();
    AUTO_FREE char *cluster_key = ghost_key_line(key);
    ssh_key_free(key);
    buf_addf(&x->out, "flambe: host-key %s\nflambe: cluster-key %s\nflambe: ok\n", host_key,
             cluster_key);
    finish(x, 0);
}

static void activate(struct ghost_exec *x)
{
    void *ctx;
    const struct ghost_door_ops *door = ghost_exec_door(x, &ctx);
    door->serve_next_key(ctx);
    buf_adds(&x->out, "flambe: ok\n");
    finish(x, 0);
}

void ghost_exec_input_end(struct ghost_exec *x)
{
    if (x->work == GHOST_CAT || x->work == GHOST_READ)
        finish(x, 0);
    else if (x->work == GHOST_CONTACT)
        contact(x);
    else if (x->work == GHOST_ACTIVATE)
        activate(x);
}
