/* Any bytes as an instance's user data: cloud-config, plain or as a part of a multipart message. */
#include "fuzz.h"
#include "sandbox/userdata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct userdata u = {0};
    userdata_read((struct str){(const char *)data, size}, &u);
    FUZZ_CHECK(u.authorized_keys.count <= USERDATA_KEYS_MAX);
    userdata_done(&u);
    return 0;
}
