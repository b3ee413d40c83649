/*
 * noise.h - normally distributed numbers, as NumPy's RandomState draws them (private to ipc/)
 */
#ifndef MILLRACE_IPC_NOISE_H
#define MILLRACE_IPC_NOISE_H

#include <stdint.h>

/* mr_noise_fill - `count` numbers of mean 0 and deviation 1, drawn as f64 and rounded */
void mr_noise_fill(float *to, uint64_t count, uint32_t seed);

#endif
