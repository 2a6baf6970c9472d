/* See child_env.h. */
#include "experiment/child_env.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_DEFAULT "/usr/local/bin:/usr/bin:/bin" /* as the engine looks where there is none */

/* Whether both are "NAME=…" of one NAME. */
static bool same_name(const char *a, const char *b)
{
    size_t n = strcspn(a, "=");
    return strncmp(a, b, n) == 0 && b[n] == '=';
}

void child_env_make(const char *const *changes, struct strv *out)
{
    for (char **e = environ; e && *e; e++) {
        size_t i = 0;
        while (changes[i] && !same_name(changes[i], *e))
            i++;
        if (!changes[i])
            strv_add(out, *e);
    }
    for (size_t i = 0; changes[i]; i++)
        strv_add(out, changes[i]);
    strv_take(out, NULL);
    out->count--; /* the NULL stands behind the list */
}

/* "NAME=a:b", without a name's entry where there are none. */
static void add_paths(const char *name, const struct strv *entries, struct strv *changes)
{
    AUTO_FREE char *joined = strv_join(entries, ":");
    if (entries->count)
        strv_take(changes, mem_printf("%s=%s", name, joined));
}

/* The directory of a file, or NULL where it has none. The caller frees. */
static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? mem_dup_n(path, slash == path ? 1 : (size_t)(slash - path)) : NULL;
}

void child_env_trials(const struct child_env_paths *p, struct strv *out)
{
    AUTO_STRV struct strv programs = {0}, modules = {0}, changes = {0};
    const char *path = getenv("PATH"), *python_path = getenv("PYTHONPATH");
    AUTO_FREE char *ours = directory_of(p->flambe);
    AUTO_FREE char *environment = p->bin ? directory_of(p->bin) : NULL;
    if (p->bin)
        strv_add(&programs, p->bin);
    strv_add(&programs, path && *path ? path : PATH_DEFAULT);
    if (ours && !strchr(ours, ':'))
        strv_add(&programs, ours);
    strv_copy(&modules, p->python_path);
    if (modules.count && python_path && *python_path)
        strv_add(&modules, python_path);
    add_paths("PATH", &programs, &changes);
    add_paths("PYTHONPATH", &modules, &changes);
    if (environment)
        strv_take(&changes, mem_printf("VIRTUAL_ENV=%s", environment));
    strv_take(&changes, NULL);
    child_env_make((const char *const *)changes.items, out);
}
