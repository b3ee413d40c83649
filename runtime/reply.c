/*
 * reply.c - the encoding of a reply: a fixed head, then its strings
 *
 * Every string is its length (4 bytes) and its bytes, without padding: custom_id, model, prompt,
 * error_code, error_message, error_param, and the stop strings. Lengths are checked against what
 * is left of the note, so a note that was spoilt can't lead outside of it.
 */
#include "runtime/reply.h"
#include <errno.h>
#include <string.h>

struct head {
    uint8_t version;
    uint8_t endpoint;
    uint8_t top_logprobs;
    uint8_t stop_count;
    uint32_t flags;
    uint32_t sample_rate;
    uint32_t reserved;
    uint64_t line;
};
_Static_assert(sizeof(struct head) == 24, "the head of a reply has no padding");

enum { NAMED_STRINGS = 6 };

/* The strings in their order: place i in [0, NAMED_STRINGS) */
static mr_bytes *named_string(struct reply *reply, unsigned i)
{
    mr_bytes *strings[NAMED_STRINGS] = {&reply->custom_id,     &reply->model,
                                        &reply->prompt,        &reply->error_code,
                                        &reply->error_message, &reply->error_param};
    return strings[i];
}

size_t reply_size(const struct reply *source)
{
    struct reply reply = *source;
    size_t size = sizeof(struct head);
    for (unsigned i = 0; i < NAMED_STRINGS; i++)
        size += sizeof(uint32_t) + named_string(&reply, i)->length;
    for (unsigned i = 0; i < reply.stop_count; i++)
        size += sizeof(uint32_t) + reply.stops[i].length;
    return size;
}

static char *put_string(char *to, mr_bytes string)
{
    uint32_t length = (uint32_t)string.length;
    memcpy(to, &length, sizeof(length));
    if (length > 0)
        memcpy(to + sizeof(length), string.bytes, length);
    return to + sizeof(length) + length;
}

void reply_encode(const struct reply *source, char *buffer)
{
    struct reply reply = *source;
    struct head head = {.version = REPLY_VERSION,
                        .endpoint = (uint8_t)reply.endpoint,
                        .top_logprobs = (uint8_t)reply.top_logprobs,
                        .stop_count = (uint8_t)reply.stop_count,
                        .flags = reply.flags,
                        .sample_rate = reply.sample_rate,
                        .line = reply.line};
    memcpy(buffer, &head, sizeof(head));
    buffer += sizeof(struct head);
    for (unsigned i = 0; i < NAMED_STRINGS; i++)
        buffer = put_string(buffer, *named_string(&reply, i));
    for (unsigned i = 0; i < reply.stop_count; i++)
        buffer = put_string(buffer, reply.stops[i]);
}

/* get_string - the next string of *rest, which moves on behind it */
static int get_string(mr_bytes *string, mr_bytes *rest)
{
    uint32_t length;
    if (rest->length < sizeof(length))
        return -EBADMSG;
    memcpy(&length, rest->bytes, sizeof(length));
    if (rest->length - sizeof(length) < length)
        return -EBADMSG;
    *string = (mr_bytes){rest->bytes + sizeof(length), length};
    rest->bytes += sizeof(length) + length;
    rest->length -= sizeof(length) + length;
    return 0;
}

int reply_decode(struct reply *result, mr_bytes note)
{
    struct head head;
    struct reply reply = {0};
    int error = 0;
    if (note.length < sizeof(head))
        return -EBADMSG;
    memcpy(&head, note.bytes, sizeof(head));
    if (head.version != REPLY_VERSION || head.stop_count > REPLY_MAX_STOPS)
        return -EBADMSG;
    note.bytes += sizeof(struct head);
    note.length -= sizeof(struct head);
    reply.endpoint = head.endpoint;
    reply.flags = head.flags;
    reply.sample_rate = head.sample_rate;
    reply.top_logprobs = head.top_logprobs;
    reply.line = head.line;
    reply.stop_count = head.stop_count;
    for (unsigned i = 0; i < NAMED_STRINGS && error == 0; i++)
        error = get_string(named_string(&reply, i), &note);
    for (unsigned i = 0; i < reply.stop_count && error == 0; i++)
        error = get_string(&reply.stops[i], &note);
    if (error == 0)
        *result = reply;
    return error;
}
