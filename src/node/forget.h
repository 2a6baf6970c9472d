/* The secrets of an experiment that is over go from the factories too, which got them with its
 * files. */
#ifndef FLAMBE_NODE_FORGET_H
#define FLAMBE_NODE_FORGET_H

#include "base/buf.h"
#include "node/queue.h"

/* Removes the item's secrets on the factories of this cluster (CONFIG_FILE), unless another entry
 * needs them. `failed` gets the addresses of those that did not do it, one a line. */
void forget_secrets(struct loop *loop, const struct queue *q, const struct queue_item *item,
                    struct buf *failed);

#endif
