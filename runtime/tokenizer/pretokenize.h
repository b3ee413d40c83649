/*
 * pretokenize.h - cutting text into the pieces inside which tokens are merged
 *
 * Each family of models cuts by a regular expression of its own; a model file names it in
 * tokenizer.ggml.pre. Every character belongs to exactly one piece.
 */
#ifndef MILLRACE_TOKENIZER_PRETOKENIZE_H
#define MILLRACE_TOKENIZER_PRETOKENIZE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct pretokenizer pretokenizer;

/*
 * pretokenizer_new - a cutter of the given name; one a thread
 *
 *   name   "default", "gpt-2", "smollm", "llama-bpe" or "qwen2"
 *   jit    whether the expression is compiled to machine code (if the machine allows it)
 *   error  out, on failure: one sentence
 *
 * Returns it, to be freed with pretokenizer_free(), or NULL.
 */
pretokenizer *pretokenizer_new(const char *name, bool jit, char *error, size_t error_size);
void pretokenizer_free(pretokenizer *cutter); /* NULL is fine */

/*
 * pretokenizer_next - where the piece that begins at `offset` ends
 *
 *   text, length  valid UTF-8
 *   offset        in [0, length), the beginning of a character
 *   end           out: in (offset, length]
 *
 * Returns 0, or -ENOMEM or -EIO when the expression can't be matched (out of memory, or a limit
 * of PCRE2). Linear in the piece's length.
 */
int pretokenizer_next(pretokenizer *cutter, const char *text, size_t length, size_t offset,
                      size_t *end);

#endif
