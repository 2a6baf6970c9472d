/* See replace.h. */
#include "experiment/replace.h"
#include "base/digest.h"
#include "base/mem.h"
#include "experiment/provenance.h"
#include "experiment/run.h"
#include "os/fs.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REPLACED ".replaced"
#define REMOVING ".removing-"

static bool is_removing(const char *name)
{
    return str_starts(str_of(name), REMOVING);
}

/* What stays where it is, and is no stranger's. */
static bool stays(const char *name)
{
    return strcmp(name, RUN_LOCK_FILE) == 0 || strcmp(name, RUN_STATE_LINK) == 0 ||
           strcmp(name, REPLACED) == 0 || is_removing(name);
}

static bool is_ours(const char *name, const struct strv *stages)
{
    static const char *const names[] = {STORE_FILE,      RUN_ENDS_FILE,   RUN_RESOLVED_FILE,
                                        RUN_RECORD_FILE, PROVENANCE_DIFF, RUN_EARLIER,
                                        "resources",     "extensions"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return str_starts(str_of(name), STORE_FILE "-") || run_is_half_written(name) ||
           strv_has(stages, name);
}

/* Of a state's own directory, which may hold other things: what is flambe's beside the state. */
static bool is_beside_state(const char *name)
{
    return str_starts(str_of(name), STORE_FILE "-") || strcmp(name, RUN_ENDS_FILE) == 0;
}

static bool is_apart(const char *directory, const char *state)
{
    return strcmp(directory, state) != 0;
}

/* The stages that the state knows; false where it cannot be read. */
static bool read_stages(const char *state, struct strv *out)
{
    struct store *store;
    struct store_stage *stages;
    size_t count;
    if (store_open(state, STORE_READ, &store, NULL) == -1)
        return false;
    bool read = store_stages(store, &stages, &count, NULL) == 0;
    for (size_t i = 0; read && i < count; i++)
        strv_add(out, stages[i].name);
    if (read)
        store_stages_free(stages, count);
    AUTO_FREE char *retiring = store_get(store, "retiring"); /* those that are still to be moved */
    struct str rest = str_of(retiring ? retiring : "");
    while (rest.p) {
        struct str name = str_cut(&rest, '\n');
        if (name.n)
            strv_add_str(out, name);
    }
    store_close(store);
    return read;
}

static int move(const char *from, const char *to, const char *name, struct err *err)
{
    AUTO_FREE char *here = fs_join(from, name), *there = fs_join(to, name);
    if (rename(here, there) == 0 || errno == ENOENT)
        return 0;
    return err_set_sys(err, errno, "cannot move '%s'", here);
}

static int check_foreign(const char *directory, const struct strv *foreign,
                         const struct strv *stages, struct err *err)
{
    for (size_t i = 0; stages && i < stages->count; i++)
        if (strv_has(foreign, stages->items[i]))
            return err_set(err, ERR_EXISTS,
                           "'%s/%s' is in the way of the stage '%s', and flambe did not make it: "
                           "nothing is touched",
                           directory, stages->items[i], stages->items[i]);
    return 0;
}

static int make_aside(const char *directory, char **aside, struct err *err)
{
    *aside = fs_join(directory, REPLACED);
    if (mkdir(*aside, 0777) == -1)
        return err_set_sys(err, errno, "cannot make the directory '%s'", *aside);
    return 0;
}

static int put_state_aside(const char *state, const char *aside, struct err *err)
{
    AUTO_STRV struct strv names = {0};
    if (fs_list(state, &names, err) == -1)
        return -1;
    for (size_t i = 0; i < names.count; i++)
        if (is_beside_state(names.items[i]) && move(state, aside, names.items[i], err) == -1)
            return -1;
    return move(state, aside, STORE_FILE, err);
}

static int put_aside(const char *directory, const char *state, const struct strv *ours,
                     struct err *err)
{
    AUTO_FREE char *aside = NULL, *state_aside = NULL;
    if ((is_apart(directory, state) && make_aside(state, &state_aside, err) == -1) ||
        make_aside(directory, &aside, err) == -1)
        return -1;
    for (size_t i = 0; i < ours->count; i++)
        if (strcmp(ours->items[i], STORE_FILE) != 0 &&
            move(directory, aside, ours->items[i], err) == -1)
            return -1;
    return put_state_aside(state, state_aside ? state_aside : aside, err);
}

int replace_begin(const char *directory, const char *state, const struct strv *stages,
                  struct strv *foreign, struct err *err)
{
    AUTO_STRV struct strv entries = {0}, known = {0}, ours = {0}, others = {0};
    if (!read_stages(state, &known) && stages)
        strv_copy(&known, stages);
    if (fs_list(directory, &entries, err) == -1)
        return -1;
    for (size_t i = 0; i < entries.count; i++) {
        const char *name = entries.items[i];
        if (!stays(name))
            strv_add(is_ours(name, &known) ? &ours : &others, name);
    }
    strv_sort(&others);
    if (check_foreign(directory, &others, stages, err) == -1)
        return -1;
    if (put_aside(directory, state, &ours, err) == -1) {
        (void)!replace_undo(directory, state, NULL); /* else when it is opened again */
        return -1;
    }
    strv_copy(foreign, &others);
    return 0;
}

/* What the new run made. `aside`: the names in the results' .replaced. */
static int clear_new(const char *directory, const char *state, const struct strv *aside,
                     struct err *err)
{
    AUTO_STRV struct strv entries = {0}, known = {0}, beside = {0};
    (void)read_stages(state, &known);
    if (fs_list(directory, &entries, err) == -1 ||
        (is_apart(directory, state) && fs_list(state, &beside, err) == -1))
        return -1;
    for (size_t i = 0; i < entries.count; i++) {
        const char *name = entries.items[i];
        AUTO_FREE char *path = fs_join(directory, name);
        if (!stays(name) && (is_ours(name, &known) || strv_has(aside, name)) &&
            fs_remove_tree(path, err) == -1)
            return -1;
    }
    for (size_t i = 0; i < beside.count; i++) {
        AUTO_FREE char *path = fs_join(state, beside.items[i]);
        if (is_beside_state(beside.items[i]) && fs_remove_tree(path, err) == -1)
            return -1;
    }
    return 0;
}

/* *there: whether results are put aside in the directory; `names` gets them. */
static int look_aside(const char *aside, bool *there, struct strv *names, struct err *err)
{
    struct stat st;
    *there = lstat(aside, &st) == 0;
    if (!*there && errno == ENOENT)
        return 0;
    if (!*there || !S_ISDIR(st.st_mode))
        return err_set(err, ERR_EXISTS, "'%s' is in the way, and flambe did not make it", aside);
    return fs_list(aside, names, err);
}

static int put_back(const char *directory, const char *aside, const struct strv *names,
                    struct err *err)
{
    for (size_t i = 0; i < names->count; i++)
        if (move(aside, directory, names->items[i], err) == -1)
            return -1;
    if (rmdir(aside) == 0 || errno == ENOENT)
        return 0;
    return err_set_sys(err, errno, "cannot remove '%s'", aside);
}

int replace_undo(const char *directory, const char *state, struct err *err)
{
    AUTO_FREE char *aside = fs_join(directory, REPLACED), *state_aside = fs_join(state, REPLACED);
    AUTO_STRV struct strv names = {0}, state_names = {0};
    bool there, state_there;
    if (look_aside(aside, &there, &names, err) == -1 ||
        look_aside(state_aside, &state_there, &state_names, err) == -1)
        return -1;
    if (!state_there) /* it went first: there is no way back */
        return there ? replace_finish(directory, state, err) : 0;
    if (strv_has(&state_names, STORE_FILE) && (clear_new(directory, state, &names, err) == -1 ||
                                               move(state_aside, state, STORE_FILE, err) == -1))
        return -1;
    if (there && put_back(directory, aside, &names, err) == -1)
        return -1;
    return is_apart(directory, state) ? put_back(state, state_aside, &state_names, err) : 0;
}

static int set_removing(const char *directory, struct err *err)
{
    char tag[9];
    digest_random_hex(tag, 8);
    AUTO_FREE char *aside = fs_join(directory, REPLACED);
    AUTO_FREE char *to = mem_printf("%s/" REMOVING "%s", directory, tag);
    if (rename(aside, to) == 0 || errno == ENOENT)
        return 0;
    return err_set_sys(err, errno, "cannot move '%s'", aside);
}

int replace_finish(const char *directory, const char *state, struct err *err)
{
    if (is_apart(directory, state) && set_removing(state, err) == -1)
        return -1;
    return set_removing(directory, err);
}

int replace_remove(const char *directory, const char *state, struct err *err)
{
    if (is_apart(directory, state) && fs_remove_entries(state, is_removing, err) == -1)
        return -1;
    return fs_remove_entries(directory, is_removing, err);
}
