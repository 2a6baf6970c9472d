/* Known hosts: what the user's own known_hosts files say of a host. libssh takes a line apart and
 * compares names (hashed ones too); what it does not know of the format is kept from it here. What
 * cannot be understood counts as not there: a key that is not found is not trusted. */
#include "base/mem.h"
#include "os/fs.h"
#include "ssh/hostkey.h"
#include <stdlib.h>
#include <string.h>

#define KNOWN_BYTES_MAX ((size_t)16 << 20)

/* The line's key where it is about `host`, else NULL. */
static char *key_of_line(struct str line, const char *host)
{
    struct ssh_knownhosts_entry *entry = NULL;
    AUTO_FREE char *text = str_dup(line);
    if (ssh_known_hosts_parse_line(host, text, &entry) != SSH_OK || !entry)
        return NULL;
    AUTO_FREE char *shown = public_line_of(entry->publickey);
    ssh_knownhosts_entry_free(entry);
    return shown ? TAKE(shown) : NULL;
}

static void take_line(struct str line, const char *host, struct strv *keys, struct strv *revoked)
{
    struct str rest = line, word = str_cut(&rest, ' ');
    struct strv *to = keys;
    if (str_starts(word, "@")) {
        if (!str_is(word, "@revoked") || !rest.p)
            return;
        to = revoked;
        line = str_trim(rest);
        rest = line;
        word = str_cut(&rest, ' ');
    }
    if (memchr(word.p, '!', word.n)) /* libssh compares patterns one by one, and so misses these */
        return;
    char *key = key_of_line(line, host);
    if (key && !strv_has(to, key))
        strv_take(to, key);
    else
        free(key);
}

int ssh_known_keys(const char *path, const char *host, int port, struct strv *keys,
                   struct strv *revoked, struct err *err)
{
    AUTO_BUF struct buf text = {0}, name = {0};
    struct err why = {0};
    if (fs_read(path, KNOWN_BYTES_MAX, &text, &why) == -1)
        return why.code == ERR_NOT_FOUND ? 0 : err_copy(err, &why);
    if (port && port != 22)
        buf_addf(&name, "[%s]:%d", host, port);
    else
        buf_adds(&name, host);
    for (size_t i = 0; i < text.len; i++) /* ssh takes tabs too */
        if (text.data[i] == '\t')
            text.data[i] = ' ';
    struct str rest = buf_view(&text);
    while (rest.p && rest.n) {
        struct str line = str_trim(str_cut(&rest, '\n'));
        bool usable = line.n && line.p[0] != '#' && line.n <= SSH_PUBLIC_LINE_MAX &&
                      !memchr(line.p, '\0', line.n);
        if (usable)
            take_line(line, buf_text(&name), keys, revoked);
    }
    return 0;
}
