/* A program of flambe's that another of its programs needs: where it is, and which build it is.
 *
 * FLAMBE_NODE is the file of flambe-node where that variable is set. Else it is beside the program
 * that runs, as in the directory that it was built in, or in ../lib/flambe from there, as
 * 'make install' has it. */
#ifndef FLAMBE_OS_COMPANION_H
#define FLAMBE_OS_COMPANION_H

#include "base/digest.h"
#include "base/err.h"

#define COMPANION_NODE "flambe-node"
#define COMPANION_NODE_VARIABLE "FLAMBE_NODE"
#define COMPANION_BYTES_MAX ((size_t)256 << 20)
#define COMPANION_ID_SIZE 17 /* with the NUL */

/* The file of flambe-node, absolute; the caller frees. ERR_NOT_FOUND, with what
 * to do, where there is none. */
int companion_node(char **out, struct err *err) MUST_CHECK;
/* The same with the program that runs in place of this one. */
int companion_find(const char *program, const char *name, const char *variable, char **out,
                   struct err *err) MUST_CHECK;
/* Which build the file is: the beginning of its SHA-256, as hex. */
int companion_id(const char *path, char out[COMPANION_ID_SIZE], struct err *err) MUST_CHECK;
int companion_own_id(char out[COMPANION_ID_SIZE], struct err *err) MUST_CHECK;

#endif
