/*
 * noise.c - the Mersenne Twister MT19937 and the polar method
 *
 * Source: M. Matsumoto, T. Nishimura, "Mersenne Twister: a 623-dimensionally equidistributed
 * uniform pseudorandom number generator", ACM TOMACS 8 (1998), with the initialisation of 2002 for
 * one 32-bit seed; the polar method is Marsaglia's. The order of draws is NumPy's, so that a seed
 * means the same noise as in the original. Bit-exact where log and sqrt are (glibc).
 */
#include "ipc/noise.h"
#include <math.h>
#include <stdbool.h>

enum { WORDS = 624, DISTANCE = 397 };

struct twister {
    uint32_t words[WORDS];
    unsigned next;
    bool has_spare;
    double spare;
};

static void seed_twister(struct twister *t, uint32_t seed)
{
    *t = (struct twister){.next = WORDS};
    t->words[0] = seed;
    for (uint32_t i = 1; i < WORDS; i++)
        t->words[i] = UINT32_C(1812433253) * (t->words[i - 1] ^ (t->words[i - 1] >> 30)) + i;
}

static void renew(struct twister *t)
{
    for (unsigned i = 0; i < WORDS; i++) {
        uint32_t y = (t->words[i] & UINT32_C(0x80000000)) |
                     (t->words[(i + 1) % WORDS] & UINT32_C(0x7fffffff));

        t->words[i] =
            t->words[(i + DISTANCE) % WORDS] ^ (y >> 1) ^ (y & 1 ? UINT32_C(0x9908b0df) : 0);
    }
    t->next = 0;
}

static uint32_t next_word(struct twister *t)
{
    uint32_t y;

    if (t->next == WORDS)
        renew(t);
    y = t->words[t->next++];
    y ^= y >> 11;
    y ^= (y << 7) & UINT32_C(0x9d2c5680);
    y ^= (y << 15) & UINT32_C(0xefc60000);
    return y ^ (y >> 18);
}

/* In [0, 1), of 53 bits. */
static double next_uniform(struct twister *t)
{
    double high = next_word(t) >> 5, low = next_word(t) >> 6;

    return (high * 67108864.0 + low) / 9007199254740992.0;
}

static double next_normal(struct twister *t)
{
    double x1, x2, r, f;

    if (t->has_spare) {
        t->has_spare = false;
        return t->spare;
    }
    do {
        x1 = 2.0 * next_uniform(t) - 1.0;
        x2 = 2.0 * next_uniform(t) - 1.0;
        r = x1 * x1 + x2 * x2;
    } while (r >= 1.0 || r == 0.0);
    f = sqrt(-2.0 * log(r) / r);
    t->has_spare = true;
    t->spare = f * x1;
    return f * x2;
}

void mr_noise_fill(float *to, uint64_t count, uint32_t seed)
{
    struct twister t;

    seed_twister(&t, seed);
    for (uint64_t i = 0; i < count; i++)
        to[i] = (float)next_normal(&t);
}
