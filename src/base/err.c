/* The table of error codes, and the functions that fill a `struct err`. */
#include "base/err.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int exit_status;
    bool retryable;
} table[ERR_CODE_COUNT] = {
    [ERR_NONE] = {"none", 0, false},
    [ERR_INTERNAL] = {"internal", 1, false},
    [ERR_IO] = {"io", 1, false},
    [ERR_USAGE] = {"usage", 2, false},
    [ERR_FILE] = {"file", 2, false},
    [ERR_PARSE] = {"parse", 1, false},
    [ERR_LIMIT] = {"limit", 1, false},
    [ERR_CREDENTIALS] = {"credentials", 4, false},
    [ERR_CLOCK_SKEW] = {"clock-skew", 4, false},
    [ERR_PERMISSION] = {"permission", 4, false},
    [ERR_QUOTA] = {"quota", 5, false},
    [ERR_CAPACITY] = {"capacity", 5, false},
    [ERR_THROTTLED] = {"throttled", 1, true},
    [ERR_SERVER] = {"server", 1, true},
    [ERR_REJECTED] = {"rejected", 1, false},
    [ERR_NOT_FOUND] = {"not-found", 1, false},
    [ERR_EXISTS] = {"exists", 1, false},
    [ERR_UNREACHABLE] = {"unreachable", 6, true},
    [ERR_TIMEOUT] = {"timeout", 6, true},
    [ERR_HOST_KEY] = {"host-key", 6, false},
    [ERR_AUTH] = {"auth", 6, false},
    [ERR_REMOTE] = {"remote", 1, false},
    [ERR_CONFLICT] = {"conflict", 1, false},
    [ERR_BUSY] = {"busy", 1, false},
    [ERR_PARTIAL] = {"partial", 1, false},
    [ERR_CANCELLED] = {"cancelled", 130, false},
};

PRINTF_LIKE(3, 0)
static void set_va(struct err *err, enum err_code code, const char *fmt, va_list ap)
{
    char msg[ERR_MESSAGE_MAX]; /* an argument may be err->msg itself */
    vsnprintf(msg, sizeof msg, fmt, ap);
    err->code = code;
    err->sys = 0;
    err->unsure = false;
    err->origin[0] = '\0';
    memcpy(err->msg, msg, strlen(msg) + 1);
}

int err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    if (!err)
        return -1;
    va_list ap;
    va_start(ap, fmt);
    set_va(err, code, fmt, ap);
    va_end(ap);
    return -1;
}

int err_set_sys(struct err *err, int sys, const char *fmt, ...)
{
    if (!err)
        return -1;
    va_list ap;
    va_start(ap, fmt);
    set_va(err, ERR_IO, fmt, ap);
    va_end(ap);
    err->sys = sys;
    char cause[128];
    int m = snprintf(cause, sizeof cause, ": %s", strerror(sys));
    size_t room = sizeof err->msg - 1 - (size_t)m; /* a long message gives way to the cause */
    size_t n = strnlen(err->msg, room);
    memcpy(err->msg + n, cause, (size_t)m + 1);
    return -1;
}

int err_set_origin(struct err *err, enum err_code code, const char *origin, const char *fmt, ...)
{
    if (!err)
        return -1;
    va_list ap;
    va_start(ap, fmt);
    set_va(err, code, fmt, ap);
    va_end(ap);
    snprintf(err->origin, sizeof err->origin, "%s", origin);
    return -1;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
    if (!err)
        return -1;
    char context[ERR_MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(context, sizeof context, fmt, ap);
    va_end(ap);
    size_t n = len < 0 ? 0 : (size_t)len;
    size_t m = strlen(err->msg);
    if (n == 0 || n >= sizeof context || n + 2 + m >= sizeof err->msg)
        return -1;
    memmove(err->msg + n + 2, err->msg, m + 1);
    memcpy(err->msg, context, n);
    memcpy(err->msg + n, ": ", 2);
    return -1;
}

int err_copy(struct err *to, const struct err *from)
{
    if (to && from)
        *to = *from;
    return -1;
}

const char *err_name(enum err_code code)
{
    assert(code < ERR_CODE_COUNT);
    return table[code].name;
}

int err_exit_status(enum err_code code)
{
    assert(code < ERR_CODE_COUNT);
    return table[code].exit_status;
}

bool err_retryable(enum err_code code)
{
    assert(code < ERR_CODE_COUNT);
    return table[code].retryable;
}
