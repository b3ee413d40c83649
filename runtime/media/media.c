/*
 * media.c - the sentence that tells what is wrong
 */
#include "runtime/media/media.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Drops what a cut at `length` left of a character in UTF-8. */
static void drop_half_a_character(char *text, size_t length)
{
    size_t start = length;
    while (start > 0 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
        start--;
    if (start > 0 && (unsigned char)text[start - 1] >= 0xC0)
        text[start - 1] = '\0';
}

int media_fail(struct media_error *error, int code, const char *format, ...)
{
    va_list arguments;
    int length;
    va_start(arguments, format);
    length = vsnprintf(error->sentence, sizeof(error->sentence), format, arguments);
    va_end(arguments);
    if (length < 0)
        error->sentence[0] = '\0';
    if (length >= MEDIA_SENTENCE_MAX)
        drop_half_a_character(error->sentence, MEDIA_SENTENCE_MAX - 1);
    for (char *c = error->sentence; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = '?';
    return code;
}
