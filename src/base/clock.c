/* See clock.h. */
#include "base/clock.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

static usec_t read_clock(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (usec_t)ts.tv_sec * USEC_PER_SEC + ts.tv_nsec / 1000;
}

static usec_t system_wall(void *ctx)
{
    (void)ctx;
    return read_clock(CLOCK_REALTIME);
}

static usec_t system_mono(void *ctx)
{
    (void)ctx;
    return read_clock(CLOCK_MONOTONIC);
}

const struct clock *clock_system(void)
{
    static const struct clock c = {system_wall, system_mono, NULL};
    return &c;
}

usec_t clock_wall(const struct clock *c)
{
    return c->wall(c->ctx);
}

usec_t clock_mono(const struct clock *c)
{
    return c->mono(c->ctx);
}

void clock_iso(usec_t wall, char out[CLOCK_ISO_SIZE])
{
    time_t seconds = (time_t)(wall / USEC_PER_SEC);
    struct tm tm;
    if (!gmtime_r(&seconds, &tm) || !strftime(out, CLOCK_ISO_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm))
        snprintf(out, CLOCK_ISO_SIZE, "?");
}

bool clock_parse_iso(struct str s, usec_t *out)
{
    char text[40];
    if (s.n >= sizeof text)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!rest)
        return false;
    usec_t fraction = 0;
    if (*rest == '.') {
        usec_t unit = USEC_PER_SEC / 10;
        for (rest++; *rest >= '0' && *rest <= '9'; rest++, unit /= 10)
            fraction += (*rest - '0') * unit;
    }
    if (strcmp(rest, "Z") != 0 && strcmp(rest, "+00:00") != 0 && strcmp(rest, "UTC") != 0)
        return false;
    *out = (usec_t)timegm(&tm) * USEC_PER_SEC + fraction;
    return true;
}

void clock_span(usec_t span, char out[CLOCK_SPAN_SIZE])
{
    long long s = span < 0 ? 0 : (long long)(span / USEC_PER_SEC);
    if (s < 10)
        snprintf(out, CLOCK_SPAN_SIZE, "%.1f s", (double)(span < 0 ? 0 : span) / 1e6);
    else if (s < 60)
        snprintf(out, CLOCK_SPAN_SIZE, "%lld s", s);
    else if (s < 3600)
        snprintf(out, CLOCK_SPAN_SIZE, "%lld min %lld s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, CLOCK_SPAN_SIZE, "%lld h %lld min", s / 3600, s % 3600 / 60);
    else
        snprintf(out, CLOCK_SPAN_SIZE, "%lld d %lld h", s / 86400, s % 86400 / 3600);
}
