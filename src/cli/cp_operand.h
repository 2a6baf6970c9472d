/* What `flambe cp` copies from and to: "PATH", "CLUSTER:PATH" or "CLUSTER/HOSTS:PATH". */
#ifndef FLAMBE_CLI_CP_OPERAND_H
#define FLAMBE_CLI_CP_OPERAND_H

#include <stdbool.h>

struct cp_operand {
    char *cluster; /* a name or a cluster file; NULL: a path of this machine */
    char *hosts;   /* or NULL */
    char *path;    /* remote ones relative to the home directory; never empty */
};

/* A word is remote where what stands before its first ':' can be a cluster and no file of this
 * machine has the whole word as its name; "./" in front makes any word local. */
void cp_operand_parse(const char *word, struct cp_operand *out);
void cp_operand_done(struct cp_operand *o);

#endif
