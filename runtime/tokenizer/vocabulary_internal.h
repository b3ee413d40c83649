/*
 * vocabulary_internal.h - the parts of a vocabulary that encoding reads
 *
 * vocabulary_load.c writes them once; constant after.
 */
#ifndef MILLRACE_TOKENIZER_VOCABULARY_INTERNAL_H
#define MILLRACE_TOKENIZER_VOCABULARY_INTERNAL_H

#include "runtime/tokenizer/merges.h"
#include "runtime/tokenizer/token_map.h"
#include "runtime/tokenizer/vocabulary.h"

/* The numbers of tokenizer.ggml.token_type. */
enum token_type {
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN = 2,
    TOKEN_CONTROL = 3,
    TOKEN_USER_DEFINED = 4, /* text that is always one token, never split or merged */
    TOKEN_UNUSED = 5,
    TOKEN_BYTE = 6,
};

struct vocabulary {
    size_t count;
    token_place *places;  /* what each stands for, in `bytes` */
    unsigned char *types; /* enum token_type */
    char *bytes;
    size_t byte_count;
    size_t longest; /* bytes of the longest token, at least 1 */

    int32_t byte_tokens[256]; /* the token of a single byte, or -1: the vocabulary lacks it */
    merge_table merges;       /* empty if by_score */
    token_map whole;          /* tokens by their text; empty unless takes_whole or by_score */
    bool takes_whole;         /* a piece that is a token is that token, whatever the merges say */

    bool by_score;     /* a SentencePiece vocabulary (spm.h), not a byte-level one (bpe.h) */
    uint32_t *ranks;   /* by_score: of each token; the lower is merged first */
    bool blanks_begin; /* by_score: no token has a blank behind another character */

    int32_t *specials; /* control, unknown and user-defined tokens, by their text */
    size_t special_count;
    bool has_user_defined;

    int64_t ids[VOCABULARY_SPECIALS]; /* or -1 */
    int64_t *ends;
    size_t end_count;
    bool adds_bos;
    bool adds_space; /* text gets a blank in front; unless by_score, only if it has none */
    char *pre;       /* name of the pre-tokenizer */
    uint64_t fingerprint;
};

/* What a token inside of the vocabulary stands for. */
static inline gguf_text vocabulary_text(const vocabulary *vocab, size_t token)
{
    return token_text((token_texts){vocab->bytes, vocab->places}, token);
}

/*
 * vocabulary_match - the longest special token that the text begins with
 *
 *   control  whether control tokens count, or user-defined ones alone
 *
 * Returns its id, or -1. O(length of the match * log of the number of specials).
 */
int64_t vocabulary_match(const vocabulary *vocab, const char *text, size_t length, bool control);

#endif
