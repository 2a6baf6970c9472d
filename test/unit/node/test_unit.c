/* flambe-node.service, as systemd reads it where it is installed. */
#include "base/mem.h"
#include "node/unit.h"
#include "os/fs.h"
#include "os/proc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

static void it_is_kept_going_and_ends_alone(void **state)
{
    (void)state;
    static const char *const lines[] = {"\n[Unit]\n",
                                        "\n[Service]\n",
                                        "\n[Install]\n",
                                        "\nRestart=always\n",
                                        "\nKillMode=mixed\n",
                                        "\nStartLimitIntervalSec=0\n",
                                        "\nExecStart=/opt/flambe/bin/flambe-node watch\n",
                                        "\nWantedBy=multi-user.target\n"};
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        if (!strstr(node_unit, lines[i]))
            fail_msg("no line %s", lines[i]);
    /* Each line is a section, a comment, empty, or KEY=VALUE. */
    struct str rest = str_of(node_unit);
    while (rest.p && rest.n) {
        struct str line = str_cut(&rest, '\n');
        bool plain = !line.n || line.p[0] == '#' || line.p[0] == '[';
        assert_true(plain || (memchr(line.p, '=', line.n) && line.p[0] >= 'A' && line.p[0] <= 'Z'));
    }
}

/* With a program and a manual that are here. */
static void systemd_understands_it(void **state)
{
    (void)state;
    char dir[] = "/tmp/flambe-unit-XXXXXX";
    assert_non_null(mkdtemp(dir));
    AUTO_FREE char *path = fs_join(dir, "flambe-node.service");
    AUTO_BUF struct buf text = {0};
    struct str rest = str_of(node_unit);
    while (rest.p && rest.n) {
        struct str line = str_cut(&rest, '\n');
        if (str_starts(line, "ExecStart="))
            line = STR("ExecStart=/bin/true");
        if (str_starts(line, "Documentation="))
            continue;
        buf_addf(&text, "%.*s\n", STR_FMT(line));
    }
    assert_int_equal(fs_write_atomic(path, 0644, buf_view(&text), NULL), 0);
    const char *argv[] = {"systemd-analyze", "verify", path, NULL};
    struct loop *loop = loop_new();
    struct proc_result r;
    struct err err = {0};
    bool there = proc_run(loop, argv, NULL, STR(""), 30 * USEC_PER_SEC, &r, &err) == 0;
    loop_free(loop);
    assert_int_equal(fs_remove_tree(dir, NULL), 0);
    if (!there)
        skip(); /* no systemd here */
    int status = r.exit_status;
    AUTO_FREE char *said = mem_dup(buf_text(&r.err_out));
    proc_result_done(&r);
    if (status != 0 || strstr(said, "flambe-node.service"))
        fail_msg("%d: %s", status, said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_kept_going_and_ends_alone),
        cmocka_unit_test(systemd_understands_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
