/*
 * tables.h - a model's vocabulary and chat template, made once for all processes of a run
 *
 * To read a vocabulary out of a model file takes some ten milliseconds and some MiB, and tokenizer
 * and collector both need it whenever they are started. So the supervisor reads it once and puts
 * what comes of it into a memory file without a name, which nobody can change any more (sealed
 * against writing, growing, shrinking and other seals). Tokenizer and collector inherit it by its
 * descriptor, map it read-only and work in it; it goes with the last of the run's processes. A
 * successor needs neither the model file nor the disk.
 */
#ifndef MILLRACE_TOKENIZER_TABLES_H
#define MILLRACE_TOKENIZER_TABLES_H

#include "runtime/tokenizer/vocabulary.h"

typedef struct tables tables;

/*
 * tables_make - a sealed memory file with all that the processes of a run need of a model's file
 *
 *   bytes  out: how large it is
 *   error  out, on failure: one sentence
 *
 * Returns its descriptor, which is closed on exec, or -1. Keeps nothing of the model's file.
 */
int tables_make(const gguf *file, uint64_t *bytes, char *error, size_t error_size);

/*
 * tables_map - map what tables_make() made, read-only, and check all of it
 *
 *   fd     may be closed afterwards
 *   error  out, on failure: one sentence
 *
 * Returns the tables, to be freed with tables_free(), or NULL. O(their size), under a millisecond
 * for 50,000 tokens.
 */
tables *tables_map(int fd, char *error, size_t error_size);
void tables_free(tables *mapped); /* NULL is fine */

/* The vocabulary, as vocabulary_load() gives it; valid until tables_free(), which frees it. */
const vocabulary *tables_vocabulary(const tables *mapped);

/* The chat template's program, valid until tables_free(); .bytes NULL: the model's file has none.
 */
gguf_text tables_chat_template(const tables *mapped);

#endif
