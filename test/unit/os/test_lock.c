/* One process at a time, whatever becomes of it. */
#include "base/mem.h"
#include "os/fs.h"
#include "os/lock.h"
#include "os/process.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

#define TAKE_TRIES 3000
#define TAKE_EVERY_US 10000

static char dir[64];

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/flambe-lock-XXXXXX");
    assert_non_null(mkdtemp(dir));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return fs_remove_tree(dir, NULL);
}

static void another_process_is_named_and_its_end_frees_the_lock(void **state)
{
    (void)state;
    AUTO_FREE char *path = fs_join(dir, "lock");
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    int pid = fork();
    if (pid == 0) {
        struct lock *l;
        char ok = lock_take(path, &l, NULL) == 0 ? 'y' : 'n';
        (void)!write(ready[1], &ok, 1);
        pause();
        _exit(0);
    }
    char ok;
    assert_int_equal(read(ready[0], &ok, 1), 1);
    assert_int_equal(ok, 'y');
    struct lock *l = NULL;
    struct err err;
    assert_int_equal(lock_take(path, &l, &err), -1);
    assert_null(l);
    assert_int_equal(err.code, ERR_CONFLICT);
    AUTO_FREE char *want = mem_printf("process %d)", pid);
    assert_non_null(strstr(err.msg, want));
    kill(pid, SIGKILL); /* no clean-up of its own */
    waitpid(pid, NULL, 0);
    assert_int_equal(lock_take(path, &l, &err), 0);
    struct lock *again = NULL;
    assert_int_equal(lock_take(path, &again, &err), -1); /* nor twice in one process */
    assert_int_equal(err.code, ERR_CONFLICT);
    lock_release(l);
    assert_int_equal(lock_take(path, &l, &err), 0);
    lock_release(l);
    lock_release(NULL);
    close(ready[0]);
    close(ready[1]);
}

static void a_child_does_not_inherit_it(void **state)
{
    (void)state;
    AUTO_FREE char *path = fs_join(dir, "lock");
    struct lock *l;
    assert_int_equal(lock_take(path, &l, NULL), 0);
    int pid = fork();
    if (pid == 0) {
        execlp("sleep", "sleep", "600", (char *)NULL);
        _exit(1);
    }
    lock_release(l);
    /* Until the child has become another program it holds the lock with us. */
    int rc = -1;
    for (int i = 0; i < TAKE_TRIES && rc == -1; i++) {
        rc = lock_take(path, &l, NULL);
        if (rc == -1)
            usleep(TAKE_EVERY_US);
    }
    assert_int_equal(rc, 0);
    lock_release(l);
    int status;
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status)); /* it was alive all the while */
}

static void what_is_no_lock_file_is_left_alone(void **state)
{
    (void)state;
    AUTO_FREE char *link_path = fs_join(dir, "link");
    AUTO_FREE char *target = fs_join(dir, "target");
    assert_int_equal(fs_write_atomic(target, 0600, STR("precious"), NULL), 0);
    assert_int_equal(symlink(target, link_path), 0);
    struct lock *l;
    struct err err;
    assert_int_equal(lock_take(link_path, &l, &err), -1);
    assert_int_equal(lock_take(dir, &l, &err), -1);
    assert_int_equal(err.code, ERR_IO);
    /* the file may hold anything: it is only quoted as a number */
    AUTO_FREE char *odd = fs_join(dir, "odd");
    assert_int_equal(fs_write_atomic(odd, 0600, STR("\033[2Jhello"), NULL), 0);
    assert_int_equal(lock_take(odd, &l, &err), 0);
    lock_release(l);
}

static struct lock_holder holder_of(const char *path)
{
    struct lock_holder h = {true, 7, 7};
    assert_int_equal(lock_holder(path, &h, NULL), 0);
    return h;
}

static void assert_nobody(const char *path)
{
    struct lock_holder h = holder_of(path);
    assert_true(!h.held && !h.pid && !h.gone);
}

static void assert_unknown(const char *path)
{
    struct lock_holder h = holder_of(path);
    assert_true(h.held && !h.pid && !h.gone);
}

static void rewrite(const char *path, const char *text)
{
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    assert_int_equal(ftruncate(fileno(f), 0), 0);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void the_holder_is_named_without_taking_the_lock(void **state)
{
    (void)state;
    AUTO_FREE char *path = fs_join(dir, "lock");
    assert_nobody(path); /* no file */
    assert_false(fs_exists(path));
    struct lock *l;
    assert_int_equal(lock_take(path, &l, NULL), 0);
    struct lock_holder holder = holder_of(path);
    assert_true(holder.held && holder.pid == getpid() && !holder.gone);
    assert_int_equal(fs_write_atomic(path, 0600, STR("12"), NULL), 0); /* another file, unlocked */
    assert_nobody(path);
    lock_release(l);
    assert_int_equal(lock_take(path, &l, NULL), 0);
    assert_int_equal(truncate(path, 0), 0); /* locked, and its pid is not written yet */
    assert_unknown(path);
    lock_release(l);
    assert_nobody(path);
    struct err err;
    AUTO_FREE char *inside = fs_join(path, "x");
    assert_int_equal(lock_holder(inside, &holder, &err), -1);
    assert_int_equal(err.code, ERR_IO);
}

/* The number in the file may be anybody's by now: only the process of that stamp is meant. */
static void a_stranger_of_the_same_number_is_not_the_holder(void **state)
{
    (void)state;
    AUTO_FREE char *path = fs_join(dir, "lock");
    struct lock *l;
    pid_t stranger = fork();
    if (stranger == 0) {
        for (;;)
            pause();
    }
    assert_int_equal(lock_take(path, &l, NULL), 0);
    AUTO_BUF struct buf own = {0};
    assert_int_equal(fs_read(path, 1000, &own, NULL), 0);
    const char *stamp = strchr(buf_text(&own), ' ');
    assert_non_null(stamp);
    AUTO_FREE char *other = mem_printf("%d%s", (int)stranger, stamp);
    AUTO_FREE char *bare = mem_printf("%d\n", (int)stranger);
    AUTO_FREE char *later = mem_printf("%d 1%s", (int)stranger, strchr(stamp, '@'));
    rewrite(path, bare);
    assert_unknown(path);
    assert_int_equal(lock_signal(path, stranger, SIGKILL, NULL), 0);
    rewrite(path, later);
    assert_int_equal(holder_of(path).gone, stranger);
    assert_int_equal(lock_signal(path, stranger, SIGKILL, NULL), 0);
    rewrite(path, other);
    assert_int_equal(lock_signal(path, stranger, SIGKILL, NULL), 0);
    assert_int_equal(waitpid(stranger, NULL, WNOHANG), 0);
    char truly[PROCESS_STAMP_SIZE];
    assert_true(process_stamp(stranger, truly));
    AUTO_FREE char *right = mem_printf("%d %s\n", (int)stranger, truly);
    rewrite(path, right);
    assert_int_equal(lock_signal(path, getpid(), SIGKILL, NULL), 0); /* not the one that is meant */
    lock_release(l);
    assert_int_equal(lock_signal(path, stranger, SIGKILL, NULL), 0); /* nobody holds it */
    assert_int_equal(waitpid(stranger, NULL, WNOHANG), 0);
    assert_int_equal(lock_take(path, &l, NULL), 0);
    rewrite(path, right);
    assert_int_equal(holder_of(path).pid, stranger);
    assert_int_equal(lock_signal(path, stranger, SIGKILL, NULL), 0);
    assert_int_equal(waitpid(stranger, NULL, 0), stranger);
    assert_int_equal(holder_of(path).gone, stranger);
    lock_release(l);
}

static void looking_never_makes_a_taker_fail(void **state)
{
    (void)state;
    AUTO_FREE char *path = fs_join(dir, "lock");
    struct lock *l;
    assert_int_equal(lock_take(path, &l, NULL), 0);
    lock_release(l);
    int pid = fork();
    if (pid == 0) {
        for (;;) {
            struct lock_holder holder;
            (void)!lock_holder(path, &holder, NULL);
        }
    }
    int failed = 0;
    for (int i = 0; i < 5000; i++) {
        if (lock_take(path, &l, NULL) == 0)
            lock_release(l);
        else
            failed++;
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(failed, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(another_process_is_named_and_its_end_frees_the_lock),
        T(a_child_does_not_inherit_it),
        T(what_is_no_lock_file_is_left_alone),
        T(the_holder_is_named_without_taking_the_lock),
        T(a_stranger_of_the_same_number_is_not_the_holder),
        T(looking_never_makes_a_taker_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
