/* The one event loop of a program: libuv's, with cancelling and bounded waiting.
 *
 * The style of this code: an operation is started (it returns at once and reports later, from the
 * loop, never from inside its own start), and the program's main path waits for it with
 * loop_wait(), which keeps every other operation going meanwhile. loop_wait() is never called from
 * a callback. */
#ifndef FLAMBE_OS_LOOP_H
#define FLAMBE_OS_LOOP_H

#include "base/clock.h"
#include "base/err.h"
#include <uv.h>

struct loop;

/* Ends the process where libuv cannot start. From now on SIGPIPE is ignored: a write whose reader
 * is gone fails with EPIPE. Restore SIG_DFL before an exec of your own. */
struct loop *loop_new(void);
/* Closes what is still open and frees; every user of the loop is gone before. NULL is legal. */
void loop_free(struct loop *loop);
uv_loop_t *loop_uv(struct loop *loop);
const struct clock *loop_clock(const struct loop *loop);

/* From now on SIGINT and SIGTERM cancel the loop: the waits in progress, and all later ones, fail
 * with ERR_CANCELLED. A second signal ends the process at once with status 130.
 * `on_cancel` (may be NULL) runs at the first signal, from the loop. */
void loop_catch_signals(struct loop *loop, void (*on_cancel)(void *ctx), void *ctx);
/* From now on `fn` alone decides what a signal does, from the loop; `count` is 1 at the first since
 * this call. NULL: as loop_catch_signals() has it. */
void loop_on_signal(struct loop *loop, void (*fn)(void *ctx, int count), void *ctx);
bool loop_cancelled(const struct loop *loop);
/* Cancels as a signal would. */
void loop_cancel(struct loop *loop);
/* Within: lets a clean-up go on after a cancel: waits work again until loop_unshield(). */
void loop_shield(struct loop *loop);
void loop_unshield(struct loop *loop);

/* Runs the loop until done(ctx) is true, looked at after every turn. Fails with ERR_TIMEOUT when
 * `timeout` has passed (USEC_FOREVER: never), with ERR_CANCELLED when cancelled. */
int loop_wait(struct loop *loop, bool (*done)(void *ctx), void *ctx, usec_t timeout,
              struct err *err) MUST_CHECK;
/* Runs the loop for a span of time; fails only with ERR_CANCELLED. */
int loop_pause(struct loop *loop, usec_t span, struct err *err) MUST_CHECK;

/* A one-shot timer. The callback runs once from the loop, unless stopped before. */
struct timer;
struct timer *timer_start(struct loop *loop, usec_t after, void (*fn)(void *ctx), void *ctx);
void timer_stop(struct timer *t); /* frees it, fired or not; NULL is legal */

#endif
