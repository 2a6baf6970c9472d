/* See options.h. */
#include "cli/options.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

#define SUGGESTIONS_MAX 64

struct parser {
    const struct option_table *tables;
    size_t table_count;
    const char *const *argv;
    size_t argc, at;
    void *out;
    struct err *err;
};

void operands_done(struct operands *o)
{
    free((void *)o->items);
    *o = (struct operands){.dashes = OPERANDS_NO_DASHES};
}

static void add_operand(struct operands *o, const char *text)
{
    const char **items = (const char **)o->items;
    MEM_PUSH_ROOM(items, o->count, o->cap);
    items[o->count++] = text;
    o->items = items;
}

static const struct option_row *find_long(const struct parser *p, struct str name)
{
    for (size_t t = 0; t < p->table_count; t++)
        for (size_t i = 0; i < p->tables[t].count; i++)
            if (str_is(name, p->tables[t].rows[i].name))
                return &p->tables[t].rows[i];
    return NULL;
}

static const struct option_row *find_letter(const struct parser *p, char letter)
{
    for (size_t t = 0; t < p->table_count; t++)
        for (size_t i = 0; i < p->tables[t].count; i++)
            if (p->tables[t].rows[i].letter == letter)
                return &p->tables[t].rows[i];
    return NULL;
}

static int unknown_long(const struct parser *p, struct str name)
{
    const char *names[SUGGESTIONS_MAX];
    size_t count = 0;
    for (size_t t = 0; t < p->table_count; t++)
        for (size_t i = 0; i < p->tables[t].count && count < SUGGESTIONS_MAX; i++)
            names[count++] = p->tables[t].rows[i].name;
    AUTO_FREE char *word = str_dup(name);
    const char *near = str_nearest(word, names, count);
    if (near)
        return err_set(p->err, ERR_USAGE, "unknown option '--%s'; did you mean '--%s'?", word,
                       near);
    return err_set(p->err, ERR_USAGE, "unknown option '--%s'", word);
}

static int check_choice(const struct parser *p, const struct option_row *row, const char *value)
{
    if (!row->choices)
        return 0;
    size_t count = 0;
    struct buf list = {0};
    for (; row->choices[count]; count++) {
        if (strcmp(row->choices[count], value) == 0) {
            buf_done(&list);
            return 0;
        }
        buf_addf(&list, "%s'%s'", count ? ", " : "", row->choices[count]);
    }
    const char *near = str_nearest(value, row->choices, count);
    if (near)
        err_set(p->err, ERR_USAGE, "'--%s' cannot be '%s'; did you mean '%s'?", row->name, value,
                near);
    else
        err_set(p->err, ERR_USAGE, "'--%s' cannot be '%s'; it is one of %s", row->name, value,
                buf_text(&list));
    buf_done(&list);
    return -1;
}

/* `value` is NULL for an option without one. */
static int store(const struct parser *p, const struct option_row *row, const char *value)
{
    char *field = (char *)p->out + row->offset;
    switch (row->kind) {
    case OPTION_FLAG:
        *(bool *)(void *)field = true;
        return 0;
    case OPTION_COUNT:
        ++*(int *)(void *)field;
        return 0;
    case OPTION_TEXT:
        if (check_choice(p, row, value) == -1)
            return -1;
        *(const char **)(void *)field = value;
        return 0;
    }
    return 0;
}

static int take_long(struct parser *p, const char *word)
{
    struct str value = str_of(word + 2);
    struct str name = str_cut(&value, '=');
    const struct option_row *row = find_long(p, name);
    if (!row)
        return unknown_long(p, name);
    if (row->kind != OPTION_TEXT && value.p)
        return err_set(p->err, ERR_USAGE, "'--%s' takes no value", row->name);
    if (row->kind != OPTION_TEXT)
        return store(p, row, NULL);
    if (value.p)
        return store(p, row, value.p);
    if (p->at == p->argc)
        return err_set(p->err, ERR_USAGE, "'--%s' needs a value: %s", row->name, row->value);
    return store(p, row, p->argv[p->at++]);
}

static int take_letters(struct parser *p, const char *word)
{
    for (const char *c = word + 1; *c; c++) {
        const struct option_row *row = find_letter(p, *c);
        if (!row)
            return err_set(p->err, ERR_USAGE, "unknown option '-%c'%s%s%s", *c,
                           word[2] ? " in '" : "", word[2] ? word : "", word[2] ? "'" : "");
        if (row->kind != OPTION_TEXT) {
            if (store(p, row, NULL) == -1)
                return -1;
            continue;
        }
        if (c[1])
            return store(p, row, c + 1);
        if (p->at == p->argc)
            return err_set(p->err, ERR_USAGE, "'-%c' needs a value: %s", *c, row->value);
        return store(p, row, p->argv[p->at++]);
    }
    return 0;
}

/* "-0.5", "-1e9", "-inf": no option begins with such a letter. */
static bool is_number(const struct parser *p, const char *word)
{
    char *end;
    if (find_letter(p, word[1]))
        return false;
    (void)strtod(word, &end);
    return !*end;
}

int options_parse(const struct option_table *tables, size_t table_count, size_t parsed, size_t argc,
                  const char *const *argv, void *out, struct operands *operands, struct err *err)
{
    struct parser p = {tables, table_count, argv, argc, 0, out, err};
    struct operands found = {.dashes = OPERANDS_NO_DASHES};
    bool verbatim = false;
    while (p.at < argc) {
        const char *word = argv[p.at++];
        bool is_option = !verbatim && word[0] == '-' && word[1] && !is_number(&p, word);
        if (!is_option) {
            verbatim = verbatim || found.count == parsed;
            add_operand(&found, word);
            continue;
        }
        if (strcmp(word, "--") == 0) {
            verbatim = true;
            found.dashes = found.count;
            continue;
        }
        if ((word[1] == '-' ? take_long(&p, word) : take_letters(&p, word)) == -1) {
            operands_done(&found);
            return -1;
        }
    }
    *operands = found;
    return 0;
}

void options_signature(const struct option_row *row, struct buf *out)
{
    if (row->letter)
        buf_addf(out, "-%c, ", row->letter);
    buf_addf(out, "--%s", row->name);
    if (row->kind == OPTION_TEXT)
        buf_addf(out, "=%s", row->value);
}
