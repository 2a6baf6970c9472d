/* See child_env.h. */
#include "experiment/child_env.h"
#include "base/port.h"
#include <string.h>
#include <unistd.h>

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
