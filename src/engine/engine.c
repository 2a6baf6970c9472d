/* The names of a program's ends. */
#include "engine/engine.h"

static const char *const end_names[ENGINE_END_COUNT] = {
    [ENGINE_EXITED] = "exited",
    [ENGINE_SIGNALLED] = "signal",
    [ENGINE_TIMED_OUT] = "time limit",
    [ENGINE_OUT_OF_MEMORY] = "memory limit",
    [ENGINE_STOPPED] = "stopped",
    [ENGINE_NOT_STARTED] = "not started",
    [ENGINE_LOST] = "lost",
};

const char *engine_end_name(enum engine_end end)
{
    return (unsigned)end < ENGINE_END_COUNT ? end_names[end] : "unknown";
}
