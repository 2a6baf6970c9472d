/* What goes to the hosts, of trees with all that a tree can have. git is the judge where it is
 * there. */
#include "experiment/manifest.h"
#include "experiment/worktree.h"
#include "place.h"
#include <sys/socket.h>
#include <sys/un.h>

struct tree {
    struct place *p;
    char *root; /* p->dir/tree */
    struct experiment e;
    bool loaded, made;
    struct manifest m;
    struct err err;
};

static struct tree *open_tree(void **state)
{
    struct tree *t = mem_alloc(sizeof *t);
    t->p = *state;
    t->root = fs_join(t->p->dir, "tree");
    assert_int_equal(fs_mkdirs(t->root, 0700, NULL), 0);
    assert_int_equal(chdir(t->root), 0);
    setenv("HOME", t->p->dir, 1);
    return t;
}

static void close_tree(struct tree *t)
{
    assert_int_equal(chdir("/"), 0);
    if (t->made)
        manifest_done(&t->m);
    if (t->loaded)
        experiment_done(&t->e);
    free(t->root);
    free(t);
}

static void put(struct tree *t, const char *name, const char *text)
{
    AUTO_FREE char *path = mem_printf("tree/%s", name);
    free(place_write(t->p, path, 0644, text));
}

static void command(const char *line)
{
    FILE *f = popen(line, "r");
    assert_non_null(f);
    char block[256];
    while (fread(block, 1, sizeof block, f) > 0)
        ;
    if (pclose(f) != 0)
        fail_msg("failed: %s", line);
}

#define GIT "git -c user.name=x -c user.email=x@x "

static bool has_git(void)
{
    return access("/usr/bin/git", X_OK) == 0;
}

/* Loads the experiment and makes its manifest; 0 or -1 as that. */
static int make(struct tree *t, const char *path, const char *text, const char *const *never)
{
    struct experiment_options options = {.machine = {.cpus = 1}, .seed = 1, .on_cluster = true};
    struct diags diags;
    AUTO_STRV struct strv resources = {0};
    if (experiment_parse(path, str_of(text), &options, &t->e, &diags, &t->err) != 0) {
        AUTO_BUF struct buf said = {0};
        diags_print(&diags, false, &said);
        fail_msg("%s", buf_text(&said));
    }
    diags_done(&diags);
    t->loaded = true;
    for (size_t i = 0; i < t->e.resource_count; i++)
        strv_add(&resources, t->e.resources[i].location);
    struct manifest_options o = {
        .loop = t->p->loop, .working = ".", .resources = &resources, .never = never};
    AUTO_FREE char *working = getcwd(NULL, 0);
    o.working = working;
    int rc = manifest_make(&t->e, &o, &t->m, &t->err);
    t->made = rc == 0;
    return rc;
}

static void make_ok(struct tree *t, const char *text)
{
    if (make(t, "e.yaml", text, NULL) == -1)
        fail_msg("%s", t->err.msg);
}

static bool goes(const struct tree *t, const char *name)
{
    const char *p = buf_text(&t->m.names), *end = p + t->m.names.len;
    for (; p < end; p += strlen(p) + 1)
        if (strcmp(p, name) == 0)
            return true;
    return false;
}

static size_t count(const struct tree *t)
{
    size_t n = 0;
    const char *p = buf_text(&t->m.names), *end = p + t->m.names.len;
    for (; p < end; p += strlen(p) + 1)
        n++;
    return n;
}

static void text_has(const struct tree *t, const char *word)
{
    AUTO_BUF struct buf text = {0};
    manifest_text(&t->m, &text);
    if (!strstr(buf_text(&text), word))
        fail_msg("'%s' is not in: %s", word, buf_text(&text));
}

#define EXPERIMENT "!Experiment\nname: sweep\npipeline:\n  train: !Script\n    script: train.py\n"

static void start(struct tree *t)
{
    put(t, "e.yaml", EXPERIMENT);
    put(t, "train.py", "import lib\n");
    put(t, "lib/__init__.py", "");
}

/* ---- which files ---- */

static void ignore_rules(struct tree *t)
{
    start(t);
    put(t, ".gitignore", "*.log\n/build/\n!keep.log\ndoc/*.pdf\n");
    put(t, ".flambeignore", "/big\nnotes*\n");
    put(t, "a.log", "x");
    put(t, "lib/b.log", "x");
    put(t, "build/x", "x");
    put(t, "lib/build/y", "x");
    put(t, "doc/z.pdf", "x");
    put(t, "big/data", "x");
    put(t, "lib/big", "x");
    put(t, "notes.txt", "x");
    put(t, "sub/.flambeignore", "mine\n");
    put(t, "sub/mine", "x");
    put(t, "sub/other", "x");
    put(t, "flambe-output/output__sweep/flambe.db", "x");
}

static void check_rules(const struct tree *t)
{
    static const char *const in[] = {"e.yaml",  "train.py",  "lib/__init__.py", "lib/build/y",
                                     "lib/big", "sub/other", ".gitignore",      ".flambeignore"};
    static const char *const out[] = {
        "a.log",    "lib/b.log", "build/x",  "doc/z.pdf",
        "big/data", "notes.txt", "sub/mine", "flambe-output/output__sweep/flambe.db"};
    for (size_t i = 0; i < COUNT_OF(in); i++)
        if (!goes(t, in[i]))
            fail_msg("'%s' does not go", in[i]);
    for (size_t i = 0; i < COUNT_OF(out); i++)
        if (goes(t, out[i]))
            fail_msg("'%s' goes", out[i]);
}

static void git_and_flambe_say_what_is_ignored(void **state)
{
    if (!has_git())
        skip();
    struct tree *t = open_tree(state);
    ignore_rules(t);
    put(t, "keep.log", "x");
    put(t, "tracked.log", "x");
    command("git init -q . && " GIT "add -f tracked.log notes.txt train.py && " GIT
            "commit -qm x && rm -rf .git/hooks");
    put(t, "gone.py", "x");
    command(GIT "add gone.py && rm gone.py");
    make_ok(t, EXPERIMENT);
    check_rules(t);
    assert_true(goes(t, "keep.log") && goes(t, "tracked.log"));
    assert_false(goes(t, "gone.py") || goes(t, ".git/HEAD"));
    assert_int_equal(t->m.files, count(t));
    close_tree(t);
}

static void without_a_checkout_the_rules_hold_too(void **state)
{
    if (access("/usr/bin/rsync", X_OK) != 0)
        skip();
    struct tree *t = open_tree(state);
    ignore_rules(t);
    make_ok(t, EXPERIMENT);
    check_rules(t);
    close_tree(t);
}

static void repositories_within_are_asked_in_turn(void **state)
{
    if (!has_git())
        skip();
    struct tree *t = open_tree(state);
    start(t);
    put(t, "vendor/.gitignore", "*.o\n");
    put(t, "vendor/a.c", "x");
    put(t, "vendor/a.o", "x");
    command("git init -q . && cd vendor && git init -q . && " GIT "add a.c && " GIT "commit -qm x");
    make_ok(t, EXPERIMENT);
    assert_true(goes(t, "vendor/a.c"));
    assert_false(goes(t, "vendor/a.o") || goes(t, "vendor/.git/HEAD"));
    close_tree(t);
}

static const char *const hostile[] = {
    "-rf", "two\nlines",  "a b",    "it's", "\"q\"",       "$(touch z)", "\xff\xfe",   "#c", ";c",
    "*",   "back\\slash", "\\#012", "d/-x", "d/\x01\x1b[", "tab\tbed",   "caf\xc3\xa9"};

static void hostile_names(void **state, bool git)
{
    struct tree *t = open_tree(state);
    start(t);
    for (size_t i = 0; i < COUNT_OF(hostile); i++)
        put(t, hostile[i], "x");
    assert_int_equal(mkfifo("pipe", 0600), 0);
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "socket"};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    close(fd);
    assert_int_equal(symlink(".", "loop"), 0);
    assert_int_equal(symlink("self", "self"), 0);
    assert_int_equal(symlink("../../etc/passwd", "out"), 0);
    assert_int_equal(symlink("/etc/passwd", "lib/absolute"), 0);
    assert_int_equal(symlink("../train.py", "lib/fine"), 0);
    assert_int_equal(symlink("x/../../y", "lib/sly"), 0);
    if (git)
        command("git init -q .");
    make_ok(t, EXPERIMENT);
    for (size_t i = 0; i < COUNT_OF(hostile); i++)
        if (!goes(t, hostile[i]))
            fail_msg("'%s' does not go", hostile[i]);
    assert_true(goes(t, "loop") && goes(t, "self") && goes(t, "lib/fine"));
    assert_false(goes(t, "pipe") || goes(t, "socket"));
    assert_false(goes(t, "out") || goes(t, "lib/absolute") || goes(t, "lib/sly"));
    assert_int_equal(t->m.left_out_count, 3);
    text_has(t, "out (a link that leads out)");
    assert_int_equal(count(t), COUNT_OF(hostile) + 6);
    close_tree(t);
}

static void hostile_names_by_git(void **state)
{
    if (!has_git())
        skip();
    hostile_names(state, true);
}

static void hostile_names_by_rsync(void **state)
{
    if (access("/usr/bin/rsync", X_OK) != 0)
        skip();
    hostile_names(state, false);
}

static void secrets_stay_here(void **state)
{
    struct tree *t = open_tree(state);
    start(t);
    put(t, "mine.pem", "-----BEGIN RSA PRIVATE KEY-----\n");
    put(t, "id_work", "-----BEGIN OPENSSH PRIVATE KEY-----\n");
    put(t, "id_columns.csv", "a,b\n");
    put(t, "ca.pem", "-----BEGIN CERTIFICATE-----\n");
    put(t, ".aws/credentials", "x");
    put(t, "sub/.aws/credentials", "x");
    put(t, ".ssh/config", "x");
    put(t, "my-secrets.ini", "[x]\n");
    AUTO_FREE char *secret = fs_join(t->root, "my-secrets.ini");
    const char *const never[] = {"/no/such/file", secret, NULL};
    assert_int_equal(make(t, "e.yaml", EXPERIMENT, never), 0);
    assert_true(goes(t, "ca.pem") && goes(t, "id_columns.csv"));
    assert_false(goes(t, "mine.pem") || goes(t, "id_work") || goes(t, "my-secrets.ini"));
    assert_false(goes(t, ".aws/credentials") || goes(t, "sub/.aws/credentials") ||
                 goes(t, ".ssh/config"));
    text_has(t, "mine.pem (secret)");
    close_tree(t);
}

static void results_stay_here(void **state)
{
    struct tree *t = open_tree(state);
    start(t);
    put(t, "output__sweep/flambe.db", "x");
    put(t, "runs/output__sweep/flambe.db", "x");
    put(t, "runs/else", "x");
    make_ok(t, EXPERIMENT "save_path: .\n");
    assert_false(goes(t, "output__sweep/flambe.db"));
    assert_true(goes(t, "runs/else"));
    manifest_done(&t->m);
    experiment_done(&t->e);
    make_ok(t, EXPERIMENT "save_path: ./runs/\n");
    assert_false(goes(t, "runs/output__sweep/flambe.db") || goes(t, "runs/else"));
    close_tree(t);
}

static void what_the_file_names_goes_whatever_is_ignored(void **state)
{
    if (!has_git())
        skip();
    struct tree *t = open_tree(state);
    put(t, ".gitignore", "build/\n*.yaml\n");
    put(t, "e.yaml", "x");
    put(t, "build/prepare", "#!/bin/sh\n");
    put(t, "build/table", "x");
    put(t, "build/other", "x");
    assert_int_equal(chmod("build/prepare", 0755), 0);
    command("git init -q .");
    make_ok(t, "!Experiment\nname: sweep\npipeline:\n  a: !Command\n    command: "
               "[./build/prepare, build/table]\n  b: !Command\n    command: ./build/prepare x\n");
    assert_true(goes(t, "e.yaml") && goes(t, "build/prepare") && goes(t, "build/table"));
    assert_false(goes(t, "build/other"));
    close_tree(t);
}

/* ---- what is beside ---- */

static const char *there(const json_t *paths, const char *name)
{
    const char *path = json_string_value(json_object_get(paths, name));
    return path ? path : "(nowhere)";
}

static void resources_in_the_tree_and_beside_it(void **state)
{
    if (!has_git())
        skip();
    struct tree *t = open_tree(state);
    start(t);
    put(t, ".gitignore", "data/raw\n__pycache__\n");
    put(t, "data/raw", "12345");
    put(t, "data/words", "x");
    put(t, "table.csv", "x");
    put(t, "ext/pkg/__init__.py", "");
    put(t, "ext/pkg/__pycache__/x.pyc", "");
    free(place_write(t->p, "else/vectors.txt", 0644, "1234567"));
    free(place_write(t->p, "else/mod/other/__init__.py", 0644, ""));
    command("git init -q .");
    AUTO_FREE char *text = mem_printf(
        "pkg: ./ext\nother: %s/else/mod\n---\n" EXPERIMENT
        "resources:\n  table: table.csv\n  data: ./data/\n  vectors: %s/else/vectors.txt\n"
        "  hosts: !cluster /scratch/x\n",
        t->p->dir, t->p->dir);
    make_ok(t, text);
#define REMOTE MANIFEST_REMOTE "/sweep"
    assert_string_equal(there(t->m.resources, "table"), REMOTE "/work/table.csv");
    assert_string_equal(there(t->m.resources, "data"), REMOTE "/resources/data/data");
    assert_string_equal(there(t->m.resources, "vectors"), REMOTE "/resources/vectors/vectors.txt");
    assert_string_equal(there(t->m.resources, "hosts"), "/scratch/x");
    assert_string_equal(there(t->m.extensions, "pkg"), REMOTE "/work/ext");
    assert_string_equal(there(t->m.extensions, "other"), REMOTE "/extensions/other/mod");
    assert_int_equal(t->m.beside_count, 3);
    assert_string_equal(t->m.beside[0].remote, REMOTE "/resources/data/data");
    assert_false(t->m.beside[0].is_file);
    assert_string_equal(t->m.beside[1].remote, REMOTE "/resources/vectors");
    assert_true(t->m.beside[1].is_file);
    close_tree(t);
}

/* ---- refusals and words ---- */

static void refused(struct tree *t, const char *path, const char *text, const char *word)
{
    t->err = (struct err){0};
    assert_int_equal(make(t, path, text, NULL), -1);
    assert_int_equal(t->err.code, ERR_USAGE);
    if (!strstr(t->err.msg, word))
        fail_msg("'%s' is not in: %s", word, t->err.msg);
    experiment_done(&t->e);
    t->loaded = false;
}

static void a_directory_that_cannot_be_meant_is_refused(void **state)
{
    struct tree *t = open_tree(state);
    start(t);
    free(place_write(t->p, "far/run", 0755, "#!/bin/sh\n"));
    AUTO_FREE char *far = mem_printf("!Experiment\nname: x\npipeline:\n  a: !Command\n"
                                     "    command: [%s/far/run]\n",
                                     t->p->dir);
    refused(t, "e.yaml", far, "is not in the directory");
    refused(t, "e.yaml",
            "!Experiment\nname: x\npipeline:\n  a: !Command\n    command: [../far/run]\n",
            "is not in the directory");
    AUTO_FREE char *absolute = mem_printf("!Experiment\nname: x\npipeline:\n  a: !Script\n"
                                          "    script: %s/train.py\n",
                                          t->root);
    refused(t, "e.yaml", absolute, "'./train.py'");
    static const char *const modules =
        "!Experiment\nname: x\npipeline:\n  a: !Script\n    script: some.module\n";
    refused(t, "../far/e.yaml", modules, "type: cd ");
    assert_int_equal(chdir(t->p->dir), 0); /* the home directory */
    refused(t, "tree/e.yaml",
            "!Experiment\nname: x\npipeline:\n  a: !Script\n    script: tree/train.py\n",
            "/tree, and flambe there");
    assert_int_equal(chdir("/"), 0);
    refused(t, "/nowhere/e.yaml", modules, "all of '/' would be sent");
    close_tree(t);
}

static void much_is_warned_of_and_more_is_asked_for(void **state)
{
    struct tree *t = open_tree(state);
    AUTO_BUF struct buf text = {0};
    start(t);
    make_ok(t, EXPERIMENT);
    assert_false(manifest_warning(&t->m, &text) || manifest_is_huge(&t->m));
    manifest_done(&t->m);
    experiment_done(&t->e);
    put(t, "small", "x");
    put(t, "large", "x");
    put(t, "larger", "x");
    assert_int_equal(truncate("large", 11 * 1000 * 1000), 0);
    assert_int_equal(truncate("larger", 999 * 1000 * 1000), 0);
    make_ok(t, EXPERIMENT);
    assert_true(manifest_warning(&t->m, &text) && manifest_is_huge(&t->m));
    assert_non_null(strstr(buf_text(&text), "the largest: larger (999.0 MB), large (11.0 MB), "));
    assert_non_null(strstr(buf_text(&text), ".flambeignore"));
    text_has(t, "1.0 GB");
    close_tree(t);
}

#define IN_PLACE(f) cmocka_unit_test_setup_teardown(f, place_set_up, place_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(git_and_flambe_say_what_is_ignored),
        IN_PLACE(without_a_checkout_the_rules_hold_too),
        IN_PLACE(repositories_within_are_asked_in_turn),
        IN_PLACE(hostile_names_by_git),
        IN_PLACE(hostile_names_by_rsync),
        IN_PLACE(secrets_stay_here),
        IN_PLACE(results_stay_here),
        IN_PLACE(what_the_file_names_goes_whatever_is_ignored),
        IN_PLACE(resources_in_the_tree_and_beside_it),
        IN_PLACE(a_directory_that_cannot_be_meant_is_refused),
        IN_PLACE(much_is_warned_of_and_more_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
