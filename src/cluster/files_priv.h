/* The shell of files.h: POSIX sh with GNU's coreutils and findutils, run by the login user. Each is
 * safe to run again at any point, and takes its experiment's name as $1. What a host prints is
 * hostile: files.c reads it and nobody else. */
#ifndef FLAMBE_CLUSTER_FILES_PRIV_H
#define FLAMBE_CLUSTER_FILES_PRIV_H

#include "base/buf.h"

extern const char script_files_make[];   /* directories; prints "flambe: sent SHA256" */
extern const char script_files_names[];  /* the new names on its standard input */
extern const char script_files_beside[]; /* $2…: the directories that are to stay */
extern const char script_files_spread[]; /* $2: 1 with secrets; hosts on its standard input */
extern const char script_secrets_put[];  /* the secrets on its standard input */
extern const char script_secrets_drop[]; /* hosts on its standard input */
extern const char script_unfetched[];
extern const char script_fetch_begin[];
extern const char script_fetch_end[]; /* $2: 1 where all was fetched */

/* "sh -c 'SCRIPT' flambe-WHAT NAME" */
void files_command(const char *script, const char *what, const char *name, struct buf *out);

#endif
