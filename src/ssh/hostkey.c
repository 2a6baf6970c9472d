/* See hostkey.h and ssh.h. What a host says about its keys is hostile until it has been compared:
 * a line is accepted only in the one spelling that we would write ourselves. */
#include "ssh/hostkey.h"
#include "base/digest.h"
#include "base/mem.h"
#include "base/port.h"
#include <stdlib.h>
#include <string.h>

/* The key types of OpenSSH's host keys, without DSA (gone) and without certificates. `algorithms`
 * are the signature algorithms to ask for; RSA with SHA-1 is not among them. */
static const struct {
    const char *type;
    const char *algorithms;
    const char *name;
} types[] = {
    {"ssh-ed25519", "ssh-ed25519", "ED25519"},
    {"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", "ECDSA"},
    {"ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384", "ECDSA"},
    {"ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521", "ECDSA"},
    {"ssh-rsa", "rsa-sha2-512,rsa-sha2-256", "RSA"},
};

static bool type_is_known(struct str type)
{
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (str_is(type, types[i].type))
            return true;
    return false;
}

static bool has_control_bytes(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return true;
    return false;
}

ssh_key public_line_parse(struct str line)
{
    if (line.n > SSH_PUBLIC_LINE_MAX || has_control_bytes(line))
        return NULL;
    struct str rest = line;
    struct str type = str_cut(&rest, ' ');
    struct str base64 = rest.p ? str_cut(&rest, ' ') : (struct str){"", 0};
    if (!type_is_known(type) || base64.n == 0)
        return NULL;
    AUTO_FREE char *type_text = str_dup(type);
    AUTO_FREE char *text = str_dup(base64);
    ssh_key key = NULL;
    if (ssh_pki_import_pubkey_base64(text, ssh_key_type_from_name(type_text), &key) != SSH_OK)
        return NULL;
    /* libssh ignores the type inside the blob and what follows the key: written out again, the key
     * has one spelling. */
    char *again = NULL;
    bool same = ssh_pki_export_pubkey_base64(key, &again) == SSH_OK && strcmp(again, text) == 0;
    ssh_string_free_char(again);
    if (!same) {
        ssh_key_free(key);
        return NULL;
    }
    return key;
}

char *public_line_of(ssh_key key)
{
    AUTO_BUF struct buf blob = {0};
    char *base64 = NULL;
    if (ssh_pki_export_pubkey_base64(key, &base64) != SSH_OK)
        return NULL;
    bool decoded = digest_unbase64(str_of(base64), &blob);
    ssh_string_free_char(base64);
    return decoded ? public_line_of_blob(buf_view(&blob)) : NULL;
}

char *public_line_of_blob(struct str blob)
{
    if (blob.n < 4 || blob.n > SSH_PUBLIC_LINE_MAX)
        return NULL;
    const unsigned char *p = (const unsigned char *)blob.p;
    size_t n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    if (n > blob.n - 4)
        return NULL;
    AUTO_BUF struct buf line = {0};
    buf_add(&line, blob.p + 4, n);
    buf_addc(&line, ' ');
    digest_base64(blob, &line);
    ssh_key key = public_line_parse(buf_view(&line));
    if (!key)
        return NULL;
    ssh_key_free(key);
    return buf_take(&line);
}

const char *public_type_name(ssh_key key)
{
    AUTO_FREE char *line = public_line_of(key);
    for (size_t i = 0; line && i < COUNT_OF(types); i++)
        if (str_starts(str_of(line), types[i].type) && line[strlen(types[i].type)] == ' ')
            return types[i].name;
    return "an unknown type";
}

bool ssh_public_line_valid(struct str line)
{
    ssh_key key = public_line_parse(line);
    ssh_key_free(key);
    return key != NULL;
}

char *ssh_fingerprint(const char *public_line)
{
    if (!ssh_public_line_valid(str_of(public_line)))
        return NULL;
    struct str rest = str_of(public_line);
    (void)str_cut(&rest, ' ');
    AUTO_BUF struct buf blob = {0};
    if (!digest_unbase64(str_cut(&rest, ' '), &blob))
        return NULL;
    uint8_t hash[SHA256_SIZE];
    digest_sha256(buf_view(&blob), hash);
    struct buf text = {0};
    buf_adds(&text, "SHA256:");
    digest_base64((struct str){(const char *)hash, sizeof hash}, &text);
    char *fingerprint = buf_take(&text);
    char *padding = strchr(fingerprint, '=');
    if (padding)
        *padding = '\0';
    return fingerprint;
}

int pins_init(struct pins *p, const char *const *lines, size_t count, struct err *err)
{
    if (count == 0)
        return err_set(err, ERR_HOST_KEY,
                       "no host key is known for it, and it is not asked blindly");
    struct pins pins = {.lines = mem_array(count, sizeof *pins.lines),
                        .keys = mem_array(count, sizeof *pins.keys)};
    for (size_t i = 0; i < count; i++) {
        ssh_key key = public_line_parse(str_of(lines[i]));
        if (!key) {
            pins_done(&pins);
            return err_set(err, ERR_HOST_KEY, "the host key pinned for it is malformed: '%.80s'",
                           lines[i]);
        }
        pins.keys[i] = key;
        pins.lines[i] = public_line_of(key);
        pins.count++;
    }
    *p = pins;
    return 0;
}

void pins_done(struct pins *p)
{
    for (size_t i = 0; i < p->count; i++) {
        ssh_key_free(p->keys[i]);
        free(p->lines[i]);
    }
    free(p->keys);
    free(p->lines);
    *p = (struct pins){0};
}

static bool pins_have_type(const struct pins *p, const char *type)
{
    for (size_t i = 0; i < p->count; i++) {
        struct str rest = str_of(p->lines[i]);
        if (str_is(str_cut(&rest, ' '), type))
            return true;
    }
    return false;
}

void pins_algorithms(const struct pins *p, struct buf *out)
{
    for (int pinned = 1; pinned >= 0; pinned--)
        for (size_t i = 0; i < COUNT_OF(types); i++)
            if (pins_have_type(p, types[i].type) == (pinned == 1))
                buf_addf(out, "%s%s", out->len ? "," : "", types[i].algorithms);
}

bool pins_have(const struct pins *p, ssh_key shown)
{
    for (size_t i = 0; i < p->count; i++)
        if (ssh_key_cmp(p->keys[i], shown, SSH_KEY_CMP_PUBLIC) == 0)
            return true;
    return false;
}

void pins_text(const struct pins *p, struct buf *out)
{
    for (size_t i = 0; i < p->count; i++) {
        AUTO_FREE char *fingerprint = ssh_fingerprint(p->lines[i]);
        buf_addf(out, "%s%s (%s)", i ? " or " : "", fingerprint, public_type_name(p->keys[i]));
    }
}

int ssh_keygen_ed25519(struct buf *private_pem, struct buf *public_line, struct err *err)
{
    ssh_key key = NULL;
    char *text = NULL;
    if (ssh_pki_generate(SSH_KEYTYPE_ED25519, 0, &key) != SSH_OK)
        return err_set(err, ERR_INTERNAL, "cannot make a key pair");
    AUTO_FREE char *line = public_line_of(key);
    int rc = ssh_pki_export_privkey_base64(key, NULL, NULL, NULL, &text);
    ssh_key_free(key); /* libssh wipes it */
    if (rc != SSH_OK || !line) {
        ssh_string_free_char(text);
        return err_set(err, ERR_INTERNAL, "cannot write a key pair");
    }
    buf_adds(private_pem, text);
    if (!str_ends(buf_view(private_pem), "\n"))
        buf_addc(private_pem, '\n'); /* sshd refuses a key file without it */
    buf_adds(public_line, line);
    port_wipe(text, strlen(text));
    ssh_string_free_char(text);
    return 0;
}
