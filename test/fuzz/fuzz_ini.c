/* Any bytes as ~/.aws/config and ~/.aws/credentials. */
#include "aws/config_file.h"
#include "fuzz.h"

static void look_up(const struct config_file *f)
{
    AUTO_STRV struct strv profiles = {0};
    config_file_profiles(f, &profiles);
    strv_add(&profiles, "default");
    for (size_t i = 0; i < profiles.count; i++) {
        const char *name = profiles.items[i];
        config_file_has(f, CONFIG_PROFILE, name);
        config_file_get(f, CONFIG_PROFILE, name, "region");
        config_file_get_sub(f, CONFIG_PROFILE, name, "s3", "endpoint_url");
        config_file_origin(f, CONFIG_PROFILE, name, "aws_access_key_id");
        config_file_get_sub(f, CONFIG_SERVICES, name, "ec2", "endpoint_url");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct config_file *f = config_file_new();
    for (int credentials = 0; credentials < 2; credentials++) {
        struct err err = {0};
        if (config_file_add(f, "file", text, credentials, &err) != 0)
            FUZZ_CHECK(err.code != ERR_NONE);
    }
    look_up(f);
    config_file_free(f);
    return 0;
}
