/*
 * refusal.c - why a record is not accepted, as its answer will tell
 */
#include "runtime/tokenizer/refusal.h"
#include "runtime/tokenizer/utf8.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A cut may have fallen into a character, and jansson quotes broken input as it is. */
static void make_valid(char *text)
{
    size_t length = strlen(text);
    for (size_t at = utf8_valid(text, length); at < length;
         at += utf8_valid(text + at, length - at))
        text[at] = '?';
}

bool refuse(struct refusal *refusal, const char *code, const char *param, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    refusal->code = code;
    snprintf(refusal->param, sizeof(refusal->param), "%s", param);
    if (vsnprintf(refusal->message, sizeof(refusal->message), format, arguments) < 0)
        refusal->message[0] = '\0';
    va_end(arguments);
    make_valid(refusal->message);
    make_valid(refusal->param);
    return false;
}

struct quoted quote(const char *bytes, size_t length)
{
    struct quoted quoted;
    enum { SHOWN = 60 };
    size_t shown = length < SHOWN ? length : utf8_valid(bytes, SHOWN);
    quoted.text[0] = '\'';
    memcpy(quoted.text + 1, bytes, shown);
    for (size_t i = 1; i <= shown; i++)
        if ((unsigned char)quoted.text[i] < ' ' || quoted.text[i] == 127)
            quoted.text[i] = '?';
    strcpy(quoted.text + 1 + shown, length > shown ? "...'" : "'");
    return quoted;
}
