/*
 * elementary.c - exp, log, sine and cosine
 *
 * The textbook way: reduce the argument by a multiple of a constant that is split into parts, so
 * that the products with a small integer are exact; then sum the Taylor series, whose terms are
 * carried until they fall below 2^-54 of the sum.
 */
#include "workers/llama/elementary.h"

#include <math.h>

/* Horner's rule: c[0] + x (c[1] + x (c[2] + ...)) */
static double polynomial(double x, const double *c, int count)
{
    double sum = c[count - 1];

    for (int i = count - 2; i >= 0; i--)
        sum = sum * x + c[i];
    return sum;
}

/* ln 2 = LN2_HIGH + LN2_LOW; the first has 32 bits. */
#define LN2_HIGH 0x1.62e42feep-1
#define LN2_LOW  0x1.a39ef35793c76p-33

double elementary_exp(double x)
{
    static const double c[] = {1.0,
                               1.0,
                               1.0 / 2,
                               1.0 / 6,
                               1.0 / 24,
                               1.0 / 120,
                               1.0 / 720,
                               1.0 / 5040,
                               1.0 / 40320,
                               1.0 / 362880,
                               1.0 / 3628800,
                               1.0 / 39916800,
                               1.0 / 479001600,
                               1.0 / 6227020800};

    if (isnan(x))
        return x;
    if (x > 710)
        return INFINITY;
    if (x < -746)
        return 0;
    double n = rint(x * 0x1.71547652b82fep0);
    double r = (x - n * LN2_HIGH) - n * LN2_LOW;
    return ldexp(polynomial(r, c, 14), (int)n);
}

/* x = 2^n m with m in [1/sqrt 2, sqrt 2); ln m = 2 (s + s^3/3 + s^5/5 + ...), s = (m-1)/(m+1) */
double elementary_log(double x)
{
    static const double c[] = {1.0,      1.0 / 3,  1.0 / 5,  1.0 / 7,  1.0 / 9, 1.0 / 11,
                               1.0 / 13, 1.0 / 15, 1.0 / 17, 1.0 / 19, 1.0 / 21};
    int n;

    if (!(x > 0) || isinf(x))
        return x == 0 ? -INFINITY : x > 0 ? x : NAN;
    double m = frexp(x, &n);
    if (m < 0x1.6a09e667f3bcdp-1) {
        m *= 2;
        n--;
    }
    double s = (m - 1) / (m + 1);
    return n * LN2_HIGH + (n * LN2_LOW + 2 * s * polynomial(s * s, c, 11));
}

double elementary_power(double base, double exponent)
{
    return elementary_exp(exponent * elementary_log(base));
}

static double sine_series(double r)
{
    static const double c[] = {1.0,
                               -1.0 / 6,
                               1.0 / 120,
                               -1.0 / 5040,
                               1.0 / 362880,
                               -1.0 / 39916800,
                               1.0 / 6227020800,
                               -1.0 / 1307674368000,
                               1.0 / 355687428096000};
    return r * polynomial(r * r, c, 9);
}

static double cosine_series(double r)
{
    static const double c[] = {1.0,
                               -1.0 / 2,
                               1.0 / 24,
                               -1.0 / 720,
                               1.0 / 40320,
                               -1.0 / 3628800,
                               1.0 / 479001600,
                               -1.0 / 87178291200,
                               1.0 / 20922789888000};
    return polynomial(r * r, c, 9);
}

/* pi/2 in three parts; the first two have 33 bits, so that products with n < 2^20 are exact. */
void elementary_sine_cosine(double x, double *sine, double *cosine)
{
    double n = rint(x * 0x1.45f306dc9c883p-1);
    double r = x - n * 0x1.921fb544p0;
    r = r - n * 0x1.0b4611a6p-34;
    r = r - n * 0x1.3198a2e037073p-69;
    double s = sine_series(r), c = cosine_series(r);

    switch ((int)n & 3) {
    case 0:
        *sine = s, *cosine = c;
        break;
    case 1:
        *sine = c, *cosine = -s;
        break;
    case 2:
        *sine = -s, *cosine = -c;
        break;
    default:
        *sine = -c, *cosine = s;
    }
}
