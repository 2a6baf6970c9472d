/* The orchestrator's flambe-node, called over SSH by the verbs that look at or change what a
 * cluster runs. One connection serves all calls of a verb. */
#ifndef FLAMBE_CLI_NODE_LINK_H
#define FLAMBE_CLI_NODE_LINK_H

#include "cli/reach.h"

#define NODE_PROGRAM "/opt/flambe/bin/flambe-node"
#define NODE_CALL_TIMEOUT (60 * USEC_PER_SEC)
#define NODE_GLANCE (3 * USEC_PER_SEC)

struct node_link {
    struct reach reach; /* the orchestrator is what is picked, or all hosts are */
    size_t index;       /* of the orchestrator among what is picked */
    struct ssh_identity *identity;
    struct ssh_pool *pool;
    struct ssh_session *session;
    bool connected;
    struct err why; /* of a connection that failed */
};

/* Opens the cluster `word` (a name or a cluster file) and connects to its orchestrator; goes on
 * trying for `patience` where it does not answer; 0: one attempt of NODE_GLANCE. node_link_done()
 * follows, also after an error. */
int node_link_open(struct node_link *l, struct cli *cli, const char *word, usec_t patience,
                   struct err *err) MUST_CHECK;
/* The same with all hosts picked, for what is sent to them. */
int node_link_open_all(struct node_link *l, struct cli *cli, const char *word, usec_t patience,
                       struct err *err) MUST_CHECK;
/* The same connection anew, after one that failed. */
int node_link_reconnect(struct node_link *l, usec_t patience, struct err *err) MUST_CHECK;
void node_link_done(struct node_link *l);

struct node_call {
    const struct strv *words; /* the program and its operands: each is quoted for the shell */
    struct str input;         /* its standard input */
    usec_t timeout;           /* 0: none */
    /* NULL: kept in node_answer. */
    void (*output)(void *ctx, bool is_err, struct str bytes);
    void *ctx;
};

#define NODE_ANSWER_MAX ((size_t)16 << 20)

struct node_answer {
    struct ssh_exec_result result;
    struct buf out, err_out;
};

/* Waits for the command's end, whatever its status is. ERR_UNREACHABLE where the connection failed,
 * ERR_CANCELLED at Ctrl-C: the command's end of the connection is closed then. */
int node_call(struct node_link *l, const struct node_call *call, struct node_answer *out,
              struct err *err) MUST_CHECK;
void node_answer_done(struct node_answer *a);
/* Calls flambe-node with these words, of which the last is NULL, and reads the JSON text that it
 * answers with. Where it failed, the error is its own: code and message. */
int node_ask(struct node_link *l, const char *const *words, struct str input, json_t **out,
             struct err *err) MUST_CHECK;

/* What runs, what waits and what is over there: an object with the lists "entries" and "done". */
int node_queue(struct node_link *l, json_t **out, struct err *err) MUST_CHECK;

#endif
