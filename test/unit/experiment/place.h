/* A directory of the test's own, gone with it, and programs in it that stand in for real ones.
 * Included by tests, once each. */
#ifndef FLAMBE_TEST_EXPERIMENT_PLACE_H
#define FLAMBE_TEST_EXPERIMENT_PLACE_H

#include "base/mem.h"
#include "os/fs.h"
#include "os/loop.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    struct loop *loop;
    char dir[64];
    char *path_before; /* $PATH */
};

static inline int place_set_up(void **state)
{
    struct place *p = mem_alloc(sizeof *p);
    p->loop = loop_new();
    snprintf(p->dir, sizeof p->dir, "/tmp/flambe-test-place-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    p->path_before = mem_dup(getenv("PATH"));
    *state = p;
    return 0;
}

static inline int place_tear_down(void **state)
{
    struct place *p = *state;
    setenv("PATH", p->path_before, 1);
    loop_free(p->loop);
    assert_int_equal(fs_remove_tree(p->dir, NULL), 0);
    free(p->path_before);
    free(p);
    return 0;
}

/* The caller frees. */
static inline char *place_write(struct place *p, const char *name, mode_t mode, const char *text)
{
    char *path = fs_join(p->dir, name);
    AUTO_FREE char *dir = mem_dup(path);
    *strrchr(dir, '/') = '\0';
    assert_int_equal(fs_mkdirs(dir, 0700, NULL), 0);
    assert_int_equal(fs_write_atomic(path, mode, str_of(text), NULL), 0);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

/* A program that stands first in $PATH. */
static inline void place_program(struct place *p, const char *name, const char *script)
{
    AUTO_FREE char *in = mem_printf("bin/%s", name);
    AUTO_FREE char *text = mem_printf("#!/bin/sh\n%s\n", script);
    free(place_write(p, in, 0755, text));
    AUTO_FREE char *first = mem_printf("%s/bin:%s", p->dir, p->path_before);
    setenv("PATH", first, 1);
}

#endif
