/* See refuse.h. */
#include "experiment/refuse.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

#define WORD_MAX 200  /* longer ones are no misspelling */
#define LISTED_MAX 12 /* names in one message */

void refuse(struct diags *diags, struct span at, char *problem, char *fix)
{
    diags_add(diags, at, problem, fix);
}

const char *refuse_suggest(struct str word, const char *const *candidates, size_t count)
{
    if (word.n > WORD_MAX || count == 0)
        return NULL;
    AUTO_FREE char *text = str_dup(word);
    const char *near = str_nearest(text, candidates, count);
    return near && str_distance(text, near) * 2 <= strlen(text) ? near : NULL;
}

char *refuse_list(const char *const *names, size_t count)
{
    struct buf out = {0};
    for (size_t i = 0; i < count && i < LISTED_MAX; i++)
        buf_addf(&out, "%s%s", i ? ", " : "", names[i]);
    if (count > LISTED_MAX)
        buf_addf(&out, " and %zu more", count - LISTED_MAX);
    return buf_take(&out);
}

static const char *const stage_tags[] = {"!Script", "!Command"};

void refuse_stage(const struct yaml_node *stage, struct str name, struct diags *diags)
{
    AUTO_FREE char *shown = diag_quote(name);
    if (!stage->tag) {
        refuse(diags, stage->at, mem_printf("the stage %s does not say what it runs", shown),
               mem_dup("write '!Script' (a Python script or module) or '!Command' (any program) "
                       "behind its name"));
        return;
    }
    AUTO_FREE char *tag = diag_quote(str_of(stage->tag));
    const char *near = refuse_suggest(str_of(stage->tag), stage_tags, COUNT_OF(stage_tags));
    if (near) {
        refuse(diags, stage->at, mem_printf("unknown tag %s", tag),
               mem_printf("did you mean '%s'?", near));
        return;
    }
    refuse(diags, stage->at,
           mem_printf("%s is a Python component; a stage of flambe runs a program", tag),
           mem_dup("wrap it as a script: a file such as train.py that makes the component from its "
                   "arguments and runs it; then write '!Script' with 'script: train.py' and the "
                   "parameters under 'kwargs:'"));
}

static const struct {
    const char *tag, *meant;
} other_names[] = {{"!choice", "!g"}, {"!grid", "!g"},    {"!uniform", "!s"}, {"!sample", "!s"},
                   {"!G", "!g"},      {"!S", "!s"},       {"!Link", "!link"}, {"!ref", "!link"},
                   {"!copy", "!@"},   {"!options", "!g"}, {"!random", "!s"},  {"!lnk", "!link"}};

void refuse_value(const struct yaml_node *value, struct diags *diags)
{
    AUTO_FREE char *tag = diag_quote(str_of(value->tag));
    for (size_t i = 0; i < COUNT_OF(other_names); i++) {
        if (strcmp(value->tag, other_names[i].tag) != 0)
            continue;
        refuse(diags, value->at, mem_printf("unknown tag %s", tag),
               mem_printf("did you mean '%s'?", other_names[i].meant));
        return;
    }
    refuse(diags, value->at,
           mem_printf("%s is a Python component; a program's arguments are text and numbers", tag),
           mem_dup("let the script make it, and pass it the parameters; here !g, !s and !@ are "
                   "allowed; text that begins with '!' goes in quotes"));
}
