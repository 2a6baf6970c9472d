/* The user's private key: read, judged, named. See ssh.h. */
#include "ssh/identity.h"
#include "base/digest.h"
#include "base/mem.h"
#include "os/fs.h"
#include "ssh/agent.h"
#include "ssh/ec2_fingerprint.h"
#include "ssh/hostkey.h"
#include "ssh/keyfile.h"
#include "ssh/pkey.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define KEY_FILE_MAX ((size_t)64 << 10)

static int check_file(const char *path, struct err *err)
{
    struct stat st;
    if (stat(path, &st) == -1) {
        if (errno == ENOENT || errno == ENOTDIR)
            return err_set(err, ERR_NOT_FOUND, "there is no key file '%s'", path);
        return err_set_sys(err, errno, "cannot read the key '%s'", path);
    }
    if (S_ISDIR(st.st_mode))
        return err_set(err, ERR_FILE, "the key '%s' is a directory: give the key file in it", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_FILE, "the key '%s' is not a file", path);
    if ((size_t)st.st_size > KEY_FILE_MAX)
        return err_set(err, ERR_FILE, "the key '%s' is not a private key: it is %lld bytes long",
                       path, (long long)st.st_size);
    return 0;
}

/* As OpenSSH does: it would refuse the same file. */
static int check_mode(const char *path, struct err *err)
{
    struct stat st;
    if (stat(path, &st) == -1)
        return err_set_sys(err, errno, "cannot read the key '%s'", path);
    if (st.st_mode & 077)
        return err_set(err, ERR_FILE,
                       "the key '%s' can be read by others (mode %03o): run `chmod 600 '%s'`", path,
                       (unsigned)(st.st_mode & 0777), path);
    return 0;
}

/* libssh asks for a passphrase only where the key is encrypted. */
static int note_encrypted(const char *prompt, char *buf, size_t len, int echo, int verify,
                          void *ctx)
{
    (void)prompt, (void)buf, (void)len, (void)echo, (void)verify;
    *(bool *)ctx = true;
    return -1;
}

/* What Windows editors do to a text: a byte order mark, CR before LF, no newline at the end. */
static void normalise(struct str text, struct buf *out)
{
    if (str_starts(text, "\xef\xbb\xbf")) {
        text.p += 3;
        text.n -= 3;
    }
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] != '\r')
            buf_addc(out, text.p[i]);
    buf_addc(out, '\n');
}

/* The public key of an encrypted file: from inside it, else from PATH.pub. */
static bool find_public(const char *path, enum keyfile_kind kind, struct str text, struct buf *blob)
{
    if (kind == KEYFILE_OPENSSH) {
        struct buf raw = {0};
        struct str public, private;
        bool found = keyfile_openssh_parts(text, &raw, &public, &private);
        if (found)
            buf_add_str(blob, public);
        buf_wipe(&raw);
        return found;
    }
    AUTO_FREE char *beside = mem_printf("%s.pub", path);
    AUTO_BUF struct buf line = {0};
    if (fs_read(beside, SSH_PUBLIC_LINE_MAX, &line, NULL) == -1)
        return false;
    struct str rest = str_trim(buf_view(&line));
    if (!ssh_public_line_valid(rest))
        return false;
    (void)str_cut(&rest, ' ');
    return digest_unbase64(str_cut(&rest, ' '), blob);
}

/* An encrypted key: ours only where an agent holds it. */
static int load_from_agent(const char *path, enum keyfile_kind kind, struct str text,
                           struct ssh_identity *id, struct err *err)
{
    const char *agent = getenv("SSH_AUTH_SOCK");
    if (!find_public(path, kind, text, &id->blob))
        return err_set(err, ERR_FILE,
                       "the key '%s' is encrypted and its public key is not beside it: run "
                       "`ssh-keygen -y -f '%s' > '%s.pub'`, then `ssh-add '%s'`",
                       path, path, path, path);
    if (!agent || !*agent)
        return err_set(err, ERR_FILE,
                       "the key '%s' is encrypted and no ssh-agent runs: run `eval "
                       "\"$(ssh-agent)\"`, then `ssh-add '%s'`",
                       path, path);
    if (!agent_holds(agent, buf_view(&id->blob)))
        return err_set(err, ERR_FILE,
                       "the key '%s' is encrypted and the ssh-agent does not hold it: run "
                       "`ssh-add '%s'`",
                       path, path);
    id->public_line = public_line_of_blob(buf_view(&id->blob));
    if (!id->public_line)
        return err_set(err, ERR_FILE, "the key '%s' is of a type that is not supported here", path);
    id->agent_path = mem_dup(agent);
    ec2_fingerprints(id, NULL);
    return 0;
}

static int load_text(const char *path, enum keyfile_kind kind, const struct buf *text,
                     struct ssh_identity *id, struct err *err)
{
    EVP_PKEY *pkey =
        kind == KEYFILE_OPENSSH ? pkey_of_openssh_rsa(buf_view(text)) : pkey_of_pem(buf_view(text));
    struct buf rewritten = {0};
    if (kind == KEYFILE_PEM && pkey)
        (void)pkey_ed25519_to_openssh(pkey, &rewritten); /* libssh cannot use its own reading */
    const struct buf *usable = rewritten.len ? &rewritten : text;
    bool encrypted = false;
    int rc =
        ssh_pki_import_privkey_base64(buf_text(usable), NULL, note_encrypted, &encrypted, &id->key);
    buf_wipe(&rewritten);
    if (rc == SSH_OK) {
        id->public_line = public_line_of(id->key);
        struct str rest = str_of(id->public_line);
        (void)str_cut(&rest, ' ');
        if (id->public_line && digest_unbase64(rest, &id->blob))
            ec2_fingerprints(id, pkey);
    }
    EVP_PKEY_free(pkey);
    if (encrypted)
        return load_from_agent(path, kind, buf_view(text), id, err);
    if (id->sha256)
        return 0;
    return err_set(
        err, ERR_FILE,
        "the key '%s' cannot be used: it is damaged, or of another type than RSA, ED25519 "
        "or ECDSA",
        path);
}

int ssh_identity_load(const char *path, struct ssh_identity **out, struct err *err)
{
    struct buf raw = {0}, text = {0};
    if (check_file(path, err) == -1 || fs_read(path, KEY_FILE_MAX, &raw, err) == -1)
        return -1;
    normalise(buf_view(&raw), &text);
    buf_wipe(&raw);
    struct ssh_identity *id = mem_alloc(sizeof *id);
    enum keyfile_kind kind = keyfile_kind(path, buf_view(&text), err);
    int rc = -1;
    if (kind != KEYFILE_WRONG && check_mode(path, err) == 0)
        rc = load_text(path, kind, &text, id, err);
    buf_wipe(&text);
    if (rc == -1) {
        ssh_identity_free(id);
        return -1;
    }
    *out = id;
    return 0;
}

void ssh_identity_free(struct ssh_identity *id)
{
    if (!id)
        return;
    ssh_key_free(id->key); /* libssh and libcrypto wipe it */
    buf_done(&id->blob);
    free(id->public_line);
    free(id->agent_path);
    free(id->sha1_private);
    free(id->md5_spki);
    free(id->md5_blob);
    free(id->sha256);
    free(id);
}

const char *ssh_identity_public(const struct ssh_identity *id)
{
    return id->public_line;
}
