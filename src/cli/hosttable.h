/* The table of a cluster's hosts, for `status`, and the live one of `up`. */
#ifndef FLAMBE_CLI_HOSTTABLE_H
#define FLAMBE_CLI_HOSTTABLE_H

#include "cli/console.h"
#include "cluster/cluster.h"

/* Lines for `status`: name, phase, type, zone, address, up since, note. */
void hosttable_status(const char *cluster, const struct cluster_hosts *hosts, usec_t wall,
                      size_t width, bool color, struct strv *lines);

/* What the live table shows: a copy of the hosts, and where the work stands. */
struct hostview {
    const char *cluster;
    struct cluster_hosts hosts; /* copies */
    char *step;                 /* what is being done, or NULL */
    usec_t began;               /* monotonic */
};
void hostview_set(struct hostview *v, const struct cluster_hosts *hosts, size_t index);
void hostview_done(struct hostview *v);
/* Pure: the lines for a terminal of this size at this time. Where the hosts do not fit, counts per
 * phase and the slowest ones stand in for them. */
void hostview_render(const struct hostview *v, usec_t mono, size_t width, size_t height, bool color,
                     struct strv *lines);
/* "2 ready, 1 booting" */
void hostview_counts(const struct cluster_hosts *hosts, struct buf *out);

/* The live table on the screen: redrawn at most 10 times a second; plain lines without a terminal.
 */
struct live;
struct live *live_new(struct loop *loop, struct console *screen, const char *cluster);
void live_free(struct live *l); /* takes the table off the screen; NULL is legal */
/* Draws a last time and lets the table stand; live_free() comes after it all the same. */
void live_keep(struct live *l);
/* Says what is being done, as the cluster's watch does. */
void live_step(struct live *l, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Points the cluster's watch at the table. */
void live_watch(struct live *l, struct cluster_watch *watch);
const struct cluster_hosts *live_hosts(const struct live *l);

#endif
