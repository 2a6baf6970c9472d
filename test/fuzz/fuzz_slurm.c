/* Any bytes as what Slurm's programs print, as its list of ended jobs and as the wrappers' records;
 * and, as a row of facts, as the life of a program: it begins at most once and ends at most once.
 */
#include "engine/slurm_priv.h"
#include "fuzz.h"
#include <string.h>

static void check_text(const char *text, size_t size)
{
    FUZZ_CHECK(memchr(text, '\0', size));
    for (; *text; text++)
        FUZZ_CHECK((unsigned char)*text > ' ' && (unsigned char)*text < 0x7f && *text != '/');
}

static void check_task(const struct slurm_task *task, const struct slurm_word *word)
{
    FUZZ_CHECK(slurm_is_token(str_of(task->token)));
    if (!word)
        return;
    check_text(word->node, sizeof word->node);
    FUZZ_CHECK(word->exit_status >= -1 && word->exit_status <= 255);
    FUZZ_CHECK(word->signal >= -1 && word->signal <= 255);
}

static void check_line(struct str line)
{
    struct slurm_task task;
    struct slurm_word word;
    struct slurm_start start;
    struct engine_result result;
    struct slurm_cluster sum = {0};
    if (slurm_parse_ended(line, 0, &task, &word))
        check_task(&task, &word);
    if (slurm_parse_queue(line, &task, &word))
        check_task(&task, &word);
    if (slurm_record_parse(line, &task, &start, &result) != SLURM_RECORD_NONE)
        check_task(&task, NULL);
    if (slurm_parse_node(line, &sum))
        FUZZ_CHECK(sum.cpus <= 2 << 20 && sum.gpus <= 1024 * line.n);
}

static void check_whole(struct str text)
{
    uint64_t n;
    struct slurm_spec spec;
    struct slurm_row row;
    char line[64];
    if (slurm_parse_array_max(text, &n))
        FUZZ_CHECK(n <= UINT32_MAX);
    if (slurm_parse_job(text, &n))
        FUZZ_CHECK(n > 0);
    slurm_first_line(text, line, sizeof line);
    FUZZ_CHECK(strlen(line) < sizeof line);
    if (slurm_spec_head(text, &spec))
        FUZZ_CHECK(spec.created >= 0 && spec.stop_grace >= 0 && spec.count <= UINT32_MAX);
    if (slurm_spec_row(text, &row))
        FUZZ_CHECK(row.offset <= 2 * SLURM_SPEC_MAX && row.cpus <= 1 << 20);
}

/* Two bytes a fact. */
static void live(const uint8_t *data, size_t size)
{
    struct slurm_view v = slurm_view_new(7);
    usec_t now = 0;
    int began = 0, ended = 0;
    for (size_t i = 0; i + 1 < size; i += 2) {
        struct slurm_start start = {.wall = 1 + data[i + 1], .host = "w1"};
        struct slurm_word word = {.state = (enum slurm_state)(data[i + 1] % 8),
                                  .exit_status = data[i + 1] & 8 ? data[i + 1] : -1,
                                  .signal = data[i + 1] & 16 ? 9 : -1,
                                  .node = "w2"};
        struct engine_result result = {.id = data[i + 1] & 64 ? 8 : 7,
                                       .end = (enum engine_end)(data[i + 1] % ENGINE_END_COUNT),
                                       .signal = data[i + 1] & 32 ? 9 : 0,
                                       .host = "w3"};
        now += (usec_t)data[i + 1] * USEC_PER_SEC / 8;
        struct slurm_fact fact = {.kind = (enum slurm_fact_kind)(data[i] % 9),
                                  .mono = now,
                                  .wall = now,
                                  .start = &start,
                                  .result = &result,
                                  .word = &word,
                                  .text = "text"};
        struct slurm_view before = v;
        enum slurm_news news = slurm_update(&before, &fact, &v);
        began += news == SLURM_BEGAN;
        ended += news == SLURM_ENDED;
        FUZZ_CHECK(began <= 1 && ended <= 1);
        FUZZ_CHECK((v.phase == SLURM_OVER) == (ended == 1));
        FUZZ_CHECK(v.phase >= before.phase && v.result.id == 7);
        FUZZ_CHECK(!before.stop_asked || v.stop_asked);
        if (ended && v.result.end == ENGINE_STOPPED)
            FUZZ_CHECK(v.stop_asked);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size}, rest = text;
    check_whole(text);
    while (rest.p)
        check_line(str_cut(&rest, '\n'));
    live(data, size);
    return 0;
}
