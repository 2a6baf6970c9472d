/* Any bytes as what a host says: its console, the answers of the scripts that run on it. A host may
 * be foreign or broken: nothing of it may reach a terminal, a known_hosts file or a script as it
 * is. */
#include "cluster/cluster_priv.h"
#include "fuzz.h"

static void check_line(const char *text)
{
    for (; text && *text; text++)
        FUZZ_CHECK((unsigned char)*text >= 0x20 && (unsigned char)*text != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    AUTO_STRV struct strv keys = {0};
    console_host_keys(text, &keys);
    for (size_t i = 0; i < keys.count; i++)
        check_line(keys.items[i]);
    struct contact_answer contact = {0};
    contact_answer_read(text, &contact);
    check_line(contact.host_key);
    check_line(contact.cluster_key);
    check_line(contact.error);
    contact_answer_done(&contact);
    struct check_answer check = {0};
    check_answer_read(text, "i-0123456789abcdef0", &check);
    check_line(check.cluster_key);
    check_answer_done(&check);
    char *line = last_line(text);
    check_line(line);
    free(line);
    char *pin = pin_clean(text);
    check_line(pin);
    free(pin);
    return 0;
}
