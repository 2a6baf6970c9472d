/* The file of secrets (-s FILE), which trials find by FLAMBE_SECRETS: in the syntax of Python's
 * configparser. It is checked, so that a mistake is told before the first trial meets it.
 *
 * The values are nobody's business but the trials': they are read past, wiped, and in no message,
 * and nor are the keys' names. */
#ifndef FLAMBE_EXPERIMENT_SECRETS_H
#define FLAMBE_EXPERIMENT_SECRETS_H

#include "config/diag.h"

#define SECRETS_DEFAULT "~/.flambe/secrets.ini"
#define SECRETS_MAX ((size_t)1 << 20)

/* `given` is -s's FILE, or NULL: then SECRETS_DEFAULT, which may be missing. *path gets the
 * absolute path, or NULL where there is no file; *warning what to tell the user (others may read
 * the file), or NULL. The caller frees both. What is wrong with the text is in `diags` (initialised
 * here, freed by the caller in every case; without excerpts); a file that cannot be read is
 * ERR_FILE. */
int secrets_check(const char *given, char **path, char **warning, struct diags *diags,
                  struct err *err) MUST_CHECK;
/* The check of the text alone. */
void secrets_read(struct str text, struct diags *diags);

#endif
