/* Starts one program as the leader of a session of its own. */
#ifndef FLAMBE_ENGINE_SPAWN_PRIV_H
#define FLAMBE_ENGINE_SPAWN_PRIV_H

#include "engine/engine.h"
#include <sys/resource.h>
#include <sys/types.h>

/* The signals that a supervisor ignores, and that a program gets back as they were meant. */
extern const int spawn_ignored_signals[];
extern const size_t spawn_ignored_count;

/* What a program gets in place of this process's own limits. */
struct spawn_limits {
    struct rlimit files; /* RLIMIT_NOFILE */
    struct rlimit core;  /* RLIMIT_CORE */
};

/* Returns the number of the process, which has begun the program, or -1. Its standard input is this
 * process's, its output and error are `out`; every other descriptor is closed if it is to be. It
 * dies with this process where the kernel can do that. */
pid_t spawn_program(const struct engine_program *p, int out, const struct spawn_limits *limits,
                    struct err *err) MUST_CHECK;

#endif
