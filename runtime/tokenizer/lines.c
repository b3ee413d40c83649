/*
 * lines.c - the input cut into its records, one a line
 *
 * A line that lies in one chunk is given as a view of it; one that crosses chunks is gathered in a
 * buffer, which never grows beyond the limit.
 */
#include "runtime/tokenizer/lines.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct lines {
    struct source *source;
    uint64_t first;  /* where the input begins */
    uint64_t offset; /* of the first byte of `chunk` */
    size_t limit;
    bool skipping; /* in the rest of a line that was too long */
    const char *chunk;
    size_t chunk_length;
    char *buffer; /* the beginning of a line that crosses chunks */
    size_t length;
    size_t room;
};

int lines_open(struct lines **result, struct source *source, uint64_t first, uint64_t offset,
               size_t limit)
{
    struct lines *lines;
    int before = offset > first ? source_byte_at(source, offset - 1) : '\n';
    if (before < 0)
        return before;
    lines = calloc(1, sizeof(*lines));
    if (lines == NULL)
        return -ENOMEM;
    lines->source = source;
    lines->first = first;
    lines->offset = offset;
    lines->limit = limit;
    lines->skipping = before != '\n';
    *result = lines;
    return 0;
}

void lines_close(struct lines *lines)
{
    if (lines == NULL)
        return;
    free(lines->buffer);
    free(lines);
}

/* Takes `count` bytes off the chunk. */
static void consume(struct lines *lines, size_t count)
{
    lines->chunk += count;
    lines->chunk_length -= count;
    lines->offset += count;
}

static int gather(struct lines *lines, size_t count)
{
    size_t wanted = lines->length + count;
    if (wanted > lines->room) {
        size_t room = wanted * 2 < lines->limit ? wanted * 2 : lines->limit;
        char *buffer = realloc(lines->buffer, room);
        if (buffer == NULL)
            return -ENOMEM;
        lines->buffer = buffer;
        lines->room = room;
    }
    memcpy(lines->buffer + lines->length, lines->chunk, count);
    lines->length = wanted;
    return 0;
}

/* A buffer that a rare long line made large isn't kept for the short ones. */
static void drop_buffer(struct lines *lines)
{
    free(lines->buffer);
    lines->buffer = NULL;
    lines->length = lines->room = 0;
}

static int fetch_chunk(struct lines *lines)
{
    int result = source_next(lines->source, &lines->chunk, &lines->chunk_length);
    if (result != SOURCE_DATA)
        lines->chunk_length = 0;
    return result;
}

static int skip(struct lines *lines, const char *newline, struct line *line)
{
    consume(lines, newline == NULL ? lines->chunk_length : (size_t)(newline - lines->chunk) + 1);
    lines->skipping = newline == NULL;
    *line = (struct line){.end = lines->offset};
    return LINES_SKIPPED;
}

static int too_long(struct lines *lines, const char *newline, struct line *line)
{
    drop_buffer(lines);
    skip(lines, newline, line);
    return LINES_TOO_LONG;
}

static void trim(const struct lines *lines, struct line *line, bool first)
{
    if (first && line->length >= 3 && memcmp(line->bytes, "\xEF\xBB\xBF", 3) == 0) {
        line->bytes += 3;
        line->length -= 3;
    }
    if (line->length > 0 && line->bytes[line->length - 1] == '\r')
        line->length--;
    line->end = lines->offset;
}

/* record - the line that ends with `count` more bytes of the chunk, and `ending` of its newline */
static int record(struct lines *lines, size_t count, size_t ending, struct line *line)
{
    bool first = lines->offset - lines->length == lines->first;
    int error = 0;
    if (lines->length == 0)
        *line = (struct line){.bytes = lines->chunk, .length = count};
    else
        error = gather(lines, count);
    if (error < 0)
        return error;
    if (lines->length > 0)
        *line = (struct line){.bytes = lines->buffer, .length = lines->length};
    lines->length = 0; /* the bytes stay until the next call */
    consume(lines, count + ending);
    trim(lines, line, first);
    return LINES_RECORD;
}

static int end_of_input(struct lines *lines, struct line *line)
{
    if (lines->length > 0)
        return record(lines, 0, 0, line);
    return LINES_END;
}

int lines_next(struct lines *lines, struct line *line)
{
    for (;;) {
        const char *newline;
        size_t count;
        int error;
        if (lines->chunk_length == 0) {
            int result = fetch_chunk(lines);
            if (result == SOURCE_END)
                return end_of_input(lines, line);
            if (result != SOURCE_DATA)
                return result == SOURCE_WAIT ? LINES_WAIT : result;
        }
        newline = memchr(lines->chunk, '\n', lines->chunk_length);
        count = newline == NULL ? lines->chunk_length : (size_t)(newline - lines->chunk);
        if (lines->skipping)
            return skip(lines, newline, line);
        if (lines->length + count > lines->limit)
            return too_long(lines, newline, line);
        if (newline != NULL)
            return record(lines, count, 1, line);
        error = gather(lines, count);
        if (error < 0)
            return error;
        consume(lines, count);
    }
}
