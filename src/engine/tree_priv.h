/* The processes below this one, as /proc shows them. Where there is no /proc nothing is seen, and
 * an engine ends only what stayed in its program's process group.
 *
 * A child of this process stays what it is, a zombie at last, until this process waits for it, so
 * that its number cannot come to mean another one meanwhile. */
#ifndef FLAMBE_ENGINE_TREE_PRIV_H
#define FLAMBE_ENGINE_TREE_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct tree_process {
    pid_t pid, parent, group, session;
    char state;        /* 'Z' for a zombie */
    uint64_t resident; /* bytes */
    void *owner;       /* the caller's; NULL at first */
};

struct tree {
    int proc_fd;     /* the directory /proc, or -1 */
    int children_fd; /* this process's list of children, or -1 */
    struct tree_process *items;
    size_t count, cap;
};

#define TREE_PROCESSES_MAX ((size_t)1 << 20)

void tree_init(struct tree *t);
void tree_done(struct tree *t);

/* This process's children, zombies too: writes up to `max` of their numbers and returns how many
 * there are. Where it returns more than `max` only the first ones were written. */
size_t tree_children(struct tree *t, pid_t *out, size_t max);
/* Looks at one process; false where it is gone. */
bool tree_look(const struct tree *t, pid_t pid, struct tree_process *out);
/* Fills `items` with all processes of the machine. */
void tree_scan(struct tree *t);
/* Gives each process without an owner its parent's, down to the last descendant. */
void tree_inherit(struct tree *t);
/* The value of a variable of the environment that the process was started with, cut to `size`;
 * false where there is none. */
bool tree_variable(const struct tree *t, pid_t pid, const char *name, char *out, size_t size);
/* Bytes of memory, of which those shared with other processes count in part: dearer to ask than
 * `resident`. Returns `fallback` where it cannot be told, 0 where the process has ended. */
uint64_t tree_proportional(const struct tree *t, pid_t pid, uint64_t fallback);

#endif
