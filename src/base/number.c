/* See number.h. */
#include "base/number.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The next number of as many digits: "1.99e+00" becomes "2.00e+00". False where it has one more. */
static bool count_up(char *text)
{
    char *p = strchr(text, 'e');
    while (p > text) {
        p--;
        if (*p == '.')
            continue;
        if (*p != '9') {
            ++*p;
            return true;
        }
        *p = '0';
    }
    return false;
}

/* The shortest digits that read back as x, without the point; returns the decimal exponent of the
 * first. Below a power of two the numbers lie twice as close as above it, so that the nearest
 * decimal may read back as another number where the next one above does not. */
static int shortest(double x, char digits[32])
{
    char text[40];
    for (int precision = 0; precision <= 16; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, x);
        if (strtod(text, NULL) == x || (count_up(text) && strtod(text, NULL) == x))
            break;
    }
    size_t n = 0;
    char *e = strchr(text, 'e');
    for (char *p = text; p < e; p++)
        if (*p >= '0' && *p <= '9')
            digits[n++] = *p;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    digits[n] = '\0';
    return (int)strtol(e + 1, NULL, 10);
}

/* Fixed notation from 1e-4 to below 1e16, as Python has it. */
void number_write(double x, struct buf *out)
{
    if (isnan(x) || isinf(x)) {
        buf_adds(out, isnan(x) ? "nan" : x < 0 ? "-inf" : "inf");
        return;
    }
    if (signbit(x))
        buf_addc(out, '-');
    char digits[32];
    int exponent = shortest(fabs(x), digits), n = (int)strlen(digits);
    if (exponent < -4 || exponent >= 16) {
        buf_addc(out, digits[0]);
        if (n > 1)
            buf_addf(out, ".%s", digits + 1);
        buf_addf(out, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
        return;
    }
    if (exponent < 0) {
        buf_addf(out, "0.%.*s%s", -exponent - 1, "0000", digits);
        return;
    }
    for (int i = 0; i <= exponent; i++)
        buf_addc(out, i < n ? digits[i] : '0');
    buf_addf(out, ".%s", n > exponent + 1 ? digits + exponent + 1 : "0");
}
