/* One process at a time, whatever becomes of it. */
#include "base/mem.h"
#include "os/fs.h"
#include "os/lock.h"
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

static void the_holder_is_named_without_taking_the_lock(void **state)
{
    (void)state;
    AUTO_FREE char *path = fs_join(dir, "lock");
    pid_t holder = 7;
    assert_int_equal(lock_holder(path, &holder, NULL), 0);
    assert_int_equal(holder, 0); /* no file */
    assert_false(fs_exists(path));
    struct lock *l;
    assert_int_equal(lock_take(path, &l, NULL), 0);
    assert_int_equal(lock_holder(path, &holder, NULL), 0);
    assert_int_equal(holder, getpid());
    assert_int_equal(fs_write_atomic(path, 0600, STR("12"), NULL), 0); /* another file, unlocked */
    assert_int_equal(lock_holder(path, &holder, NULL), 0);
    assert_int_equal(holder, 0);
    lock_release(l);
    assert_int_equal(lock_take(path, &l, NULL), 0);
    assert_int_equal(truncate(path, 0), 0); /* locked, and its pid is not written yet */
    assert_int_equal(lock_holder(path, &holder, NULL), 0);
    assert_int_equal(holder, LOCK_HOLDER_UNKNOWN);
    lock_release(l);
    assert_int_equal(lock_holder(path, &holder, NULL), 0);
    assert_int_equal(holder, 0);
    struct err err;
    AUTO_FREE char *inside = fs_join(path, "x");
    assert_int_equal(lock_holder(inside, &holder, &err), -1);
    assert_int_equal(err.code, ERR_IO);
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
            pid_t holder;
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
        T(looking_never_makes_a_taker_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
