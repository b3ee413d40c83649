/*
 * avx2.c - the kernels for x86-64 with AVX2; called only where kernels_select() found it
 */
#if defined(__x86_64__)

/* What is included before the pragma is compiled for every machine: it may be shared. */
#include "workers/llama/half.h"
#include "workers/llama/kernels/kernels.h"
#include <math.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,f16c"))), apply_to = function)
#else
#pragma GCC target("avx2,f16c")
#endif

#include "workers/llama/kernels/lanes_avx2.h"
#include "workers/llama/kernels/table.h"

const kernels kernels_avx2 = KERNELS_TABLE("avx2");

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
