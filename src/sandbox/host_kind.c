/* The names of the kinds of hosts. See hosts.h. */
#include "base/attr.h"
#include "sandbox/hosts.h"
#include <string.h>

static const char *const names[] = {
    [HOST_BOOTED] = "booted", [HOST_LIGHT] = "light", [HOST_GHOST] = "ghost"};

const char *host_kind_name(enum host_kind k)
{
    return (size_t)k < COUNT_OF(names) ? names[k] : "unknown";
}

bool host_kind_from_name(const char *name, enum host_kind *out)
{
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (strcmp(names[i], name) != 0)
            continue;
        *out = (enum host_kind)i;
        return true;
    }
    return false;
}
