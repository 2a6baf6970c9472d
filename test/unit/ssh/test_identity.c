/* Private key files of every make, judged against ssh-keygen and openssl. */
#include "base/mem.h"
#include "ssh/ssh.h"
#include "sshd.h"
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/flambe-identity-XXXXXX");
    assert_non_null(mkdtemp(dir));
    unsetenv("SSH_AUTH_SOCK");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(shell("rm -rf %s", dir));
    return 0;
}

#define NEED_KEYGEN()          \
    do {                       \
        if (!sshd_available()) \
            skip();            \
    } while (0)

static char *path_of(const char *name)
{
    return mem_printf("%s/%s", dir, name);
}

static void write_file(const char *name, struct str bytes, int mode)
{
    AUTO_FREE char *path = path_of(name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes.p, 1, bytes.n, f), bytes.n);
    fclose(f);
    assert_int_equal(chmod(path, (mode_t)mode), 0);
}

static struct ssh_identity *load(const char *name)
{
    AUTO_FREE char *path = path_of(name);
    struct ssh_identity *id = NULL;
    struct err err = {0};
    if (ssh_identity_load(path, &id, &err) == -1)
        fail_msg("%s", err.msg);
    return id;
}

static void refused(const char *name, enum err_code code, const char *part)
{
    AUTO_FREE char *path = path_of(name);
    struct ssh_identity *id = NULL;
    struct err err = {0};
    assert_int_equal(ssh_identity_load(path, &id, &err), -1);
    assert_null(id);
    assert_int_equal(err.code, code);
    if (!strstr(err.msg, part))
        fail_msg("'%s' does not say '%s'", err.msg, part);
    assert_non_null(strstr(err.msg, path));
}

static void every_type_and_format(void **state)
{
    (void)state;
    NEED_KEYGEN();
    static const char *const makers[] = {
        "ssh-keygen -q -t ed25519 -N '' -f %s/k",
        "ssh-keygen -q -t rsa -b 2048 -N '' -f %s/k",
        "ssh-keygen -q -t rsa -b 4096 -m PEM -N '' -f %s/k",
        "ssh-keygen -q -t rsa -b 2048 -m PKCS8 -N '' -f %s/k",
        "ssh-keygen -q -t ecdsa -b 256 -N '' -f %s/k",
        "ssh-keygen -q -t ecdsa -b 384 -m PEM -N '' -f %s/k",
        "ssh-keygen -q -t ecdsa -b 521 -m PKCS8 -N '' -f %s/k",
        "openssl genrsa -traditional -out %s/k 2048 2>/dev/null",
        "openssl genpkey -quiet -algorithm RSA -out %s/k 2>/dev/null",
        "openssl genpkey -algorithm ED25519 -out %s/k",
        "openssl ecparam -name prime256v1 -genkey -noout -out %s/k",
        "openssl ecparam -name prime256v1 -genkey -out %s/k", /* parameters stand before the key */
        "openssl genrsa -traditional -out %s/k 2048 2>/dev/null && sed -i 's/$/\\r/' %s/k",
        "openssl genrsa -traditional -out %s/k 2048 2>/dev/null && truncate -s -1 %s/k",
        "ssh-keygen -q -t ed25519 -N '' -f %s/k && sed -i 's/$/\\r/' %s/k",
        "ssh-keygen -q -t ed25519 -N '' -f %s/k && truncate -s -1 %s/k",
    };
    for (size_t i = 0; i < COUNT_OF(makers); i++) {
        struct buf line = {0};
        for (const char *p = makers[i]; *p; p++) {
            if (p[0] == '%' && p[1] == 's') {
                buf_adds(&line, dir);
                p++;
            } else {
                buf_addc(&line, *p);
            }
        }
        free(shell("rm -f %s/k %s/k.pub", dir, dir));
        free(shell("%s", buf_text(&line)));
        free(shell("chmod 600 %s/k", dir));
        struct ssh_identity *id = load("k");
        /* the public line and the fingerprint are ssh-keygen's; it is pickier about the text */
        free(shell("tr -d '\\r' < %s/k > %s/plain; echo >> %s/plain; chmod 600 %s/plain", dir, dir,
                   dir, dir));
        if (i != 9) { /* ssh-keygen 9.2 reads no PKCS#8 ED25519 */
            AUTO_FREE char *public = shell("ssh-keygen -y -f %s/plain | cut -d' ' -f1,2", dir);
            assert_string_equal(ssh_identity_public(id), public);
        }
        AUTO_FREE char *ours = ssh_fingerprint(ssh_identity_public(id));
        write_file("line", str_of(ssh_identity_public(id)), 0600);
        AUTO_FREE char *theirs = shell("ssh-keygen -l -f %s/line | cut -d' ' -f2", dir);
        assert_string_equal(ours, theirs);
        ssh_identity_free(id);
        buf_done(&line);
    }
}

/* The commands of EC2's page "Verify the fingerprint of your key pair". */
static void fingerprints_are_ec2s(void **state)
{
    (void)state;
    NEED_KEYGEN();
    free(shell("openssl genrsa -traditional -out %s/rsa 2048 2>/dev/null; chmod 600 %s/rsa", dir,
               dir));
    AUTO_FREE char *sha1 =
        shell("openssl pkcs8 -in %s/rsa -inform PEM -outform DER -topk8 -nocrypt "
              "| openssl sha1 -c | sed 's/.*= *//'",
              dir);
    AUTO_FREE char *md5 = shell("openssl rsa -in %s/rsa -pubout -outform DER 2>/dev/null | openssl "
                                "md5 -c | sed 's/.*= *//'",
                                dir);
    AUTO_FREE char *rfc4716 = shell("ssh-keygen -y -f %s/rsa > %s/rsa.pub; ssh-keygen -l -E md5 -f "
                                    "%s/rsa.pub | cut -d' ' -f2 | sed 's/^MD5://'",
                                    dir, dir, dir);
    assert_int_equal(strlen(sha1), 59);
    assert_int_equal(strlen(md5), 47);
    struct ssh_identity *id = load("rsa");
    assert_true(ssh_identity_matches_ec2(id, sha1));
    assert_true(ssh_identity_matches_ec2(id, md5));
    assert_true(ssh_identity_matches_ec2(id, rfc4716));
    sha1[0] = sha1[0] == 'a' ? 'b' : 'a';
    md5[0] = md5[0] == 'a' ? 'b' : 'a';
    assert_false(ssh_identity_matches_ec2(id, sha1));
    assert_false(ssh_identity_matches_ec2(id, md5));
    static const char *const nonsense[] = {"", ":", "SHA256:", "x", "zz:zz", "="};
    for (size_t i = 0; i < COUNT_OF(nonsense); i++)
        assert_false(ssh_identity_matches_ec2(id, nonsense[i]));
    ssh_identity_free(id);
    /* the same key in OpenSSH's format is still the key that AWS made */
    free(shell("cp %s/rsa %s/open && ssh-keygen -q -p -P '' -N '' -f %s/open", dir, dir, dir));
    free(shell("grep -q OPENSSH %s/open", dir));
    id = load("open");
    sha1[0] = sha1[0] == 'a' ? 'b' : 'a';
    AUTO_FREE char *again =
        shell("openssl pkcs8 -in %s/rsa -inform PEM -outform DER -topk8 -nocrypt "
              "| openssl sha1 -c | sed 's/.*= *//'",
              dir);
    assert_true(ssh_identity_matches_ec2(id, again));
    ssh_identity_free(id);

    free(shell("ssh-keygen -q -t ed25519 -N '' -f %s/ed", dir));
    AUTO_FREE char *sha256 = shell("ssh-keygen -l -f %s/ed | cut -d' ' -f2", dir);
    id = load("ed");
    assert_true(ssh_identity_matches_ec2(id, sha256));
    assert_true(ssh_identity_matches_ec2(id, sha256 + strlen("SHA256:")));
    AUTO_FREE char *padded = mem_printf("%s=", sha256 + strlen("SHA256:"));
    assert_true(ssh_identity_matches_ec2(id, padded));
    sha256[10] = sha256[10] == 'A' ? 'B' : 'A';
    assert_false(ssh_identity_matches_ec2(id, sha256));
    assert_false(ssh_identity_matches_ec2(id, again));
    ssh_identity_free(id);
}

static void what_is_no_private_key_is_named(void **state)
{
    (void)state;
    NEED_KEYGEN();
    free(shell("ssh-keygen -q -t ed25519 -N '' -C 'me@here' -f %s/k", dir));
    free(shell("ssh-keygen -q -s %s/k -I me -n me %s/k.pub", dir, dir));
    free(shell("openssl req -x509 -newkey rsa:2048 -nodes -keyout %s/tls -out %s/crt -subj /CN=x "
               "2>/dev/null",
               dir, dir));
    free(shell("openssl rsa -in %s/tls -pubout -out %s/public 2>/dev/null", dir, dir));
    refused("k.pub", ERR_FILE, "is a public key");
    refused("k-cert.pub", ERR_FILE, "is an SSH certificate");
    refused("crt", ERR_FILE, "is a certificate");
    refused("public", ERR_FILE, "is a public key");
    refused("missing", ERR_NOT_FOUND, "no key file");
    AUTO_FREE char *sub = path_of("sub");
    assert_int_equal(mkdir(sub, 0700), 0);
    refused("sub", ERR_FILE, "is a directory");
    refused("k/inside", ERR_NOT_FOUND, "no key file");
    free(shell("mkfifo -m 600 %s/fifo", dir));
    refused("fifo", ERR_FILE, "is not a file");
    write_file("empty", STR(""), 0600);
    refused("empty", ERR_FILE, "is empty");
    write_file("blank", STR(" \n\n"), 0600);
    refused("blank", ERR_FILE, "is empty");
    write_file("ppk", STR("PuTTY-User-Key-File-3: ssh-rsa\r\nEncryption: none\r\n"), 0644);
    refused("ppk", ERR_FILE, "puttygen");
    write_file("text", STR("hello\n"), 0600);
    refused("text", ERR_FILE, "is not a private key");
    write_file("zero", STR("-----BEGIN RSA PRIVATE KEY-----\0"), 0600);
    refused("zero", ERR_FILE, "is not a private key");
    write_file("dsa", STR("-----BEGIN DSA PRIVATE KEY-----\nAAAA\n-----END DSA PRIVATE KEY-----\n"),
               0600);
    refused("dsa", ERR_FILE, "DSA");
    write_file("damaged",
               STR("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"), 0600);
    refused("damaged", ERR_FILE, "damaged");
    write_file("damaged2",
               STR("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END OPENSSH "
                   "PRIVATE KEY-----\n"),
               0600);
    refused("damaged2", ERR_FILE, "damaged");
    free(shell("head -c 100000 /dev/zero > %s/large; chmod 600 %s/large", dir, dir));
    refused("large", ERR_FILE, "100000 bytes");
    free(shell("head -c -40 %s/k > %s/cut; chmod 600 %s/cut", dir, dir, dir));
    refused("cut", ERR_FILE, "damaged");
    free(shell("openssl genpkey -algorithm X25519 -out %s/x25519; chmod 600 %s/x25519", dir, dir));
    refused("x25519", ERR_FILE, "cannot be used");
}

static void a_key_that_others_can_read_is_refused(void **state)
{
    (void)state;
    NEED_KEYGEN();
    free(shell("ssh-keygen -q -t ed25519 -N '' -f %s/k", dir));
    static const int bad[] = {0644, 0640, 0604, 0660, 0601, 0610, 0777};
    AUTO_FREE char *path = path_of("k");
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(chmod(path, (mode_t)bad[i]), 0);
        AUTO_FREE char *fix = mem_printf("chmod 600 '%s'", path);
        refused("k", ERR_FILE, fix);
    }
    assert_int_equal(chmod(path, 0400), 0);
    ssh_identity_free(load("k"));
}

static void an_encrypted_key_without_an_agent_says_what_to_type(void **state)
{
    (void)state;
    NEED_KEYGEN();
    AUTO_FREE char *path = path_of("k");
    AUTO_FREE char *add = mem_printf("ssh-add '%s'", path);
    static const char *const formats[] = {"RFC4716", "PEM", "PKCS8"};
    for (size_t i = 0; i < COUNT_OF(formats); i++) {
        free(shell("rm -f %s/k*; ssh-keygen -q -t rsa -b 2048 -m %s -N secret -f %s/k", dir,
                   formats[i], dir));
        refused("k", ERR_FILE, add);
        refused("k", ERR_FILE, "no ssh-agent runs");
        setenv("SSH_AUTH_SOCK", "/nonexistent/agent", 1);
        refused("k", ERR_FILE, "does not hold it");
        unsetenv("SSH_AUTH_SOCK");
        free(shell("rm %s/k.pub", dir));
        refused("k", ERR_FILE, i == 0 ? "no ssh-agent runs" : "ssh-keygen -y");
    }
}

static void a_new_key_pair_is_openssh_s(void **state)
{
    (void)state;
    NEED_KEYGEN();
    struct buf pem = {0}, line = {0}, pem2 = {0}, line2 = {0};
    struct err err;
    assert_int_equal(ssh_keygen_ed25519(&pem, &line, &err), 0);
    assert_int_equal(ssh_keygen_ed25519(&pem2, &line2, &err), 0);
    assert_string_not_equal(buf_text(&line), buf_text(&line2));
    assert_true(ssh_public_line_valid(buf_view(&line)));
    write_file("fresh", buf_view(&pem), 0600);
    AUTO_FREE char *public = shell("ssh-keygen -y -f %s/fresh | cut -d' ' -f1,2", dir);
    assert_string_equal(public, buf_text(&line));
    struct ssh_identity *id = load("fresh");
    assert_string_equal(ssh_identity_public(id), buf_text(&line));
    ssh_identity_free(id);
    buf_wipe(&pem);
    buf_wipe(&pem2);
    buf_done(&line);
    buf_done(&line2);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_type_and_format),
        T(fingerprints_are_ec2s),
        T(what_is_no_private_key_is_named),
        T(a_key_that_others_can_read_is_refused),
        T(an_encrypted_key_without_an_agent_says_what_to_type),
        T(a_new_key_pair_is_openssh_s),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
