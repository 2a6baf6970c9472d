/* The pool: who may start an attempt or a handshake now. Both queues are first in, first out. */
#include "base/mem.h"
#include "ssh/session.h"
#include <stdlib.h>
#include <sys/resource.h>

/* Each session takes two descriptors (libssh's and the one polled), and the usual soft limit of
 * 1024 would end at about 500 hosts. The hard limit is what the administrator meant to allow; the
 * soft one is low for programs that use select(), which neither this program nor libuv does. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

struct ssh_pool *ssh_pool_new(struct loop *loop)
{
    struct ssh_pool *p = mem_alloc(sizeof *p);
    p->loop = loop;
    TAILQ_INIT(&p->sessions);
    TAILQ_INIT(&p->attempts);
    TAILQ_INIT(&p->handshakes);
    raise_descriptor_limit();
    return p;
}

void ssh_pool_free(struct ssh_pool *p)
{
    if (!p)
        return;
    struct ssh_session *s, *next;
    for (s = TAILQ_FIRST(&p->sessions); s; s = next) {
        next = TAILQ_NEXT(s, all);
        ssh_session_free(s);
    }
    timer_stop(p->kick);
    free(p);
}

static void schedule(void *ctx)
{
    struct ssh_pool *p = ctx;
    timer_stop(TAKE(p->kick));
    struct ssh_session *s;
    while (p->attempts_running < SSH_ATTEMPTS_MAX && (s = TAILQ_FIRST(&p->attempts))) {
        TAILQ_REMOVE(&p->attempts, s, queue);
        s->queued_attempt = false;
        s->holds_attempt = true;
        p->attempts_running++;
        session_start_attempt(s);
    }
    while (p->handshakes_running < SSH_HANDSHAKES_MAX && (s = TAILQ_FIRST(&p->handshakes))) {
        TAILQ_REMOVE(&p->handshakes, s, queue);
        s->queued_handshake = false;
        s->holds_handshake = true;
        p->handshakes_running++;
        session_start_handshake(s);
    }
}

static void kick(struct ssh_pool *p)
{
    if (!p->kick)
        p->kick = timer_start(p->loop, 0, schedule, p);
}

void pool_want_attempt(struct ssh_session *s)
{
    TAILQ_INSERT_TAIL(&s->pool->attempts, s, queue);
    s->queued_attempt = true;
    kick(s->pool);
}

void pool_want_handshake(struct ssh_session *s)
{
    TAILQ_INSERT_TAIL(&s->pool->handshakes, s, queue);
    s->queued_handshake = true;
    kick(s->pool);
}

void pool_release_handshake(struct ssh_session *s)
{
    struct ssh_pool *p = s->pool;
    if (s->queued_handshake)
        TAILQ_REMOVE(&p->handshakes, s, queue);
    if (s->holds_handshake) {
        p->handshakes_running--;
        kick(p);
    }
    s->queued_handshake = s->holds_handshake = false;
}

void pool_release(struct ssh_session *s)
{
    struct ssh_pool *p = s->pool;
    pool_release_handshake(s);
    if (s->queued_attempt)
        TAILQ_REMOVE(&p->attempts, s, queue);
    if (s->holds_attempt) {
        p->attempts_running--;
        kick(p);
    }
    s->queued_attempt = s->holds_attempt = false;
}
