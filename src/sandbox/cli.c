/* See cli.h: the parser of the command line, and the help, from the one table in cli_table.c. */
#include "sandbox/cli.h"
#include "base/mem.h"
#include "os/fs.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAMES_MAX 64
#define HELP_COLUMN 24

/* What every command takes. */
static const struct cli_option common[] = {
    {"--dir", "DIR", "where the sandbox is kept ($FLAMBE_SANDBOX_DIR)", NULL},
    {"--help", NULL, "this text", NULL},
};

static size_t option_count(const struct cli_command *c)
{
    size_t n = 0;
    while (c->options && c->options[n].name)
        n++;
    return n;
}

const char *cli_option(const struct cli_args *args, const char *name)
{
    for (size_t i = 0; i < option_count(args->command); i++) {
        if (strcmp(args->command->options[i].name, name) == 0)
            return args->values[i];
    }
    return NULL;
}

int cli_number(const struct cli_args *args, const char *name, double min, double max, double *out,
               struct err *err)
{
    const char *text = cli_option(args, name);
    if (!text)
        return 0;
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= min && value <= max))
        return err_set(err, ERR_USAGE, "'%s %s': a number from %g to %g is needed", name, text, min,
                       max);
    *out = value;
    return 0;
}

int cli_int(const struct cli_args *args, const char *name, int64_t min, int64_t max, int64_t *out,
            struct err *err)
{
    const char *text = cli_option(args, name);
    if (!text || str_to_i64(str_of(text), min, max, out))
        return 0;
    return err_set(err, ERR_USAGE, "'%s %s': a whole number from %lld to %lld is needed", name,
                   text, (long long)min, (long long)max);
}

/* ---- help ----------------------------------------------------------------------------------- */

static void print_option(const struct cli_option *o)
{
    AUTO_FREE char *left =
        mem_printf("%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
    printf("  %-*s%s%s\n", HELP_COLUMN, left, strlen(left) >= HELP_COLUMN ? "  " : "", o->help);
}

static void print_help(const struct cli_command *c)
{
    printf("usage: flambe-sandbox %s%s%s%s\n\n%s\n", c->name, option_count(c) ? " [OPTION]…" : "",
           *c->words ? " " : "", c->words, c->help);
    if (c->more)
        printf("\n%s", c->more);
    if (c->print_more) {
        putchar('\n');
        c->print_more();
    }
    printf("\noptions:\n");
    for (size_t i = 0; i < option_count(c); i++)
        print_option(&c->options[i]);
    for (size_t i = 0; i < COUNT_OF(common); i++)
        print_option(&common[i]);
}

static void print_overview(void)
{
    printf("usage: flambe-sandbox COMMAND [OPTION]… [WORD]…\n\n"
           "A local EC2 whose instances are real.\n\n");
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        AUTO_FREE char *left = mem_printf("%s %s", c->name, c->words);
        printf("  %-*s%s\n", HELP_COLUMN, left, c->help);
    }
    printf("\n  eval \"$(flambe-sandbox start)\"   begins; 'flambe-sandbox COMMAND --help' says "
           "more\n");
}

/* ---- parsing -------------------------------------------------------------------------------- */

/* A command's name is one word or two; *used says how many were taken. */
static const struct cli_command *find_command(int argc, const char *const *argv, int *used)
{
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        struct str rest = str_of(c->name);
        struct str first = str_cut(&rest, ' ');
        if (argc < 2 || !str_is(first, argv[1]))
            continue;
        if (rest.p && (argc < 3 || !str_is(rest, argv[2])))
            continue;
        *used = rest.p ? 2 : 1;
        return c;
    }
    return NULL;
}

static int unknown_command(int argc, const char *const *argv, struct err *err)
{
    const char *names[NAMES_MAX], *with_rest[NAMES_MAX];
    size_t count = 0, rest_count = 0;
    for (const struct cli_command *c = cli_commands; c->name && count < NAMES_MAX; c++) {
        size_t n = strlen(argv[1]);
        names[count++] = c->name;
        if (strncmp(c->name, argv[1], n) == 0 && c->name[n] == ' ')
            with_rest[rest_count++] = c->name;
    }
    if (rest_count) {
        AUTO_FREE char *typed = mem_printf("%s %s", argv[1], argc > 2 ? argv[2] : "");
        const char *near = str_nearest(typed, with_rest, rest_count);
        return err_set(err, ERR_USAGE, "'%s' needs a second word, such as '%s'", argv[1],
                       near ? near : with_rest[0]);
    }
    const char *near = str_nearest(argv[1], names, count);
    return near ? err_set(err, ERR_USAGE, "unknown command '%s'; did you mean '%s'?", argv[1], near)
                : err_set(err, ERR_USAGE, "unknown command '%s'; type 'flambe-sandbox --help'",
                          argv[1]);
}

static const struct cli_option *find_option(const struct cli_command *c, struct str name,
                                            size_t *at)
{
    for (*at = 0; *at < option_count(c); (*at)++) {
        if (str_is(name, c->options[*at].name))
            return &c->options[*at];
    }
    for (size_t i = 0; i < COUNT_OF(common); i++, (*at)++) {
        if (str_is(name, common[i].name))
            return &common[i];
    }
    return NULL;
}

static int unknown_option(const struct cli_command *c, const char *name, struct err *err)
{
    const char *names[NAMES_MAX];
    size_t count = 0;
    for (; count < option_count(c) && count < NAMES_MAX - COUNT_OF(common); count++)
        names[count] = c->options[count].name;
    for (size_t i = 0; i < COUNT_OF(common); i++)
        names[count++] = common[i].name;
    const char *near = str_nearest(name, names, count);
    return near
               ? err_set(err, ERR_USAGE, "'%s' has no option '%s'; did you mean '%s'?", c->name,
                         name, near)
               : err_set(err, ERR_USAGE, "'%s' has no option '%s'; type 'flambe-sandbox %s --help'",
                         c->name, name, c->name);
}

static int check_choice(const struct cli_option *o, const char *value, struct err *err)
{
    size_t n = 0;
    if (!o->choices)
        return 0;
    for (; o->choices[n]; n++) {
        if (strcmp(o->choices[n], value) == 0)
            return 0;
    }
    AUTO_STRV struct strv list = {0};
    for (size_t i = 0; i < n; i++)
        strv_add(&list, o->choices[i]);
    AUTO_FREE char *all = strv_join(&list, ", ");
    const char *near = str_nearest(value, o->choices, n);
    return near ? err_set(err, ERR_USAGE, "'%s %s': did you mean '%s'? (%s)", o->name, value, near,
                          all)
                : err_set(err, ERR_USAGE, "'%s %s': one of %s is needed", o->name, value, all);
}

struct parse {
    struct cli_args *args;
    const char **words;
    const char *dir;
    bool help;
};

/* One option at argv[i]; returns how many arguments it took, or -1. */
static int take_option(struct parse *p, int argc, const char *const *argv, int i, struct err *err)
{
    const struct cli_command *c = p->args->command;
    struct str rest = str_of(argv[i]);
    struct str name = str_cut(&rest, '=');
    AUTO_FREE char *name_text = str_dup(name);
    size_t at;
    const struct cli_option *o = find_option(c, str_is(name, "-h") ? STR("--help") : name, &at);
    if (!o)
        return unknown_option(c, name_text, err);
    if (!o->value && rest.p)
        return err_set(err, ERR_USAGE, "'%s' takes no value", o->name);
    if (o->value && !rest.p && i + 1 >= argc)
        return err_set(err, ERR_USAGE, "'%s' needs a value: %s %s", o->name, o->name, o->value);
    const char *value = !o->value ? "" : rest.p ? rest.p : argv[i + 1];
    if (o->value && check_choice(o, value, err) == -1)
        return -1;
    if (at < option_count(c))
        p->args->values[at] = value;
    else if (o == &common[0])
        p->dir = value;
    else
        p->help = true;
    return o->value && !rest.p ? 2 : 1;
}

static int parse(struct parse *p, int argc, const char *const *argv, int from, struct err *err)
{
    bool options_end = false;
    for (int i = from; i < argc;) {
        if (!options_end && strcmp(argv[i], "--") == 0) {
            options_end = true;
            i++;
        } else if (!options_end && argv[i][0] == '-' && argv[i][1]) {
            int took = take_option(p, argc, argv, i, err);
            if (took == -1)
                return -1;
            i += took;
        } else {
            p->words[p->args->word_count++] = argv[i++];
        }
    }
    const struct cli_command *c = p->args->command;
    if (p->help)
        return 0;
    if (p->args->word_count < c->words_min)
        return err_set(err, ERR_USAGE, "something is missing: flambe-sandbox %s %s", c->name,
                       c->words);
    if (p->args->word_count > c->words_max)
        return err_set(err, ERR_USAGE, "'%s' is one too many: flambe-sandbox %s %s",
                       p->words[c->words_max], c->name, c->words);
    return 0;
}

static int set_dir(struct cli_args *args, const char *said, struct err *err)
{
    const char *from_env = getenv("FLAMBE_SANDBOX_DIR");
    if (!said && from_env && *from_env)
        said = from_env;
    AUTO_FREE char *state = said ? NULL : cli_state_dir();
    AUTO_FREE char *dir = said ? fs_expand_home(said) : fs_join(state, "sandbox");
    if (dir[0] != '/') {
        AUTO_FREE char *here = getcwd(NULL, 0);
        args->dir = fs_join(here ? here : "/", dir);
    } else {
        args->dir = TAKE(dir);
    }
    for (const char *p = args->dir; *p; p++) {
        if ((unsigned char)*p < ' ' || *p == '\'' || *p == 0x7f)
            return err_set(err, ERR_USAGE,
                           "'%s': a sandbox's directory has no quotes and no control characters",
                           args->dir);
    }
    size_t n = strlen(args->dir);
    while (n > 1 && args->dir[n - 1] == '/')
        args->dir[--n] = '\0';
    return 0;
}

static int run(struct cli_args *args, int argc, const char *const *argv, int from, struct err *err)
{
    AUTO_FREE const char **words = mem_array((size_t)argc + 1, sizeof *words);
    struct parse p = {.args = args, .words = words};
    args->words = words;
    if (parse(&p, argc, argv, from, err) == -1)
        return -1;
    if (p.help) {
        print_help(args->command);
        return 0;
    }
    return set_dir(args, p.dir, err) == -1 ? -1 : args->command->run(args, err);
}

int cli_main(int argc, const char *const *argv)
{
    struct err err = {0};
    struct cli_args args = {0};
    int used = 0;
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_overview();
        return argc < 2 ? 2 : 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("flambe-sandbox " FLAMBE_VERSION);
        return 0;
    }
    args.command = find_command(argc, argv, &used);
    int rc =
        args.command ? run(&args, argc, argv, used + 1, &err) : unknown_command(argc, argv, &err);
    free(args.dir);
    if (rc == 0 && fflush(stdout) == 0)
        return 0;
    fprintf(stderr, "flambe-sandbox: %s\n", rc == 0 ? "cannot write the output" : err.msg);
    return rc == -1 && err_exit_status(err.code) == 2 ? 2 : 1;
}
