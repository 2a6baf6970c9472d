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

/* Takes exactly n digits and then the byte `after` off the front. */
static bool take_number(struct str *s, size_t n, char after, int min, int max, int *out)
{
    int64_t value;
    if (s->n <= n || s->p[n] != after || s->p[0] == '-' ||
        !str_to_i64((struct str){s->p, n}, min, max, &value))
        return false;
    *out = (int)value;
    s->p += n + 1;
    s->n -= n + 1;
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

bool clock_parse_iso(struct str s, usec_t *out)
{
    struct tm tm = {0};
    int year, month;
    if (!take_number(&s, 4, '-', 1, 9999, &year) || !take_number(&s, 2, '-', 1, 12, &month) ||
        !take_number(&s, 2, 'T', 1, days_in_month(year, month), &tm.tm_mday) ||
        !take_number(&s, 2, ':', 0, 23, &tm.tm_hour) || !take_number(&s, 2, ':', 0, 59, &tm.tm_min))
        return false;
    /* The seconds end at whatever follows two digits. */
    if (s.n < 3 || !take_number(&s, 2, s.p[2], 0, 60, &tm.tm_sec))
        return false;
    s.p--; /* that byte is looked at again */
    s.n++;
    usec_t fraction = 0;
    if (s.p[0] == '.') {
        usec_t unit = USEC_PER_SEC / 10;
        size_t i = 1;
        for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++, unit /= 10)
            fraction += (s.p[i] - '0') * unit;
        if (i == 1)
            return false;
        s.p += i;
        s.n -= i;
    }
    if (!str_is(s, "Z") && !str_is(s, "+00:00") && !str_is(s, "UTC"))
        return false;
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    *out = (usec_t)timegm(&tm) * USEC_PER_SEC + fraction;
    return true;
}

void clock_span(usec_t span, char out[CLOCK_SPAN_SIZE])
{
    long long s = span < 0 ? 0 : (long long)(span / USEC_PER_SEC);
    long long tenths = span < 0 ? 0 : (long long)(span / (USEC_PER_SEC / 10));
    if (s < 10 && tenths % 10)
        snprintf(out, CLOCK_SPAN_SIZE, "%lld.%lld s", s, tenths % 10);
    else if (s < 60)
        snprintf(out, CLOCK_SPAN_SIZE, "%lld s", s);
    else if (s < 3600)
        snprintf(out, CLOCK_SPAN_SIZE, "%lld min %lld s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, CLOCK_SPAN_SIZE, "%lld h %lld min", s / 3600, s % 3600 / 60);
    else
        snprintf(out, CLOCK_SPAN_SIZE, "%lld d %lld h", s / 86400, s % 86400 / 3600);
}
