/* See companion.h. */
#include "os/companion.h"
#include "base/mem.h"
#include "os/fs.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#define INSTALLED "../lib/flambe"

static char *own_path(void)
{
    size_t size = PATH_MAX;
    AUTO_FREE char *path = mem_alloc(size);
    return uv_exepath(path, &size) == 0 ? TAKE(path) : NULL;
}

static int given(const char *variable, const char *path, char **out, struct err *err)
{
    *out = realpath(path, NULL);
    return *out ? 0 : err_set_sys(err, errno, "cannot use '%s', which %s names", path, variable);
}

static int none(const char *program, const char *name, const char *variable, struct err *err)
{
#ifdef __APPLE__
    (void)program;
    return err_set(
        err, ERR_NOT_FOUND,
        "there is no '%s', the program for a cluster's hosts: it is built on Linux; copy "
        "it from there and let %s name it",
        name, variable);
#else
    return err_set(err, ERR_NOT_FOUND,
                   "there is no '%s', the program for a cluster's hosts, beside '%s' or in "
                   "'" INSTALLED "' from there: 'make install' puts it there, and %s names another",
                   name, program, variable);
#endif
}

int companion_find(const char *program, const char *name, const char *variable, char **out,
                   struct err *err)
{
    const char *path = getenv(variable);
    if (path && *path)
        return given(variable, path, out, err);
    const char *slash = strrchr(program, '/');
    AUTO_FREE char *here = mem_dup_n(program, slash ? (size_t)(slash - program) : 0);
    AUTO_FREE char *beside = fs_join(here, name);
    AUTO_FREE char *installed = mem_printf("%s/" INSTALLED "/%s", here, name);
    *out = realpath(beside, NULL);
    if (!*out)
        *out = realpath(installed, NULL);
    if (*out)
        return 0;
    return none(program, name, variable, err);
}

int companion_node(char **out, struct err *err)
{
    AUTO_FREE char *program = own_path();
    return companion_find(program ? program : "", COMPANION_NODE, COMPANION_NODE_VARIABLE, out,
                          err);
}

int companion_id(const char *path, char out[COMPANION_ID_SIZE], struct err *err)
{
    AUTO_BUF struct buf bytes = {.max = COMPANION_BYTES_MAX};
    char hex[SHA256_HEX_SIZE];
    if (fs_read(path, COMPANION_BYTES_MAX, &bytes, err) == -1)
        return -1;
    digest_sha256_hex(buf_view(&bytes), hex);
    memcpy(out, hex, COMPANION_ID_SIZE - 1);
    out[COMPANION_ID_SIZE - 1] = '\0';
    return 0;
}

int companion_own_id(char out[COMPANION_ID_SIZE], struct err *err)
{
    AUTO_FREE char *program = own_path();
    if (!program)
        return err_set(err, ERR_IO, "cannot tell where flambe runs");
    return companion_id(program, out, err);
}
