/* What stands for a file or a directory whose content is not read: it changes when that does. */
#ifndef FLAMBE_EXPERIMENT_FILE_MARK_H
#define FLAMBE_EXPERIMENT_FILE_MARK_H

#include "base/buf.h"
#include <sys/stat.h>

#define FILE_MARK_ENTRIES_MAX 100000 /* of a directory, with all below it, outside of tests */
#define FILE_MARK_DEPTH_MAX 64

/* Appends the size and time, in nanoseconds, of what is at the path; of a directory, the digest
 * of the names, sizes and times of what is below it. Of more than `entries_max` entries, or
 * deeper ones than FILE_MARK_DEPTH_MAX, only those that are found first count, and the directory's
 * own size and time. Links to files count as the files, links to directories by where they lead.
 * What runs themselves change counts for nothing: .git, __pycache__, and directories of results.
 * `st` is stat(2)'s. */
void file_mark(const char *path, const struct stat *st, size_t entries_max, struct buf *out);

#endif
