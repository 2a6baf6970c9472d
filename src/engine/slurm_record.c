/* What the wrappers of one host append to its file: a line for a start, a line for an end, each
 * with a checksum in front (record_priv.h). */
#include "engine/record_priv.h"
#include "engine/slurm_priv.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void put_task(const struct slurm_task *task, const char *what, struct buf *body)
{
    buf_addf(body, "%s\t%s\t%" PRIu32 "\t%" PRIu64 "\t", what, task->token, task->index, task->job);
}

void slurm_record_start(const struct slurm_task *task, const struct slurm_start *start,
                        struct buf *line)
{
    AUTO_BUF struct buf body = {.max = SLURM_LINE_MAX / 2};
    put_task(task, "start", &body);
    buf_addf(&body, "%" PRId64 "\t", start->wall);
    record_put_text(&body, start->host);
    buf_addc(&body, '\t');
    record_put_text(&body, start->gpus);
    record_seal(buf_view(&body), line);
}

void slurm_record_end(const struct slurm_task *task, const struct engine_result *result,
                      struct buf *line)
{
    AUTO_BUF struct buf body = {.max = SLURM_LINE_MAX / 2};
    put_task(task, "end", &body);
    record_put(result, &body);
    record_seal(buf_view(&body), line);
}

static bool take_start(struct str rest, struct slurm_start *out)
{
    uint64_t wall;
    struct slurm_start s = {0};
    if (!slurm_number(str_cut(&rest, '\t'), INT64_MAX, &wall) || !rest.p)
        return false;
    s.wall = (usec_t)wall;
    record_get_text(&rest, s.host, sizeof s.host);
    if (!rest.p)
        return false;
    record_get_text(&rest, s.gpus, sizeof s.gpus);
    *out = s;
    return true;
}

enum slurm_record slurm_record_parse(struct str line, struct slurm_task *task,
                                     struct slurm_start *start, struct engine_result *result)
{
    struct str rest;
    struct slurm_task t = {0};
    uint64_t index;
    if (!record_unseal(line, &rest))
        return SLURM_RECORD_NONE;
    struct str what = str_cut(&rest, '\t'), token = str_cut(&rest, '\t');
    if (!rest.p || !slurm_is_token(token) ||
        !slurm_number(str_cut(&rest, '\t'), UINT32_MAX, &index) ||
        !slurm_number(str_cut(&rest, '\t'), UINT64_MAX, &t.job) || !rest.p)
        return SLURM_RECORD_NONE;
    snprintf(t.token, sizeof t.token, "%.*s", STR_FMT(token));
    t.index = (uint32_t)index;
    bool is_start = str_is(what, "start");
    if (is_start ? !take_start(rest, start) : !str_is(what, "end") || !record_get(rest, result))
        return SLURM_RECORD_NONE;
    *task = t;
    return is_start ? SLURM_RECORD_START : SLURM_RECORD_END;
}
