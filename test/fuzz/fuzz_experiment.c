/* Any bytes as an experiment's file: the keys, options, links and variants. */
#include "base/mem.h"
#include "experiment/dimensions.h"
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

/* What is drawn is what JSON can hold of it. */
static void check_draws(const struct stage *stage)
{
    struct dimensions d;
    dimensions_make(&stage->space, &stage->search.log, 3, &d);
    struct search_options o = {
        .dimensions = d.items, .dimension_count = d.count, .seed = 1, .stage = stage->name};
    struct search *s = NULL;
    FUZZ_CHECK(search_new(&stage->search, &o, &s, NULL) == 0);
    struct dimension_value *values = mem_array(d.count, sizeof *values);
    struct dimension_pick *picks = mem_array(d.count, sizeof *picks);
    for (size_t number = 0; number < 3; number++) {
        enum search_answer answer;
        FUZZ_CHECK(s->ops->ask(s, number, values, &answer, NULL) == 0);
        if (answer == SEARCH_END)
            break;
        json_t *object = dimensions_to_json(d.items, d.count, values);
        FUZZ_CHECK(dimensions_from_json(d.items, d.count, object, values, NULL) == 0);
        FUZZ_CHECK(json_object_size(object) == dimensions_picks(&d, values, picks) + 1);
        json_decref(object);
    }
    free(values);
    free(picks);
    search_free(s);
    dimensions_done(&d);
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
        FUZZ_CHECK(p.stages[i].trials >= 1 &&
                   p.stages[i].trials <= (p.stages[i].drawn ? VARIANTS_MAX : v->total));
        if (e->stages[i].search.kind == SEARCH_RANDOM)
            check_draws(&e->stages[i]);
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
