/* The modules of the file's first document, made importable for trials.
 *
 * A path needs nothing but PYTHONPATH. Packages and git URLs are installed, where that is asked for
 * (-i), into a virtual environment over the installed packages:
 *
 *   DIRECTORY/extensions/venv          the environment
 *   DIRECTORY/extensions/install.log   what venv and pip said, for the user alone
 *   DIRECTORY/extensions/record.json   what is in it: written when all of it was
 *
 * Passwords and tokens in URLs (base/url.h) stand in neither, nor in a command line or message: pip
 * is told them by its standard input, git by its environment.
 *
 * A run with the same list takes it as it is, without -i, too. */
#ifndef FLAMBE_EXPERIMENT_EXTENSION_H
#define FLAMBE_EXPERIMENT_EXTENSION_H

#include "experiment/spec.h"

struct extensions {
    struct strv python_path; /* directories, absolute, to stand first in PYTHONPATH */
    char *bin;    /* a directory to stand first in PATH, and that virtual environment's; or NULL */
    char *python; /* the interpreter to run: "python3", or a path */
};
void extensions_done(struct extensions *x);

#define EXTENSIONS_VENV_TIMEOUT (5 * USEC_PER_MIN)
#define EXTENSIONS_PIP_TIMEOUT (60 * USEC_PER_MIN) /* for one of them */

/* `directory` is the results', which exists. `installing` (may be NULL) is told each that is about
 * to be installed, without its secrets. ERR_FILE where the file's paths or words do not fit,
 * ERR_USAGE where -i is missing, ERR_REMOTE, with pip's words, where installing fails. */
int extensions_prepare(struct loop *loop, const struct experiment *e, const char *directory,
                       bool install, void (*installing)(void *ctx, const char *what), void *ctx,
                       struct extensions *out, struct err *err) MUST_CHECK;

#endif
