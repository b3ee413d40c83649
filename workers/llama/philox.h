/*
 * philox.h - Philox 4x32-10, the counter-based random numbers of the sampler
 *
 * From J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as
 * 1, 2, 3" (SC 2011): a bijection of the counter for each key, so that draw i of a stream needs
 * nothing of the draws before it.
 */
#ifndef MILLRACE_LLAMA_PHILOX_H
#define MILLRACE_LLAMA_PHILOX_H

#include <stdint.h>

/* philox - ten rounds over the counter, in place */
void philox(uint32_t counter[4], uint32_t key_low, uint32_t key_high);

/* philox_draw - 64 random bits: draw `index` of the stream (seed, choice), as docs/sampling.md lays
 * out the counter */
uint64_t philox_draw(uint64_t seed, uint32_t choice, uint64_t index);

#endif
