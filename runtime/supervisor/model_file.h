/*
 * model_file.h - what the supervisor takes from a model's file
 *
 * It reads the file once: some facts by which the domain is made, and the tables that tokenizer and
 * collector inherit and work in, they and all of their successors (tokenizer/tables.h).
 */
#ifndef RUNTIME_SUPERVISOR_MODEL_FILE_H
#define RUNTIME_SUPERVISOR_MODEL_FILE_H

#include <stdint.h>

struct model_file {
    uint64_t fingerprint;
    uint64_t context_length; /* tokens; 0: the file doesn't say */
    uint64_t vocabulary;     /* tokens */
    int tables;              /* descriptor; -1: none */
    uint64_t tables_bytes;
};

/* model_file_read - 0, or -EINVAL after the error was said; model_file_close() is right in any case
 */
int model_file_read(struct model_file *model, const char *path);
void model_file_close(struct model_file *model);

#endif
