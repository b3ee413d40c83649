/*
 * gguf_walk.h - reads everything that an open file offers
 *
 * For files that might be hostile: whatever the reader let through must be safe to look at.
 */
#ifndef MILLRACE_TESTS_MODELS_GGUF_WALK_H
#define MILLRACE_TESTS_MODELS_GGUF_WALK_H

#include "models/gguf.h"

/* A checksum of all keys, values, array elements and bytes of tensors. */
uint64_t gguf_walk(const gguf *file);

#endif
