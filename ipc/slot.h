/*
 * slot.h - the state word of a slot: who owns a context (private to ipc/)
 *
 * The word is {generation 28, attempts 4, state 4, stage 8, owner 20} and changes only by
 * compare-and-swap of the whole. Whoever wins owns the context:
 *
 *     FREE --take--> FILLING --publish--> READY(stage) --claim--> LEASED(owner)
 *       ^  tokenizer    | its successor    ^   ^                  |  |  |
 *       +---------------+                  |   +---hand on--------+  |  |  worker
 *       |                                  +---sweep, attempts+1-----+  |  supervisor
 *       +------- final record committed, generation+1 --- DONE <--------+  worker, supervisor
 *                collector
 *
 * `owner` is a lease index while LEASED. In READY it tells whose arithmetic has begun the context
 * (mr_begun_by()), so that workers of another kind leave it alone without looking into it.
 * Order: acquire on taking over, release on giving away, so that whoever owns a context sees all
 * that the owner before it wrote (S1).
 */
#ifndef MILLRACE_IPC_SLOT_H
#define MILLRACE_IPC_SLOT_H

#include "ipc/domain.h"

enum mr_state {
    MR_STATE_FREE = 0,
    MR_STATE_FILLING = 1,
    MR_STATE_READY = 2,
    MR_STATE_LEASED = 3,
    MR_STATE_DONE = 4,
    MR_STATE_COUNT
};

enum { MR_GENERATION_BITS = 28, MR_INDEX_BITS = 15, MR_HINT_GENERATION_BITS = 8 };

#define MR_GENERATION_MASK ((UINT64_C(1) << MR_GENERATION_BITS) - 1)
#define MR_INDEX_MASK      ((UINT64_C(1) << MR_INDEX_BITS) - 1)
#define MR_ATTEMPTS_MAX    15u

typedef struct mr_state_parts {
    uint32_t generation;
    uint32_t attempts;
    uint32_t state;
    uint32_t stage;
    uint32_t owner;
} mr_state_parts;

static inline uint64_t mr_state_pack(mr_state_parts p)
{
    return (uint64_t)(p.generation & MR_GENERATION_MASK) << 36 | (uint64_t)(p.attempts & 15) << 32 |
           (uint64_t)(p.state & 15) << 28 | (uint64_t)(p.stage & 255) << 20 | (p.owner & 0xfffff);
}

static inline mr_state_parts mr_state_unpack(uint64_t word)
{
    return (mr_state_parts){.generation = (uint32_t)(word >> 36),
                            .attempts = (uint32_t)(word >> 32) & 15,
                            .state = (uint32_t)(word >> 28) & 15,
                            .stage = (uint32_t)(word >> 20) & 255,
                            .owner = (uint32_t)word & 0xfffff};
}

static inline uint64_t mr_slot_load(const mr_slot *slot)
{
    return atomic_load_explicit(&slot->state, memory_order_acquire); /* S1 */
}

/* What READY says of a fingerprint: 20 bits of it, never 0; 0: nobody has begun it. */
static inline uint32_t mr_begun_by(uint64_t fingerprint)
{
    uint32_t bits = (uint32_t)((fingerprint ^ fingerprint >> 20 ^ fingerprint >> 40) & 0xfffff);

    return fingerprint && !bits ? 1 : bits;
}

/* One attempt; the word must still be `from`. */
static inline bool mr_slot_change(mr_slot *slot, uint64_t from, mr_state_parts to)
{
    return atomic_compare_exchange_strong_explicit(&slot->state, &from, mr_state_pack(to),
                                                   memory_order_acq_rel, /* S1 */
                                                   memory_order_relaxed);
}

/* The cancel word: {generation 28, why}, so that one meant for a context that has just ended
 * doesn't hit the next one in its slot. */
static inline uint64_t mr_cancel_make(uint32_t generation, uint32_t why)
{
    return (uint64_t)generation << 32 | why;
}

/* Why the slot's context of this generation is to end (enum mr_cancel). No reason that is known is
 * none: the word was overwritten. */
static inline uint32_t mr_cancel_load(const mr_slot *slot, uint32_t generation)
{
    uint64_t word = atomic_load_explicit(&slot->cancel, memory_order_relaxed);

    return word >> 32 == generation && (uint32_t)word <= MR_CANCEL_DEADLINE ? (uint32_t)word
                                                                            : MR_CANCEL_NONE;
}

static inline mr_handle mr_handle_make(uint32_t index, uint32_t generation)
{
    return (uint64_t)generation << MR_INDEX_BITS | index;
}

static inline uint32_t mr_handle_index(mr_handle handle)
{
    return (uint32_t)(handle & MR_INDEX_MASK);
}

static inline uint32_t mr_handle_generation(mr_handle handle)
{
    return (uint32_t)(handle >> MR_INDEX_BITS & MR_GENERATION_MASK);
}

/*
 * Whether the final record of the slot's context is in the output: all bits of the word say the
 * same, and the majority counts. So a bit that flips neither loses an answer nor repeats one.
 */
#define MR_FINAL UINT64_MAX

static inline bool mr_slot_is_final(const mr_slot *slot)
{
    return __builtin_popcountll(atomic_load_explicit(&slot->emitted_final, memory_order_acquire)) >
           32;
}

/* Is there a request in the slot that waits for its answer? */
static inline bool mr_slot_is_unanswered(const mr_slot *slot)
{
    return atomic_load_explicit(&slot->ordinal, memory_order_acquire) && !mr_slot_is_final(slot);
}

/*
 * A seal over what is constant while the slot holds a request: its parameters, ranges, record and
 * choice. `params` is a private copy of the slot's. Each step is a bijection of the hash, so that
 * one word that was overwritten always shows.
 */
static inline uint64_t mr_seal_word(uint64_t seal, uint64_t word)
{
    seal = (seal ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return seal << 29 | seal >> 35;
}

static inline uint64_t mr_seal_make(const mr_slot *slot, const mr_params *params)
{
    const unsigned char *at = (const unsigned char *)params;
    uint64_t seal = mr_seal_word(slot->arena.offset, slot->arena.bytes), word;

    seal = mr_seal_word(seal, atomic_load_explicit(&slot->ordinal, memory_order_relaxed));
    seal = mr_seal_word(seal, atomic_load_explicit(&slot->input_end, memory_order_relaxed));
    seal = mr_seal_word(seal, atomic_load_explicit(&slot->choice, memory_order_relaxed));
    for (size_t i = 0; i < sizeof(*params); i += sizeof(word)) {
        __builtin_memcpy(&word, at + i, sizeof(word));
        seal = mr_seal_word(seal, word);
    }
    return seal;
}

_Static_assert(sizeof(mr_params) % 8 == 0, "parameters are whole words");

/* A hint: the slot and the low bits of its generation. */
static inline uint32_t mr_hint_make(uint32_t index, uint32_t generation)
{
    return (generation & ((1u << MR_HINT_GENERATION_BITS) - 1)) << MR_INDEX_BITS | index;
}

static inline bool mr_hint_fits(uint32_t hint, uint32_t index, uint32_t generation)
{
    return hint == mr_hint_make(index, generation);
}

#endif
