/* See spawn_priv.h.
 *
 * The child is made by vfork(): the parent waits until the exec, and shares its memory meanwhile,
 * so that nothing is copied, however large the parent is, and so that the child can leave in it
 * why it failed. The child therefore changes nothing but `struct attempt`, and the parent has all
 * signals blocked, so that no handler runs in the child. */
#include "base/mem.h"
#include "base/str.h"
#include "engine/spawn_priv.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif
#ifdef __APPLE__
#pragma clang diagnostic ignored "-Wdeprecated-declarations"
#endif

#define PATH_DEFAULT "/usr/local/bin:/usr/bin:/bin"

const int spawn_ignored_signals[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGPIPE,  SIGALRM,
                                     SIGTERM, SIGUSR1, SIGUSR2, SIGTSTP,  SIGTTIN,
                                     SIGTTOU, SIGXCPU, SIGXFSZ, SIGVTALRM};
const size_t spawn_ignored_count = COUNT_OF(spawn_ignored_signals);

enum step { STEP_NONE, STEP_SESSION, STEP_DIRECTORY, STEP_EXEC };

struct attempt {
    const struct engine_program *program;
    char *const *files; /* to be tried in turn; NULL-terminated */
    int out;
    const struct spawn_limits *limits;
    pid_t parent;
    volatile enum step failed;
    volatile int sys;
};

NORETURN static void fail(struct attempt *a, enum step step, int sys)
{
    a->sys = sys;
    a->failed = step;
    _exit(127);
}

/* As execvp(3) looks: a file that may not be run is passed over, but not forgotten. */
NORETURN static void try_files(struct attempt *a)
{
    int sys = ENOENT;
    for (char *const *file = a->files; *file; file++) {
        execve(*file, (char *const *)a->program->argv, (char *const *)a->program->env);
        if (errno == EACCES)
            sys = EACCES;
        else if (errno != ENOENT && errno != ENOTDIR)
            fail(a, STEP_EXEC, errno);
    }
    fail(a, STEP_EXEC, sys);
}

NORETURN static void be_the_program(struct attempt *a)
{
    if (setsid() == -1)
        fail(a, STEP_SESSION, errno);
#ifdef __linux__
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1)
        fail(a, STEP_SESSION, errno);
    if (getppid() != a->parent) /* it died before the line above */
        _exit(127);
#endif
    for (size_t i = 0; i < spawn_ignored_count; i++)
        signal(spawn_ignored_signals[i], SIG_DFL);
    if (setrlimit(RLIMIT_NOFILE, &a->limits->files) == -1 ||
        setrlimit(RLIMIT_CORE, &a->limits->core) == -1)
        fail(a, STEP_SESSION, errno);
    if (dup2(a->out, STDOUT_FILENO) == -1 || dup2(a->out, STDERR_FILENO) == -1)
        fail(a, STEP_SESSION, errno);
    if (chdir(a->program->directory) == -1)
        fail(a, STEP_DIRECTORY, errno);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    try_files(a);
}

/* Apart, so that nothing of the caller's lives in registers across the vfork. */
__attribute__((noinline)) static pid_t split(struct attempt *a)
{
    pid_t pid = vfork();
    if (pid == 0)
        be_the_program(a);
    return pid;
}

static const char *path_of(const char *const *env)
{
    for (; *env; env++) {
        if (strncmp(*env, "PATH=", 5) == 0)
            return *env + 5;
    }
    return PATH_DEFAULT;
}

static void find_files(const struct engine_program *p, struct strv *out)
{
    const char *name = p->argv[0];
    if (strchr(name, '/')) {
        strv_add(out, name);
        return;
    }
    struct str path = str_of(path_of(p->env));
    while (name[0] && path.p) {
        struct str dir = str_cut(&path, ':');
        strv_take(out, dir.n ? mem_printf("%.*s/%s", STR_FMT(dir), name) : mem_dup(name));
    }
}

static int explain(const struct attempt *a, struct err *err)
{
    const struct engine_program *p = a->program;
    const char *name = p->argv[0];
    if (a->failed == STEP_SESSION)
        return err_set_sys(err, a->sys, "cannot start a process");
    if (a->failed == STEP_DIRECTORY)
        return err_set_sys(err, a->sys, "cannot start in the directory '%.120s'", p->directory);
    if (a->sys == ENOENT && name[0] == '/' && access(name, F_OK) == 0)
        return err_set(err, ERR_NOT_FOUND,
                       "cannot run '%.120s': what its first line names is not there", name);
    if (a->sys == ENOENT)
        return err_set(err, ERR_NOT_FOUND, "no such program: '%.120s'%s", name,
                       strchr(name, '/') ? "" : " is not in PATH");
    if (a->sys == E2BIG)
        return err_set(err, ERR_LIMIT,
                       "cannot run '%.80s': its arguments or its environment are longer than this "
                       "machine takes; large values can be read from the file $FLAMBE_PARAMS",
                       name);
    if (a->sys == ENOEXEC)
        return err_set(
            err, ERR_IO,
            "cannot run '%.120s': no program of this machine, and a script needs a first "
            "line such as '#!/bin/sh'",
            name);
    return err_set_sys(err, a->sys, "cannot run '%.120s'", name);
}

pid_t spawn_program(const struct engine_program *p, int out, const struct spawn_limits *limits,
                    struct err *err)
{
    AUTO_STRV struct strv names = {0};
    find_files(p, &names);
    strv_take(&names, NULL); /* the end of the list */
    struct attempt a = {
        .program = p, .files = names.items, .out = out, .limits = limits, .parent = getpid()};
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = split(&a);
    int sys = errno;
    if (pid > 0 && a.failed) {
        while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
            ;
        pid = -1;
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid > 0)
        return pid;
    return a.failed ? explain(&a, err) : err_set_sys(err, sys, "cannot start a process");
}
