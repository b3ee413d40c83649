/*
 * elementary.h - exp, log, sine and cosine of our own, in double
 *
 * The C library's differ between versions in the last bit, and bits are promised. These are made
 * of single IEEE operations in a fixed order, so that they are the same everywhere, to within
 * about 1e-15 of the true value. NaN gives NaN.
 */
#ifndef MILLRACE_LLAMA_ELEMENTARY_H
#define MILLRACE_LLAMA_ELEMENTARY_H

double elementary_exp(double x);
double elementary_log(double x);                       /* -infinity at 0, NaN below */
double elementary_power(double base, double exponent); /* base > 0 */

/* |x| <= ELEMENTARY_ANGLE_LIMIT */
#define ELEMENTARY_ANGLE_LIMIT 1.6e6
void elementary_sine_cosine(double x, double *sine, double *cosine);

#endif
