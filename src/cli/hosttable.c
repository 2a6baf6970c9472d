/* See hosttable.h: the pure part, from hosts to lines. */
#include "cli/hosttable.h"
#include "base/mem.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/text.h"
#include <stdlib.h>
#include <string.h>

static const char *phase_style(enum host_phase p)
{
    switch (p) {
    case HOST_READY:
        return STYLE_GREEN;
    case HOST_FAILED:
        return STYLE_RED;
    case HOST_STOPPED:
    case HOST_GOING:
    case HOST_GONE:
        return STYLE_YELLOW;
    default:
        return STYLE_NONE;
    }
}

void hosttable_status(const char *cluster, const struct cluster_hosts *hosts, usec_t wall,
                      size_t width, bool color, struct strv *lines)
{
    static const struct table_column columns[] = {
        {"host", 0, false},    {"state", 0, false}, {"type", 3, false}, {"zone", 2, false},
        {"address", 0, false}, {"up", 4, false},    {"id", 1, false},   {"note", 0, true},
    };
    struct table t;
    table_init(&t, columns, COUNT_OF(columns));
    for (size_t i = 0; i < hosts->count; i++) {
        const struct cluster_host *h = &hosts->items[i];
        char up[CLOCK_SPAN_SIZE] = "-";
        if (h->launched && wall > h->launched)
            clock_span(wall - h->launched, up);
        table_add(&t, STYLE_NONE, host_short_name(cluster, h));
        table_add(&t, phase_style(h->phase), host_phase_name(h->phase));
        table_add(&t, STYLE_NONE, h->type);
        table_add(&t, STYLE_NONE, h->zone);
        table_add(&t, STYLE_NONE, h->public_ip ? h->public_ip : h->private_ip);
        table_add(&t, STYLE_NONE, up);
        table_add(&t, STYLE_DIM, h->instance_id);
        table_add(&t, STYLE_NONE, h->note ? h->note : "");
    }
    table_render(&t, width, color, lines);
    table_done(&t);
}

/* ---- the live view ------------------------------------------------------------------------ */

static void replace(char **field, const char *value)
{
    if (*field && value && strcmp(*field, value) == 0)
        return;
    free(*field);
    *field = mem_dup(value);
}

static void copy_host(struct cluster_host *to, const struct cluster_host *from)
{
    replace(&to->name, from->name);
    replace(&to->instance_id, from->instance_id);
    replace(&to->type, from->type);
    replace(&to->zone, from->zone);
    replace(&to->public_ip, from->public_ip);
    replace(&to->private_ip, from->private_ip);
    replace(&to->note, from->note);
    to->role = from->role;
    to->index = from->index;
    to->state = from->state;
    to->launched = from->launched;
    to->phase = from->phase;
    to->phase_since = from->phase_since;
}

static void free_host(struct cluster_host *h)
{
    static const struct cluster_host nothing;
    copy_host(h, &nothing);
}

void hostview_set(struct hostview *v, const struct cluster_hosts *hosts, size_t index)
{
    struct cluster_hosts *mine = &v->hosts;
    bool grown = mine->count != hosts->count;
    while (mine->count > hosts->count)
        free_host(&mine->items[--mine->count]);
    while (mine->count < hosts->count) {
        MEM_PUSH_ROOM(mine->items, mine->count, mine->cap);
        mine->items[mine->count++] = (struct cluster_host){0};
    }
    for (size_t i = 0; i < hosts->count; i++)
        if (grown || i == index)
            copy_host(&mine->items[i], &hosts->items[i]);
}

void hostview_done(struct hostview *v)
{
    for (size_t i = 0; i < v->hosts.count; i++)
        free_host(&v->hosts.items[i]);
    free(v->hosts.items);
    free(v->step);
    *v = (struct hostview){0};
}

void hostview_counts(const struct cluster_hosts *hosts, struct buf *out)
{
    static const enum host_phase order[] = {
        HOST_READY,   HOST_SETTING_UP, HOST_FIRST_CONTACT, HOST_BOOTING,
        HOST_RUNNING, HOST_PENDING,    HOST_LAUNCHING,     HOST_PLANNED,
        HOST_STOPPED, HOST_GOING,      HOST_GONE,          HOST_FAILED,
    };
    bool first = true;
    for (size_t p = 0; p < COUNT_OF(order); p++) {
        size_t n = 0;
        for (size_t i = 0; i < hosts->count; i++)
            n += hosts->items[i].phase == order[p];
        if (!n)
            continue;
        buf_addf(out, "%s%zu %s", first ? "" : ", ", n, host_phase_name(order[p]));
        first = false;
    }
}

static bool is_settled(const struct cluster_host *h)
{
    return h->phase == HOST_READY || h->phase == HOST_GONE;
}

static void add_row(struct table *t, const struct hostview *v, const struct cluster_host *h,
                    usec_t mono)
{
    char took[CLOCK_SPAN_SIZE] = "";
    if (!is_settled(h) && h->phase != HOST_FAILED && h->phase_since && mono > h->phase_since)
        clock_span((mono - h->phase_since) / USEC_PER_SEC * USEC_PER_SEC, took);
    table_add(t, STYLE_NONE, host_short_name(v->cluster, h));
    table_add(t, phase_style(h->phase), host_phase_name(h->phase));
    table_add(t, STYLE_NONE, took);
    table_add(t, STYLE_NONE, h->type ? h->type : "");
    table_add(t, STYLE_NONE, h->zone ? h->zone : "");
    table_add(t, STYLE_NONE, h->public_ip ? h->public_ip : h->private_ip ? h->private_ip : "");
    table_add(t, STYLE_DIM, h->note ? h->note : "");
}

struct slow {
    const struct cluster_host *host;
    size_t at;
};

/* Failed ones first, then those that have been in their phase the longest. */
static int compare_slow(const void *pa, const void *pb)
{
    const struct slow *a = pa, *b = pb;
    bool fa = a->host->phase == HOST_FAILED, fb = b->host->phase == HOST_FAILED;
    if (fa != fb)
        return fa ? -1 : 1;
    if (a->host->phase_since != b->host->phase_since)
        return a->host->phase_since < b->host->phase_since ? -1 : 1;
    return a->at < b->at ? -1 : 1;
}

static void add_slowest(struct table *t, const struct hostview *v, usec_t mono, size_t rows)
{
    AUTO_FREE struct slow *slow = mem_array(v->hosts.count + 1, sizeof *slow);
    size_t count = 0;
    for (size_t i = 0; i < v->hosts.count; i++)
        if (!is_settled(&v->hosts.items[i]))
            slow[count++] = (struct slow){&v->hosts.items[i], i};
    qsort(slow, count, sizeof *slow, compare_slow);
    for (size_t i = 0; i < count && i < rows; i++)
        add_row(t, v, slow[i].host, mono);
}

void hostview_render(const struct hostview *v, usec_t mono, size_t width, size_t height, bool color,
                     struct strv *lines)
{
    static const struct table_column columns[] = {
        {"host", 0, false}, {"phase", 0, false},   {"since", 0, false}, {"type", 2, false},
        {"zone", 1, false}, {"address", 3, false}, {"note", 0, true},
    };
    width = width > 1 ? width - 1 : 1;         /* the last column would make some terminals wrap */
    size_t room = height > 4 ? height - 3 : 1; /* title, last line, and the cursor's own */
    struct table t;
    table_init(&t, columns, COUNT_OF(columns));
    if (v->hosts.count <= room)
        for (size_t i = 0; i < v->hosts.count; i++)
            add_row(&t, v, &v->hosts.items[i], mono);
    else
        add_slowest(&t, v, mono, room);
    if (t.count)
        table_render(&t, width, color, lines);
    table_done(&t);

    AUTO_BUF struct buf last = {0}, fitted = {0}, clean = {0};
    char took[CLOCK_SPAN_SIZE];
    clock_span((mono - v->began) / USEC_PER_SEC * USEC_PER_SEC, took);
    if (v->hosts.count)
        buf_addf(&last, "%zu %s: ", v->hosts.count, v->hosts.count == 1 ? "host" : "hosts");
    hostview_counts(&v->hosts, &last);
    if (v->step)
        buf_addf(&last, "%s%s", v->hosts.count ? "; " : "", v->step);
    buf_addf(&last, " (%s)", took);
    text_clean(buf_view(&last), false, &clean);
    text_fit(buf_view(&clean), width, false, &fitted);
    strv_add(lines, buf_text(&fitted));
}
