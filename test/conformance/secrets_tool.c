/* For each file named, whether it is taken as a file of secrets, one "yes" or "no" a line: for
 * test_secrets_configparser.py. */
#include "experiment/secrets.h"
#include "os/fs.h"
#include <stdio.h>

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct buf text = {.max = SECRETS_MAX + 1};
        struct diags d;
        if (fs_read(argv[i], SECRETS_MAX, &text, NULL) == -1)
            return 1;
        diags_init(&d, argv[i], STR(""));
        secrets_read(buf_view(&text), &d);
        puts(diags_total(&d) ? "no" : "yes");
        diags_done(&d);
        buf_wipe(&text);
    }
    return 0;
}
