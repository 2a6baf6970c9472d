/* The cluster's pinned host keys: an OpenSSH known_hosts file whose host names are instance ids, so
 * that addresses may change and `ssh -o HostKeyAlias=ID` reads the same file. */
#include "base/mem.h"
#include "cluster/cluster_priv.h"
#include "os/fs.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define PIN_LINE_MAX 4096

char *pin_clean(struct str line)
{
    line = str_trim(line);
    if (line.n > PIN_LINE_MAX || !ssh_public_line_valid(line))
        return NULL;
    struct str rest = line;
    struct str type = str_cut(&rest, ' ');
    struct str key = rest.p ? str_cut(&rest, ' ') : (struct str){0};
    if (!type.n || !key.n)
        return NULL;
    return mem_printf("%.*s %.*s", STR_FMT(type), STR_FMT(key));
}

static void pin_done(struct pin *p)
{
    free(p->host);
    free(p->line);
}

void pinfile_done(struct pins *p)
{
    for (size_t i = 0; i < p->count; i++)
        pin_done(&p->items[i]);
    free(p->items);
    free(p->path);
    *p = (struct pins){0};
}

/* The comment of a pin that came with user data. */
#define FIRST "first-key"

static void push(struct pins *p, char *host, char *line, bool first)
{
    MEM_PUSH_ROOM(p->items, p->count, p->cap);
    p->items[p->count++] = (struct pin){host, line, first};
}

int pinfile_load(const char *path, struct pins *out, struct err *err)
{
    struct pins p = {.path = mem_dup(path)};
    AUTO_BUF struct buf text = {0};
    struct err why = {0};
    if (fs_read(path, PINS_BYTES_MAX, &text, &why) == -1 && why.code != ERR_NOT_FOUND) {
        pinfile_done(&p);
        return err_copy(err, &why);
    }
    struct str rest = buf_view(&text);
    while (rest.p && rest.n) {
        struct str line = str_trim(str_cut(&rest, '\n'));
        if (!line.n || line.p[0] == '#')
            continue;
        struct str key = line;
        struct str host = str_cut(&key, ' ');
        char *clean = key.p ? pin_clean(key) : NULL;
        if (clean)
            push(&p, str_dup(host), clean, str_ends(key, " " FIRST));
    }
    *out = p;
    return 0;
}

size_t pinfile_count(const struct pins *p, const char *host)
{
    size_t n = 0;
    for (size_t i = 0; i < p->count; i++)
        n += strcmp(p->items[i].host, host) == 0;
    return n;
}

size_t pinfile_get(const struct pins *p, const char *host, const char **lines, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < p->count && n < max; i++)
        if (strcmp(p->items[i].host, host) == 0)
            lines[n++] = p->items[i].line;
    return n;
}

void pinfile_set(struct pins *p, const char *host, const char *const *lines, size_t count)
{
    AUTO_STRV struct strv copies = {0}; /* the lines may be the ones that are replaced */
    for (size_t i = 0; i < count; i++)
        strv_add(&copies, lines[i]);
    size_t kept = 0;
    for (size_t i = 0; i < p->count; i++) {
        if (strcmp(p->items[i].host, host) == 0)
            pin_done(&p->items[i]);
        else
            p->items[kept++] = p->items[i];
    }
    p->count = kept;
    for (size_t i = 0; i < copies.count; i++)
        push(p, mem_dup(host), mem_dup(copies.items[i]), false);
}

void pinfile_add(struct pins *p, const char *host, const char *line, bool first)
{
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->items[i].host, host) == 0 && strcmp(p->items[i].line, line) == 0)
            return;
    push(p, mem_dup(host), mem_dup(line), first);
}

bool pinfile_is_first(const struct pins *p, const char *host)
{
    size_t first = 0, all = 0;
    for (size_t i = 0; i < p->count; i++) {
        if (strcmp(p->items[i].host, host) != 0)
            continue;
        all++;
        first += p->items[i].first;
    }
    return all && first == all;
}

int pinfile_save(const struct pins *p, struct err *err)
{
    AUTO_BUF struct buf text = {0};
    for (size_t i = 0; i < p->count; i++)
        buf_addf(&text, "%s %s%s\n", p->items[i].host, p->items[i].line,
                 p->items[i].first ? " " FIRST : "");
    return fs_write_atomic(p->path, 0600, buf_view(&text), err);
}

/* A console line may carry a prefix such as "[   12.3] cloud-init[800]: ", or "ci-info: ". */
static char *key_in_line(struct str line)
{
    static const char *const types[] = {"ssh-ed25519 ", "ecdsa-sha2-", "ssh-rsa "};
    for (size_t t = 0; t < COUNT_OF(types); t++) {
        const char *at = memmem(line.p, line.n, types[t], strlen(types[t]));
        if (at)
            return pin_clean((struct str){at, line.n - (size_t)(at - line.p)});
    }
    return NULL;
}

static bool contains(struct str line, const char *what)
{
    return line.n && memmem(line.p, line.n, what, strlen(what));
}

bool console_host_keys(struct str console, struct strv *keys)
{
    AUTO_STRV struct strv block = {0};
    bool inside = false, found = false;
    while (console.p && console.n) {
        struct str line = str_cut(&console, '\n');
        if (contains(line, "-----BEGIN SSH HOST KEY KEYS-----")) {
            strv_done(&block);
            inside = true;
        } else if (inside && contains(line, "-----END SSH HOST KEY KEYS-----")) {
            inside = false;
            if (!block.count)
                continue;
            strv_done(keys); /* a later block stands for a later key */
            *keys = block;
            block = (struct strv){0};
            found = true;
        } else if (inside && block.count < 16) {
            char *key = key_in_line(line);
            if (key)
                strv_take(&block, key);
        }
    }
    return found;
}

char *cluster_known_hosts_path(struct cluster *c, const char *creator, const char *name)
{
    return state_path(c, creator, name, "known_hosts");
}
