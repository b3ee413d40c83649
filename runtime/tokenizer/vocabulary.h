/*
 * vocabulary.h - the tokens of a model: what each stands for, and which have a special meaning
 *
 * Loaded from a GGUF file's tokenizer.ggml.* keys; byte-level BPE (model "gpt2") and
 * SentencePiece's BPE (model "llama"). Constant once loaded, so any number of threads may read it;
 * it keeps copies, so the file may be closed. encode.h makes tokens of text; turning tokens into
 * text is a look-up here:
 *
 *   text of a generated token = vocabulary_bytes(), unless vocabulary_is_control()
 *
 * A token's bytes need not be whole characters: whoever shows them waits for the rest.
 *
 * Ids are int64_t as in contexts (<millrace/text.h>), in [0, vocabulary_count()).
 */
#ifndef MILLRACE_TOKENIZER_VOCABULARY_H
#define MILLRACE_TOKENIZER_VOCABULARY_H

#include "models/gguf.h"

typedef struct vocabulary vocabulary;

enum vocabulary_special {
    VOCABULARY_BOS, /* begins a sequence */
    VOCABULARY_EOS, /* ends a sequence */
    VOCABULARY_EOT, /* ends a turn of a chat */
    VOCABULARY_UNKNOWN,
    VOCABULARY_PADDING,
    VOCABULARY_SPECIALS /* how many there are */
};

/*
 * vocabulary_load - read and check a file's vocabulary
 *
 *   error  out, on failure: one sentence
 *
 * Returns the vocabulary, to be freed with vocabulary_free(), or NULL.
 */
vocabulary *vocabulary_load(const gguf *file, char *error, size_t error_size);
void vocabulary_free(vocabulary *vocab); /* NULL is fine */

size_t vocabulary_count(const vocabulary *vocab);

/* An identity of all that decides how text is encoded: tokens, their types, merges or scores, name
 * of the pre-tokenizer, special ids and settings. */
uint64_t vocabulary_fingerprint(const vocabulary *vocab);

/* The bytes a token stands for; of a control token its name ("<|im_end|>"). Outside of the
 * vocabulary: none, with .bytes NULL. Valid until vocabulary_free(). */
gguf_text vocabulary_bytes(const vocabulary *vocab, int64_t token);

/* Whether the token has a meaning instead of a text. Never made of a user's text. */
bool vocabulary_is_control(const vocabulary *vocab, int64_t token);

/* The control or user-defined token with this name, or -1. */
int64_t vocabulary_find_special(const vocabulary *vocab, gguf_text name);

/* The id the file gives for one of enum vocabulary_special, or -1. */
int64_t vocabulary_special(const vocabulary *vocab, enum vocabulary_special which);

/* All ids that end a generation, ascending: the file's eos, eot and eom, and the control tokens
 * whose names say so ("<|im_end|>", "<|eot_id|>", "<|endoftext|>" ...). */
const int64_t *vocabulary_ends(const vocabulary *vocab, size_t *count);

/* Whether a text that isn't a chat begins with the BOS token. */
bool vocabulary_adds_bos(const vocabulary *vocab);

#endif
