/* See core.h. Only the soft limit is lowered: the hard one could not be raised again. */
#include "os/core.h"
#include <stdbool.h>

static struct rlimit before;
static bool forbidden;

void core_forbid(void)
{
    struct rlimit now;
    if (getrlimit(RLIMIT_CORE, &now) == -1)
        return;
    if (!forbidden)
        before = now;
    forbidden = true;
    now.rlim_cur = 0;
    (void)setrlimit(RLIMIT_CORE, &now); /* lower than it was: it is not refused */
}

void core_user_limit(struct rlimit *out)
{
    if (forbidden)
        *out = before;
    else if (getrlimit(RLIMIT_CORE, out) == -1)
        *out = (struct rlimit){0};
}
