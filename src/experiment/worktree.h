/* Which files of a directory a person means when he sends it elsewhere. */
#ifndef FLAMBE_EXPERIMENT_WORKTREE_H
#define FLAMBE_EXPERIMENT_WORKTREE_H

#include "base/buf.h"
#include "base/err.h"
#include "os/loop.h"

#define WORKTREE_NAMES_MAX ((size_t)64 << 20) /* bytes of names */
#define WORKTREE_IGNORE_FILE ".flambeignore"

/* Appends the paths of all files below the directory, relative to it, each with a NUL behind it, in
 * no order, some perhaps twice or gone since, and not always without pipes and the like. A
 * directory among them is another repository's, to be listed in turn:
 *
 * In a git checkout, where git is there, git says: what it tracks, and what is there and not
 * ignored by .gitignore, .git/info/exclude and the user's own ignore file. Elsewhere rsync lists
 * the files and reads .gitignore, which it does nearly as git does: a line that begins with '!'
 * takes nothing back.
 *
 * `.flambeignore` has the same form, is read in every directory, and holds for tracked files too.
 * Nothing below a `.git` is listed. ERR_LIMIT where there are more than WORKTREE_NAMES_MAX. */
int worktree_list(struct loop *loop, const char *directory, struct buf *names,
                  struct err *err) MUST_CHECK;

/* Appends what is below the directory and not in `names` (`count`, sorted by bytes), each with a
 * NUL behind it: a directory that has none of them as a whole, and of the others each file. */
int worktree_rest(const char *directory, const char *const *names, size_t count, struct buf *rest,
                  struct err *err) MUST_CHECK;

/* For tests: rsync's way, wherever the directory is. */
int worktree_list_plain(struct loop *loop, const char *directory, struct buf *names,
                        struct err *err) MUST_CHECK;

#endif
