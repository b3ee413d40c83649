/*
 * text_copy.h - a view of a file's text, as a C string of one's own
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

#endif
