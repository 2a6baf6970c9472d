/* See limits.h. */
#include "experiment/limits.h"
#include "base/mem.h"
#include "experiment/refuse.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(struct objective, field)

static const char *const modes[] = {"min", "max", NULL};
static const char *const values[] = {"last", "best", NULL};

static const struct schema_key objective_keys[] = {
    {.name = "metric",
     .type = SCHEMA_STRING,
     .required = true,
     .min = 1,
     .max = 256,
     .example = "loss",
     .help = "The metric, by the tag under which the program reports it",
     .offset = AT(metric)},
    {.name = "mode",
     .type = SCHEMA_STRING,
     .required = true,
     .choices = modes,
     .example = "min",
     .help = "Whether it is to be small or large",
     .offset = AT(mode_text)},
    {.name = "value",
     .type = SCHEMA_STRING,
     .choices = values,
     .fallback = "last",
     .help = "Which of the values that a trial reported counts",
     .offset = AT(value_text)},
};
const struct schema objective_schema = {"", "an objective", objective_keys,
                                        COUNT_OF(objective_keys)};

void objective_read(const struct yaml_node *n, struct diags *diags, struct objective *out)
{
    if (!n || n->bad)
        return;
    if (n->kind != YAML_MAP || n->tag) {
        refuse(diags, n->at,
               mem_printf("'objective' must be a map of keys, not %s", yaml_kind_name(n->kind)),
               mem_dup("write 'objective: {metric: loss, mode: min}'"));
        return;
    }
    schema_read(&objective_schema, n, diags, out, NULL);
    out->maximize = out->mode_text && strcmp(out->mode_text, "max") == 0;
    out->best = out->value_text && strcmp(out->value_text, "best") == 0;
}

void objective_done(struct objective *o)
{
    schema_free(&objective_schema, o);
}

/* ---- amounts ----------------------------------------------------------------------------------
 */

struct unit {
    const char *name;
    double factor;
};

static const struct unit times[] = {
    {"", 1},        {"s", 1},        {"sec", 1},   {"min", 60},    {"m", 60},       {"h", 3600},
    {"hour", 3600}, {"hours", 3600}, {"d", 86400}, {"day", 86400}, {"days", 86400},
};
static const struct unit sizes[] = {
    {"kB", 1e3},     {"MB", 1e6},     {"GB", 1e9},     {"TB", 1e12},
    {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40},
    {"K", 0x1p10},   {"M", 0x1p20},   {"G", 0x1p30},   {"T", 0x1p40},
};

/* The amount in the first unit, or NaN. */
static double amount(const struct yaml_node *n, const struct unit *units, size_t count)
{
    if (n->tag || !n->text || n->kind == YAML_BOOL || n->kind == YAML_NULL)
        return NAN;
    char *end;
    if (!isdigit((unsigned char)n->text[0]) && n->text[0] != '.')
        return NAN; /* strtod takes signs, blanks, "inf" and hexadecimals too */
    if (n->text[0] == '0' && (n->text[1] == 'x' || n->text[1] == 'X'))
        return NAN;
    double x = strtod(n->text, &end);
    struct str unit = str_trim(str_of(end));
    for (size_t i = 0; i < count; i++)
        if (str_is(unit, units[i].name))
            return x * units[i].factor;
    return NAN;
}

static char *shown(const struct yaml_node *n)
{
    return n->text && !n->tag ? diag_quote((struct str){n->text, n->text_len})
                              : mem_dup(yaml_kind_name(n->kind));
}

usec_t limit_time(const struct yaml_node *n, struct diags *diags)
{
    if (!n || n->bad)
        return 0;
    double seconds = amount(n, times, COUNT_OF(times));
    if (seconds >= 0.001 && seconds <= 1e9)
        return (usec_t)(seconds * (double)USEC_PER_SEC);
    AUTO_FREE char *text = shown(n);
    refuse(diags, n->at, mem_printf("'time_limit' is a span of time, not %s", text),
           mem_dup("write such as '90 s', '30 min', '2 h' or '1 d'"));
    return 0;
}

uint64_t limit_memory(const struct yaml_node *n, struct diags *diags)
{
    if (!n || n->bad)
        return 0;
    double bytes = amount(n, sizes, COUNT_OF(sizes));
    if (bytes >= 1e6 && bytes <= 1e15)
        return (uint64_t)bytes;
    AUTO_FREE char *text = shown(n);
    refuse(diags, n->at, mem_printf("'memory_limit' is an amount of memory, not %s", text),
           mem_dup("write such as '512 MB' or '4 GiB'; at least 1 MB"));
    return 0;
}
