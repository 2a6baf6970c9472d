/* Tables and the live view of a cluster, laid out for several widths and heights. */
#include "base/mem.h"
#include "cli/hosttable.h"
#include "cli/table.h"
#include "cli/text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those before it */
#include <cmocka.h>

static const struct table_column columns[] = {
    {"host", 0, false}, {"type", 2, false}, {"zone", 1, false}, {"note", 0, true}};

static char *render(const struct table *t, size_t width, bool color)
{
    AUTO_STRV struct strv lines = {0};
    table_render(t, width, color, &lines);
    for (size_t i = 0; i < lines.count; i++)
        assert_true(!width || text_width(str_of(lines.items[i])) <= width);
    return strv_join(&lines, "\n");
}

static void assert_render(const struct table *t, size_t width, bool color, const char *want)
{
    AUTO_FREE char *have = render(t, width, color);
    assert_string_equal(have, want);
}

static void fill(struct table *t)
{
    static const char *const rows[][4] = {
        {"orchestrator", "t3.small", "us-east-1a", ""},
        {"factory_1", "g4dn.xlarge", NULL, "pip install torch torchvision"},
    };
    table_init(t, columns, 4);
    for (size_t r = 0; r < 2; r++)
        for (size_t c = 0; c < 4; c++)
            table_add(t, c == 0 ? STYLE_BOLD : STYLE_NONE, rows[r][c]);
}

static void columns_go_where_the_width_is_small(void **state)
{
    (void)state;
    struct table t;
    fill(&t);
    assert_render(&t, 0, false,
                  "host          type         zone        note\n"
                  "orchestrator  t3.small     us-east-1a\n"
                  "factory_1     g4dn.xlarge  -           pip install torch torchvision");
    assert_render(&t, 55, false,
                  "host          type         zone        note\n"
                  "orchestrator  t3.small     us-east-1a\n"
                  "factory_1     g4dn.xlarge  -           pip install t...");
    assert_render(&t, 45, false,
                  "host          type         note\n"
                  "orchestrator  t3.small\n"
                  "factory_1     g4dn.xlarge  pip install tor...");
    assert_render(&t, 30, false,
                  "host          note\n"
                  "orchestrator\n"
                  "factory_1     pip install t...");
    assert_render(&t, 10, false, "host\norchest...\nfactory_1");
    assert_render(&t, 1, false, ".\n.\n.");
    table_done(&t);
}

static void an_empty_column_is_left_out(void **state)
{
    (void)state;
    struct table t;
    table_init(&t, columns, 4);
    for (size_t c = 0; c < 4; c++)
        table_add(&t, STYLE_NONE, c == 0 ? "a" : "");
    assert_render(&t, 80, false, "host\na");
    table_done(&t);
}

static void color_and_hostile_text(void **state)
{
    (void)state;
    struct table t;
    table_init(&t, columns, 2);
    table_add(&t, STYLE_RED, "a\x1b[2J\n");
    table_add(&t, STYLE_NONE, "b");
    assert_render(&t, 0, true,
                  "\x1b[2mhost\x1b[0m          \x1b[2mtype\x1b[0m\n"
                  "\x1b[31ma\\x1b[2J\\x0a\x1b[0m  b");
    table_done(&t);
}

/* ---- the live view ------------------------------------------------------------------------ */

#define NOW (100 * USEC_PER_SEC)

static struct cluster_hosts make_hosts(size_t count)
{
    struct cluster_hosts h = {.items = mem_array(count, sizeof *h.items), .count = count};
    for (size_t i = 0; i < count; i++) {
        struct cluster_host *host = &h.items[i];
        host->role = i ? ROLE_FACTORY : ROLE_ORCHESTRATOR;
        host->index = (int)i;
        host->name = i ? mem_printf("mine_factory_%zu", i) : mem_dup("mine_orchestrator");
        host->type = mem_dup("t3.small");
        host->zone = mem_dup("us-east-1a");
        host->phase = HOST_BOOTING;
        host->phase_since = NOW - (usec_t)(i + 3) * USEC_PER_SEC;
    }
    return h;
}

static void free_hosts(struct cluster_hosts *h)
{
    for (size_t i = 0; i < h->count; i++) {
        free(h->items[i].name);
        free(h->items[i].type);
        free(h->items[i].zone);
        free(h->items[i].public_ip);
        free(h->items[i].note);
    }
    free(h->items);
}

static char *view(const struct cluster_hosts *hosts, size_t width, size_t height)
{
    struct hostview v = {.cluster = "mine", .began = NOW - 14 * USEC_PER_SEC};
    for (size_t i = 0; i < hosts->count; i++)
        hostview_set(&v, hosts, i);
    v.step = mem_dup("waiting for hosts");
    AUTO_STRV struct strv lines = {0};
    hostview_render(&v, NOW, width, height, false, &lines);
    assert_true(lines.count < height || height < 4);
    for (size_t i = 0; i < lines.count; i++)
        assert_true(text_width(str_of(lines.items[i])) < width || width == 1);
    hostview_done(&v);
    return strv_join(&lines, "\n");
}

static void assert_view(const struct cluster_hosts *hosts, size_t width, size_t height,
                        const char *want)
{
    AUTO_FREE char *have = view(hosts, width, height);
    assert_string_equal(have, want);
}

static void three_hosts(void **state)
{
    (void)state;
    struct cluster_hosts h = make_hosts(3);
    h.items[0].phase = HOST_READY;
    h.items[0].public_ip = mem_dup("127.9.0.1");
    h.items[2].phase = HOST_FAILED;
    h.items[2].note = mem_dup("no answer\x1b[0m within 10 min");
    assert_view(&h, 100, 24,
                "host          phase    since  type      zone        address    note\n"
                "orchestrator  ready           t3.small  us-east-1a  127.9.0.1\n"
                "factory_1     booting  4 s    t3.small  us-east-1a\n"
                "factory_2     failed          t3.small  us-east-1a             "
                "no answer\\x1b[0m within 10 min\n"
                "3 hosts: 1 ready, 1 booting, 1 failed; waiting for hosts (14 s)");
    assert_view(&h, 60, 24,
                "host          phase    since  address    note\n"
                "orchestrator  ready           127.9.0.1\n"
                "factory_1     booting  4 s\n"
                "factory_2     failed                     no answer\\x1b[0...\n"
                "3 hosts: 1 ready, 1 booting, 1 failed; waiting for hosts...");
    free_hosts(&h);
}

static void more_hosts_than_lines_show_the_slowest(void **state)
{
    (void)state;
    struct cluster_hosts h = make_hosts(50);
    for (size_t i = 0; i < 40; i++)
        h.items[i].phase = HOST_READY;
    h.items[41].phase = HOST_FAILED;
    h.items[45].phase = HOST_SETTING_UP;
    assert_view(&h, 80, 7,
                "host        phase    since  type      zone\n"
                "factory_41  failed          t3.small  us-east-1a\n"
                "factory_49  booting  52 s   t3.small  us-east-1a\n"
                "factory_48  booting  51 s   t3.small  us-east-1a\n"
                "factory_47  booting  50 s   t3.small  us-east-1a\n"
                "50 hosts: 40 ready, 1 set-up, 8 booting, 1 failed; waiting for hosts (14 s)");
    free_hosts(&h);
}

static void nothing_known_yet(void **state)
{
    (void)state;
    struct cluster_hosts h = {0};
    assert_view(&h, 80, 24, "waiting for hosts (14 s)");
    assert_view(&h, 1, 1, ".");
}

static void hosts_come_and_go(void **state)
{
    (void)state;
    struct hostview v = {.cluster = "mine"};
    struct cluster_hosts h = make_hosts(3);
    hostview_set(&v, &h, 0);
    assert_int_equal(v.hosts.count, 3);
    assert_string_equal(v.hosts.items[2].name, "mine_factory_2");
    h.items[1].phase = HOST_READY;
    h.items[2].phase = HOST_READY;
    hostview_set(&v, &h, 1);
    assert_int_equal(v.hosts.items[1].phase, HOST_READY);
    assert_int_equal(v.hosts.items[2].phase, HOST_BOOTING); /* told of host 1 alone */
    h.count = 1;
    hostview_set(&v, &h, 0);
    assert_int_equal(v.hosts.count, 1);
    h.count = 3;
    hostview_done(&v);
    free_hosts(&h);
}

static void status_table(void **state)
{
    (void)state;
    struct cluster_hosts h = make_hosts(2);
    h.items[0].public_ip = mem_dup("127.9.0.1");
    h.items[0].launched = 1000 * USEC_PER_SEC;
    h.items[0].phase = HOST_RUNNING;
    AUTO_STRV struct strv lines = {0};
    hosttable_status("mine", &h, 1130 * USEC_PER_SEC, 0, false, &lines);
    AUTO_FREE char *have = strv_join(&lines, "\n");
    assert_string_equal(have,
                        "host          state    type      zone        address    up          id\n"
                        "orchestrator  running  t3.small  us-east-1a  127.9.0.1  2 min 10 s  -\n"
                        "factory_1     booting  t3.small  us-east-1a  -          -           -");
    free_hosts(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_go_where_the_width_is_small),
        cmocka_unit_test(an_empty_column_is_left_out),
        cmocka_unit_test(color_and_hostile_text),
        cmocka_unit_test(three_hosts),
        cmocka_unit_test(more_hosts_than_lines_show_the_slowest),
        cmocka_unit_test(nothing_known_yet),
        cmocka_unit_test(hosts_come_and_go),
        cmocka_unit_test(status_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
