/* The commands that ask the running sandbox. */
#include "base/json.h"
#include "base/mem.h"
#include "os/fs.h"
#include "os/lock.h"
#include "sandbox/cli.h"
#include "sandbox/client.h"
#include "sandbox/image.h"
#include "sandbox/settings.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STOP_BOUND (120 * USEC_PER_SEC)
#define STOP_LOOK (20 * USEC_PER_MSEC)

/* Calls, and prints the answer's words, or its result where JSON is asked for. */
static int ask(const struct cli_args *args, const char *command, const json_t *with,
               struct err *err)
{
    struct loop *loop = loop_new();
    json_auto_t *answer = NULL;
    int rc = client_call(loop, args->dir, command, with, &answer, err);
    loop_free(loop);
    if (rc == -1)
        return -1;
    const char *format = cli_option(args, "-o");
    const json_t *result = json_object_get(answer, "result");
    if (format && strcmp(format, "json") == 0 && result) {
        AUTO_BUF struct buf text = {0};
        json_write(result, true, &text);
        fputs(buf_text(&text), stdout);
    } else {
        const json_t *text = json_object_get(answer, "text");
        fwrite(json_string_value(text), 1, json_string_length(text), stdout);
    }
    return 0;
}

static void put_text(json_t *j, const char *key, const char *text)
{
    if (text)
        json_object_set_new(j, key, json_string(text));
}

static int put_number(json_t *j, const char *key, const struct cli_args *args, const char *option,
                      double min, double max, struct err *err)
{
    double value = 0;
    if (!cli_option(args, option))
        return 0;
    if (cli_number(args, option, min, max, &value, err) == -1)
        return -1;
    json_object_set_new(j, key, json_real(value));
    return 0;
}

int cmd_status(const struct cli_args *args, struct err *err)
{
    return ask(args, "status", NULL, err);
}

int cmd_fault_add(const struct cli_args *args, struct err *err)
{
    json_auto_t *j = json_object();
    put_text(j, "fault", args->words[0]);
    put_text(j, "action", cli_option(args, "--action"));
    put_text(j, "type", cli_option(args, "--type"));
    put_text(j, "zone", cli_option(args, "--zone"));
    const char *count = cli_option(args, "--count");
    if (count && strcmp(count, "forever") == 0)
        json_object_set_new(j, "count", json_integer(-1));
    else if (put_number(j, "count", args, "--count", 1, 1e9, err) == -1)
        return -1;
    if (put_number(j, "skip", args, "--skip", 0, 1e9, err) == -1)
        return -1;
    return ask(args, "fault-add", j, err);
}

int cmd_fault_list(const struct cli_args *args, struct err *err)
{
    return ask(args, "fault-list", NULL, err);
}

int cmd_fault_clear(const struct cli_args *args, struct err *err)
{
    json_auto_t *j = json_object();
    int64_t id;
    if (args->word_count) {
        if (!str_to_i64(str_of(args->words[0]), 1, INT32_MAX, &id))
            return err_set(err, ERR_USAGE, "'%s' is no fault's number", args->words[0]);
        json_object_set_new(j, "id", json_integer(id));
    }
    return ask(args, "fault-clear", j, err);
}

int cmd_instance(const struct cli_args *args, struct err *err)
{
    json_auto_t *j = json_object();
    put_text(j, "instance", args->words[0]);
    if (cli_option(args, "--off"))
        json_object_set_new(j, "off", json_true());
    if (put_number(j, "notice", args, "--notice", 0, 86400, err) == -1)
        return -1;
    return ask(args, args->command->name, j, err);
}

int cmd_set(const struct cli_args *args, struct err *err)
{
    json_auto_t *j = json_object();
    char *end = NULL;
    double value = strtod(args->words[1], &end);
    if (end == args->words[1] || *end)
        return err_set(err, ERR_USAGE, "'%s' is no number", args->words[1]);
    put_text(j, "name", args->words[0]);
    json_object_set_new(j, "value", json_real(value));
    return ask(args, "set", j, err);
}

int cmd_release(const struct cli_args *args, struct err *err)
{
    return ask(args, "release", NULL, err);
}

int cmd_fire_alarm(const struct cli_args *args, struct err *err)
{
    json_auto_t *j = json_object();
    put_text(j, "alarm", args->words[0]);
    return ask(args, "fire-alarm", j, err);
}

int cmd_env(const struct cli_args *args, struct err *err)
{
    struct client_facts facts = {0};
    if (client_facts(args->dir, &facts, err) == -1)
        return -1;
    bool held = client_is_held(args->dir);
    if (held)
        exports_print(args->dir, facts.port, facts.region);
    client_facts_done(&facts);
    return held ? 0
                : err_set(err, ERR_NOT_FOUND, "no sandbox runs in '%s'; type: flambe-sandbox start",
                          args->dir);
}

/* ---- the whole ------------------------------------------------------------------------------ */

static bool has_ended(void *ctx)
{
    return !client_is_held(ctx);
}

/* The process holds its lock until its machines are off and its state is written. */
static int wait_for_end(struct loop *loop, const char *dir, struct err *err)
{
    usec_t until = clock_mono(loop_clock(loop)) + STOP_BOUND;
    while (!has_ended((void *)dir)) {
        if (clock_mono(loop_clock(loop)) > until)
            return err_set(err, ERR_TIMEOUT, "the sandbox in '%s' does not end; see its log", dir);
        if (loop_pause(loop, STOP_LOOK, err) == -1)
            return -1;
    }
    return 0;
}

int cmd_stop(const struct cli_args *args, struct err *err)
{
    if (!client_is_held(args->dir)) {
        fprintf(stderr, "no sandbox runs in '%s'\n", args->dir);
        return 0;
    }
    struct loop *loop = loop_new();
    json_auto_t *answer = NULL;
    int rc = client_call(loop, args->dir, "stop", NULL, &answer, err);
    if (rc == 0)
        rc = wait_for_end(loop, args->dir, err);
    loop_free(loop);
    if (rc == 0)
        puts("stopped; 'flambe-sandbox start' goes on where it was");
    return rc;
}

/* Without a process: what an earlier one has left goes, and the next start seeds a new account. */
static int reset_alone(const struct cli_args *args, struct err *err)
{
    static const char *const names[] = {"world.json", "faults.json", "sandbox.json"};
    AUTO_FREE char *lock_path = fs_join(args->dir, "lock");
    AUTO_FREE char *cache = fs_cache_dir();
    struct settings s;
    struct lock *lock = NULL;
    if (!fs_exists(args->dir)) {
        printf("there is nothing in '%s'\n", args->dir);
        return 0;
    }
    if (lock_take(lock_path, &lock, err) == -1)
        return -1;
    settings_init(&s);
    if (settings_load(&s, args->dir, NULL) == -1)
        s.kind = HOST_BOOTED; /* damaged: the defaults' hosts are looked for */
    settings_defaults(&s, args->dir);
    struct loop *loop = loop_new();
    struct host_options o = {.loop = loop,
                             .dir = args->dir,
                             .cache_dir = cache,
                             .bridge = s.bridge,
                             .network = s.network,
                             .public_network = s.public_network};
    int rc = hosts_sweep(&o, err);
    for (size_t i = 0; rc == 0 && i < COUNT_OF(names); i++) {
        AUTO_FREE char *path = fs_join(args->dir, names[i]);
        rc = fs_remove_tree(path, err);
    }
    loop_free(loop);
    settings_done(&s);
    lock_release(lock);
    if (rc == 0)
        puts("all instances and the account are gone; the next start seeds a new one");
    return rc;
}

int cmd_reset(const struct cli_args *args, struct err *err)
{
    if (!client_is_held(args->dir))
        return reset_alone(args, err);
    if (ask(args, "reset", NULL, err) == -1)
        return -1;
    putchar('\n');
    return 0;
}

static void show_progress(void *ctx, const char *line)
{
    (void)ctx;
    fprintf(stderr, "%s\n", line);
}

int cmd_image_build(const struct cli_args *args, struct err *err)
{
    (void)args;
    AUTO_FREE char *cache = fs_cache_dir();
    struct loop *loop = loop_new();
    struct image image = {0};
    struct image_options o = {.loop = loop, .cache_dir = cache, .progress = show_progress};
    int rc = image_ensure(&o, &image, err);
    if (rc == 0)
        printf("%s\n", image.root);
    image_done(&image);
    loop_free(loop);
    return rc;
}
