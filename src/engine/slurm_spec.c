/* The file by which the wrapper learns what to run: a head, a row for each program, then the
 * programs as frames (wire_priv.h). Head and rows are lines of fixed length, so that a wrapper
 * reads its own row and its own program, however many there are. All hosts run the same program on
 * the same kind of machine, so a frame's numbers travel as they lie in memory. */
#include "engine/slurm_priv.h"
#include "engine/wire_priv.h"
#include <inttypes.h>
#include <string.h>

#define MAGIC "flambe-slurm-1"

/* Fills up with spaces, and ends the line. */
static void pad(struct buf *out, size_t from, size_t size)
{
    while (out->len < from + size - 1)
        buf_addc(out, ' ');
    buf_addc(out, '\n');
}

void slurm_spec_put_head(const struct slurm_spec *spec, struct buf *out)
{
    size_t from = out->len;
    buf_addf(out, "%s %" PRIu64 " %" PRId64 " %" PRId64 " %" PRIu64 " %" PRIu64, MAGIC, spec->count,
             spec->created, spec->stop_grace, spec->ended_file, spec->ended_size);
    pad(out, from, SLURM_HEAD_SIZE);
}

void slurm_spec_put_row(const struct slurm_row *row, struct buf *out)
{
    size_t from = out->len;
    buf_addf(out, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, row->id, row->cpus,
             row->gpus, row->offset, row->length);
    pad(out, from, SLURM_ROW_SIZE);
}

static bool numbers(struct str line, const uint64_t *max, uint64_t *out, size_t count)
{
    struct str rest = str_trim(line);
    for (size_t i = 0; i < count; i++) {
        if (!rest.p || !slurm_number(str_cut(&rest, ' '), max[i], &out[i]))
            return false;
    }
    return !rest.p;
}

bool slurm_spec_head(struct str bytes, struct slurm_spec *out)
{
    static const uint64_t max[] = {UINT32_MAX, INT64_MAX, INT64_MAX, UINT64_MAX, UINT64_MAX};
    uint64_t n[COUNT_OF(max)];
    if (bytes.n < SLURM_HEAD_SIZE || bytes.p[SLURM_HEAD_SIZE - 1] != '\n' ||
        !str_starts(bytes, MAGIC " "))
        return false;
    struct str line = {bytes.p + strlen(MAGIC " "), SLURM_HEAD_SIZE - strlen(MAGIC " ")};
    if (!numbers(line, max, n, COUNT_OF(max)))
        return false;
    *out = (struct slurm_spec){.count = n[0],
                               .created = (usec_t)n[1],
                               .stop_grace = (usec_t)n[2],
                               .ended_file = n[3],
                               .ended_size = n[4]};
    return true;
}

bool slurm_spec_row(struct str bytes, struct slurm_row *out)
{
    static const uint64_t max[] = {UINT64_MAX, 1 << 20, 1 << 20, SLURM_SPEC_MAX + WIRE_FRAME_MAX,
                                   WIRE_FRAME_MAX + 64};
    uint64_t n[COUNT_OF(max)];
    if (bytes.n < SLURM_ROW_SIZE || bytes.p[SLURM_ROW_SIZE - 1] != '\n')
        return false;
    if (!numbers((struct str){bytes.p, SLURM_ROW_SIZE}, max, n, COUNT_OF(max)))
        return false;
    *out =
        (struct slurm_row){.id = n[0], .cpus = n[1], .gpus = n[2], .offset = n[3], .length = n[4]};
    return true;
}
