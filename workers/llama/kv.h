/*
 * kv.h - the paged cache of keys and values, and the sequences that live in it
 *
 * The cache is a fixed number of pages, made at creation. A page holds LANES positions of all
 * layers: for each layer and key head the keys [head size][LANES], so that a lane is a position,
 * then the values [LANES][padded head size]. Both are F32: what prefill computes is read back
 * bit for bit, and logits stay within 1e-3 of an F32 reference, which F16 keys would spoil.
 *
 * A sequence gets all the pages that it may ever need when it is opened, so that it can't run out
 * in the middle: one that doesn't fit is refused at once. The first pages may be shared with
 * another sequence that begins with the same tokens; shared pages are full and only read.
 *
 * Invariants (kv_check() tests them):
 *   1. a page is free, or its count says how many sequences list it
 *   2. a sequence is closed and lists no page, or lists `pages_of(limit)` pages
 *   3. a page in which a sequence may still write (at or beyond its length) has count 1
 */
#ifndef MILLRACE_LLAMA_KV_H
#define MILLRACE_LLAMA_KV_H

#include "workers/llama/model.h"

typedef struct kv_sequence {
    uint32_t *pages; /* room for the pages of the longest sequence */
    uint32_t limit;  /* positions it may have; 0: closed */
    uint32_t length; /* positions that are in the cache */
    bool in_step;    /* named by the step that is being checked */
} kv_sequence;

typedef struct {
    float *memory;
    size_t bytes;
    size_t page_floats, head_floats; /* a page; keys and values of one layer and head in it */
    uint32_t head_size, padded, key_heads;
    uint32_t page_count, free_count;
    uint32_t *free_pages;  /* [0, free_count) */
    uint32_t *sharers;     /* of each page */
    uint32_t *page_tables; /* of all sequences */
    kv_sequence *sequences;
    uint32_t sequence_count;
    uint32_t longest; /* positions a sequence may have */
} kv;

/* kv_page_bytes - what one page of a model takes */
size_t kv_page_bytes(const model *m);

/* kv_create - 0 or -ENOMEM; kv_destroy() takes a zeroed one too */
int kv_create(kv *cache, const model *m, uint32_t pages, uint32_t sequences, uint32_t longest);
void kv_destroy(kv *cache);

/*
 * kv_open - a sequence of up to `limit` positions
 *
 *   from, shared   the first `shared` positions of `from` (NULL, 0: of none) have the same tokens;
 *                  what fills whole pages of them is shared and needn't be computed again
 *
 * Returns 0; -EAGAIN (no room now); -E2BIG (there never will be). The sequence begins at the
 * length that is shared.
 */
int kv_open(kv *cache, uint32_t limit, const kv_sequence *from, uint32_t shared,
            kv_sequence **sequence);
void kv_close(kv *cache, kv_sequence *sequence);

/* kv_put - keys and values ([key head][head size] each) of one position */
void kv_put(kv *cache, const kv_sequence *sequence, uint32_t layer, uint32_t position,
            const float *keys, const float *values);

/* kv_head_offset - where in a page the keys of a layer's head begin */
size_t kv_head_offset(const kv *cache, uint32_t layer, uint32_t head);

/* kv_check - whether the invariants hold; for tests */
bool kv_check(const kv *cache);

#endif
