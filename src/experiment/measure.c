/* See measure.h. */
#include "experiment/measure.h"
#include <errno.h>
#include <fts.h>
#include <string.h>
#include <sys/stat.h>

int measure(const char *path, bool (*file)(void *ctx, const char *path, uint64_t bytes), void *ctx,
            struct err *err)
{
    char *roots[] = {(char *)path, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (!tree)
        return err_set_sys(err, errno, "cannot read '%s'", path);
    size_t root = strlen(path);
    int rc = 0;
    bool on = true;
    FTSENT *entry;
    while (on && rc == 0 && (errno = 0, entry = fts_read(tree))) {
        const char *below = entry->fts_path + root;
        below += *below == '/';
        if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR)
            rc = err_set_sys(err, entry->fts_errno, "cannot read '%s'", entry->fts_path);
        else if (entry->fts_info == FTS_F)
            on = file(ctx, below, (uint64_t)entry->fts_statp->st_size);
        else if (entry->fts_info == FTS_SL || entry->fts_info == FTS_SLNONE)
            on = file(ctx, below, 0);
    }
    if (on && rc == 0 && errno)
        rc = err_set_sys(err, errno, "cannot read '%s'", path);
    fts_close(tree);
    return rc;
}
