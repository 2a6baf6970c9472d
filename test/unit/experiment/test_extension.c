/* Extensions by path, and installed ones with a python3 of the test's own. */
#include "experiment/extension.h"
#include "place.h"

static struct strv told;

static void installing(void *ctx, const char *what)
{
    (void)ctx;
    strv_add(&told, what);
}

static int run(struct place *p, struct extension *x, size_t count, bool install,
               struct extensions *out, struct err *err)
{
    struct experiment e = {.path = (char *)"x.yaml", .extensions = x, .extension_count = count};
    return extensions_prepare(p->loop, &e, p->dir, install, installing, NULL, out, err);
}

static void test_paths(void **state)
{
    struct place *p = *state;
    static const struct {
        const char *module, *path, *want;
    } table[] = {{"mod", "project", "project"},
                 {"mod", "project/mod", "project"},
                 {"mod", "project/mod/", "project"},
                 {"one", "project", "project"},
                 {"one", "project/one.py", "project"},
                 {"inner", "project", "project/src"},
                 {"other", "project", NULL},
                 {"mod", "project/one.py", NULL},
                 {"mod", "gone", NULL}};
    free(place_write(p, "project/mod/__init__.py", 0600, ""));
    free(place_write(p, "project/one.py", 0600, ""));
    free(place_write(p, "project/src/inner/__init__.py", 0600, ""));
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct extensions out;
        struct err err = {0};
        AUTO_FREE char *path = fs_join(p->dir, table[i].path);
        struct extension x[] = {{(char *)table[i].module, path, EXTENSION_PATH},
                                {(char *)table[i].module, path, EXTENSION_PATH}};
        int rc = run(p, x, 2, false, &out, &err);
        if (!table[i].want) {
            assert_int_equal(rc, -1);
            assert_int_equal(err.code, ERR_FILE);
            continue;
        }
        AUTO_FREE char *want = fs_join(p->dir, table[i].want);
        assert_int_equal(rc, 0);
        assert_int_equal(out.python_path.count, 1);
        assert_string_equal(out.python_path.items[0], want);
        assert_string_equal(out.python, "python3");
        assert_null(out.bin);
        extensions_done(&out);
    }
}

/* Makes "environments", and writes down what pip is to install; the module 'there' can be found. */
#define PYTHON                                                                                   \
    "case \"$2\" in\n"                                                                           \
    "venv) mkdir -p \"$4/bin\" && cp \"$0\" \"$4/bin/python3\" ;;\n"                             \
    "pip) echo \"$5\" >>\"$FAKE_LOG\"; case \"$5\" in bad*) echo 'ERROR: no such package' >&2; " \
    "echo more >&2; exit 1;; esac ;;\n"                                                          \
    "*) shift 2; for m; do [ \"$m\" = there ] || { echo \"$m\"; exit 0; }; done ;;\n"            \
    "esac"

static void assert_log(struct place *p, const char *want)
{
    AUTO_BUF struct buf text = {0};
    AUTO_FREE char *path = fs_join(p->dir, "log");
    (void)!fs_read(path, 10000, &text, NULL);
    assert_string_equal(buf_text(&text), want);
}

static void test_installed(void **state)
{
    struct place *p = *state;
    struct extensions out;
    struct err err = {0};
    AUTO_FREE char *log = fs_join(p->dir, "log");
    setenv("FAKE_LOG", log, 1);
    place_program(p, "python3", PYTHON);
    struct extension x[] = {
        {(char *)"a", (char *)"pack==1.0", EXTENSION_PIP},
        {(char *)"b", (char *)"https://host/b.git", EXTENSION_GIT},
        {(char *)"c", (char *)"git@host:me/c.git", EXTENSION_GIT},
        {(char *)"d", (char *)"git+ssh://host/d", EXTENSION_GIT},
        {(char *)"e", (char *)"e @ https://host/e", EXTENSION_GIT},
        {(char *)"f", (char *)"https://host/f-1-py3-none-any.whl#x", EXTENSION_GIT}};
    assert_int_equal(run(p, x, 6, false, &out, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_non_null(strstr(err.msg, "the extension 'a' is not installed"));
    assert_non_null(strstr(err.msg, "type: flambe -i x.yaml"));
    assert_log(p, "");

    for (int i = 0; i < 3; i++) { /* once, and then never again, with -i or without */
        assert_int_equal(run(p, x, 6, i != 2, &out, &err), 0);
        AUTO_FREE char *bin = fs_join(p->dir, "extensions/venv/bin");
        AUTO_FREE char *python = fs_join(bin, "python3");
        assert_string_equal(out.bin, bin);
        assert_string_equal(out.python, python);
        assert_int_equal(told.count, 6);
        assert_log(p,
                   "pack==1.0\ngit+https://host/b.git\ngit+ssh://git@host/me/c.git\n"
                   "git+ssh://host/d\ne @ https://host/e\nhttps://host/f-1-py3-none-any.whl#x\n");
        extensions_done(&out);
    }
    assert_int_equal(run(p, x, 3, false, &out, &err), -1); /* another list */
    strv_done(&told);
}

static void test_found_by_python(void **state)
{
    struct place *p = *state;
    struct extensions out;
    place_program(p, "python3", PYTHON);
    struct extension x = {(char *)"there", (char *)"pack", EXTENSION_PIP};
    assert_int_equal(run(p, &x, 1, false, &out, NULL), 0);
    assert_string_equal(out.python, "python3");
    assert_null(out.bin);
    extensions_done(&out);
}

static void test_failure(void **state)
{
    struct place *p = *state;
    struct extensions out;
    struct err err = {0};
    place_program(p, "python3", PYTHON);
    setenv("FAKE_LOG", "/dev/null", 1);
    struct extension x = {(char *)"a", (char *)"bad", EXTENSION_PIP};
    assert_int_equal(run(p, &x, 1, true, &out, &err), -1);
    assert_int_equal(err.code, ERR_REMOTE);
    assert_non_null(strstr(err.msg, "cannot install 'bad': no such package; all that was said"));
    AUTO_BUF struct buf text = {0};
    AUTO_FREE char *log = fs_join(p->dir, "extensions/install.log");
    assert_int_equal(fs_read(log, 10000, &text, NULL), 0);
    assert_non_null(strstr(buf_text(&text), "-m pip install -- bad\nERROR: no such package\nmore"));
    assert_int_equal(run(p, &x, 1, true, &out, &err), -1); /* it is no better for being there */
    strv_done(&told);
}

/* A python3 that writes down all that it is given, and says it. */
#define TALKER                                                                               \
    "case \"$2\" in\n"                                                                       \
    "venv) mkdir -p \"$4/bin\" && cp \"$0\" \"$4/bin/python3\" ;;\n"                         \
    "*) word=$(cat)\n"                                                                       \
    "   echo \"argv $*\" >>\"$FAKE_LOG\"; env | grep ^GIT_CONFIG >>\"$FAKE_LOG\"\n"          \
    "   echo \"input $word\" >>\"$FAKE_LOG\"; echo \"taking $word\"\n"                       \
    "   case \"$word\" in *bad*) echo \"ERROR: no $word, hunter22\" >&2; exit 1;; esac ;;\n" \
    "esac"

static void assert_nothing_secret(const char *text)
{
    static const char *const secrets[] = {"hunter22", "ghp_token", "abcd"};
    for (size_t i = 0; i < COUNT_OF(secrets); i++)
        if (strstr(text, secrets[i]))
            fail_msg("'%s' is in: %s", secrets[i], text);
}

static void test_secrets(void **state)
{
    struct place *p = *state;
    struct extensions out;
    struct err err = {0};
    AUTO_FREE char *log = fs_join(p->dir, "log");
    setenv("FAKE_LOG", log, 1);
    unsetenv("GIT_CONFIG_COUNT");
    place_program(p, "python3", TALKER);
    struct extension x[] = {
        {(char *)"a", (char *)"https://me:hunter%32%32@host:81/a.git@v1#egg=a", EXTENSION_GIT},
        {(char *)"b", (char *)"b @ git+https://ghp_token@host/b", EXTENSION_GIT},
        {(char *)"c", (char *)"https://me:hunter22@host/c.zip?token=abcd", EXTENSION_GIT}};
    assert_int_equal(run(p, x, 3, true, &out, &err), 0);
    extensions_done(&out);
    AUTO_BUF struct buf said = {0};
    assert_int_equal(fs_read(log, 10000, &said, NULL), 0);
    const char *text = buf_text(&said);
    /* "me:hunter22" and "ghp_token:" in base64 */
    assert_non_null(strstr(text, "GIT_CONFIG_KEY_0=http.https://host:81/.extraHeader\n"));
    assert_non_null(strstr(text, "GIT_CONFIG_VALUE_0=Authorization: Basic bWU6aHVudGVyMjI=\n"));
    assert_non_null(strstr(text, "input git+https://host:81/a.git@v1#egg=a\n"));
    assert_non_null(strstr(text, "GIT_CONFIG_VALUE_0=Authorization: Basic Z2hwX3Rva2VuOg==\n"));
    assert_non_null(strstr(text, "input b @ git+https://host/b\n"));
    assert_non_null(strstr(text, "input https://me:hunter22@host/c.zip?token=abcd\n"));
    struct str rest = buf_view(&said);
    while (rest.p) {
        AUTO_FREE char *line = str_dup(str_cut(&rest, '\n'));
        if (str_starts(str_of(line), "argv"))
            assert_nothing_secret(line);
    }
    static const char *const files[] = {"extensions/install.log", "extensions/record.json"};
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        AUTO_FREE char *path = fs_join(p->dir, files[i]);
        AUTO_BUF struct buf kept = {0};
        struct stat st;
        assert_int_equal(fs_read(path, 10000, &kept, NULL), 0);
        assert_nothing_secret(buf_text(&kept));
        assert_non_null(strstr(buf_text(&kept), "https://me:***@host/c.zip?token=***"));
        assert_int_equal(stat(path, &st), 0);
        assert_true(i > 0 || (st.st_mode & 0777) == 0600);
    }
    assert_int_equal(told.count, 3);
    for (size_t i = 0; i < told.count; i++)
        assert_nothing_secret(told.items[i]);
    x[2].source = (char *)"https://me:hunter22@host/c.zip?token=other"; /* the same one */
    assert_int_equal(run(p, x, 3, false, &out, &err), 0);
    extensions_done(&out);
    struct extension bad = {(char *)"a", (char *)"https://me:hunter22@host/bad.zip", EXTENSION_GIT};
    assert_int_equal(run(p, &bad, 1, true, &out, &err), -1);
    assert_nothing_secret(err.msg);
    assert_non_null(strstr(err.msg, "cannot install 'https://me:***@host/bad.zip': no "
                                    "https://me:***@host/bad.zip, ***; all that"));
    bad.source = (char *)"-https://me:hunter22@host/";
    assert_int_equal(run(p, &bad, 1, true, &out, &err), -1);
    assert_nothing_secret(err.msg);
    strv_done(&told);
}

static void test_options_are_refused(void **state)
{
    struct place *p = *state;
    struct extensions out;
    struct err err = {0};
    struct extension x[] = {{(char *)"a", (char *)"--index-url=x", EXTENSION_PIP},
                            {(char *)"a", (char *)"-e git+x", EXTENSION_GIT},
                            {(char *)"a", (char *)"x\n-y", EXTENSION_PIP}};
    for (size_t i = 0; i < COUNT_OF(x); i++) {
        assert_int_equal(run(p, &x[i], 1, true, &out, &err), -1);
        assert_int_equal(err.code, ERR_FILE);
    }
    AUTO_FREE char *made = fs_join(p->dir, "extensions");
    assert_false(fs_exists(made));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, place_set_up, place_tear_down)
    const struct CMUnitTest tests[] = {T(test_paths),           T(test_installed),
                                       T(test_found_by_python), T(test_failure),
                                       T(test_secrets),         T(test_options_are_refused)};
    return cmocka_run_group_tests_name("extension", tests, NULL, NULL);
}
