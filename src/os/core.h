/* Core dumps. This process has credentials in its memory and leaves none of it on the disk; the
 * programs that it runs for the user are the user's to debug. */
#ifndef FLAMBE_OS_CORE_H
#define FLAMBE_OS_CORE_H

#include <sys/resource.h>

/* No core dump of this process, and, unless they are told otherwise, of its children. */
void core_forbid(void);
/* RLIMIT_CORE as it was before the first core_forbid(), or as it is. */
void core_user_limit(struct rlimit *out);

#endif
