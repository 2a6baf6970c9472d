/* Any bytes as an experiment's file: the keys, options, links and variants. */
#include "experiment/plan.h"
#include "fuzz.h"
#include <stdlib.h>
#include <string.h>

#define VARIANTS_SEEN 200 /* of each stage, from both ends */

static void check_name(const struct variants *v, size_t index)
{
    AUTO_BUF struct buf name = {0};
    variant_name(v, index, &name);
    FUZZ_CHECK(name.len > 0 && name.len < 256);
    FUZZ_CHECK(!memchr(name.data, '/', name.len) && str_is_utf8(buf_view(&name), NULL));
    for (size_t i = 0; i < name.len; i++)
        FUZZ_CHECK((unsigned char)name.data[i] >= 0x20 && name.data[i] != 0x7f);
}

static void check_plan(const struct experiment *e)
{
    struct experiment_plan p;
    struct err err = {0};
    if (experiment_plan_make(e, &p, &err) != 0) {
        FUZZ_CHECK(err.code == ERR_FILE);
        return;
    }
    for (size_t i = 0; i < p.count; i++) {
        const struct variants *v = &p.stages[i].variants;
        FUZZ_CHECK(v->total >= 1 && v->total <= VARIANTS_MAX);
        FUZZ_CHECK(p.stages[i].trials >= 1 && p.stages[i].trials <= v->total);
        for (size_t k = 0; k < v->total && k < VARIANTS_SEEN; k++) {
            check_name(v, k);
            check_name(v, v->total - 1 - k);
        }
        for (size_t k = i; k < p.count; k++)
            FUZZ_CHECK(p.stages[i].closure[k] == (k == i));
    }
    experiment_plan_done(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct experiment_options options = {.machine = {.cpus = 4, .gpus = 1}, .seed = 1};
    struct experiment e;
    struct diags diags;
    struct err err = {0};
    int r = experiment_parse("f.yaml", text, &options, &e, &diags, &err);
    FUZZ_CHECK((r == 0) == (diags_total(&diags) == 0));
    AUTO_BUF struct buf said = {0};
    diags_print(&diags, false, &said);
    FUZZ_CHECK(str_is_utf8(buf_view(&said), NULL));
    if (r == 0) {
        FUZZ_CHECK(e.name && e.save_path && e.stage_count > 0);
        check_plan(&e);
        experiment_done(&e);
    }
    diags_done(&diags);
    return 0;
}
