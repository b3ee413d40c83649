/*
 * decimal.c - the shortest decimal number that a double is the nearest one to
 *
 * The plain way: print with 15, 16 and 17 significant digits until strtod() gives the number back.
 * 15 digits come out as they were written, 17 always suffice. It takes two microseconds, too much
 * for log-probabilities (21 numbers a token, say); most of them lie in [0.0001, 100000), where the
 * same is done exactly in integers of 128 bits:
 *
 *   number = mantissa / 2^shift, so number * 10^scale = mantissa * 10^scale / 2^shift. Rounded,
 * that is the candidate; it is the number's if it is nearer to it than half the distance to the
 * next double, 1/2 * 1/2^shift.
 */
#include "runtime/collector/decimal.h"
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__extension__ typedef unsigned __int128 wide;

static void write_plainly(double number, char *text)
{
    /* The smallest numbers have fewer than 15 digits to begin with. */
    int precision = fabs(number) < DBL_MIN ? 1 : 15;
    do
        snprintf(text, DECIMAL_ROOM - 2, "%.*g", precision, number);
    while (precision++ < 17 && strtod(text, NULL) != number);
    if (strpbrk(text, ".e") == NULL)
        strcat(text, ".0");
}

static wide power_of_ten(int exponent)
{
    wide power = 1;
    while (exponent-- > 0)
        power *= 10;
    return power;
}

/* write_scaled - digits / 10^scale, without needless zeros */
static void write_scaled(uint64_t digits, int scale, bool negative, char *text)
{
    char reversed[DECIMAL_ROOM];
    int count = 0, skip = 0;
    do {
        reversed[count++] = (char)('0' + digits % 10);
        digits /= 10;
    } while (digits > 0 || count <= scale);
    while (skip < scale - 1 && reversed[skip] == '0')
        skip++;
    if (negative)
        *text++ = '-';
    while (count > skip) {
        *text++ = reversed[--count];
        if (count == scale)
            *text++ = '.';
    }
    *text = '\0';
}

/* rounded - exact / 2^shift, ties to even */
static uint64_t rounded(wide exact, int shift)
{
    wide half = (wide)1 << (shift - 1);
    uint64_t down = (uint64_t)(exact >> shift);
    wide rest = exact - ((wide)down << shift);
    return down + (rest > half || (rest == half && down % 2 == 1));
}

/* scale_for - decimals that give a number of [0.0001, 100000) 15 significant digits */
static int scale_for(double size)
{
    static const double bounds[] = {1e4, 1e3, 1e2, 1e1, 1, 1e-1, 1e-2, 1e-3};
    int scale = 10;
    for (unsigned i = 0; i < sizeof(bounds) / sizeof(bounds[0]) && size < bounds[i]; i++)
        scale++;
    return scale;
}

/* write_exactly - in integers; false if this number isn't for that way */
static bool write_exactly(double number, char *text)
{
    int exponent;
    double size = fabs(number), fraction = frexp(size, &exponent);
    uint64_t mantissa = (uint64_t)ldexp(fraction, DBL_MANT_DIG);
    int shift = DBL_MANT_DIG - exponent, scale;
    wide power;
    if (!(size >= 1e-4 && size < 1e5) || fraction <= 0.5)
        return false; /* below a power of two the next double is nearer than above it */
    scale = scale_for(size);
    power = power_of_ten(scale);
    for (int last = scale + 2; scale <= last; scale++, power *= 10) {
        wide exact = mantissa * power;
        uint64_t digits = rounded(exact, shift);
        wide back = (wide)digits << shift;
        wide error = back > exact ? back - exact : exact - back;
        if (2 * error < power) {
            write_scaled(digits, scale, number < 0, text);
            return true;
        }
    }
    return false;
}

void decimal_write(double number, char *text)
{
    if (!write_exactly(number, text))
        write_plainly(number, text);
}
