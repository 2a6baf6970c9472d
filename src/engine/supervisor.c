/* The supervisor's process: how it comes to be, its turns, its end. See supervisor_priv.h. */
#include "base/mem.h"
#include "engine/spawn_priv.h"
#include "engine/supervisor_priv.h"
#include "engine/wire_priv.h"
#include "os/core.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#define FD_GUESS_MAX 65536 /* closed up to here where open descriptors cannot be listed */
#define DYING_POLL_MS 50

/* ---- coming to be ---------------------------------------------------------------------------- */

static int wake_writer = -1; /* for the handler */

static void child_ended(int number)
{
    (void)number;
    int saved = errno;
    (void)!write(wake_writer, "", 1); /* full: it is readable anyway */
    errno = saved;
}

static void set_handler(int number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART | SA_NOCLDSTOP};
    sigfillset(&action.sa_mask);
    (void)sigaction(number, &action, NULL); /* refused for SIGKILL and the like */
}

static bool is_kept(int fd, const int *keep, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (keep[i] == fd)
            return true;
    }
    return false;
}

static void close_others(const int *keep, size_t count)
{
    AUTO_FREE int *open_fds = NULL;
    size_t n = 0, cap = 0;
    DIR *dir = opendir("/dev/fd");
    const struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        MEM_PUSH_ROOM(open_fds, n, cap);
        if (isdigit((unsigned char)entry->d_name[0]))
            open_fds[n++] = (int)strtol(entry->d_name, NULL, 10);
    }
    if (dir)
        closedir(dir);
    for (size_t i = 0; i < n; i++) {
        if (!is_kept(open_fds[i], keep, count))
            close(open_fds[i]);
    }
    for (int fd = 0; !dir && fd < FD_GUESS_MAX; fd++) {
        if (!is_kept(fd, keep, count))
            close(fd);
    }
}

/* Standard input and output are /dev/null; standard error stays, unless there was none. */
static void arrange_fds(const struct supervisor_options *o)
{
    const int keep[] = {STDERR_FILENO, o->socket, o->record.fd, o->keep_fd};
    close_others(keep, COUNT_OF(keep));
    int fd = open("/dev/null", O_RDWR); /* the lowest that is free: 0 */
    while (fd >= 0 && fd < STDERR_FILENO)
        fd = open("/dev/null", O_RDWR);
    if (fd > STDERR_FILENO)
        close(fd);
    for (size_t i = 1; i < COUNT_OF(keep); i++) {
        if (keep[i] > STDERR_FILENO)
            (void)fcntl(keep[i], F_SETFD, FD_CLOEXEC);
    }
    (void)fcntl(o->socket, F_SETFL, O_NONBLOCK);
}

/* More programs than the usual 1024 descriptors allow may be under way. */
static void raise_file_limit(struct supervisor *s)
{
    if (getrlimit(RLIMIT_NOFILE, &s->limits.files) == -1)
        _exit(1);
    struct rlimit more = {.rlim_cur = 4 * SUPERVISOR_TRIALS_MAX,
                          .rlim_max = s->limits.files.rlim_max};
    if (more.rlim_max != RLIM_INFINITY && more.rlim_cur > more.rlim_max)
        more.rlim_cur = more.rlim_max;
    if (s->limits.files.rlim_cur != RLIM_INFINITY && more.rlim_cur > s->limits.files.rlim_cur)
        (void)setrlimit(RLIMIT_NOFILE, &more);
}

static void catch_signals(struct supervisor *s)
{
    int wake[2];
    if (pipe(wake) == -1)
        _exit(1);
    for (int i = 0; i < 2; i++) {
        (void)fcntl(wake[i], F_SETFD, FD_CLOEXEC);
        (void)fcntl(wake[i], F_SETFL, O_NONBLOCK);
    }
    s->wake_fd = wake[0];
    wake_writer = wake[1];
    for (int number = 1; number < NSIG; number++)
        set_handler(number, SIG_DFL);
    for (size_t i = 0; i < spawn_ignored_count; i++)
        set_handler(spawn_ignored_signals[i], SIG_IGN);
    set_handler(SIGCHLD, child_ended);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void become(struct supervisor *s, const struct supervisor_options *o)
{
    *s = (struct supervisor){.socket = o->socket,
                             .record = o->record,
                             .measure_every = SUPERVISOR_MEASURE,
                             .in = {.max = 2 * WIRE_FRAME_MAX}};
    memcpy(s->token, o->token, sizeof s->token);
    (void)setsid(); /* a forked child leads no group, so it cannot fail */
#ifdef __linux__
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1); /* since Linux 3.4 */
    (void)prctl(PR_SET_NAME, "flambe-engine");
#endif
    arrange_fds(o);
    core_user_limit(&s->limits.core);
    raise_file_limit(s);
    catch_signals(s);
    tree_init(&s->tree);
}

/* ---- a turn ---------------------------------------------------------------------------------- */

static bool obey(struct supervisor *s, enum wire_type type, struct str payload)
{
    struct engine_program p;
    struct wire_stop stop;
    struct wire_refuse refuse;
    if (type == WIRE_REFUSE && wire_get(payload, &refuse, sizeof refuse)) {
        trials_refuse(s, refuse.id, refuse.why);
        return true;
    }
    if (type == WIRE_START && wire_program_parse(payload, &p)) {
        trials_start(s, &p);
        wire_program_done(&p);
        return true;
    }
    if (type == WIRE_STOP && wire_get(payload, &stop, sizeof stop)) {
        trials_stop(s, stop.id, stop.grace);
        return true;
    }
    return false;
}

/* False where the driver is gone. */
static bool hear(struct supervisor *s)
{
    static char block[SUPERVISOR_BLOCK];
    ssize_t n = read(s->socket, block, sizeof block);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0)
        return false;
    buf_add(&s->in, block, (size_t)n);
    struct str rest = buf_view(&s->in);
    enum wire_type type;
    struct str payload;
    int rc;
    while ((rc = wire_frame(&rest, &type, &payload)) == 1) {
        if (!obey(s, type, payload))
            return false;
    }
    buf_consume(&s->in, s->in.len - rest.n);
    return rc == 0;
}

/* Sends what waits, as far as the driver takes it. False where the driver is gone. */
static bool tell(struct supervisor *s)
{
    if (s->out.overflowed)
        return false;
    while (s->out.len) {
        ssize_t n = send(s->socket, s->out.data, s->out.len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK;
        buf_consume(&s->out, (size_t)n);
    }
    return true;
}

static void empty_wake(const struct supervisor *s)
{
    char block[256];
    while (read(s->wake_fd, block, sizeof block) > 0)
        ;
}

/* Milliseconds until something is due, rounded up; -1: nothing is. */
static int wait_ms(const struct supervisor *s)
{
    usec_t due = trials_next_due(s);
    if (due == USEC_FOREVER)
        return -1;
    usec_t left = due - supervisor_now();
    if (left <= 0)
        return 0;
    return left > USEC_PER_HOUR ? (int)(USEC_PER_HOUR / USEC_PER_MSEC)
                                : (int)((left + USEC_PER_MSEC - 1) / USEC_PER_MSEC);
}

/* polls[0] is the socket, polls[1] the end of a child, polls[2 + i] the output of trials[i]. */
static void wait_for_news(struct supervisor *s)
{
    if (s->polls_cap < s->count + 2) {
        s->polls_cap = 2 * (s->count + 2);
        s->polls = mem_grow(s->polls, s->polls_cap, sizeof *s->polls);
    }
    short socket_events = (short)(POLLIN | (s->out.len ? POLLOUT : 0));
    s->polls[0] = (struct pollfd){.fd = s->socket, .events = socket_events};
    s->polls[1] = (struct pollfd){.fd = s->wake_fd, .events = POLLIN};
    for (size_t i = 0; i < s->count; i++)
        s->polls[2 + i] = (struct pollfd){.fd = s->trials[i]->out, .events = POLLIN};
    if (poll(s->polls, (nfds_t)(s->count + 2), wait_ms(s)) == -1) {
        for (size_t i = 0; i < s->count + 2; i++) /* interrupted: nothing is known */
            s->polls[i].revents = 0;
    }
}

/* False where the driver is gone. */
static bool turn(struct supervisor *s)
{
    wait_for_news(s);
    for (size_t i = 0; i < s->count; i++) {
        if (s->polls[2 + i].revents)
            trials_read(s->trials[i]);
    }
    if (s->polls[1].revents)
        empty_wake(s);
    (void)trials_reap(s);
    trials_enforce(s);
    trials_clear(s);
    if (s->polls[0].revents && !hear(s))
        return false;
    return tell(s);
}

/* ---- its end --------------------------------------------------------------------------------- */

/* What ended by itself is recorded; what is killed here is not, so that the next driver finds it
 * interrupted. Waits for the last process however long that takes: the lock that was kept says that
 * something is alive. */
NORETURN static void end(struct supervisor *s)
{
    (void)trials_reap(s);
    s->dying = true;
    trials_finish_ended(s);
    trials_kill_all(s);
    while (trials_reap(s)) {
        struct pollfd p = {.fd = s->wake_fd, .events = POLLIN};
        trials_finish_ended(s);
        trials_kill_all(s);
        (void)poll(&p, 1, DYING_POLL_MS);
        empty_wake(s);
    }
    trials_finish_ended(s);
    _exit(0);
}

void supervisor_run(const struct supervisor_options *o)
{
    struct supervisor s;
    become(&s, o);
    while (turn(&s))
        ;
    end(&s);
}
