/*
 * philox.c - Philox 4x32-10
 */
#include "workers/llama/philox.h"

enum { ROUNDS = 10 };

void philox(uint32_t counter[4], uint32_t key_low, uint32_t key_high)
{
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t a = (uint64_t)counter[0] * 0xd2511f53, b = (uint64_t)counter[2] * 0xcd9e8d57;

        counter[0] = (uint32_t)(b >> 32) ^ counter[1] ^ key_low;
        counter[1] = (uint32_t)b;
        counter[2] = (uint32_t)(a >> 32) ^ counter[3] ^ key_high;
        counter[3] = (uint32_t)a;
        /* Weyl sequences: the golden ratio and sqrt(3) - 1, of 2^32 */
        key_low += 0x9e3779b9;
        key_high += 0xbb67ae85;
    }
}

uint64_t philox_draw(uint64_t seed, uint32_t choice, uint64_t index)
{
    uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32), choice, 0};

    philox(counter, (uint32_t)seed, (uint32_t)(seed >> 32));
    return (uint64_t)counter[1] << 32 | counter[0];
}
