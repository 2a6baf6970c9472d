/* A number is a process's only as long as its stamp says so. */
#include "base/mem.h"
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

static pid_t start(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        for (;;)
            pause();
    }
    return pid;
}

static void a_process_is_known_until_it_ends(void **state)
{
    (void)state;
    char stamp[PROCESS_STAMP_SIZE], again[PROCESS_STAMP_SIZE];
    pid_t pid = start();
    assert_true(process_stamp(pid, stamp));
    assert_true(process_stamp(pid, again));
    assert_string_equal(stamp, again);
    assert_null(strpbrk(stamp, " \n"));
    assert_int_equal(process_look(pid, str_of(stamp)), PROCESS_LIVES);
    kill(pid, SIGKILL);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(process_look(pid, str_of(stamp)), PROCESS_ENDED); /* not reaped yet */
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(process_look(pid, str_of(stamp)), PROCESS_ENDED);
    assert_false(process_stamp(pid, again));
}

static void a_stranger_is_not_signalled(void **state)
{
    (void)state;
    char own[PROCESS_STAMP_SIZE];
    pid_t pid = start();
    assert_true(process_stamp(pid, own));
    const char *place = strchr(own, '@');
    AUTO_FREE char *earlier = mem_printf("1%s", place);      /* the number was another's before */
    AUTO_FREE char *elsewhere = mem_printf("%s-other", own); /* another machine's number */
    struct {
        const char *stamp;
        enum process_life want;
    } cases[] = {{earlier, PROCESS_ENDED},
                 {elsewhere, PROCESS_UNKNOWN},
                 {"", PROCESS_UNKNOWN},
                 {"@", PROCESS_UNKNOWN},
                 {place, PROCESS_ENDED}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        bool sent = true;
        assert_int_equal(process_look(pid, str_of(cases[i].stamp)), cases[i].want);
        assert_int_equal(process_signal(pid, str_of(cases[i].stamp), SIGKILL, &sent, NULL), 0);
        assert_false(sent);
    }
    bool sent = true;
    assert_int_equal(process_signal(0, str_of(own), SIGKILL, &sent, NULL), 0);
    assert_false(sent);
    assert_int_equal(process_signal(-1, str_of(own), SIGKILL, &sent, NULL), 0);
    assert_false(sent);
    assert_int_equal(kill(pid, 0), 0);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
    assert_int_equal(process_signal(pid, str_of(own), SIGTERM, &sent, NULL), 0);
    assert_true(sent);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    assert_int_equal(process_signal(pid, str_of(own), SIGTERM, &sent, NULL), 0);
    assert_false(sent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_is_known_until_it_ends),
        cmocka_unit_test(a_stranger_is_not_signalled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
