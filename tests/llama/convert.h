/*
 * convert.h - a model with its matrices in another type, by the rules of vectors/README.md
 */
#ifndef MILLRACE_TESTS_LLAMA_CONVERT_H
#define MILLRACE_TESTS_LLAMA_CONVERT_H

#include <stdint.h>

/* convert_model - writes the model at `from`, with all matrices in `type`, to `to`; returns the
 * checksum of the weights, FNV-1a over the tensors in the order of their names. A failure ends the
 * test. */
uint64_t convert_model(const char *from, uint32_t type, const char *to);

#endif
