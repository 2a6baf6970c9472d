/* Any bytes as an entry of a host's queue: what is taken names nothing but absolute paths, and a
 * name that leads nowhere else. */
#include "fuzz.h"
#include "node/entry.h"
#include <string.h>

static void check_path(const char *path)
{
    FUZZ_CHECK(!path || (path[0] == '/' && !strstr(path, "/../")));
}

static void check_places(const struct strtab *t)
{
    size_t at = 0;
    struct str key;
    void *path;
    while (t && strtab_next(t, &at, &key, &path))
        check_path(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    struct entry e;
    if (entry_parse((struct str){(const char *)data, size}, &e, &err) != 0) {
        FUZZ_CHECK(err.code == ERR_PARSE || err.code == ERR_LIMIT || err.code == ERR_CONFLICT);
        return 0;
    }
    FUZZ_CHECK(entry_name_ok(e.name) && !strchr(e.name, '/') && e.name[0] != '.');
    FUZZ_CHECK(e.file && e.work && e.save_path);
    check_path(e.file);
    check_path(e.work);
    check_path(e.save_path);
    check_path(e.state);
    check_path(e.secrets);
    check_places(e.resources);
    check_places(e.extensions);
    FUZZ_CHECK(e.submitted >= 0);
    entry_done(&e);
    return 0;
}
