/* AWS's shared configuration: ~/.aws/config and ~/.aws/credentials, merged.
 *
 * https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html and what botocore does where
 * that is silent: keys are matched without regard to case, the last of two wins, the credentials
 * file's overlay the config file's, only whole lines are comments, and one level of indented "key =
 * value" lines may stand below a key without a value. */
#ifndef FLAMBE_AWS_CONFIG_FILE_H
#define FLAMBE_AWS_CONFIG_FILE_H

#include "base/err.h"
#include "base/str.h"

#define CONFIG_FILE_MAX ((size_t)1 << 20)
#define CONFIG_SECTIONS_MAX 10000
#define CONFIG_VALUE_MAX ((size_t)64 << 10)

enum config_section {
    CONFIG_PROFILE, /* [default], [profile x]; in the credentials file [x] */
    CONFIG_SSO_SESSION,
    CONFIG_SERVICES,
    CONFIG_OTHER, /* kept out of the way */
};

struct config_file;

struct config_file *config_file_new(void);
void config_file_free(struct config_file *f); /* wipes; NULL is legal */
/* Adds the bytes of one file; later ones overlay earlier ones. ERR_FILE with "path:line: …". */
int config_file_add(struct config_file *f, const char *path, struct str text, bool is_credentials,
                    struct err *err) MUST_CHECK;

bool config_file_has(const struct config_file *f, enum config_section kind, const char *section);
/* The value, or NULL; owned by the file. Values may be secrets: the caller prints none. */
const char *config_file_get(const struct config_file *f, enum config_section kind,
                            const char *section, const char *key);
/* The value of `sub` in the indented lines below `key`. */
const char *config_file_get_sub(const struct config_file *f, enum config_section kind,
                                const char *section, const char *key, const char *sub);
/* The path of the file that the value comes from, or NULL. */
const char *config_file_origin(const struct config_file *f, enum config_section kind,
                               const char *section, const char *key);
/* Adds the names of all profiles. */
void config_file_profiles(const struct config_file *f, struct strv *out);

#endif
