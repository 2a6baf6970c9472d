/* --force: an experiment's earlier results give way to a new run, and are put back where that run
 * comes to nothing before its first trial.
 *
 *   DIRECTORY/.replaced     the earlier results, as long as they may be put back
 *   DIRECTORY/.removing-…   those that are being removed
 *
 * Only what flambe makes is moved and removed; links are, but not what they point to. The state
 * goes into .replaced as the last one and comes back as the first one, so that after a crash at any
 * point it is known what to do. Where the state is in a directory of its own (`state`, else the
 * same as `directory`), that has a .replaced too, which is made first and goes last. Whoever calls
 * these holds the lock. */
#ifndef FLAMBE_EXPERIMENT_REPLACE_H
#define FLAMBE_EXPERIMENT_REPLACE_H

#include "base/err.h"
#include "base/str.h"

/* Puts the results aside. `stages` (NULL: none) are those of the run to come: where the state is
 * damaged, they say what flambe made. Adds to `foreign` the names of what stays, for flambe did not
 * make it; ERR_EXISTS, and nothing is touched, where that has the name of one of the stages. */
int replace_begin(const char *directory, const char *state, const struct strv *stages,
                  struct strv *foreign, struct err *err) MUST_CHECK;
/* Removes what the new run made and puts the earlier results back; does nothing where none are put
 * aside. */
int replace_undo(const char *directory, const char *state, struct err *err) MUST_CHECK;
/* From now on there is no way back. ERR_IO: there still is one. */
int replace_finish(const char *directory, const char *state, struct err *err) MUST_CHECK;
/* Removes what replace_finish() left. */
int replace_remove(const char *directory, const char *state, struct err *err) MUST_CHECK;

#endif
