/* Experiments from text, on a machine of the test's own. */
#ifndef FLAMBE_TEST_EXPERIMENT_FIXTURE_H
#define FLAMBE_TEST_EXPERIMENT_FIXTURE_H

#include "base/mem.h"
#include "experiment/plan.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct experiment_options on_machine = {.machine = {.cpus = 4, .gpus = 0}, .seed = 7};

/* An experiment of these stages; fails the test, with what was said, where it is refused. */
static inline void read_good(const char *text, struct experiment *e)
{
    struct diags diags;
    struct err err = {0};
    int rc = experiment_parse("x.yaml", str_of(text), &on_machine, e, &diags, &err);
    struct buf said = {0};
    diags_print(&diags, false, &said);
    if (rc != 0)
        print_message("%s\n%s\n", buf_text(&said), err.msg);
    buf_done(&said);
    diags_done(&diags);
    assert_int_equal(rc, 0);
}

/* What is said of a bad one; the caller frees. */
static inline char *read_bad(const char *text)
{
    struct experiment e;
    struct diags diags;
    struct err err = {0};
    struct buf said = {0};
    assert_int_equal(experiment_parse("x.yaml", str_of(text), &on_machine, &e, &diags, &err), -1);
    assert_int_equal(err.code, ERR_FILE);
    diags_print(&diags, false, &said);
    diags_done(&diags);
    return buf_take(&said);
}

#define HEAD "!Experiment\nname: x\npipeline:\n"

static inline void plan_good(const char *text, struct experiment *e, struct experiment_plan *p)
{
    struct err err = {0};
    read_good(text, e);
    int rc = experiment_plan_make(e, p, &err);
    if (rc != 0)
        print_message("%s\n", err.msg);
    assert_int_equal(rc, 0);
}

static inline void plan_free(struct experiment *e, struct experiment_plan *p)
{
    experiment_plan_done(p);
    experiment_done(e);
}

static inline void assert_name(const struct experiment_plan *p, size_t stage, size_t index,
                               const char *want)
{
    AUTO_BUF struct buf name = {0};
    variant_name(&p->stages[stage].variants, index, &name);
    assert_string_equal(buf_text(&name), want);
}

#endif
