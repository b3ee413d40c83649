/*
 * bpe.h - merging the bytes of one piece into tokens
 *
 * Byte-pair encoding: begin with a token a byte, then again and again replace, of all
 * neighbouring pairs that the vocabulary merges, the one with the lowest rank (the leftmost of
 * equals) by its merge. A byte that the vocabulary has no token for is left out before, as the
 * reference does; its neighbours become neighbours.
 */
#ifndef MILLRACE_TOKENIZER_BPE_H
#define MILLRACE_TOKENIZER_BPE_H

#include "runtime/tokenizer/merge_memory.h"
#include "runtime/tokenizer/vocabulary_internal.h"

/*
 * bpe_merge - the tokens of one piece
 *
 *   ids    out: room for `length` ids
 *   count  out: how many
 *
 * O(n log n) for a piece of n bytes. Returns 0 or -ENOMEM.
 */
int bpe_merge(const vocabulary *vocab, merge_memory *memory, const char *piece, size_t length,
              int32_t *ids, size_t *count);

#endif
