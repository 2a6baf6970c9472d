/* Any bytes as JSON: what is read is written and read again as the same. */
#include "base/json.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    json_t *value = NULL, *again = NULL;
    if (json_parse((struct str){(const char *)data, size}, 1 << 20, &value, &err) != 0) {
        FUZZ_CHECK(err.code == ERR_PARSE || err.code == ERR_LIMIT);
        return 0;
    }
    for (int pretty = 0; pretty < 2; pretty++) {
        AUTO_BUF struct buf out = {0};
        json_write(value, pretty, &out);
        FUZZ_CHECK(json_parse(buf_view(&out), 16 << 20, &again, &err) == 0);
        FUZZ_CHECK(json_equal(value, again));
        json_decref(again);
    }
    json_decref(value);
    return 0;
}
