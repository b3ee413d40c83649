/*
 * record.c - writing JSON, the same bytes each time
 */
#include "runtime/collector/record.h"
#include "runtime/collector/decimal.h"
#include "runtime/tokenizer/utf8.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int record_init(struct record *record, int (*drain)(void *self, const char *bytes, size_t count),
                void *self)
{
    *record = (struct record){.drain = drain, .self = self, .room = RECORD_DRAINED_ROOM};
    record->bytes = malloc(record->room);
    return record->bytes != NULL ? 0 : -ENOMEM;
}

void record_free(struct record *record)
{
    free(record->bytes);
    *record = (struct record){0};
}

int record_flush(struct record *record)
{
    if (record->error == 0 && record->count > 0)
        record->error = record->drain(record->self, record->bytes, record->count);
    record->count = 0;
    return record->error;
}

static void grow(struct record *record, size_t more)
{
    size_t room = record->room;
    char *bytes;
    while (room - record->count < more)
        room *= 2;
    bytes = realloc(record->bytes, room);
    if (bytes == NULL) {
        record->error = -ENOMEM;
        return;
    }
    record->bytes = bytes;
    record->room = room;
}

static void put(struct record *record, const char *bytes, size_t count)
{
    while (record->error == 0 && count > 0) {
        size_t free_room = record->room - record->count;
        size_t now = count < free_room ? count : free_room;
        memcpy(record->bytes + record->count, bytes, now);
        record->count += now;
        bytes += now;
        count -= now;
        if (count > 0 && record->drain != NULL)
            record_flush(record);
        else if (count > 0)
            grow(record, count);
    }
}

void record_raw(struct record *record, const char *text)
{
    put(record, text, strlen(text));
}

/* put_escape - a character that can't stand in a string as it is */
static void put_escape(struct record *record, char character)
{
    static const char plain[] = "\"\\\b\f\n\r\t";
    static const char letter[] = "\"\\bfnrt";
    const char *found = character != '\0' ? strchr(plain, character) : NULL;
    char escape[8];
    if (found != NULL)
        snprintf(escape, sizeof(escape), "\\%c", letter[found - plain]);
    else
        snprintf(escape, sizeof(escape), "\\u%04x", (unsigned)(unsigned char)character);
    record_raw(record, escape);
}

static bool needs_escape(char character)
{
    return (unsigned char)character < ' ' || character == '"' || character == '\\';
}

/* put_valid - valid UTF-8, escaped */
static void put_valid(struct record *record, const char *bytes, size_t count)
{
    size_t begin = 0;
    for (size_t i = 0; i < count; i++) {
        if (!needs_escape(bytes[i]))
            continue;
        put(record, bytes + begin, i - begin);
        put_escape(record, bytes[i]);
        begin = i + 1;
    }
    put(record, bytes + begin, count - begin);
}

void record_escaped(struct record *record, mr_bytes part)
{
    while (part.length > 0) {
        size_t step = utf8_valid(part.bytes, part.length);
        bool valid = step > 0;
        put_valid(record, part.bytes, step);
        if (!valid) {
            step = utf8_step(part.bytes, part.length, &valid);
            record_raw(record, "\xEF\xBF\xBD");
        }
        part.bytes += step;
        part.length -= step;
    }
}

void record_string(struct record *record, mr_bytes string)
{
    record_raw(record, "\"");
    record_escaped(record, string);
    record_raw(record, "\"");
}

void record_int(struct record *record, uint64_t number)
{
    char digits[24];
    snprintf(digits, sizeof(digits), "%" PRIu64, number);
    record_raw(record, digits);
}

void record_real(struct record *record, double number)
{
    char text[DECIMAL_ROOM];
    decimal_write(isfinite(number) ? number : -9999.0, text);
    record_raw(record, text);
}
