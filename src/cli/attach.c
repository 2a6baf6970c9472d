/* See attach.h. */
#include "cli/attach.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strtab.h"
#include "cli/prefix.h"
#include "cli/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES ((size_t)1 << 20)
#define SAID_MAX 100000 /* lines that are remembered, so that none is shown twice */

struct attach {
    struct node_link *link;
    struct cli *cli;
    struct prefix lines, errors;
    struct strtab *said;
    size_t said_count;
    char last_words[256]; /* on its standard error */
    bool ended;
    struct attach_end end;
};

/* A line that stays, once: a new connection begins with those that were there before. */
static void say(struct attach *a, const char *text)
{
    if (strtab_get(a->said, str_of(text)))
        return;
    if (a->said_count < SAID_MAX) {
        (void)strtab_put(a->said, str_of(text), a);
        a->said_count++;
    }
    AUTO_BUF struct buf clean = {0};
    text_clean(str_of(text), false, &clean);
    console_line(&a->cli->screen, "%s", buf_text(&clean));
}

static void draw(struct attach *a, const json_t *frame)
{
    struct strv lines = {0};
    size_t width, height, i;
    const json_t *line;
    console_size(&a->cli->screen, &width, &height);
    json_array_foreach(frame, i, line)
    {
        AUTO_BUF struct buf clean = {0};
        struct buf cut = {0};
        if (i + 1 >= height)
            break;
        const char *text = json_string_value(line);
        text_clean(str_of(text ? text : ""), false, &clean);
        text_fit(buf_view(&clean), width, false, &cut);
        strv_take(&lines, buf_take(&cut));
    }
    console_draw(&a->cli->screen, &lines);
}

static void take_line(struct attach *a, struct str line)
{
    json_auto_t *value = NULL;
    if (line.n > LINE_MAX_BYTES || json_parse(line, LINE_MAX_BYTES, &value, NULL) == -1)
        return;
    const char *text = json_string_value(json_object_get(value, "say"));
    const json_t *end = json_object_get(value, "end");
    if (text)
        say(a, text);
    if (json_is_array(json_object_get(value, "frame")))
        draw(a, json_object_get(value, "frame"));
    if (json_is_object(end)) {
        a->ended = true;
        const char *reason = json_text(end, "reason");
        AUTO_BUF struct buf clean = {0};
        text_clean(str_of(reason ? reason : ""), false, &clean);
        a->end.status = (int)json_integer_value(json_object_get(end, "exit"));
        snprintf(a->end.reason, sizeof a->end.reason, "%s", buf_text(&clean));
    }
}

static void take_lines(void *ctx, struct str lines)
{
    while (lines.p && lines.n)
        take_line(ctx, str_cut(&lines, '\n'));
}

static void keep_last(void *ctx, struct str lines)
{
    struct attach *a = ctx;
    struct str line = str_trim(str_cut(&lines, '\n'));
    AUTO_BUF struct buf clean = {0};
    text_clean(line, false, &clean);
    if (clean.len)
        snprintf(a->last_words, sizeof a->last_words, "%s", buf_text(&clean));
}

static void got_output(void *ctx, bool is_err, struct str bytes)
{
    struct attach *a = ctx;
    prefix_add(is_err ? &a->errors : &a->lines, bytes);
}

/* One connection's worth. */
static int follow(struct attach *a, const char *directory, struct err *err)
{
    AUTO_STRV struct strv words = {0};
    size_t width, height;
    console_size(&a->cli->screen, &width, &height);
    strv_add(&words, "env");
    strv_take(&words, mem_printf("FLAMBE_TERMINAL=%zux%zu", width, height));
    strv_add(&words, NODE_PROGRAM);
    strv_add(&words, "attach");
    strv_add(&words, "--output=json");
    strv_add(&words, "--");
    strv_add(&words, directory);
    struct node_call c = {.words = &words, .output = got_output, .ctx = a};
    struct node_answer answer;
    a->last_words[0] = '\0';
    int rc = node_call(a->link, &c, &answer, err);
    prefix_end(&a->lines);
    prefix_end(&a->errors);
    node_answer_done(&answer);
    if (rc == 0 && !a->ended)
        return err_set(err, ERR_REMOTE, "the orchestrator told nothing more of the experiment%s%s",
                       a->last_words[0] ? ": " : "", a->last_words);
    return rc;
}

static int go_on(struct attach *a, const char *directory, struct err *err)
{
    for (;;) {
        struct err why = {0};
        if (follow(a, directory, &why) == 0)
            return 0;
        if (why.code != ERR_UNREACHABLE && why.code != ERR_TIMEOUT)
            return err_copy(err, &why);
        console_line(&a->cli->screen,
                     "flambe: the connection to the orchestrator broke; the experiment goes on, "
                     "and it is tried again");
        if (node_link_reconnect(a->link, ATTACH_PATIENCE, err) == -1)
            return -1;
    }
}

int attach_follow(struct node_link *l, const char *word, const char *directory,
                  struct attach_end *out, struct err *err)
{
    struct cli *cli = l->reach.session.cli;
    struct attach a = {.link = l, .cli = cli, .said = strtab_new()};
    a.lines = (struct prefix){.label = mem_dup(""), .write = take_lines, .ctx = &a};
    a.errors = (struct prefix){.label = mem_dup(""), .write = keep_last, .ctx = &a};
    struct err why = {0};
    int rc = go_on(&a, directory, &why);
    prefix_done(&a.lines);
    prefix_done(&a.errors);
    strtab_free(a.said);
    *out = a.end;
    out->detached = rc == -1 && why.code == ERR_CANCELLED;
    if (!out->detached) {
        console_erase(&cli->screen);
        return rc == 0 ? 0 : err_copy(err, &why);
    }
    const char *colon = strrchr(word, ':');
    console_keep(&cli->screen);
    console_line(&cli->screen,
                 "detached: '%s' goes on\n"
                 "next: flambe attach %s   to see it again\n"
                 "      flambe stop %s     to end it",
                 colon ? colon + 1 : word, word, word);
    return 0;
}
