/* Which process a number means. The system gives a number again once its process has ended, and
 * those of another machine or container are not ours: a stamp beside the number tells them apart.
 */
#ifndef FLAMBE_OS_PROCESS_H
#define FLAMBE_OS_PROCESS_H

#include "base/err.h"
#include "base/str.h"
#include <stdbool.h>
#include <sys/types.h>

#define PROCESS_STAMP_SIZE 160

/* When the process began, and where its number counts: one word without spaces. False where that
 * cannot be told. */
bool process_stamp(pid_t pid, char out[PROCESS_STAMP_SIZE]);

enum process_life {
    PROCESS_LIVES,   /* the number is that process's */
    PROCESS_ENDED,   /* it was */
    PROCESS_UNKNOWN, /* the stamp is of another machine or container, of an earlier boot, or none */
};
enum process_life process_look(pid_t pid, struct str stamp);

/* Signals that process and no other; false where there is none any more, or it is not known. ERR_IO
 * where the system refuses. */
int process_signal(pid_t pid, struct str stamp, int number, bool *sent, struct err *err) MUST_CHECK;

#endif
