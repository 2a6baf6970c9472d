/* Table, help, completion and manual agree. The manual's generated parts are written anew when
 * FLAMBE_UPDATE_DOC is set in the environment. */
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "os/fs.h"
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those before it */
#include <cmocka.h>

#define DOC_MAX ((size_t)1 << 20)

static bool has(const struct buf *text, const char *what)
{
    if (memmem(buf_text(text), text->len, what, strlen(what)))
        return true;
    print_message("'%s' is missing\n", what);
    return false;
}

/* ---- the table itself --------------------------------------------------------------------- */

static void assert_phrase(const char *s)
{
    assert_non_null(s);
    assert_true(*s && !isupper((unsigned char)*s));
    assert_true(s[strlen(s) - 1] != '.');
}

static void assert_rows(const struct option_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_phrase(rows[i].help);
        assert_true((rows[i].kind == OPTION_TEXT) == (rows[i].value != NULL));
    }
}

static void the_table_is_whole(void **state)
{
    (void)state;
    assert_rows(global_options.rows, global_options.count);
    for (size_t i = 0; i < command_count; i++) {
        const struct command *c = commands[i];
        assert_phrase(c->summary);
        assert_non_null(c->run);
        assert_non_null(c->complete);
        assert_true(c->max >= c->min);
        assert_true((c->max > 0) == (*c->usage != '\0'));
        assert_rows(c->options, c->option_count);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(c->name, commands[k]->name);
        /* No option of a verb hides a global one. */
        for (size_t o = 0; o < c->option_count; o++)
            for (size_t g = 0; g < global_options.count; g++) {
                const struct option_row *a = &c->options[o], *b = &global_options.rows[g];
                assert_string_not_equal(a->name, b->name);
                assert_true(!a->letter || a->letter != b->letter);
            }
    }
}

/* ---- help --------------------------------------------------------------------------------- */

static void assert_widths(const struct buf *text)
{
    struct str rest = buf_view(text);
    while (rest.p) {
        struct str line = str_cut(&rest, '\n');
        if (line.n > 80)
            print_message("too wide: %.*s\n", STR_FMT(line));
        assert_true(line.n <= 80);
    }
}

static void assert_signatures(const struct option_row *rows, size_t count, const struct buf *text)
{
    for (size_t i = 0; i < count; i++) {
        AUTO_BUF struct buf signature = {0};
        options_signature(&rows[i], &signature);
        assert_true(has(text, buf_text(&signature)));
    }
}

static void help_names_everything(void **state)
{
    (void)state;
    AUTO_BUF struct buf overview = {0};
    help_overview(&overview);
    assert_widths(&overview);
    assert_signatures(global_options.rows, global_options.count, &overview);
    for (size_t i = 0; i < command_count; i++) {
        const struct command *c = commands[i];
        assert_true(has(&overview, c->name));
        AUTO_BUF struct buf text = {0};
        help_command(c, &text);
        assert_widths(&text);
        assert_true(has(&text, c->usage));
        assert_signatures(c->options, c->option_count, &text);
        assert_signatures(global_options.rows, global_options.count, &text);
    }
}

/* ---- completion --------------------------------------------------------------------------- */

static void assert_completes(const char *shell, const struct option_row *rows, size_t count,
                             const struct buf *script)
{
    for (size_t i = 0; i < count; i++) {
        bool fish = strcmp(shell, "fish") == 0;
        AUTO_FREE char *name = mem_printf("%s%s", fish ? "-l " : "--", rows[i].name);
        assert_true(has(script, name));
        for (size_t k = 0; rows[i].choices && rows[i].choices[k]; k++)
            assert_true(has(script, rows[i].choices[k]));
    }
}

static void completion_names_everything(void **state)
{
    (void)state;
    for (size_t s = 0; completion_shells[s]; s++) {
        AUTO_BUF struct buf script = {0};
        completion_write(completion_shells[s], &script);
        assert_completes(completion_shells[s], global_options.rows, global_options.count, &script);
        for (size_t i = 0; i < command_count; i++) {
            assert_true(has(&script, commands[i]->name));
            assert_completes(completion_shells[s], commands[i]->options, commands[i]->option_count,
                             &script);
        }
    }
}

/* ---- the manual --------------------------------------------------------------------------- */

struct part {
    const char *file, *name;
    void (*write)(struct buf *out);
};

static const struct part parts[] = {
    {"doc/flambe.1.scd", "synopsis", manual_synopsis},
    {"doc/flambe.1.scd", "commands", manual_commands},
    {"doc/flambe.1.scd", "options", manual_options},
    {"doc/aws-cluster.yaml.5.scd", "keys", manual_keys},
    {"doc/aws-cluster.yaml.5.scd", "ssh keys", manual_ssh_keys},
    {"doc/experiment.yaml.5.scd", "keys", manual_experiment_keys},
    {"doc/experiment.yaml.5.scd", "script", manual_script_keys},
    {"doc/experiment.yaml.5.scd", "command", manual_command_keys},
    {"doc/experiment.yaml.5.scd", "devices", manual_device_keys},
    {"doc/experiment.yaml.5.scd", "objective", manual_objective_keys},
    {"doc/experiment.yaml.5.scd", "scheduler", manual_scheduler_keys},
    {"doc/experiment.yaml.5.scd", "random", manual_random_keys},
    {"doc/experiment.yaml.5.scd", "optuna", manual_optuna_keys},
};

static void check_part(const struct part *part)
{
    AUTO_FREE char *path = mem_printf("%s/%s", SOURCE_ROOT, part->file);
    AUTO_FREE char *begin = mem_printf("; begin %s: made from the table\n", part->name);
    AUTO_FREE char *end = mem_printf("; end %s\n", part->name);
    AUTO_BUF struct buf doc = {0}, want = {0};
    struct err err = {0};
    if (fs_read(path, DOC_MAX, &doc, &err) == -1)
        fail_msg("%s", err.msg);
    part->write(&want);
    const char *text = buf_text(&doc);
    const char *from = strstr(text, begin), *to = from ? strstr(from, end) : NULL;
    assert_non_null(from);
    assert_non_null(to);
    from += strlen(begin);
    if ((size_t)(to - from) == want.len && memcmp(from, buf_text(&want), want.len) == 0)
        return;
    if (!getenv("FLAMBE_UPDATE_DOC"))
        fail_msg("%s: '%s' is not what the table says; run this test with FLAMBE_UPDATE_DOC=1",
                 part->file, part->name);
    AUTO_BUF struct buf fresh = {0};
    buf_add(&fresh, text, (size_t)(from - text));
    buf_add_str(&fresh, buf_view(&want));
    buf_adds(&fresh, to);
    assert_int_equal(fs_write_atomic(path, 0644, buf_view(&fresh), NULL), 0);
}

static void the_manual_says_what_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        check_part(&parts[i]);
}

/* Exit codes are written by hand: each one of err.c's table is there. */
static void the_manual_names_the_exit_statuses(void **state)
{
    (void)state;
    AUTO_BUF struct buf doc = {0};
    assert_int_equal(fs_read(SOURCE_ROOT "/doc/flambe.1.scd", DOC_MAX, &doc, NULL), 0);
    for (int code = 0; code < ERR_CODE_COUNT; code++) {
        AUTO_FREE char *line = mem_printf("\n*%d*\n", err_exit_status((enum err_code)code));
        assert_true(has(&doc, line));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_whole),
        cmocka_unit_test(help_names_everything),
        cmocka_unit_test(completion_names_everything),
        cmocka_unit_test(the_manual_says_what_the_table_says),
        cmocka_unit_test(the_manual_names_the_exit_statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
