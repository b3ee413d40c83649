/*
 * spm.h - merging the characters of a text into tokens, as SentencePiece's BPE models do
 *
 * Begin with a symbol a character, then again and again join, of all neighbouring pairs that are a
 * token together, the one whose token has the highest score (the leftmost of equals). A character
 * that is no token in the end is written as the tokens of its bytes, or as the unknown token where
 * the vocabulary lacks one of them.
 *
 * SentencePiece writes a blank as U+2581. Here both are a blank: in tokens, and in texts, where
 * U+2581 so becomes one, as in the reference.
 */
#ifndef MILLRACE_TOKENIZER_SPM_H
#define MILLRACE_TOKENIZER_SPM_H

#include "runtime/tokenizer/merge_memory.h"
#include "runtime/tokenizer/vocabulary_internal.h"

/* Writes a blank for each U+2581 of a text, in place; returns its length then. */
size_t spm_unescape(char *text, size_t length);

/*
 * spm_piece_end - the end of the piece that begins at `start`, in (start, length]
 *
 * Where no token has a blank behind another character nothing is merged across such a place, so
 * that words can be encoded by themselves. Of other vocabularies the text is one piece.
 */
size_t spm_piece_end(const vocabulary *vocab, const char *text, size_t length, size_t start);

/*
 * spm_merge - the tokens of one piece of valid UTF-8 without U+2581
 *
 *   ids    out: room for `length` ids
 *   count  out: how many
 *
 * O(n log n) for a piece of n bytes. Returns 0 or -ENOMEM.
 */
int spm_merge(const vocabulary *vocab, merge_memory *memory, const char *piece, size_t length,
              int32_t *ids, size_t *count);

#endif
