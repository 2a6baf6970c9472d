/* What stands in for calls that one of the systems lacks. */
#include "base/attr.h"
#include "base/port.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

static void the_last_byte_is_found(void **state)
{
    (void)state;
    static const char text[] = "a/b\xff/c";
    assert_ptr_equal(port_memrchr(text, '/', 6), text + 4);
    assert_ptr_equal(port_memrchr(text, '/', 4), text + 1);
    assert_ptr_equal(port_memrchr(text, 'a', 6), text);
    assert_ptr_equal(port_memrchr(text, 0xff, 6), text + 3);
    assert_ptr_equal(port_memrchr(text, -1, 6), text + 3); /* as an unsigned char */
    assert_null(port_memrchr(text, 'x', 6));
    assert_null(port_memrchr(text, 'a', 0));
    assert_null(port_memrchr(NULL, 'a', 0));
}

static void bytes_are_wiped(void **state)
{
    (void)state;
    char text[] = "secret!";
    port_wipe(text, 6);
    assert_memory_equal(text, "\0\0\0\0\0\0!", 8);
    port_wipe(text, 0);
}

static void sockets_end_at_an_exec(void **state)
{
    (void)state;
    int pair[2];
    assert_int_equal(port_socketpair(SOCK_STREAM, pair), 0);
    int one = port_socket(AF_INET, SOCK_STREAM, true),
        two = port_socket(AF_UNIX, SOCK_STREAM, false);
    const int all[] = {pair[0], pair[1], one, two};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        assert_true(all[i] >= 0);
        assert_int_equal(fcntl(all[i], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        assert_int_equal(!!(fcntl(all[i], F_GETFL) & O_NONBLOCK), all[i] == one);
    }
    close(pair[1]); /* SIGPIPE would end this test */
    assert_int_equal(send(pair[0], "x", 1, PORT_NO_SIGNAL), -1);
    assert_int_equal(errno, EPIPE);
    close(pair[0]);
    close(one);
    close(two);
    assert_int_equal(port_socket(-1, SOCK_STREAM, false), -1);
    assert_int_equal(port_socketpair(-1, pair), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_byte_is_found),
        cmocka_unit_test(bytes_are_wiped),
        cmocka_unit_test(sockets_end_at_an_exec),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
