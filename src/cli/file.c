/* See file.h. */
#include "cli/file.h"
#include "base/mem.h"
#include "config/yaml.h"
#include "experiment/secrets.h"
#include "os/fs.h"
#include <string.h>

static bool is_experiment_tag(const char *tag)
{
    static const char *const names[] = {"!Experiment"};
    return tag && str_nearest(tag, names, COUNT_OF(names));
}

bool file_is_experiment(const char *path)
{
    struct buf text = {.max = YAML_BYTES_MAX};
    struct diags ignored;
    struct yaml_file file = {0};
    bool found = false;
    if (fs_read(path, YAML_BYTES_MAX, &text, NULL) == -1)
        return false;
    diags_init(&ignored, path, buf_view(&text));
    if (yaml_parse(buf_view(&text), &ignored, &file, NULL) == 0) {
        for (size_t i = 0; i < file.document_count; i++)
            found = found || is_experiment_tag(file.documents[i]->tag);
        yaml_done(&file);
    } else {
        /* What cannot be read has no tags yet, but lines. */
        struct str rest = buf_view(&text);
        while (rest.p && !found)
            found = str_starts(str_cut(&rest, '\n'), "!Experiment");
    }
    diags_done(&ignored);
    buf_done(&text);
    return found;
}

void file_show_diagnostics(struct cli *cli, const struct diags *diags)
{
    struct buf text = {0};
    diags_print(diags, cli->screen.color, &text);
    console_lines(&cli->screen, buf_view(&text));
    buf_clear(&text);
    diags_json(diags, &text);
    json_t *list = json_loadb(buf_text(&text), text.len, 0, NULL);
    if (list && !cli->error_details)
        cli->error_details = json_pack("{s:O}", "diagnostics", list);
    json_decref(list);
    buf_done(&text);
}

int file_check_secrets(struct cli *cli, const char *given, char **path, struct err *err)
{
    struct diags diags;
    AUTO_FREE char *warning = NULL;
    int rc = secrets_check(given, path, &warning, &diags, err);
    if (rc == -1 && diags_total(&diags))
        file_show_diagnostics(cli, &diags);
    diags_done(&diags);
    if (warning)
        cli_warn(cli, warning);
    return rc;
}
