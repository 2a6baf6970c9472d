/* The key file that a cluster's file names, as one of that file's errors. */
#include "base/mem.h"
#include "cluster/spec_priv.h"
#include "os/fs.h"
#include "ssh/ssh.h"
#include <string.h>

/* Where in "the key 'PATH' is so and so: run `…`" the part to type begins; NULL where there is
 * none. */
static char *what_to_type(char *message, const char *path)
{
    static const char *const verbs[] = {"run ", "give ", "convert ", "make "};
    char *after = strstr(message, path);
    char *fix = after ? strstr(after + strlen(path), ": ") : NULL;
    for (size_t i = 0; fix && i < COUNT_OF(verbs); i++)
        if (strncmp(fix + 2, verbs[i], strlen(verbs[i])) == 0)
            return fix;
    return NULL;
}

static void check_key(const struct cluster_spec *spec, struct span at, struct diags *diags)
{
    AUTO_FREE char *expanded = fs_expand_home(spec->key);
    AUTO_FREE char *path = fs_relative_to(spec->path, expanded);
    struct ssh_identity *id = NULL;
    struct err why = {0};
    if (ssh_identity_load(path, &id, &why) == 0) {
        ssh_identity_free(id);
        return;
    }
    char *fix = what_to_type(why.msg, path);
    if (fix)
        *fix = '\0';
    diags_add(diags, at, mem_dup(why.msg),
              mem_dup(fix                         ? fix + 2
                      : spec->kind == CLUSTER_SSH ? "give the private key that opens the machines"
                                                  : "give the private half of the EC2 key pair "
                                                    "'key_name'"));
}

int cluster_spec_load_with_key(const char *path, struct cluster_spec *out, struct diags *diags,
                               struct err *err)
{
    return spec_load(path, check_key, out, diags, err);
}
