/* Any bytes as a file of secrets: messages stand at lines that are there, and tell no text. */
#include "experiment/secrets.h"
#include "fuzz.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct diags d;
    int lines = 1;
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n' || data[i] == '\r';
    diags_init(&d, "secrets.ini", STR(""));
    secrets_read(text, &d);
    for (size_t i = 0; i < d.count; i++) {
        const struct span *at = &d.items[i].at;
        FUZZ_CHECK(at->line >= 1 && at->line <= lines && at->column >= 1);
        FUZZ_CHECK(at->length >= 0 && (size_t)at->length <= size);
    }
    FUZZ_CHECK(str_is_utf8(text, NULL) || diags_total(&d) > 0);
    diags_done(&d);
    return 0;
}
