/* The {places} of a command, and of a line for the shell in particular.
 *
 * A value never becomes text of the line: the line gets "${FLAMBE_1}" in its place, and the shell
 * the value as an argument, which the line's beginning makes a variable. So nothing that a value
 * holds is parsed, in whichever of the shell's contexts it stands. What the line's quotes are is
 * followed because the expansion is written in another way outside of quotes, within "" and within
 * ''; where that cannot be known, or where the shell would read the value as an expression, the
 * place is refused. */
#ifndef FLAMBE_EXPERIMENT_SHELL_LINE_H
#define FLAMBE_EXPERIMENT_SHELL_LINE_H

#include "base/buf.h"
#include "base/err.h"

/* "{{" or "}}" stands at the byte: one brace as it is. */
bool place_is_brace(struct str text, size_t at);
/* The name of the place that begins at the byte, a view of the text; {NULL, 0} where none does.
 * '${…}' is the shell's. */
struct str place_name(struct str text, size_t at);

#define SHELL_DEPTH_MAX 32     /* of what stands within what: "$(… "…" )" is three */
#define SHELL_HEREDOCS_MAX 4   /* of one command line */
#define SHELL_DELIMITER_MAX 64 /* bytes of the end of a here-document */
#define SHELL_WORD_MAX 16      /* bytes of a word that means something to us */

struct shell_frame {
    enum shell_kind {
        SHELL_COMMAND, /* the line itself, $(…), (…) */
        SHELL_TICKS,   /* `…` */
        SHELL_SINGLE,
        SHELL_DOUBLE,
        SHELL_BRACE, /* ${…} */
        SHELL_ARITHMETIC,
        SHELL_HEREDOC,
    } kind;
    bool quoted;    /* BRACE: within ""; HEREDOC: its end was quoted */
    bool closing;   /* ARITHMETIC: behind the first of "))" */
    bool argument;  /* COMMAND, TICKS: behind the command's name */
    bool evaluates; /* COMMAND, TICKS: the command runs its arguments as code */
    unsigned cases; /* COMMAND, TICKS: `case` without its `esac` yet */
    unsigned open;  /* ARITHMETIC: parentheses */
    enum shell_operator {
        SHELL_NAMELESS,
        SHELL_NAMED,
        SHELL_COLON,
        SHELL_VALUE,
        SHELL_PATTERN,
        SHELL_OTHER
    } op; /* BRACE: what came of ${NAME:-WORD} so far */
};

struct shell_heredoc {
    char end[SHELL_DELIMITER_MAX];
    size_t length;
    bool quoted, tabs;
    size_t depth; /* of the frame that it belongs to */
};

/* Where in a line the next byte is. Zeroed at the line's beginning. */
struct shell_line {
    struct shell_frame frames[SHELL_DEPTH_MAX]; /* the last is the innermost */
    size_t depth;                               /* of the innermost; 0: the line itself */
    bool escaped;                               /* behind a backslash */
    bool comment;
    char before; /* the byte before, as far as it matters; 0: the beginning */
    char word[SHELL_WORD_MAX];
    size_t word_length;                            /* SHELL_WORD_MAX: of no meaning to us */
    unsigned less;                                 /* how many '<' stand before */
    struct shell_heredoc docs[SHELL_HEREDOCS_MAX]; /* whose text is still to come */
    size_t doc_count;
    enum {
        SHELL_NO_END,
        SHELL_END_BEGINS,
        SHELL_END_PLAIN,
        SHELL_END_SINGLE,
        SHELL_END_DOUBLE
    } end;                         /* of a here-document, while it is read */
    char row[SHELL_DELIMITER_MAX]; /* of a here-document's text, as far as read */
    size_t row_length;             /* SHELL_DELIMITER_MAX + 1: it cannot be the end */
    bool joined;                   /* the row's beginning, by a backslash */
    const char *unclear;           /* why nothing is known any more; NULL: it is */
    const char *unclear_fix;
};

/* Moves over one byte of the user's own line. */
void shell_step(struct shell_line *l, char c);
/* Why no value can be put here; static text, and what to type instead. NULL where it can. */
const char *shell_refusal(const struct shell_line *l, const char **fix);
/* Moves over a place. */
void shell_pass(struct shell_line *l);
/* Appends what the shell takes for the value of the variable FLAMBE_number, and moves over it.
 * Within arithmetic the value itself is put in, which has to be a whole number. ERR_FILE where it
 * is none, or where shell_refusal() has something to say. */
int shell_add(struct shell_line *l, size_t number, struct str value, struct buf *out,
              struct err *err) MUST_CHECK;
/* What stands before a line that has `count` values: it makes the variables of the arguments. */
void shell_prologue(size_t count, struct buf *out);

#endif
