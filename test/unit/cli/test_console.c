/* The live area against a small terminal of our own: what stands on the screen at the end. */
#include "base/buf.h"
#include "base/mem.h"
#include "cli/console.h"
#include "cli/output.h"
#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
/* cmocka wants those before it */
#include <cmocka.h>

#define ROWS 12
#define COLS 40

/* A terminal that knows what console.c uses: text, "\n", "\r", ESC[nA and ESC[J. */
struct screen {
    char cells[ROWS][COLS + 1];
    size_t row, col;
    size_t number; /* of an escape sequence */
    bool escape;
};

static void screen_init(struct screen *s)
{
    memset(s, 0, sizeof *s);
    for (size_t r = 0; r < ROWS; r++)
        memset(s->cells[r], ' ', COLS);
}

static void screen_escape(struct screen *s, char letter)
{
    if (letter == 'A') {
        assert_true(s->row >= s->number);
        s->row -= s->number;
        return;
    }
    assert_int_equal(letter, 'J');
    for (size_t r = s->row; r < ROWS; r++)
        memset(s->cells[r] + (r == s->row ? s->col : 0), ' ', COLS - (r == s->row ? s->col : 0));
}

static void screen_feed(struct screen *s, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\r') {
            s->col = 0;
        } else if (p[i] == '\n') {
            s->row++;
            s->col = 0;
        } else if (p[i] == '\x1b') {
            s->escape = true;
            s->number = 0;
        } else if (s->escape && p[i] == '[') {
            continue;
        } else if (s->escape && p[i] >= '0' && p[i] <= '9') {
            s->number = s->number * 10 + (size_t)(p[i] - '0');
        } else if (s->escape) {
            s->escape = false;
            screen_escape(s, p[i]);
        } else {
            assert_true(s->row < ROWS && s->col < COLS);
            s->cells[s->row][s->col++] = p[i];
        }
    }
}

static char *screen_text(const struct screen *s)
{
    struct buf out = {0};
    for (size_t r = 0; r < s->row; r++) {
        buf_add_str(&out, str_trim((struct str){s->cells[r], COLS}));
        buf_addc(&out, '\n');
    }
    return buf_take(&out);
}

struct rig {
    int master, slave;
    struct console console;
};

static void rig_init(struct rig *r)
{
    struct winsize size = {.ws_row = ROWS, .ws_col = COLS};
    assert_int_equal(openpty(&r->master, &r->slave, NULL, NULL, &size), 0);
    struct termios raw;
    assert_int_equal(tcgetattr(r->slave, &raw), 0);
    cfmakeraw(&raw);
    assert_int_equal(tcsetattr(r->slave, TCSANOW, &raw), 0);
    fcntl(r->master, F_SETFL, O_NONBLOCK);
    console_init(&r->console, r->slave, false);
    assert_true(r->console.tty);
}

static void rig_done(struct rig *r)
{
    console_done(&r->console);
    close(r->master);
    close(r->slave);
}

/* The kernel hands a terminal's bytes over when it has time: waits until the screen is as wanted.
 */
static void assert_screen(struct rig *r, struct screen *s, const char *want)
{
    for (int i = 0; i < 500; i++) {
        char bytes[8192];
        ssize_t n = read(r->master, bytes, sizeof bytes);
        if (n > 0)
            screen_feed(s, bytes, (size_t)n);
        AUTO_FREE char *have = screen_text(s);
        if (strcmp(have, want) == 0)
            return;
        usleep(10000);
    }
    AUTO_FREE char *have = screen_text(s);
    assert_string_equal(have, want);
}

static void draw(struct rig *r, const char *text)
{
    struct strv lines = {0};
    struct str rest = str_of(text);
    while (rest.p)
        strv_add_str(&lines, str_cut(&rest, '\n'));
    console_draw(&r->console, &lines);
    assert_null(lines.items);
}

static void lines_go_above_the_live_area(void **state)
{
    (void)state;
    struct rig r;
    struct screen s;
    rig_init(&r);
    screen_init(&s);
    console_line(&r.console, "begin %d", 1);
    draw(&r, "one\ntwo");
    assert_screen(&r, &s, "begin 1\none\ntwo\n");
    draw(&r, "ONE\nTWO\nTHREE");
    console_line(&r.console, "warning");
    assert_screen(&r, &s, "begin 1\nwarning\nONE\nTWO\nTHREE\n");
    draw(&r, "x");
    assert_screen(&r, &s, "begin 1\nwarning\nx\n");
    console_erase(&r.console);
    assert_screen(&r, &s, "begin 1\nwarning\n");
    console_erase(&r.console);
    draw(&r, "kept");
    console_keep(&r.console);
    console_line(&r.console, "after");
    assert_screen(&r, &s, "begin 1\nwarning\nkept\nafter\n");
    rig_done(&r);
}

static void a_narrower_window_has_broken_the_lines(void **state)
{
    (void)state;
    struct rig r;
    struct screen s;
    rig_init(&r);
    screen_init(&s);
    console_line(&r.console, "begin");
    draw(&r, "0123456789abcdef\nx");
    assert_screen(&r, &s, "begin\n0123456789abcdef\nx\n");
    /* What a terminal makes of it at ten columns: three rows of the two lines. */
    struct winsize size = {.ws_row = ROWS, .ws_col = 10};
    assert_int_equal(ioctl(r.slave, TIOCSWINSZ, &size), 0);
    screen_init(&s);
    static const char reflowed[] = "begin\n0123456789\nabcdef\nx\n";
    screen_feed(&s, reflowed, strlen(reflowed));
    draw(&r, "new");
    assert_screen(&r, &s, "begin\nnew\n");
    rig_done(&r);
}

static void without_a_terminal_there_is_no_live_area(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    struct console c;
    console_init(&c, fds[1], false);
    assert_false(c.tty);
    struct strv lines = {0};
    strv_add(&lines, "live");
    console_draw(&c, &lines);
    console_line(&c, "line");
    console_erase(&c);
    char bytes[64] = {0};
    assert_int_equal(read(fds[0], bytes, sizeof bytes - 1), 5);
    assert_string_equal(bytes, "line\n");
    size_t width, height;
    console_size(&c, &width, &height);
    assert_int_equal(width, 80);
    assert_int_equal(height, 24);
    console_done(&c);
    close(fds[0]);
    close(fds[1]);
}

static void a_failed_write_is_remembered(void **state)
{
    (void)state;
    struct output o = {.fd = open("/dev/full", O_WRONLY)};
    assert_true(o.fd >= 0);
    output_printf(&o, "%s", "");
    assert_int_equal(output_close(&o, NULL), 0); /* nothing was to be written */
    output_printf(&o, "result\n");
    struct err err = {0};
    assert_int_equal(output_close(&o, &err), -1);
    assert_int_equal(err.code, ERR_IO);
    assert_non_null(strstr(err.msg, "No space left"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_go_above_the_live_area),
        cmocka_unit_test(a_narrower_window_has_broken_the_lines),
        cmocka_unit_test(without_a_terminal_there_is_no_live_area),
        cmocka_unit_test(a_failed_write_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
