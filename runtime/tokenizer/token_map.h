/*
 * token_map.h - from a token's text to its id
 *
 * A hash table of ids; the texts are the caller's and must outlive the map. Of two tokens with
 * one text the map knows the first.
 */
#ifndef MILLRACE_TOKENIZER_TOKEN_MAP_H
#define MILLRACE_TOKENIZER_TOKEN_MAP_H

#include "runtime/tokenizer/token_texts.h"

typedef struct {
    token_texts texts;
    int32_t *slots; /* an id, or -1 */
    size_t mask;
} token_map;

/*
 * token_map_init - an empty map with room for `count` tokens
 *
 *   texts  of the tokens, by id
 *
 * Returns 0 or -ENOMEM. token_map_clear() frees it.
 */
int token_map_init(token_map *map, token_texts texts, size_t count);
void token_map_clear(token_map *map);

/* Adds the text of an id. Returns 0, or -EINVAL if too many texts share a place in the table, which
 * happens only if they were made to. */
int token_map_add(token_map *map, int32_t id);

/* The slot that a text's search begins at. */
size_t token_map_slot(const token_map *map, gguf_text text);

/* The id of a text, or -1. */
int32_t token_map_find(const token_map *map, gguf_text text);

#endif
