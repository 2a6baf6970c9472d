/* Files by the real rsync and ssh, to and from a real sshd. */
#include "base/mem.h"
#include "os/fs.h"
#include "ssh/openssh.h"
#include "ssh/sync.h"
#include "sshd.h"
#include <sys/stat.h>
#include <unistd.h>

static struct sshd host;
static char *place; /* with a blank, quotes and a '%' in its name */
static struct loop *loop;
static struct strv options;
static struct ssh_target target;

static void pin(const char *key)
{
    AUTO_FREE char *known = fs_join(place, "known hosts");
    AUTO_FREE char *line = mem_printf("the-host %s\n", key);
    assert_int_equal(fs_write_atomic(known, 0600, str_of(line), NULL), 0);
    AUTO_FREE char *user_key = fs_join(place, "user key");
    strv_done(&options);
    openssh_options(&(struct openssh_trust){known, "the-host", user_key}, &options);
    strv_add(&options, "-F");
    strv_add(&options, "/dev/null");
}

static int group_setup(void **state)
{
    (void)state;
    if (!sshd_available() || access("/usr/bin/rsync", X_OK) != 0)
        return 0;
    sshd_init(&host, "127.0.0.37", "");
    sshd_start(&host);
    target = (struct ssh_target){
        .label = "the_host", .address = host.address, .port = host.port, .user = host.user};
    place = mem_printf("%s/it's a \"place\" 100%%h", host.dir);
    assert_int_equal(fs_mkdirs(place, 0700, NULL), 0);
    AUTO_FREE char *user_key = fs_join(place, "user key");
    AUTO_BUF struct buf key = {0};
    assert_int_equal(fs_read(host.key_path, 65536, &key, NULL), 0);
    assert_int_equal(fs_write_atomic(user_key, 0600, buf_view(&key), NULL), 0);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    sshd_done(&host);
    strv_done(&options);
    free(place);
    return 0;
}

static char *here, *there;

static int setup(void **state)
{
    (void)state;
    if (!host.pid)
        return 0;
    loop = loop_new();
    here = fs_join(place, "here; touch x");
    there = fs_join(place, "there $(touch y)");
    assert_int_equal(fs_remove_tree(here, NULL), 0);
    assert_int_equal(fs_remove_tree(there, NULL), 0);
    assert_int_equal(fs_mkdirs(here, 0700, NULL), 0);
    assert_int_equal(fs_mkdirs(there, 0700, NULL), 0);
    pin(host.host_ed25519);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (!host.pid)
        return 0;
    loop_free(loop);
    free(here);
    free(there);
    return 0;
}

#define NEED_SSHD()    \
    do {               \
        if (!host.pid) \
            skip();    \
    } while (0)

static void put(const char *directory, const char *name, const char *text, mode_t mode)
{
    AUTO_FREE char *path = fs_join(directory, name);
    AUTO_FREE char *parent = mem_dup(path);
    *strrchr(parent, '/') = '\0';
    assert_int_equal(fs_mkdirs(parent, 0755, NULL), 0);
    assert_int_equal(fs_write_atomic(path, mode, str_of(text), NULL), 0);
}

static bool has(const char *directory, const char *name, const char *text)
{
    AUTO_FREE char *path = fs_join(directory, name);
    AUTO_BUF struct buf found = {0};
    return fs_read(path, 65536, &found, NULL) == 0 && str_is(buf_view(&found), text);
}

static bool is_there(const char *directory, const char *name)
{
    AUTO_FREE char *path = fs_join(directory, name);
    struct stat st;
    return lstat(path, &st) == 0;
}

static struct sync_request upload(void)
{
    return (struct sync_request){
        .target = &target, .options = &options, .upload = true, .local = here, .remote = there};
}

static struct sync_result run_ok(const struct sync_request *r)
{
    struct sync_result result = {0};
    struct err err = {0};
    if (sync_run(loop, r, &result, &err) == -1)
        fail_msg("%s", err.msg);
    return result;
}

static const char *const hostile[] = {
    "-rf",         "--delete",  "two\nlines",   "a b",      "it's",     "\"quoted\"",
    "$(touch z)",  "`touch z`", "\xff\xfe raw", "#comment", ";comment", "*",
    "back\\slash", "~",         "caf\xc3\xa9",  "a:b",      "dir/-x",   "dir/\x01\x1b",
    "{a,b}",       "\\#012"};

static void hostile_names(bool by_rest)
{
    NEED_SSHD();
    AUTO_BUF struct buf names = {0};
    for (size_t i = 0; i < COUNT_OF(hostile); i++) {
        put(here, hostile[i], hostile[i], 0644);
        buf_add(&names, hostile[i], strlen(hostile[i]) + 1);
    }
    put(here, "not named", "x", 0644);
    put(here, "sub*[x]\\y/not", "x", 0644);
    struct sync_request r = upload();
    r.names = buf_view(&names);
    if (by_rest)
        r.rest = (struct str){"not named\0sub*[x]\\y", 20};
    struct sync_result first = run_ok(&r);
    assert_int_equal(first.files, COUNT_OF(hostile));
    for (size_t i = 0; i < COUNT_OF(hostile); i++)
        if (!has(there, hostile[i], hostile[i]))
            fail_msg("'%s' is not there", hostile[i]);
    assert_false(is_there(there, "not named") || is_there(there, "sub*[x]\\y"));
    assert_int_equal(run_ok(&r).files, 0); /* nothing has changed */
    assert_false(fs_exists("x") || fs_exists("y") || fs_exists("z"));
}

static void hostile_names_arrive_as_they_are(void **state)
{
    (void)state;
    hostile_names(false);
}

static void hostile_names_stay_behind_alone(void **state)
{
    (void)state;
    hostile_names(true);
}

static void link_to(const char *name, const char *to)
{
    AUTO_FREE char *path = fs_join(here, name);
    assert_int_equal(symlink(to, path), 0);
}

static mode_t mode_of(const char *name)
{
    AUTO_FREE char *path = fs_join(there, name);
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

static void links_that_lead_out_and_pipes_stay_behind(void **state)
{
    (void)state;
    NEED_SSHD();
    put(here, "run.sh", "#!/bin/sh\n", 0755);
    put(here, "sub/plain", "p", 0640);
    link_to("sub/inside", "../run.sh");
    link_to("sub/loop", ".");
    link_to("sub/outside", "../../known hosts");
    link_to("sub/absolute", "/etc/passwd");
    AUTO_FREE char *pipe_path = fs_join(here, "sub/pipe");
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    struct sync_request r = upload();
    struct sync_result result = run_ok(&r);
    assert_int_equal(mode_of("run.sh"), 0755);
    assert_int_equal(mode_of("sub/plain"), 0640);
    assert_true(is_there(there, "sub/inside") && is_there(there, "sub/loop"));
    assert_false(is_there(there, "sub/outside") || is_there(there, "sub/absolute") ||
                 is_there(there, "sub/pipe"));
    assert_int_equal(result.special, 1);
    assert_int_equal(result.files, 2);
    assert_int_equal(result.bytes, 11);
    assert_true(result.wire > 11);
}

static void only_what_has_changed_goes_and_what_is_gone_is_removed(void **state)
{
    (void)state;
    NEED_SSHD();
    put(here, "a", "a", 0644);
    put(here, "b", "b", 0644);
    struct sync_request r = upload();
    r.delete_gone = true;
    assert_int_equal(run_ok(&r).files, 2);
    put(here, "b", "changed", 0644);
    AUTO_FREE char *a = fs_join(here, "a");
    unlink(a);
    assert_int_equal(run_ok(&r).files, 1);
    assert_false(is_there(there, "a"));
    assert_true(has(there, "b", "changed"));
}

static void a_file_goes_into_the_directory(void **state)
{
    (void)state;
    NEED_SSHD();
    put(here, "-model.bin", "weights", 0644);
    AUTO_FREE char *file = fs_join(here, "-model.bin");
    struct sync_request r = upload();
    r.local = file;
    r.is_file = true;
    assert_int_equal(run_ok(&r).files, 1);
    assert_true(has(there, "-model.bin", "weights"));
}

static void a_download_takes_no_more_than_is_asked(void **state)
{
    (void)state;
    NEED_SSHD();
    put(there, "keep/x", "x", 0644);
    put(there, "keep/tool", "t", 0755);
    put(there, "lock", "l", 0644);
    static const char *const exclude[] = {"/lock", NULL};
    struct sync_request r = upload();
    r.upload = false;
    r.partial = true;
    r.exclude = exclude;
    AUTO_FREE char *tool = fs_join(there, "keep/tool");
    assert_int_equal(chmod(tool, 04755), 0);
    assert_int_equal(run_ok(&r).files, 2);
    assert_true(has(here, "keep/x", "x"));
    assert_false(is_there(here, "lock"));
    AUTO_FREE char *got = fs_join(here, "keep/tool");
    struct stat st;
    assert_int_equal(stat(got, &st), 0);
    assert_int_equal(st.st_mode & 06111, 0111);
}

static void another_host_key_is_refused(void **state)
{
    (void)state;
    NEED_SSHD();
    AUTO_BUF struct buf pem = {0}, line = {0};
    assert_int_equal(ssh_keygen_ed25519(&pem, &line, NULL), 0);
    pin(buf_text(&line));
    put(here, "a", "a", 0644);
    struct sync_request r = upload();
    struct sync_result result;
    struct err err = {0};
    assert_int_equal(sync_run(loop, &r, &result, &err), -1);
    assert_int_equal(err.code, ERR_HOST_KEY);
    assert_false(is_there(there, "a"));
}

static void a_host_that_is_not_there_is_unreachable(void **state)
{
    (void)state;
    NEED_SSHD();
    struct ssh_target nobody = target;
    nobody.port = free_port(host.address);
    struct sync_request r = upload();
    r.target = &nobody;
    struct sync_result result;
    struct err err = {0};
    assert_int_equal(sync_run(loop, &r, &result, &err), -1);
    assert_int_equal(err.code, ERR_UNREACHABLE);
    assert_non_null(strstr(err.msg, "the_host"));
}

static void cancel(void *ctx, const struct sync_progress *p)
{
    (void)p;
    loop_cancel(ctx);
}

static void a_cancel_ends_the_child(void **state)
{
    (void)state;
    NEED_SSHD();
    put(here, "a", "a", 0644);
    struct sync_request r = upload();
    r.progress = cancel;
    r.ctx = loop;
    struct sync_result result;
    struct err err = {0};
    assert_int_equal(sync_run(loop, &r, &result, &err), -1);
    assert_int_equal(err.code, ERR_CANCELLED);
}

static void no_rsync_here_says_what_to_type(void **state)
{
    (void)state;
    NEED_SSHD();
    AUTO_FREE char *path = mem_dup(getenv("PATH"));
    setenv("PATH", host.dir, 1);
    struct sync_request r = upload();
    struct sync_result result;
    struct err err = {0};
    int rc = sync_run(loop, &r, &result, &err);
    setenv("PATH", path, 1);
    assert_int_equal(rc, -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.msg, "apt-get install rsync"));
}

/* ---- words ---- */

static void progress_is_read(void **state)
{
    (void)state;
    struct sync_progress p;
    assert_true(sync_read_progress(
        STR("      1234567  45%   12.34MB/s    0:00:01 (xfr#5, to-chk=10/20)"), &p));
    assert_int_equal(p.bytes, 1234567);
    assert_int_equal(p.percent, 45);
    assert_int_equal(p.files, 5);
    assert_true(sync_read_progress(STR(" 0   0%    0.00kB/s    0:00:00"), &p));
    assert_int_equal(p.files, 0);
    assert_false(sync_read_progress(STR("123 files"), &p));
    assert_false(sync_read_progress(STR("99999999999999999999999 1%"), &p));
    assert_false(sync_read_progress(STR("12 101%"), &p));
    assert_false(sync_read_progress(STR(""), &p));
}

static void explained(bool up, int status, const char *said, enum err_code code, const char *word)
{
    struct ssh_target t = {.label = "mine_orchestrator", .user = "ubuntu"};
    struct sync_request r = {.target = &t, .upload = up, .local = "here", .remote = "/there"};
    struct err err = {0};
    sync_explain(&r, status, str_of(said), &err);
    assert_int_equal(err.code, code);
    if (!strstr(err.msg, word))
        fail_msg("'%s' is not in: %s", word, err.msg);
}

static void what_went_wrong_is_a_sentence(void **state)
{
    (void)state;
    explained(true, 127, "bash: line 1: rsync: command not found\n", ERR_NOT_FOUND,
              "mine_orchestrator has no rsync; type: ");
    explained(true, 12, "sh: 1: rsync: not found\nrsync: connection unexpectedly closed\n",
              ERR_NOT_FOUND, "has no rsync");
    explained(true, 11,
              "rsync: [receiver] write failed on \"/there/a\": No space left on device (28)",
              ERR_REMOTE, "the disk of mine_orchestrator is full");
    explained(false, 11, "rsync: [receiver] write failed on \"a\": No space left on device (28)",
              ERR_IO, "cannot write 'here'");
    explained(true, 23, "rsync: [receiver] mkstemp \"/there/.a\" failed: Permission denied (13)",
              ERR_REMOTE, "mine_orchestrator does not let the user 'ubuntu'");
    explained(true, 23, "rsync: [sender] send_files failed to open \"/a\": Permission denied (13)",
              ERR_FILE, "this machine");
    explained(false, 23, "rsync: [sender] send_files failed to open \"/a\": Permission denied (13)",
              ERR_REMOTE, "does not let");
    explained(true, 255, "a banner\nssh: connect to host 10.0.0.1 port 22: Connection refused\n",
              ERR_UNREACHABLE, "Connection refused");
    explained(true, 255, "ubuntu@10.0.0.1: Permission denied (publickey).\n", ERR_AUTH, "ubuntu");
    explained(true, 11, "", ERR_REMOTE, "is full, or fails");
    explained(true, 30, "", ERR_TIMEOUT, "said nothing");
    explained(true, 5, "", ERR_REMOTE, "status 5: no reason given");
}

#define WITH_SSHD(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SSHD(hostile_names_arrive_as_they_are),
        WITH_SSHD(hostile_names_stay_behind_alone),
        WITH_SSHD(links_that_lead_out_and_pipes_stay_behind),
        WITH_SSHD(only_what_has_changed_goes_and_what_is_gone_is_removed),
        WITH_SSHD(a_file_goes_into_the_directory),
        WITH_SSHD(a_download_takes_no_more_than_is_asked),
        WITH_SSHD(another_host_key_is_refused),
        WITH_SSHD(a_host_that_is_not_there_is_unreachable),
        WITH_SSHD(a_cancel_ends_the_child),
        WITH_SSHD(no_rsync_here_says_what_to_type),
        cmocka_unit_test(progress_is_read),
        cmocka_unit_test(what_went_wrong_is_a_sentence),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
