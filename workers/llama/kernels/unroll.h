/*
 * unroll.h - marks of loops and functions whose counts are constants of the kernel
 *
 * Their accumulators are arrays that live in registers only once the loop is unrolled.
 */
#ifndef MILLRACE_LLAMA_UNROLL_H
#define MILLRACE_LLAMA_UNROLL_H

#if defined(UNROLL)
/* the lanes have their own */
#elif defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

#endif
