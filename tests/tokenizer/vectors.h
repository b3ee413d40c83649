/*
 * vectors.h - files of lines with the tokens that a reference made of them
 *
 * make_vectors.py tells the format. One file is read at a time. What is wrong with it ends the
 * test.
 */
#ifndef MILLRACE_TESTS_TOKENIZER_VECTORS_H
#define MILLRACE_TESTS_TOKENIZER_VECTORS_H

#include "tests/tokenizer/fixture.h"

enum { VECTOR_LISTS = 5 };

typedef struct {
    int64_t *ids;
    size_t count;
} id_list;

typedef struct {
    bool special; /* control tokens are recognised */
    const char *text;
    size_t length;
    id_list lists[VECTOR_LISTS];
} vector;

uint64_t vectors_open(const char *path); /* how many lines */
void vectors_close(void);                /* behind the last one */

/* The next line, with so many lists. */
vector vectors_read(size_t lists);
void vector_free(vector *line);

/* Whether a fixture makes the tokens of a list; if not, both are shown. */
bool vector_agrees(fixture *made, const vector *line, size_t list, const char *what);

#endif
