/* The file of secrets: what is refused, where, and that no word of it is told. */
#include "experiment/secrets.h"
#include "place.h"

/* "LINE:COLUMN PROBLEM" of each, joined by "; ". */
static void assert_said(const char *text, const char *want)
{
    struct diags d;
    AUTO_BUF struct buf said = {0};
    diags_init(&d, "secrets.ini", STR(""));
    secrets_read(str_of(text), &d);
    for (size_t i = 0; i < d.count; i++)
        buf_addf(&said, "%s%d:%d+%d %s", i ? "; " : "", d.items[i].at.line, d.items[i].at.column,
                 d.items[i].at.length, d.items[i].problem);
    if (strcmp(buf_text(&said), want) != 0)
        fail_msg("%s\n-> %s\nnot %s", text, buf_text(&said), want);
    diags_done(&d);
}

static void test_good(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "# nothing\n\n; here\n",
        "[a]\nkey = value\nother: value\nempty =\n",
        "[a]\r\nkey = value\r\n[b]\r\nkey = value\r\n",
        "[a]\nkey = one\n  two\n\n  three\n# no part of it\n  four = 4\nnext = x\n",
        "[DEFAULT]\na = 1\n[DEFAULT]\nb = 2\n",
        "  [a]\n  key = value\n    more\n",
        "[a]\nurl = http://u:p@h/?a=b#c\n",
        "[a] behind\n[ ]\n[[b]]\nkey with spaces = 1\n[x = 1\n",
        "[a]\nkey=1\n[A]\nKEY=1\n",
        "[a]\n\xc3\xbcml = \xe6\x97\xa5\n",
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        assert_said(texts[i], "");
}

static void test_bad(void **state)
{
    (void)state;
    assert_said("key = 1\nother = 2\n", "1:1+7 a line before the first section");
    assert_said("# x\n  hunter2\n[a]\n", "2:3+7 a line before the first section");
    assert_said("[a]\nhunter2\n", "2:1+7 neither a [section] nor 'key = value'");
    assert_said("[a]\nk = 1\nh\xc3\xbcnter\n", "3:1+6 neither a [section] nor 'key = value'");
    assert_said("[a\n[]\n", "1:1+2 a line before the first section");
    assert_said("[a]\n= 1\n: 2\n", "2:1+3 a value without a key; 3:1+3 a value without a key");
    assert_said("[a]\nk = 1\n\nK: 2\n", "4:1+1 this key is on line 2 already");
    assert_said("[a]\nk=1\n[b]\n[a]\n", "4:1+3 this section is on line 1 already");
    assert_said("[DEFAULT]\na = 1\n[DEFAULT]\na = 2\n", "4:1+1 this key is on line 2 already");
    assert_said("[a]\r\r\nx\n", "3:1+1 neither a [section] nor 'key = value'");
    assert_said("\xef\xbb\xbf[a]\n", "1:1+0 a byte order mark, which Python's configparser takes "
                                     "for text");
    assert_said("[a]\nk = \xff\n", "2:1+0 bytes that are no text");
}

static int check(struct place *p, const char *given, char **path, char **warning, char **said,
                 struct err *err)
{
    (void)p;
    struct diags d;
    struct buf text = {0};
    int rc = secrets_check(given, path, warning, &d, err);
    diags_print(&d, false, &text);
    diags_done(&d);
    *said = buf_take(&text);
    return rc;
}

static void test_files(void **state)
{
    struct place *p = *state;
    char *path = NULL, *warning = NULL, *said = NULL;
    struct err err = {0};
    setenv("HOME", p->dir, 1);
    assert_int_equal(check(p, NULL, &path, &warning, &said, &err),
                     0); /* the default is not there */
    assert_null(path);
    assert_null(warning);
    free(said);

    AUTO_FREE char *file = place_write(p, ".flambe/secrets.ini", 0600, "[a]\nk = hunter2\n");
    assert_int_equal(check(p, NULL, &path, &warning, &said, &err), 0);
    assert_string_equal(path, file);
    assert_null(warning);
    free(said);
    free(path);

    assert_int_equal(chmod(file, 0640), 0);
    assert_int_equal(check(p, file, &path, &warning, &said, &err), 0);
    assert_non_null(strstr(warning, "type: chmod 600 /tmp/"));
    free(said);
    free(path);
    free(warning);

    assert_int_equal(check(p, "/nonexistent/s.ini", &path, &warning, &said, &err), -1);
    assert_int_equal(err.code, ERR_FILE);
    free(said);
    assert_int_equal(check(p, p->dir, &path, &warning, &said, &err), -1);
    assert_int_equal(err.code, ERR_FILE);
    free(said);
}

static void test_no_word_is_told(void **state)
{
    struct place *p = *state;
    char *path, *warning, *said;
    struct err err = {0};
    AUTO_FREE char *file =
        place_write(p, "s.ini", 0600,
                    "hunter2\n[a]\nhunter2\nhunter2 = hunter2\nhunter2: hunter2\n= hunter2\n");
    assert_int_equal(check(p, file, &path, &warning, &said, &err), -1);
    assert_int_equal(err.code, ERR_FILE);
    assert_non_null(strstr(said, ":3:1: error: neither"));
    assert_non_null(strstr(said, ":5:1: error: this key is on line 4"));
    assert_null(strstr(said, "hunter2"));
    assert_null(strstr(err.msg, "hunter2"));
    free(said);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, place_set_up, place_tear_down)
    const struct CMUnitTest tests[] = {T(test_good), T(test_bad), T(test_files),
                                       T(test_no_word_is_told)};
    return cmocka_run_group_tests_name("secrets", tests, NULL, NULL);
}
