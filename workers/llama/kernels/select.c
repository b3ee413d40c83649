/*
 * select.c - which kernels this machine can run
 */
#include "workers/llama/kernels/kernels.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

/* f16c by hand: clang 14's __builtin_cpu_supports() doesn't know it */
static bool has_avx2(void)
{
    unsigned eax, ebx, ecx, edx;
    bool f16c = __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C);

    return f16c && __builtin_cpu_supports("avx2");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}
#endif

static bool always(void)
{
    return true;
}

const kernels *kernels_select(const char *name)
{
    /* the fastest first */
    static const struct {
        const kernels *set;
        bool (*runs)(void);
    } known[] = {
#if defined(__x86_64__)
        {&kernels_avx512, has_avx512},
        {&kernels_avx2, has_avx2},
#endif
        {&kernels_portable, always},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if ((!name || strcmp(name, known[i].set->name) == 0) && known[i].runs())
            return known[i].set;
    return NULL;
}
