/* Lines with places, as real shells read them: what is printed is the value, and nothing of it was
 * run. */
#include "base/mem.h"
#include "experiment/shell_line.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* /bin/sh, whichever it is, and another one where it is there. */
static const char *const shells[] = {"/bin/sh", "/bin/bash"};

/* The line, in which each byte 1 is a place for the value. False where one is refused. */
static bool fill(const char *line, struct str value, struct buf *out, struct err *err)
{
    struct shell_line l = {0};
    shell_prologue(1, out);
    for (; *line; line++) {
        if (*line == 1) {
            if (shell_add(&l, 1, value, out, err) == -1)
                return false;
            continue;
        }
        shell_step(&l, *line);
        buf_addc(out, *line);
    }
    return true;
}

/* What the shell writes when it runs the line. */
static int run(const char *shell, const char *line, const char *value, struct buf *out)
{
    int fds[2], status;
    char block[4096];
    ssize_t n;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDOUT_FILENO);
        close(fds[0]);
        close(fds[1]);
        execl(shell, "sh", "-c", line, "sh", value, (char *)NULL);
        _exit(127);
    }
    close(fds[1]);
    while ((n = read(fds[0], block, sizeof block)) > 0)
        buf_add(out, block, (size_t)n);
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* `want`: what is printed, in which each byte 1 is the text. */
static void assert_line(const char *line, const char *text, const char *want)
{
    AUTO_BUF struct buf filled = {0}, wanted = {0};
    struct err err = {0};
    if (!fill(line, str_of(text), &filled, &err))
        fail_msg("line <%s>: %s", line, err.msg);
    for (; *want; want++) {
        if (*want == 1)
            buf_adds(&wanted, text);
        else
            buf_addc(&wanted, *want);
    }
    for (size_t i = 0; i < COUNT_OF(shells); i++) {
        AUTO_BUF struct buf got = {0};
        if (access(shells[i], X_OK) == -1)
            continue;
        int status = run(shells[i], buf_text(&filled), text, &got);
        if (status || !str_eq(buf_view(&got), buf_view(&wanted)))
            fail_msg("%s: line <%s>\nvalue <%s>\ngot <%s>, status %d\nnot <%s>", shells[i],
                     buf_text(&filled), text, buf_text(&got), status, buf_text(&wanted));
    }
}

/* None of them may run, split, be matched with files, or end what it stands in. */
static const char *const nasty[] = {
    "abc",
    "a b",
    "",
    "'",
    "\"",
    "\\",
    "$HOME",
    "${HOME}",
    "$(echo x)",
    "`echo x`",
    "*",
    "a)b",
    "}",
    "#a",
    "';echo x;'",
    "\";echo x;\"",
    "a\nEOF\necho x\n",
    "\nb",
    "a\\\nb",
    "$((1+1))",
    "-n x",
    "~",
    "a[$(echo x >&2; exit 9)]",
    "\xc3\xa9 | cat",
    "1 2",
    "\t; exit 7;",
};

static void assert_lines(const char *line, const char *want)
{
    for (size_t i = 0; i < COUNT_OF(nasty); i++)
        assert_line(line, nasty[i], want);
}

static void a_value_is_one_word_or_a_part_of_one(void **state)
{
    (void)state;
    assert_lines("printf '<%s>' \x01 a\x01z '\x01' 'a\x01z' \"\x01\" \"a\x01z\" a'b'\"c\"\x01",
                 "<\x01><a\x01z><\x01><a\x01z><\x01><a\x01z><abc\x01>");
    assert_lines("V=\x01; W=a\x01'\x01'; printf '<%s>' \"$V\" \"$W\"", "<\x01><a\x01\x01>");
    assert_lines("for i in \x01 b; do printf '<%s>' \"$i\"; done", "<\x01><b>");
    assert_lines("case \x01 in \x01) printf '<%s>' \x01;; *) echo no;; esac", "<\x01>");
    assert_lines("f() { printf '<%s>' \"$1\" \x01; }; f x; set -- y; f z; printf '%s' $#",
                 "<x><\x01><z><\x01>1");
    assert_lines("printf '%s' \"$#$*\"; cat </dev/null >/dev/null 2>&1; printf '<%s>' \x01",
                 "0<\x01>");
}

/* The backslash would take the quote of the value for itself, and the rest would be the shell's. */
static void a_backslash_before_a_place_opens_nothing(void **state)
{
    (void)state;
    assert_lines("printf '<%s>' \\\x01", "<\x01>");
    assert_lines("printf '<%s>' \"\\\x01\" '\\\x01'", "<\\\x01><\\\x01>");
    assert_lines("printf '<%s>' \\\\\x01 \\'\x01 \"\\\"\x01\" \\\"\x01",
                 "<\\\x01><'\x01><\"\x01><\"\x01>");
    assert_lines("printf '<%s>' a \\\n\x01 # \\\nprintf x", "<a><\x01>x");
}

static void a_variable_before_a_place_keeps_its_name(void **state)
{
    (void)state;
    assert_lines("V=v; printf '<%s>' $V\x01 \"$V\x01\" \"x$V.\x01\" '$V\x01' \"${V}\x01\"",
                 "<v\x01><v\x01><xv.\x01><$V\x01><v\x01>");
}

static void comments_open_no_quotes(void **state)
{
    (void)state;
    assert_lines("# it isn't one\nprintf '<%s>' \x01 a#\"\x01\" '# it' \x01",
                 "<\x01><a#\x01><# it><\x01>");
    assert_lines("printf x # \x01 is left \"alone\nprintf y; printf '<%s>' \x01", "xy<\x01>");
    assert_lines("printf '<%s>' \"$(printf '%s.' $# # it's )\n)\" \x01", "<0.><\x01>");
    assert_lines("test $$#\x01 && printf '<%s>' \x01", "<\x01>");
}

static void a_command_within_the_line_has_quotes_of_its_own(void **state)
{
    (void)state;
    assert_lines("printf '<%s>' \"$(printf '[%s].' \x01)\"", "<[\x01].>");
    assert_lines("printf '<%s>' \"$(printf '[%s]' '\x01' \"\x01\").\x01\" \x01",
                 "<[\x01][\x01].\x01><\x01>");
    assert_lines("printf '<%s>' \"$(printf '[%s]' \"$(printf '(%s)' \"\x01\")\")\x01\"",
                 "<[(\x01)]\x01>");
    assert_lines("(printf '<%s>' \"$((1 + (2)))\x01\"); printf '<%s>' \"\x01\"", "<3\x01><\x01>");
    assert_lines("printf '<%s>' \"`printf '[%s].' \x01 '\x01' \"\x01\"`\x01\" \x01",
                 "<[\x01].[\x01].[\x01].\x01><\x01>");
    assert_lines("printf '<%s>' `: it` \x01", "<\x01>");
    assert_lines("( (printf '<%s>' \x01) )", "<\x01>");
    assert_lines("printf '<%s>' \"$(case x in (x) printf '%s.' \x01;; esac)\x01\"", "<\x01.\x01>");
    assert_lines("(case x in x) printf '<%s>' \x01;; esac); printf '<%s>' '\x01' \x01",
                 "<\x01><\x01><\x01>");
}

static void a_variable_s_default_may_be_a_value(void **state)
{
    (void)state;
    assert_lines("printf '<%s>' ${NOT-\x01} ${NOT:-'\x01'} \"${NOT:-\x01}\" \"${NOT:=\x01}\" "
                 "\"it's ${NOT}'\x01'\"",
                 "<\x01><\x01><\x01><\x01><it's \x01'\x01'>");
    assert_lines("V=x\x01; printf '<%s>' \"${V#x\x01}.\" \"${V%'\x01'}\" \"${V#x}.\"",
                 "<.><x><\x01.>");
}

static void here_documents_are_filled(void **state)
{
    (void)state;
    assert_lines("cat <<EOF\n<\x01> it's \"\x01\" \\\x01\n$(printf '[%s].' \"\x01\" \x01)\nEOF\n"
                 "printf '<%s>' \x01",
                 "<\x01> it's \"\x01\" \\\x01\n[\x01].[\x01].\n<\x01>");
    assert_lines("cat <<-EOF; printf '<%s>' \x01\n\ta\x01\n\tEOF\nprintf '<%s>' \"\x01\"",
                 "a\x01\n<\x01><\x01>");
    assert_lines("cat <<'E F'; cat <<\\B\nit's $V\nE F\n\"\nB\nprintf '<%s>' \x01",
                 "it's $V\n\"\n<\x01>");
    assert_lines("printf '<%s>' \"$(cat <<EOF\n\"\x01\"\nEOF\n)\" \x01", "<\"\x01\"><\x01>");
    assert_lines("cat <<EOF | sed 's/^/>/' | grep -c . >/dev/null && printf '<%s>' \x01\na\nEOF\n"
                 "printf '%s' \x01",
                 "<\x01>\x01");
}

static void arithmetic_takes_whole_numbers_alone(void **state)
{
    (void)state;
    assert_line("printf '<%s>' \"$((\x01 + 1))\" $((2 * (\x01 - 1))) \x01", "41", "<42><80><\x01>");
    static const char *const lines[] = {"echo $((\x01))", "echo \"$(( (1) + ${V:-\x01}))\"",
                                        "((\x01))"};
    static const char *const values[] = {"a[$(echo x)]", "x", "", "-", "1.5", "1 + 1", "HOME"};
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        for (size_t k = 0; k < COUNT_OF(values); k++) {
            AUTO_BUF struct buf out = {0};
            struct err err = {0};
            assert_false(fill(lines[i], str_of(values[k]), &out, &err));
            assert_int_equal(err.code, ERR_FILE);
            assert_non_null(strstr(err.msg, "only a whole number can stand"));
        }
}

static void what_cannot_be_right_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *line, *why;
    } rows[] = {
        {"cat <<'EOF'\n\x01\nEOF", "whose end is quoted"},
        {"cat <<\\EOF\nx\n\x01\nEOF", "whose end is quoted"},
        {"cat <<\x01\nx\nEOF", "in the end of a here-document"},
        {"cat <<E\x01\nx\nEOF", "in the end of a here-document"},
        {"cat <<$E\nx\n$E\necho \x01", "whose end is no plain word"},
        {"cat <<EOF\nE\\\nOF\necho \x01", "whose end follows a backslash"},
        {"x=$(cat <<EOF)\nx\nEOF\necho \x01", "that has not ended"},
        {"cat <<EOF $(echo\n)\nEOF\necho \x01", "begins within $(…)"},
        {"echo `echo \\`echo \x01\\``", "behind a backslash within `…`"},
        {"echo \"`echo \\\"\x01\\\"`\"", "behind a backslash within `…`"},
        {"x=`cat <<EOF`\nEOF\n\x01", "here-document within `…`"},
        {"echo $'it\\'s' \x01", "behind $'…'"},
        {"echo ${V:\x01:1}", "within ${…} a value can stand"},
        {"echo ${V[\x01]}", "within ${…} a value can stand"},
        {"echo ${V/\x01/x}", "within ${…} a value can stand"},
        {"echo ${V\x01}", "within ${…} a value can stand"},
        {"echo \"${V:-\"\x01\"}\"", "behind a quote within"},
        {"echo \"$(case x in x) echo;; esac)\" \x01", "behind a 'case' within"},
        {"echo $((1 + \"2\" + \x01))", "behind a quote within $((…))"},
        {"((echo x) | cat); echo \x01", "may be an expression or commands"},
        {"eval \x01", "would run the value as code"},
        {"V=x eval echo a \"$V \x01\"", "would run the value as code"},
        {"if command eval '\x01'; then :; fi", "would run the value as code"},
        {"eval echo 2>&1 \x01", "would run the value as code"},
        {"trap 'rm \x01' EXIT", "would run the value as code"},
        {"cat <<1; cat <<2; cat <<3; cat <<4; cat <<5; echo \x01", "too many here-documents"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_BUF struct buf out = {0};
        struct err err = {0};
        if (fill(rows[i].line, STR("1"), &out, &err))
            fail_msg("'%s' gives '%s'", rows[i].line, buf_text(&out));
        if (err.code != ERR_FILE || !strstr(err.msg, rows[i].why))
            fail_msg("'%s': '%s' does not say '%s'", rows[i].line, err.msg, rows[i].why);
    }
    AUTO_BUF struct buf deep = {0}, out = {0};
    struct err err = {0};
    for (int i = 0; i < 100; i++)
        buf_adds(&deep, "$(");
    buf_adds(&deep, "\x01");
    assert_false(fill(buf_text(&deep), STR("1"), &out, &err));
    assert_non_null(strstr(err.msg, "too many things within each other"));
}

/* Words that only look as if they ran code. */
static void arguments_named_so_are_no_code(void **state)
{
    (void)state;
    assert_lines("printf '<%s>' eval \x01; : trap \x01 2>&1 eval \x01; printf '<%s>' \x01",
                 "<eval><\x01><\x01>");
    assert_lines("eval :; printf '<%s>' \x01 \"$(eval :; printf '%s.' \x01)\"", "<\x01><\x01.>");
}

/* Random lines of pieces: whatever the line, what the value holds is never run. */
static void no_value_is_ever_run(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "'",  "\"", "`",   "$(",   ")",    "(",     "${V:-", "}",    "\\",      "\n", " ",
        "#",  "$",  "$((", "))",   "<<E ", "\nE\n", "\x01",  "\x01", "echo ",   ";",  "case x in x",
        "<<", "'",  "\"",  "esac", "<<-E", "$'",    "eval ", "\x01", "<<'E'\n", ": ", "\\\n",
    };
    srand(1);
    for (int round = 0; round < 1500; round++) {
        AUTO_BUF struct buf line = {0}, filled = {0}, got = {0};
        int count = 3 + rand() % 12;
        for (int i = 0; i < count; i++)
            buf_adds(&line, pieces[(size_t)rand() % COUNT_OF(pieces)]);
        static const char evil[] = "'\"`)}\nE\n;echo RUN$((6*7)) >&2;`echo RUN$((6*7)) >&2`"
                                   "$(echo RUN$((6*7)) >&2);\"'`a[$(echo RUN$((6*7)) >&2)]";
        struct err err;
        if (!fill(buf_text(&line), STR(evil), &filled, &err))
            continue;
        for (size_t i = 0; i < COUNT_OF(shells); i++) {
            AUTO_BUF struct buf whole = {0};
            if (access(shells[i], X_OK) == -1)
                continue;
            buf_addf(&whole, "exec 2>&1 </dev/null\n%s", buf_text(&filled));
            (void)run(shells[i], buf_text(&whole), evil, &got);
            if (strstr(buf_text(&got), "RUN42"))
                fail_msg("%s: <%s>\nran the value: <%s>", shells[i], buf_text(&filled),
                         buf_text(&got));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_is_one_word_or_a_part_of_one),
        cmocka_unit_test(a_backslash_before_a_place_opens_nothing),
        cmocka_unit_test(a_variable_before_a_place_keeps_its_name),
        cmocka_unit_test(comments_open_no_quotes),
        cmocka_unit_test(a_command_within_the_line_has_quotes_of_its_own),
        cmocka_unit_test(a_variable_s_default_may_be_a_value),
        cmocka_unit_test(here_documents_are_filled),
        cmocka_unit_test(arithmetic_takes_whole_numbers_alone),
        cmocka_unit_test(what_cannot_be_right_is_refused),
        cmocka_unit_test(arguments_named_so_are_no_code),
        cmocka_unit_test(no_value_is_ever_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
