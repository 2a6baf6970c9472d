/* See shell_line.h. What the shells do differently, and what is not followed, makes the rest of the
 * line unclear rather than guessed at. */
#include "experiment/shell_line.h"
#include "base/mem.h"
#include <ctype.h>
#include <string.h>

#define SEPARATORS " \t\n;&|()<>"
#define ANOTHER_WORD SHELL_WORD_MAX
#define NO_END (SHELL_DELIMITER_MAX + 1)

/* ---- places -----------------------------------------------------------------------------------
 */

bool place_is_brace(struct str text, size_t at)
{
    char c = text.p[at];
    return (c == '{' || c == '}') && at + 1 < text.n && text.p[at + 1] == c;
}

struct str place_name(struct str text, size_t at)
{
    if (text.p[at] != '{' || (at > 0 && text.p[at - 1] == '$'))
        return (struct str){NULL, 0};
    const char *begin = text.p + at + 1;
    const char *close = memchr(text.p + at, '}', text.n - at);
    return (struct str){close ? begin : NULL, close ? (size_t)(close - begin) : 0};
}

/* ---- frames -----------------------------------------------------------------------------------
 */

static void lose(struct shell_line *l, const char *why, const char *fix)
{
    l->unclear = why;
    l->unclear_fix = fix;
}

static struct shell_frame *top(struct shell_line *l)
{
    return &l->frames[l->depth];
}

static void push(struct shell_line *l, enum shell_kind kind, bool quoted)
{
    if (l->depth + 1 == SHELL_DEPTH_MAX) {
        lose(l, "it stands behind too many things within each other",
             "put the line into a file, and pass the values as its arguments");
        return;
    }
    l->word_length = ANOTHER_WORD;
    l->frames[++l->depth] = (struct shell_frame){.kind = kind, .quoted = quoted};
    if (kind != SHELL_SINGLE && kind != SHELL_DOUBLE)
        l->word_length = 0;
}

static void pop(struct shell_line *l)
{
    l->depth--;
    l->word_length = ANOTHER_WORD;
    l->before = 'a';
}

static bool is_command(const struct shell_frame *f)
{
    return f->kind == SHELL_COMMAND || f->kind == SHELL_TICKS;
}

static bool in_ticks(const struct shell_line *l)
{
    for (size_t i = 1; i <= l->depth; i++)
        if (l->frames[i].kind == SHELL_TICKS)
            return true;
    return false;
}

/* What `$` and a bracket, or a back quote, open anywhere but within ''. */
static bool open_expansion(struct shell_line *l, char before, char c, bool quoted)
{
    if (c == '`')
        push(l, SHELL_TICKS, false);
    else if (c == '(' && before == '$')
        push(l, SHELL_COMMAND, false);
    else if (c == '{' && before == '$')
        push(l, SHELL_BRACE, quoted);
    else
        return false;
    l->before = c == '(' ? c : 0;
    return true;
}

/* ---- here-documents ---------------------------------------------------------------------------
 */

static void begin_end(struct shell_line *l)
{
    if (l->doc_count == SHELL_HEREDOCS_MAX) {
        lose(l, "it stands behind too many here-documents", "give them lines of their own");
        return;
    }
    l->docs[l->doc_count] = (struct shell_heredoc){.depth = l->depth};
    l->end = SHELL_END_BEGINS;
}

static void add_end(struct shell_line *l, char c)
{
    struct shell_heredoc *d = &l->docs[l->doc_count];
    if (d->length == SHELL_DELIMITER_MAX || c == '$' || c == '`')
        lose(l, "it stands behind a here-document whose end is no plain word",
             "choose another end, such as EOF");
    else
        d->end[d->length++] = c;
}

/* One byte of "<<END". False: it is none of it, but ends it. */
static bool step_end(struct shell_line *l, bool escaped, char c)
{
    struct shell_heredoc *d = &l->docs[l->doc_count];
    if (l->end == SHELL_END_BEGINS && !escaped) {
        if (c == '-' && !d->tabs) {
            d->tabs = true;
            return true;
        }
        if (c == ' ' || c == '\t')
            return true;
        l->end = SHELL_END_PLAIN;
    }
    if (l->end == SHELL_END_SINGLE || l->end == SHELL_END_DOUBLE) {
        if (c == (l->end == SHELL_END_SINGLE ? '\'' : '"'))
            l->end = SHELL_END_PLAIN;
        else
            add_end(l, c == '\\' ? '$' : c); /* not followed there */
    } else if (escaped) {
        add_end(l, c);
    } else if (c == '\\' || c == '\'' || c == '"') {
        d->quoted = true;
        l->escaped = c == '\\';
        l->end = c == '\'' ? SHELL_END_SINGLE : c == '"' ? SHELL_END_DOUBLE : SHELL_END_PLAIN;
    } else if (strchr(SEPARATORS, c)) {
        l->end = SHELL_NO_END;
        l->doc_count++;
        return false;
    } else {
        add_end(l, c);
    }
    return true;
}

static void begin_document(struct shell_line *l)
{
    push(l, SHELL_HEREDOC, l->docs[0].quoted);
    l->row_length = 0;
    l->joined = false;
}

static void end_row(struct shell_line *l)
{
    const struct shell_heredoc *d = &l->docs[0];
    bool end = l->row_length == d->length && memcmp(l->row, d->end, d->length) == 0;
    l->row_length = 0;
    if (end && l->joined)
        lose(l, "it stands behind a here-document whose end follows a backslash",
             "write its end on a line of its own");
    l->joined = false;
    if (!end || l->unclear)
        return;
    pop(l);
    l->before = '\n';
    l->word_length = 0;
    memmove(l->docs, l->docs + 1, --l->doc_count * sizeof *l->docs);
    if (l->doc_count)
        begin_document(l);
}

static void step_document(struct shell_line *l, char before, bool escaped, char c)
{
    const struct shell_frame *f = top(l);
    if (escaped && c == '\n') {
        l->joined = true;
        l->row_length -= l->row_length <= SHELL_DELIMITER_MAX && l->row_length > 0;
        return;
    }
    if (c == '\n') {
        end_row(l);
        return;
    }
    if (!(c == '\t' && l->docs[0].tabs && l->row_length == 0)) {
        if (l->row_length < SHELL_DELIMITER_MAX)
            l->row[l->row_length++] = c;
        else
            l->row_length = NO_END;
    }
    if (f->quoted || escaped) {
        l->before = 'a';
        return;
    }
    l->escaped = c == '\\';
    if (open_expansion(l, before, c, true))
        l->row_length = NO_END;
}

/* ---- commands ---------------------------------------------------------------------------------
 */

static bool is_word(const struct shell_line *l, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (l->word_length < SHELL_WORD_MAX &&
            str_is((struct str){l->word, l->word_length}, words[i]))
            return true;
    return false;
}

#define IS_WORD(l, ...)                            \
    is_word(l, (const char *const[]){__VA_ARGS__}, \
            sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

/* Behind a word, at c, which separates. */
static void end_word(struct shell_line *l, char before, char c)
{
    struct shell_frame *f = top(l);
    if (l->word_length) {
        bool assigns = l->word_length < SHELL_WORD_MAX && memchr(l->word, '=', l->word_length);
        bool before_one = IS_WORD(l, "if", "then", "else", "elif", "while", "until", "do", "!", "{",
                                  "command", "builtin", "exec", "time");
        f->cases += IS_WORD(l, "case");
        f->cases -= f->cases && IS_WORD(l, "esac");
        f->evaluates = f->evaluates || (!f->argument && IS_WORD(l, "eval", "trap"));
        f->argument = f->argument || !(assigns || before_one);
    }
    l->word_length = 0;
    bool redirects = (c == '&' || c == '|') && (before == '<' || before == '>'); /* ">&", ">|" */
    if (strchr("\n;&|()", c) && !redirects)
        f->argument = f->evaluates = false;
}

/* The innermost frame has a here-document whose text has not come. */
static bool owes_document(const struct shell_line *l)
{
    return l->doc_count && l->docs[l->doc_count - 1].depth >= l->depth;
}

static void close_command(struct shell_line *l)
{
    const struct shell_frame *f = top(l);
    if (l->depth == 0 || f->kind == SHELL_TICKS)
        return; /* of a pattern of `case` */
    bool quoted = false;
    for (size_t i = 0; i < l->depth; i++)
        quoted = quoted || !is_command(&l->frames[i]);
    if (f->cases && quoted)
        lose(l, "it stands behind a 'case' within $(…), whose ')' may end either",
             "write the patterns of 'case' as (pattern)");
    else if (owes_document(l))
        lose(l, "it stands behind $(…) with a here-document that has not ended",
             "write the ')' on a line behind the here-document");
    else if (!f->cases) {
        pop(l);
        l->before = ')';
    }
}

static void step_newline(struct shell_line *l)
{
    if (l->doc_count && l->docs[0].depth != l->depth)
        lose(l, "it stands behind a here-document that begins within $(…)",
             "write the here-document's command on a line of its own");
    else if (l->doc_count)
        begin_document(l);
}

static void step_command(struct shell_line *l, char before, char c)
{
    struct shell_frame *f = top(l);
    bool opened = c == '(' && before == '(' && l->depth > 0 && f->kind == SHELL_COMMAND;
    l->less = c == '<' ? l->less + 1 : 0;
    if (open_expansion(l, before, c, false))
        return;
    if (strchr(SEPARATORS, c))
        end_word(l, before, c);
    else if (l->word_length < SHELL_WORD_MAX - 1)
        l->word[l->word_length++] = c;
    else
        l->word_length = ANOTHER_WORD;
    if (opened)
        *f = (struct shell_frame){.kind = SHELL_ARITHMETIC};
    else if (c == '(')
        push(l, SHELL_COMMAND, false);
    else if (c == ')')
        close_command(l);
    else if (c == '"')
        push(l, SHELL_DOUBLE, false);
    else if (c == '\'' && before == '$')
        lose(l, "it stands behind $'…', which shells read differently", "write '…' without the $");
    else if (c == '\'')
        push(l, SHELL_SINGLE, false);
    else if (c == '\n')
        step_newline(l);
    else if (c == '#')
        l->comment = !before || strchr(SEPARATORS, before);
}

/* ---- the rest ---------------------------------------------------------------------------------
 */

static void step_arithmetic(struct shell_line *l, char before, char c)
{
    struct shell_frame *f = top(l);
    if (f->closing && c != ')')
        lose(l, "it stands behind ((…), which may be an expression or commands",
             "write a space between two '(' of commands");
    else if (c == '\'' || c == '"')
        lose(l, "it stands behind a quote within $((…))", "write the expression without quotes");
    else if (open_expansion(l, before, c, true))
        return;
    else if (c == '(')
        f->open++;
    else if (c == ')' && f->closing)
        pop(l);
    else if (c == ')' && f->open)
        f->open--;
    else if (c == ')')
        f->closing = true;
}

static void step_operator(struct shell_frame *f, char c)
{
    bool name = isalnum((unsigned char)c) || c == '_';
    if (f->op == SHELL_NAMELESS)
        f->op = SHELL_NAMED; /* or one of the special ones, or a '#' for the length */
    else if ((f->op == SHELL_NAMED || f->op == SHELL_COLON) && strchr("-=+?", c))
        f->op = SHELL_VALUE;
    else if (f->op == SHELL_NAMED && (c == '#' || c == '%'))
        f->op = SHELL_PATTERN;
    else if (f->op == SHELL_NAMED && c == ':')
        f->op = SHELL_COLON;
    else if (f->op == SHELL_COLON || (f->op == SHELL_NAMED && !name))
        f->op = SHELL_OTHER;
}

static void step_brace(struct shell_line *l, char before, char c)
{
    struct shell_frame *f = top(l);
    bool literal = f->quoted && f->op != SHELL_PATTERN; /* a ' is one */
    if (c == '}') {
        pop(l);
        return;
    }
    step_operator(f, c);
    if (c == '"' && literal)
        lose(l, "it stands behind a quote within \"${…}\", which shells read differently",
             "leave the inner quotes out");
    else if (c == '"')
        push(l, SHELL_DOUBLE, false);
    else if (c == '\'' && !literal)
        push(l, SHELL_SINGLE, false);
    else
        (void)open_expansion(l, before, c, f->quoted);
}

static void step_inner(struct shell_line *l, char before, char c)
{
    switch (top(l)->kind) {
    case SHELL_COMMAND:
    case SHELL_TICKS:
        step_command(l, before, c);
        break;
    case SHELL_DOUBLE:
        if (c == '"')
            pop(l);
        else
            (void)open_expansion(l, before, c, true);
        break;
    case SHELL_BRACE:
        step_brace(l, before, c);
        break;
    case SHELL_ARITHMETIC:
        step_arithmetic(l, before, c);
        break;
    case SHELL_SINGLE:
    case SHELL_HEREDOC:
        break;
    }
}

/* The first back quote that has no backslash ends the command, whatever quotes are open. */
static bool step_ticks(struct shell_line *l, char c)
{
    if ((c != '\\' && c != '`') || !in_ticks(l))
        return false;
    if (c == '\\') {
        lose(l, "it stands behind a backslash within `…`", "write $(…) in place of `…`");
        return true;
    }
    while (top(l)->kind != SHELL_TICKS)
        pop(l);
    if (l->end != SHELL_NO_END || owes_document(l))
        lose(l, "it stands behind a here-document within `…`", "write $(…) in place of `…`");
    pop(l);
    l->comment = false;
    return true;
}

void shell_step(struct shell_line *l, char c)
{
    char before = l->before;
    bool escaped = l->escaped;
    if (l->unclear || step_ticks(l, c))
        return;
    l->before = c == '$' && before == '$' ? 'a' : c; /* "$$" is a variable */
    l->escaped = false;
    if (l->comment && c != '\n')
        return;
    l->comment = false;
    if (l->less == 2 && c != '<')
        begin_end(l);
    l->less = l->less == 2 ? 0 : l->less;
    if (l->end != SHELL_NO_END && !l->unclear && step_end(l, escaped, c))
        return;
    if (top(l)->kind == SHELL_HEREDOC) {
        step_document(l, before, escaped, c);
    } else if (top(l)->kind == SHELL_SINGLE) {
        if (c == '\'')
            pop(l);
    } else if (escaped) {
        l->before = c == '\n' ? before : 'a'; /* with a new line it is nothing at all */
        l->word_length = c == '\n' ? l->word_length : ANOTHER_WORD;
    } else if (c == '\\') {
        l->escaped = true;
        l->before = before;
    } else {
        step_inner(l, before, c);
    }
}

/* ---- values -----------------------------------------------------------------------------------
 */

/* The command that the place is in; *arithmetic: it is in an expression there. */
static const struct shell_frame *command_of(const struct shell_line *l, bool *arithmetic)
{
    size_t i = l->depth;
    *arithmetic = false;
    for (; !is_command(&l->frames[i]); i--)
        *arithmetic = *arithmetic || l->frames[i].kind == SHELL_ARITHMETIC;
    return &l->frames[i];
}

const char *shell_refusal(const struct shell_line *l, const char **fix)
{
    const struct shell_frame *f = &l->frames[l->depth];
    bool arithmetic;
    if (l->unclear) {
        *fix = l->unclear_fix;
        return l->unclear;
    }
    if (l->comment)
        return NULL;
    if (l->end != SHELL_NO_END || l->less == 2) {
        *fix = "write a plain word, such as EOF";
        return "it stands in the end of a here-document";
    }
    if (f->kind == SHELL_HEREDOC && f->quoted) {
        *fix = "write the end behind '<<' without quotes; {{ and }} are braces";
        return "it stands in a here-document whose end is quoted, where nothing is replaced";
    }
    if (f->kind == SHELL_BRACE && f->op != SHELL_VALUE && f->op != SHELL_PATTERN) {
        *fix = "put the value into a variable of the line before";
        return "within ${…} a value can stand behind - = + ? # and % only";
    }
    if (command_of(l, &arithmetic)->evaluates) {
        *fix = "put the value into a variable of the line before, and that into the code";
        return "'eval' and 'trap' would run the value as code";
    }
    return NULL;
}

static bool is_whole(struct str s)
{
    size_t sign = s.n > 1 && s.p[0] == '-';
    for (size_t i = sign; i < s.n; i++)
        if (!isdigit((unsigned char)s.p[i]))
            return false;
    return s.n > 0;
}

/* The bytes by which the shell has the value where the line is. */
static void add_expansion(const struct shell_line *l, size_t number, struct buf *out)
{
    const struct shell_frame *f = &l->frames[l->depth];
    bool quoted = f->kind == SHELL_DOUBLE || f->kind == SHELL_HEREDOC ||
                  (f->kind == SHELL_BRACE && f->quoted && f->op != SHELL_PATTERN);
    if (l->escaped) /* a backslash is left out before a new line, and within "" before a letter kept
                     */
        buf_addc(out, quoted ? '\\' : '\n');
    if (f->kind == SHELL_SINGLE)
        buf_addf(out, "'\"${FLAMBE_%zu}\"'", number);
    else
        buf_addf(out, quoted || l->comment ? "${FLAMBE_%zu}" : "\"${FLAMBE_%zu}\"", number);
}

void shell_pass(struct shell_line *l)
{
    l->escaped = false;
    l->before = 'a';
    l->less = 0;
    l->word_length = ANOTHER_WORD;
    if (top(l)->kind == SHELL_HEREDOC)
        l->row_length = NO_END;
}

int shell_add(struct shell_line *l, size_t number, struct str value, struct buf *out,
              struct err *err)
{
    const char *fix;
    const char *why = shell_refusal(l, &fix);
    bool arithmetic;
    (void)command_of(l, &arithmetic);
    if (why)
        return err_set(err, ERR_FILE, "%s; %s", why, fix);
    if (arithmetic && !is_whole(value))
        return err_set(err, ERR_FILE, "within $((…)) only a whole number can stand, not '%.*s'",
                       (int)(value.n < 64 ? value.n : 64), value.p);
    if (arithmetic)
        buf_add_str(out, value);
    else
        add_expansion(l, number, out);
    shell_pass(l);
    return 0;
}

void shell_prologue(size_t count, struct buf *out)
{
    for (size_t i = 1; i <= count; i++)
        buf_addf(out, "FLAMBE_%zu=${%zu} ", i, i);
    if (count)
        buf_addf(out, "&& shift %zu; ", count);
}
