/* Files: bounded reads, atomic writes, and the places where flambe keeps things. */
#ifndef FLAMBE_OS_FS_H
#define FLAMBE_OS_FS_H

#include "base/buf.h"
#include "base/err.h"
#include <stdbool.h>
#include <sys/types.h>

/* Appends the whole file. More than `max` bytes is ERR_LIMIT; a missing file is ERR_NOT_FOUND;
 * a directory, or another error, is ERR_IO. */
int fs_read(const char *path, size_t max, struct buf *out, struct err *err) MUST_CHECK;
/* The same for a file that the user wrote, `what` ("a cluster's file"): whatever is wrong, a
 * directory too, is ERR_FILE. */
int fs_read_user_file(const char *path, const char *what, size_t max, struct buf *out,
                      struct err *err) MUST_CHECK;
/* Writes a new file beside the old one, syncs it, renames it over, and syncs the directory: after
 * a crash the path holds the old bytes or the new ones. */
int fs_write_atomic(const char *path, mode_t mode, struct str bytes, struct err *err) MUST_CHECK;
/* Makes the directory and the missing ones above it, with `mode`. */
int fs_mkdirs(const char *path, mode_t mode, struct err *err) MUST_CHECK;
/* Removes a file or a whole directory tree; follows no links; a missing path is fine. */
int fs_remove_tree(const char *path, struct err *err) MUST_CHECK;
/* Adds the names of all entries. */
int fs_list(const char *directory, struct strv *out, struct err *err) MUST_CHECK;
/* Removes those entries of the directory, with all below them, that `which` tells. */
int fs_remove_entries(const char *directory, bool (*which)(const char *name),
                      struct err *err) MUST_CHECK;
/* All the bytes, over as many writes as it takes; -1 with errno. */
int fs_write_all(int fd, struct str bytes) MUST_CHECK;
bool fs_exists(const char *path);
bool fs_is_directory(const char *path); /* or a link to one */

/* A leading "~" or "~/" becomes the home directory; the caller frees. */
char *fs_expand_home(const char *path);
char *fs_join(const char *dir, const char *name); /* the caller frees */
/* `path` as it is when absolute, else relative to the directory of the file `base`. */
char *fs_relative_to(const char *base, const char *path);
const char *fs_home(void); /* $HOME, else the passwd entry's; never NULL; static */
/* XDG base directories with "/flambe" behind; the caller frees. The directories may not exist. */
char *fs_state_dir(void); /* $XDG_STATE_HOME or ~/.local/state */
char *fs_cache_dir(void); /* $XDG_CACHE_HOME or ~/.cache */

#endif
