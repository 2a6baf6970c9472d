/* Completion scripts for bash, zsh and fish, made from the command table.
 *
 * They are static text: completing a word starts no flambe. Names of clusters come from the
 * directories of this laptop's records, looked at by the shell itself. */
#include "cli/commands.h"
#include "cli/help.h"
#include <string.h>

const char *const completion_shells[] = {"bash", "zsh", "fish", NULL};

/* Where records are kept: XDG_STATE_HOME/flambe/clusters/ACCOUNT/CREATOR/NAME. */
#define RECORDS "${XDG_STATE_HOME:-$HOME/.local/state}/flambe/clusters"

static void add_words(const char *const *words, struct buf *out)
{
    for (size_t i = 0; words[i]; i++)
        buf_addf(out, "%s%s", i ? " " : "", words[i]);
}

static void add_command_names(struct buf *out)
{
    for (size_t i = 0; i < command_count; i++)
        buf_addf(out, "%s%s", i ? " " : "", commands[i]->name);
}

static void bash_option_words(const struct option_row *rows, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i].letter)
            buf_addf(out, " -%c", rows[i].letter);
        buf_addf(out, " --%s%s", rows[i].name, rows[i].kind == OPTION_TEXT ? "=" : "");
    }
}

static void bash_values(const struct option_row *rows, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++) {
        if (!rows[i].choices)
            continue;
        buf_adds(out, "    ");
        if (rows[i].letter)
            buf_addf(out, "-%c|", rows[i].letter);
        buf_addf(out, "--%s) COMPREPLY=($(compgen -W \"", rows[i].name);
        add_words(rows[i].choices, out);
        buf_adds(out, "\" -- \"$cur\")); return ;;\n");
    }
}

static void bash_operands(const struct command *c, struct buf *out)
{
    if (strcmp(c->complete, "verb") == 0)
        buf_adds(out, "words=$verbs");
    else if (strcmp(c->complete, "shell") == 0) {
        buf_adds(out, "words='");
        add_words(completion_shells, out);
        buf_adds(out, "'");
    } else if (strcmp(c->complete, "cluster") == 0)
        buf_adds(out, "words=$(_flambe_clusters) files=yaml");
    else if (strcmp(c->complete, "path") == 0)
        buf_adds(out, "words=$(_flambe_clusters) files=all");
    else if (strcmp(c->complete, "file") == 0)
        buf_adds(out, "files=yaml");
}

static void write_bash(struct buf *out)
{
    buf_adds(out, "# bash completion for flambe\n"
                  "_flambe_clusters() {\n"
                  "  local d\n"
                  "  for d in \"" RECORDS "\"/*/*/*/; do\n"
                  "    [ -d \"$d\" ] && d=${d%/} && printf '%s\\n' \"${d##*/}\"\n"
                  "  done\n"
                  "}\n"
                  "_flambe() {\n"
                  "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb= i\n"
                  "  local words= options= files= verbs='");
    add_command_names(out);
    buf_adds(out, "'\n"
                  "  if [ \"$cur\" = = ]; then cur=\n"
                  "  elif [ \"$prev\" = = ]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
                  "  case $prev in\n");
    bash_values(global_options.rows, global_options.count, out);
    for (size_t i = 0; i < command_count; i++)
        bash_values(commands[i]->options, commands[i]->option_count, out);
    buf_adds(
        out,
        "  esac\n"
        "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
        "    case \" $verbs \" in *\" ${COMP_WORDS[i]} \"*) verb=${COMP_WORDS[i]}; break ;; esac\n"
        "  done\n"
        "  options='");
    bash_option_words(global_options.rows, global_options.count, out);
    buf_adds(out, "'\n  case $verb in\n  '') words=$verbs files=yaml ;;\n");
    for (size_t i = 0; i < command_count; i++) {
        buf_addf(out, "  %s) ", commands[i]->name);
        bash_operands(commands[i], out);
        buf_adds(out, "\n    options+='");
        bash_option_words(commands[i]->options, commands[i]->option_count, out);
        buf_adds(out, "' ;;\n");
    }
    buf_adds(out, "  esac\n"
                  "  case $cur in\n"
                  "  -*) COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
                  "    [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace ;;\n"
                  "  *) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                  "    case $files in\n"
                  "    yaml) COMPREPLY+=($(compgen -f -X '!*.@(yaml|yml)' -- \"$cur\")"
                  " $(compgen -d -S / -- \"$cur\")) ;;\n"
                  "    all) COMPREPLY+=($(compgen -f -- \"$cur\")) ;;\n"
                  "    esac ;;\n"
                  "  esac\n"
                  "}\n"
                  "complete -o filenames -F _flambe flambe\n");
}

/* In zsh's single quotes, with what _arguments and _describe take as markup escaped. */
static void zsh_text(const char *text, struct buf *out)
{
    for (; *text; text++) {
        if (*text == '\'')
            buf_adds(out, "'\\''");
        else if (strchr("[]:\\", *text))
            buf_addf(out, "\\%c", *text);
        else
            buf_addc(out, *text);
    }
}

static void zsh_options(const struct option_row *rows, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++) {
        const struct option_row *row = &rows[i];
        struct buf tail = {0};
        buf_adds(&tail, "[");
        zsh_text(row->help, &tail);
        buf_adds(&tail, "]");
        if (row->kind == OPTION_TEXT) {
            buf_addf(&tail, ":%s:", row->value);
            if (row->choices) {
                buf_adds(&tail, "(");
                add_words(row->choices, &tail);
                buf_adds(&tail, ")");
            }
        }
        buf_addf(out, "    '*--%s%s%s'\n", row->name, row->kind == OPTION_TEXT ? "=" : "",
                 buf_text(&tail));
        if (row->letter)
            buf_addf(out, "    '*-%c%s%s'\n", row->letter, row->kind == OPTION_TEXT ? "+" : "",
                     buf_text(&tail));
        buf_done(&tail);
    }
}

static void zsh_operands(const struct command *c, struct buf *out)
{
    const char *what = c->complete;
    if (strcmp(what, "verb") == 0)
        buf_adds(out, "    '*:command:_flambe_verbs'\n");
    else if (strcmp(what, "shell") == 0) {
        buf_adds(out, "    '1:shell:(");
        add_words(completion_shells, out);
        buf_adds(out, ")'\n");
    } else if (strcmp(what, "cluster") == 0)
        buf_adds(out, "    '1:cluster:_flambe_clusters' '*::word:_files'\n");
    else if (strcmp(what, "path") == 0)
        buf_adds(out, "    '*:path:_flambe_paths'\n");
    else if (strcmp(what, "file") == 0)
        buf_adds(out, "    '1:cluster file:_files -g \"*.(yaml|yml)(-.)\"'\n");
}

static void write_zsh(struct buf *out)
{
    buf_adds(out, "#compdef flambe\n"
                  "# zsh completion for flambe\n"
                  "_flambe_names() {\n"
                  "  local -a names\n"
                  "  names=(\"" RECORDS "\"/*/*/*(N/:t))\n"
                  "  compadd \"$@\" -a names\n"
                  "}\n"
                  "_flambe_clusters() {\n"
                  "  _flambe_names\n"
                  "  _files -g '*.(yaml|yml)(-.)'\n"
                  "}\n"
                  "_flambe_paths() {\n"
                  "  _flambe_names -S :\n"
                  "  _files\n"
                  "}\n"
                  "_flambe_verbs() {\n"
                  "  local -a verbs\n"
                  "  verbs=(\n");
    for (size_t i = 0; i < command_count; i++) {
        buf_addf(out, "    '%s:", commands[i]->name);
        zsh_text(commands[i]->summary, out);
        buf_adds(out, "'\n");
    }
    buf_adds(out, "  )\n"
                  "  _describe command verbs\n"
                  "}\n"
                  "_flambe_first() {\n"
                  "  _flambe_verbs\n"
                  "  _files -g '*.(yaml|yml)(-.)'\n"
                  "}\n"
                  "_flambe() {\n"
                  "  local curcontext=$curcontext state line\n"
                  "  local -a global\n"
                  "  global=(\n");
    zsh_options(global_options.rows, global_options.count, out);
    buf_adds(out, "  )\n"
                  "  _arguments -C $global '1: :_flambe_first' '*:: :->rest' && return\n"
                  "  case $words[1] in\n");
    for (size_t i = 0; i < command_count; i++) {
        buf_addf(out, "  %s) _arguments $global \\\n", commands[i]->name);
        struct buf rows = {0};
        zsh_options(commands[i]->options, commands[i]->option_count, &rows);
        zsh_operands(commands[i], &rows);
        struct str rest = buf_view(&rows);
        while (rest.p && rest.n) {
            struct str line = str_cut(&rest, '\n');
            buf_addf(out, "%.*s%s\n", STR_FMT(line), rest.p && rest.n ? " \\" : "");
        }
        buf_adds(out, "    ;;\n");
        buf_done(&rows);
    }
    buf_adds(out, "  esac\n"
                  "}\n"
                  "if [ \"$funcstack[1]\" = _flambe ]; then _flambe \"$@\"; else compdef _flambe "
                  "flambe; fi\n");
}

static void fish_text(const char *text, struct buf *out)
{
    buf_addc(out, '\'');
    for (; *text; text++) {
        if (strchr("'\\", *text))
            buf_addc(out, '\\');
        buf_addc(out, *text);
    }
    buf_addc(out, '\'');
}

static void fish_options(const char *condition, const struct option_row *rows, size_t count,
                         struct buf *out)
{
    for (size_t i = 0; i < count; i++) {
        buf_addf(out, "complete -c flambe%s", condition);
        if (rows[i].letter)
            buf_addf(out, " -s %c", rows[i].letter);
        buf_addf(out, " -l %s", rows[i].name);
        if (rows[i].kind == OPTION_TEXT)
            buf_adds(out, " -x");
        if (rows[i].choices) {
            buf_adds(out, " -a '");
            add_words(rows[i].choices, out);
            buf_adds(out, "'");
        }
        buf_adds(out, " -d ");
        fish_text(rows[i].help, out);
        buf_addc(out, '\n');
    }
}

static void fish_operands(const struct command *c, const char *condition, struct buf *out)
{
    const char *what = c->complete;
    if (strcmp(what, "shell") == 0) {
        buf_addf(out, "complete -c flambe%s -f -a '", condition);
        add_words(completion_shells, out);
        buf_adds(out, "'\n");
    } else if (strcmp(what, "verb") == 0) {
        buf_addf(out, "complete -c flambe%s -f -a '", condition);
        add_command_names(out);
        buf_adds(out, "'\n");
    } else if (strcmp(what, "cluster") == 0 || strcmp(what, "path") == 0) {
        buf_addf(out, "complete -c flambe%s -a '(__flambe_clusters)'\n", condition);
    }
}

static void write_fish(struct buf *out)
{
    buf_adds(out, "# fish completion for flambe\n"
                  "function __flambe_clusters\n"
                  "  set -l state $XDG_STATE_HOME\n"
                  "  test -n \"$state\"; or set state $HOME/.local/state\n"
                  "  for d in $state/flambe/clusters/*/*/*/\n"
                  "    basename $d\n"
                  "  end\n"
                  "end\n");
    fish_options("", global_options.rows, global_options.count, out);
    for (size_t i = 0; i < command_count; i++) {
        const struct command *c = commands[i];
        buf_addf(out, "complete -c flambe -n __fish_use_subcommand -a %s -d ", c->name);
        fish_text(c->summary, out);
        buf_addc(out, '\n');
        AUTO_BUF struct buf condition = {0};
        buf_addf(&condition, " -n '__fish_seen_subcommand_from %s'", c->name);
        fish_options(buf_text(&condition), c->options, c->option_count, out);
        fish_operands(c, buf_text(&condition), out);
    }
}

void completion_write(const char *shell, struct buf *out)
{
    if (strcmp(shell, "bash") == 0)
        write_bash(out);
    else if (strcmp(shell, "zsh") == 0)
        write_zsh(out);
    else
        write_fish(out);
}
