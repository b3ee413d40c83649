/*
 * text_copy.h - texts out of a model file, made fit for use: copied, or shown in a message
 */
#ifndef MILLRACE_TOKENIZER_TEXT_COPY_H
#define MILLRACE_TOKENIZER_TEXT_COPY_H

#include "models/gguf.h"

#include <stdlib.h>
#include <string.h>

/* From malloc; NULL: no memory. */
static inline char *text_copy(gguf_text text)
{
    char *copy = malloc(text.length + 1);

    if (!copy)
        return NULL;
    memcpy(copy, text.bytes, text.length);
    copy[text.length] = '\0';
    return copy;
}

/* A message that may quote a file: nothing in it shall move a terminal or break JSON. */
static inline void text_make_printable(char *message)
{
    for (; *message; message++)
        if (*message < ' ' || *message > '~')
            *message = '?';
}

#endif
