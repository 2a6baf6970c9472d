/* What becomes of the programs under a supervisor. See supervisor_priv.h. */
#include "base/mem.h"
#include "engine/spawn_priv.h"
#include "engine/supervisor_priv.h"
#include "engine/wire_priv.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN_MAX 1024 /* looked at in one turn, beside the programs themselves */

usec_t supervisor_now(void)
{
    return clock_mono(clock_system());
}

/* The running trial whose program this is. An ended one's number may mean another by now. */
static struct trial *by_pid(const struct supervisor *s, pid_t pid)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->trials[i]->pid == pid && s->trials[i]->state == TRIAL_RUNNING)
            return s->trials[i];
    }
    return NULL;
}

/* A number of a session means no other as long as a process is in it. */
static struct trial *by_session(const struct supervisor *s, pid_t session)
{
    struct trial *t = by_pid(s, session);
    for (size_t i = 0; i < s->count && !t; i++) {
        if (s->trials[i]->pid == session)
            t = s->trials[i];
    }
    return t;
}

static struct trial *by_id(const struct supervisor *s, uint64_t id)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->trials[i]->id == id)
            return s->trials[i];
    }
    return NULL;
}

/* ---- start ---------------------------------------------------------------------------------- */

PRINTF_LIKE(2, 3) static void say(struct engine_result *r, const char *fmt, ...)
{
    if (r->message[0])
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->message, sizeof r->message, fmt, ap);
    va_end(ap);
}

static void report(struct supervisor *s, struct engine_result *r)
{
    if (record_append(&s->record, r) == -1)
        say(r, "its end could not be recorded: %s", strerror(errno));
    if (!s->dying)
        wire_put(&s->out, WIRE_ENDED, r, sizeof *r);
}

/* A pipe whose reading end does not block; neither end goes through an exec. */
static int open_pipe(int fds[2], struct err *err)
{
#ifdef __linux__
    int rc = pipe2(fds, O_CLOEXEC);
#else
    int rc = pipe(fds);
#endif
    if (rc == -1)
        return err_set_sys(err, errno, "cannot make a pipe for its output");
    for (int i = 0; i < 2; i++)
        (void)fcntl(fds[i], F_SETFD, FD_CLOEXEC);
    (void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
    return 0;
}

static int start(struct supervisor *s, const struct engine_program *p, struct trial *t,
                 struct err *err)
{
    int fds[2];
    if (s->count >= SUPERVISOR_TRIALS_MAX)
        return err_set(err, ERR_LIMIT, "%zu programs are under way already", s->count);
    if (open_pipe(fds, err) == -1)
        return -1;
    if (console_open(&t->console, p->console, err) == -1)
        goto no_console;
    t->pid = spawn_program(p, fds[1], &s->limits, err);
    if (t->pid < 0)
        goto no_process;
    close(fds[1]);
    t->out = fds[0];
    return 0;
no_process:
    console_close(&t->console);
no_console:
    close(fds[0]);
    close(fds[1]);
    return -1;
}

void trials_refuse(struct supervisor *s, uint64_t id, const char *why)
{
    struct engine_result r = {.id = id,
                              .end = ENGINE_NOT_STARTED,
                              .exit_status = -1,
                              .ended = clock_wall(clock_system())};
    say(&r, "%s", why);
    report(s, &r);
}

void trials_start(struct supervisor *s, const struct engine_program *p)
{
    struct trial *t = mem_alloc(sizeof *t);
    struct err err = {0};
    t->result.id = t->id = p->id;
    t->result.exit_status = -1;
    if (start(s, p, t, &err) == -1) {
        trials_refuse(s, p->id, err.msg);
        free(t);
        return;
    }
    usec_t now = supervisor_now();
    t->cause = ENGINE_END_COUNT;
    t->deadline = p->time_limit > 0 && p->time_limit < USEC_FOREVER - now ? now + p->time_limit
                                                                          : USEC_FOREVER;
    t->kill_at = USEC_FOREVER;
    t->memory_limit = p->memory_limit;
    t->result.started = clock_wall(clock_system());
    MEM_PUSH_ROOM(s->trials, s->count, s->cap);
    s->trials[s->count++] = t;
    struct wire_started started = {.id = t->id, .wall = t->result.started, .pid = t->pid};
    wire_put(&s->out, WIRE_STARTED, &started, sizeof started);
}

void trials_read(struct trial *t)
{
    static char block[SUPERVISOR_BLOCK];
    ssize_t n = t->out < 0 ? -1 : read(t->out, block, sizeof block);
    if (n > 0) {
        console_take(&t->console, block, (size_t)n);
        return;
    }
    if (t->out < 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
        return;
    close(t->out);
    t->out = -1;
}

/* ---- whose process is this? ------------------------------------------------------------------ */

/* The trial that left this child of the supervisor behind, or NULL where none under way did.
 * *over is set where that trial is known to be over. */
static struct trial *owner_of_orphan(const struct supervisor *s, const struct tree_process *p,
                                     bool *over)
{
    struct trial *t = by_session(s, p->session);
    char mark[64];
    size_t n = strlen(s->token);
    if (t || !tree_variable(&s->tree, p->pid, SUPERVISOR_MARK, mark, sizeof mark) ||
        strncmp(mark, s->token, n) != 0 || mark[n] != '.')
        return t;
    t = by_id(s, strtoull(mark + n + 1, NULL, 10));
    *over = !t;
    return t;
}

/* Fills s->tree with all processes, those below the supervisor with their trial as owner. */
static void take_census(struct supervisor *s)
{
    tree_scan(&s->tree);
    for (size_t i = 0; i < s->tree.count; i++) {
        struct tree_process *p = &s->tree.items[i];
        bool over = false;
        if (p->parent != getpid() || p->pid == getpid())
            continue;
        p->owner = by_pid(s, p->pid);
        if (!p->owner)
            p->owner = owner_of_orphan(s, p, &over);
    }
    tree_inherit(&s->tree);
}

/* To all processes of the trial. */
static void signal_trial(struct supervisor *s, const struct trial *t, int number)
{
    bool group = t->state == TRIAL_RUNNING; /* an ended one's is empty, or another's by now */
    if (group)
        kill(-t->pid, number);
    take_census(s);
    for (size_t i = 0; i < s->tree.count; i++) {
        const struct tree_process *p = &s->tree.items[i];
        if (p->owner == t && !(group && p->group == t->pid))
            kill(p->pid, number);
    }
    if (group && number == SIGTERM)
        kill(-t->pid, SIGCONT); /* a stopped process would not hear it */
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void end_trial(struct supervisor *s, struct trial *t, enum engine_end cause, usec_t grace)
{
    if (t->state != TRIAL_RUNNING)
        return;
    usec_t now = supervisor_now();
    usec_t due = grace > 0 && grace < USEC_FOREVER - now ? now + grace : now;
    if (grace >= USEC_FOREVER - now)
        due = USEC_FOREVER;
    if (t->cause == ENGINE_END_COUNT)
        t->cause = cause;
    if (due < t->kill_at)
        t->kill_at = due;
    if (grace > 0)
        signal_trial(s, t, SIGTERM);
}

void trials_stop(struct supervisor *s, uint64_t id, usec_t grace)
{
    struct trial *t = by_id(s, id);
    if (!t)
        return;
    (void)trials_reap(s); /* so that what has ended by itself counts as that */
    end_trial(s, t, ENGINE_STOPPED, grace);
}

static bool any_memory_limit(const struct supervisor *s)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->trials[i]->memory_limit && s->trials[i]->state == TRIAL_RUNNING)
            return true;
    }
    return false;
}

/* The second look is for processes that ended during the first: what they shared with others went
 * over to those, and may have been counted twice. */
static bool over_memory(const struct supervisor *s, const struct trial *t)
{
    for (int look = 0; look < 2; look++) {
        uint64_t sum = 0;
        for (size_t i = 0; i < s->tree.count; i++) {
            const struct tree_process *p = &s->tree.items[i];
            if (p->owner == t)
                sum += tree_proportional(&s->tree, p->pid, p->resident);
        }
        if (sum <= t->memory_limit)
            return false;
    }
    return true;
}

/* Pages that several processes share, as a program's forked workers do, are in the resident size
 * of each. That sum is quick and never too small; where it passes the limit the exact one decides.
 */
static void measure(struct supervisor *s)
{
    usec_t begin = supervisor_now();
    take_census(s);
    for (size_t i = 0; i < s->count; i++)
        s->trials[i]->memory = 0;
    for (size_t i = 0; i < s->tree.count; i++) {
        struct trial *t = s->tree.items[i].owner;
        if (t)
            t->memory += s->tree.items[i].resident;
    }
    for (size_t i = 0; i < s->count; i++) {
        struct trial *t = s->trials[i];
        if (t->state != TRIAL_RUNNING || !t->memory_limit || t->cause == ENGINE_OUT_OF_MEMORY ||
            t->memory <= t->memory_limit || !over_memory(s, t))
            continue;
        t->cause = t->cause == ENGINE_END_COUNT ? ENGINE_OUT_OF_MEMORY : t->cause;
        t->kill_at = begin;
    }
    /* On a machine where looking takes long it is done less often. */
    usec_t took = supervisor_now() - begin;
    s->measured = begin + took;
    s->measure_every = 10 * took > SUPERVISOR_MEASURE ? 10 * took : SUPERVISOR_MEASURE;
}

void trials_enforce(struct supervisor *s)
{
    usec_t now = supervisor_now();
    if (any_memory_limit(s) && now - s->measured >= s->measure_every)
        measure(s);
    for (size_t i = 0; i < s->count; i++) {
        struct trial *t = s->trials[i];
        if (t->state != TRIAL_RUNNING)
            continue;
        if (now >= t->deadline) {
            t->deadline = USEC_FOREVER;
            end_trial(s, t, ENGINE_TIMED_OUT, SUPERVISOR_TERM_GRACE);
        }
        if (now >= t->kill_at) {
            t->kill_at = now + SUPERVISOR_KILL_AGAIN;
            signal_trial(s, t, SIGKILL);
        }
    }
}

/* ---- ends ------------------------------------------------------------------------------------ */

static usec_t usec_of(struct timeval t)
{
    return (usec_t)t.tv_sec * USEC_PER_SEC + t.tv_usec;
}

static void note_end(struct supervisor *s, struct trial *t, int status, const struct rusage *used)
{
    struct engine_result *r = &t->result;
    assert(t->state == TRIAL_RUNNING);
    t->state = TRIAL_CLEARING;
    t->clear_by = supervisor_now() + SUPERVISOR_CLEAR_MAX;
    r->ended = clock_wall(clock_system());
    r->exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    r->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    r->end = r->signal ? ENGINE_SIGNALLED : ENGINE_EXITED;
    if (t->cause != ENGINE_END_COUNT)
        r->end = t->cause;
    r->user_time = usec_of(used->ru_utime);
    r->system_time = usec_of(used->ru_stime);
#ifdef __APPLE__
    r->memory_peak = (uint64_t)used->ru_maxrss;
#else
    r->memory_peak = (uint64_t)used->ru_maxrss << 10;
#endif
    t->interrupted = s->dying && r->signal == SIGKILL;
}

bool trials_reap(struct supervisor *s)
{
    for (;;) {
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == -1)
            return errno != ECHILD;
        if (info.si_pid == 0)
            return true;
        struct trial *t = by_pid(s, info.si_pid);
        if (t) /* while its zombie keeps the group's number from meaning another */
            kill(-t->pid, SIGKILL);
        int status;
        struct rusage used;
        if (wait4(info.si_pid, &status, 0, &used) == info.si_pid && t)
            note_end(s, t, status, &used);
    }
}

static void finish(struct supervisor *s, size_t i)
{
    struct trial *t = s->trials[i];
    for (int n = 0; n < SUPERVISOR_DRAIN_MAX && t->out >= 0; n++)
        trials_read(t);
    if (t->out >= 0)
        close(t->out);
    console_close(&t->console);
    t->result.console_dropped = t->console.dropped;
    if (t->console.sys)
        say(&t->result, "its output could not be written: %s", strerror(t->console.sys));
    if (!t->interrupted)
        report(s, &t->result);
    s->trials[i] = s->trials[--s->count];
    free(t);
}

/* The children of the supervisor that are no programs themselves; at most CHILDREN_MAX. */
static size_t list_orphans(struct supervisor *s, pid_t orphans[CHILDREN_MAX])
{
    size_t running = 0;
    for (size_t i = 0; i < s->count; i++)
        running += s->trials[i]->state == TRIAL_RUNNING;
    size_t max = running + CHILDREN_MAX;
    AUTO_FREE pid_t *children = mem_array(max, sizeof *children);
    size_t n = tree_children(&s->tree, children, max);
    if (n == running)
        return 0;
    size_t count = 0;
    for (size_t i = 0; i < n && i < max && count < CHILDREN_MAX; i++) {
        if (!by_pid(s, children[i]))
            orphans[count++] = children[i];
    }
    return count;
}

/* Kills an orphan if its trial has ended. One that nothing tells about may be of any trial: it goes
 * when none is running, and all that have ended wait for it. */
static void kill_leftover(struct supervisor *s, pid_t pid, bool any_running)
{
    struct tree_process p;
    bool over = false;
    if (!tree_look(&s->tree, pid, &p))
        return;
    struct trial *t = owner_of_orphan(s, &p, &over);
    if (t ? t->state == TRIAL_RUNNING : any_running && !over)
        return;
    for (size_t i = 0; i < s->count; i++) {
        if (s->trials[i] == t || (!t && !over))
            s->trials[i]->leftovers = true;
    }
    if (t)
        signal_trial(s, t, SIGKILL);
    kill(pid, SIGKILL);
}

/* Sets `leftovers` of each ended trial. */
static void kill_leftovers(struct supervisor *s)
{
    pid_t orphans[CHILDREN_MAX];
    size_t count = list_orphans(s, orphans);
    bool any_running = false;
    for (size_t i = 0; i < s->count; i++) {
        any_running = any_running || s->trials[i]->state == TRIAL_RUNNING;
        s->trials[i]->leftovers = false;
    }
    for (size_t i = 0; i < count; i++)
        kill_leftover(s, orphans[i], any_running);
}

void trials_clear(struct supervisor *s)
{
    size_t clearing = 0;
    for (size_t i = 0; i < s->count; i++)
        clearing += s->trials[i]->state == TRIAL_CLEARING;
    if (clearing == 0)
        return;
    kill_leftovers(s);
    usec_t now = supervisor_now();
    for (size_t i = s->count; i-- > 0;) {
        struct trial *t = s->trials[i];
        if (t->state != TRIAL_CLEARING || (t->leftovers && now < t->clear_by))
            continue;
        if (t->leftovers)
            say(&t->result, "a process that it left behind could not be ended");
        finish(s, i);
    }
}

void trials_kill_all(struct supervisor *s)
{
    pid_t orphans[CHILDREN_MAX];
    for (size_t i = 0; i < s->count; i++) {
        if (s->trials[i]->state == TRIAL_RUNNING)
            kill(-s->trials[i]->pid, SIGKILL);
    }
    size_t n = list_orphans(s, orphans);
    for (size_t i = 0; i < n; i++)
        kill(orphans[i], SIGKILL);
}

void trials_finish_ended(struct supervisor *s)
{
    for (size_t i = s->count; i-- > 0;) {
        if (s->trials[i]->state == TRIAL_CLEARING)
            finish(s, i);
    }
}

usec_t trials_next_due(const struct supervisor *s)
{
    usec_t due = USEC_FOREVER;
    usec_t now = supervisor_now();
    for (size_t i = 0; i < s->count; i++) {
        const struct trial *t = s->trials[i];
        usec_t next = t->deadline < t->kill_at ? t->deadline : t->kill_at;
        if (t->state == TRIAL_CLEARING)
            next = now + SUPERVISOR_LOOK_AGAIN;
        if (next < due)
            due = next;
    }
    if (any_memory_limit(s) && s->measured + s->measure_every < due)
        due = s->measured + s->measure_every;
    return due;
}
