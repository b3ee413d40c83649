/*
 * logprobs.c - the records of log-probabilities: an append-only log in the context's own memory
 *
 * MAX keeps a map from position to record, from which to_generation_output() removes what it
 * delivers. Here the records lie one behind the other as they came, the last one under a key
 * counts, and being removed is a matter of the cursors: a record is delivered once its key lies
 * below A. So the log only grows, a commit of the cursors commits it as well, and the collector
 * reads the same records from a mark of its own.
 *
 *     head | {key, bytes, entries, late} { chosen, n, n x {token, logprob} } x entries | ...
 *
 * A record that comes when its key already lies below A (echo, or a processing offset) is *late*:
 * it can never be delivered, and stays in the map until a reset drops it (RECORD_LATE moves past).
 *
 * Keys rise in nearly every run. Only then a search may stop at the first larger key, so the head
 * says when they don't: `unordered` is set before the first such record can be committed, and
 * stays. Should a kill undo that record, searches are a little slower and still right.
 *
 * Nothing read here is trusted: a record whose lengths make no sense ends the log.
 */
#include "ipc/error.h"
#include "ipc/text.h"
#include <errno.h>
#include <millrace/intake.h>
#include <stdatomic.h>
#include <string.h>

typedef struct records_head {
    _Atomic uint64_t unordered;
} records_head;

typedef struct record_head {
    int64_t key;
    uint32_t bytes; /* of the whole record, a multiple of 8 */
    uint16_t entries;
    uint16_t late;
} record_head;

typedef struct entry_head {
    double chosen;
    uint64_t top_count;
} entry_head;

_Static_assert(sizeof(records_head) == 8 && sizeof(record_head) == 16 && sizeof(entry_head) == 16 &&
                   sizeof(mr_top_logprob) == 16,
               "records are made of words");

static bool has_log(const mr_context *c)
{
    return c->params.records.bytes >= sizeof(records_head);
}

/* ---- sizes ---- */

/* Saturates, so that what doesn't fit into 64 bits fits nowhere. */
static uint64_t times_plus(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t product, sum;

    if (__builtin_mul_overflow(a, b, &product) || __builtin_add_overflow(product, c, &sum))
        return UINT64_MAX;
    return sum;
}

/* A token makes one record at most: of those that can be generated each has one, and with echo also
 * those of the prompt but the first. */
uint64_t mr_records_size(const struct mr_request *request)
{
    uint64_t prompt = request->prompt_length;
    uint64_t limit = request->max_length > 0 ? (uint64_t)request->max_length : 0;
    uint64_t generated = (limit > prompt ? limit - prompt : 1) + request->draft_tokens;
    uint64_t record = sizeof(record_head) + sizeof(entry_head) +
                      sizeof(mr_top_logprob) * (uint64_t)request->log_probabilities;
    uint64_t bytes = 0;

    if (request->want_log_probabilities)
        bytes = times_plus(generated, record, bytes);
    if (request->log_probabilities_echo && prompt > 0)
        bytes = times_plus(prompt - 1, record, bytes);
    return bytes ? times_plus(1, sizeof(records_head), bytes) : 0;
}

/* Bytes of a record; UINT64_MAX for one that no record head can describe. */
static uint64_t record_size(const mr_logprobs *record)
{
    uint64_t bytes = sizeof(record_head);

    if (record->count > UINT16_MAX)
        return UINT64_MAX;
    for (size_t i = 0; i < record->count; i++)
        bytes = times_plus(record->entries[i].top_count, sizeof(mr_top_logprob),
                           times_plus(1, bytes, sizeof(entry_head)));
    return bytes <= UINT32_MAX ? bytes : UINT64_MAX;
}

/* ---- walking ---- */

/* The head of the record at byte `at`, false at the end of the `used` bytes. */
static bool look(const unsigned char *log, uint64_t used, uint64_t at, record_head *head)
{
    if (at > used || used - at < sizeof(*head))
        return false;
    memcpy(head, log + at, sizeof(*head));
    return head->bytes >= sizeof(*head) && head->bytes % 8 == 0 && head->bytes <= used - at;
}

static bool is_unordered(const unsigned char *log, uint64_t used)
{
    return used >= sizeof(records_head) &&
           atomic_load_explicit(&((const records_head *)(const void *)log)->unordered,
                                memory_order_relaxed);
}

static uint64_t first_byte(uint64_t at)
{
    return at < sizeof(records_head) ? sizeof(records_head) : at;
}

/* The last record under `key` from *at on. Where keys rise, *at moves to it, or to where it would
 * lie: the next larger key can't be before. */
static bool seek(const unsigned char *log, uint64_t used, uint64_t *at, int64_t key,
                 uint64_t *found)
{
    bool unordered = is_unordered(log, used), any = false;
    record_head head;

    *at = first_byte(*at);
    for (uint64_t byte = *at; look(log, used, byte, &head); byte += head.bytes) {
        if (head.key == key) {
            *found = byte;
            any = true;
        }
        if (unordered)
            continue;
        if (head.key >= key)
            break;
        *at = byte + head.bytes;
    }
    return any;
}

/* One entry: its head at *byte, then its alternatives; both are moved past, or -ENOSPC. */
static int read_entry(const unsigned char *log, uint64_t end, uint64_t *byte, mr_logprob *entry,
                      mr_top_logprob *tops, size_t room)
{
    entry_head head;

    if (end - *byte < sizeof(head))
        return mr_fail(EBADMSG, "a record of log-probabilities is corrupt");
    memcpy(&head, log + *byte, sizeof(head));
    *byte += sizeof(head);
    if (head.top_count > (end - *byte) / sizeof(*tops))
        return mr_fail(EBADMSG, "a record of log-probabilities is corrupt");
    if (head.top_count > room)
        return mr_fail(ENOSPC, "a record has %llu alternatives, more than there is room for",
                       (unsigned long long)head.top_count);
    memcpy(tops, log + *byte, head.top_count * sizeof(*tops));
    *byte += head.top_count * sizeof(*tops);
    *entry = (mr_logprob){head.chosen, tops, head.top_count};
    return 0;
}

static int read_record(const unsigned char *log, uint64_t byte, const record_head *head,
                       mr_logprobs *logprobs, mr_logprob *entries, size_t room,
                       mr_top_logprob *tops, size_t top_room)
{
    uint64_t end = byte + head->bytes;
    int rc = 0;

    if (head->entries > room)
        return mr_fail(ENOSPC, "a record has %u entries, more than there is room for",
                       head->entries);
    byte += sizeof(*head);
    for (size_t i = 0; i < head->entries && rc == 0; i++) {
        rc = read_entry(log, end, &byte, &entries[i], tops, top_room);
        if (rc == 0) {
            tops += entries[i].top_count;
            top_room -= entries[i].top_count;
        }
    }
    *logprobs = (mr_logprobs){entries, head->entries};
    return rc;
}

int mr_records_find(const unsigned char *records, uint64_t used, uint64_t *at, int64_t position,
                    mr_logprobs *logprobs, mr_logprob *entries, size_t room, mr_top_logprob *tops,
                    size_t top_room)
{
    record_head head;
    uint64_t byte;

    if (!seek(records, used, at, position, &byte) || !look(records, used, byte, &head))
        return mr_fail(ENOENT, "there is no record of log-probabilities for index %lld",
                       (long long)position);
    return read_record(records, byte, &head, logprobs, entries, room, tops, top_room);
}

/* ---- writing ---- */

void mr_records_begin(mr_context *context)
{
    if (!has_log(context))
        return;
    atomic_store_explicit(&((records_head *)(void *)context->records)->unordered, 0,
                          memory_order_relaxed);
    context->now[MR_CURSOR_RECORDS] = sizeof(records_head);
    context->now[MR_CURSOR_RECORD_FIRST] = sizeof(records_head);
    context->now[MR_CURSOR_RECORD_LATE] = sizeof(records_head);
    context->now[MR_CURSOR_RECORD_KEY] = -1;
}

int mr_records_check(const mr_context *context, const char *operation, const mr_logprobs *record)
{
    uint64_t room = context->params.records.bytes - (uint64_t)context->now[MR_CURSOR_RECORDS];

    if (!record || record_size(record) <= room)
        return 0;
    return mr_text_refuse(
        context, MR_TEXT_CAPACITY, operation,
        "the room for its log-probabilities, as its request asked for, is used up");
}

static unsigned char *put(unsigned char *to, const void *from, size_t bytes)
{
    memcpy(to, from, bytes);
    return to + bytes;
}

static void write_record(unsigned char *to, const record_head *head, const mr_logprobs *record)
{
    to = put(to, head, sizeof(*head));
    for (size_t i = 0; i < record->count; i++) {
        const mr_logprob *entry = &record->entries[i];
        entry_head entry_words = {entry->chosen, entry->top_count};

        to = put(to, &entry_words, sizeof(entry_words));
        if (entry->top_count)
            to = put(to, entry->top, entry->top_count * sizeof(*entry->top));
    }
}

void mr_records_append(mr_context *context, int64_t key, const mr_logprobs *record)
{
    int64_t *now = context->now;
    record_head head;

    if (!record)
        return;
    head = (record_head){.key = key,
                         .bytes = (uint32_t)record_size(record),
                         .entries = (uint16_t)record->count,
                         .late = key < now[MR_CURSOR_CONSUMED]};
    if (key <= now[MR_CURSOR_RECORD_KEY])
        atomic_store_explicit(&((records_head *)(void *)context->records)->unordered, 1,
                              memory_order_relaxed);
    else
        now[MR_CURSOR_RECORD_KEY] = key;
    write_record(context->records + now[MR_CURSOR_RECORDS], &head, record);
    now[MR_CURSOR_RECORDS] += head.bytes;
}

int mr_text_put_echo_logprob(mr_text *text, int64_t position, const mr_logprob *logprob)
{
    static const char operation[] = "store a log-probability of the prompt of";
    mr_context *c = mr_context_of(text);
    mr_logprobs record = {logprob, 1};
    int rc = mr_text_changeable(c, operation);

    if (rc < 0)
        return rc;
    if (position < 1 || position >= c->params.original_prompt)
        return mr_text_refuse(c, MR_TEXT_INDEX, operation,
                              "the index lies outside of [1, length of the original prompt)");
    if (position < c->now[MR_CURSOR_ECHO])
        return 0;
    rc = mr_records_check(c, operation, &record);
    if (rc < 0)
        return rc;
    mr_records_append(c, position, &record);
    c->now[MR_CURSOR_ECHO] = position + 1;
    return 0;
}

/* ---- delivering ---- */

bool mr_records_seek(const mr_context *context, uint64_t *at, int64_t key, uint64_t *found)
{
    return seek(context->records, (uint64_t)context->now[MR_CURSOR_RECORDS], at, key, found);
}

int mr_records_read(const mr_context *context, uint64_t at, mr_logprobs *logprobs,
                    mr_logprob *entries, size_t room, mr_top_logprob *tops, size_t top_room)
{
    record_head head;

    if (!look(context->records, (uint64_t)context->now[MR_CURSOR_RECORDS], at, &head))
        return mr_fail(EBADMSG, "a record of log-probabilities is corrupt");
    return read_record(context->records, at, &head, logprobs, entries, room, tops, top_room);
}

void mr_records_pass(mr_context *context)
{
    int64_t *now = context->now;
    uint64_t used = (uint64_t)now[MR_CURSOR_RECORDS];
    record_head head;

    while (look(context->records, used, (uint64_t)now[MR_CURSOR_RECORD_FIRST], &head) &&
           head.key < now[MR_CURSOR_CONSUMED])
        now[MR_CURSOR_RECORD_FIRST] += head.bytes;
}

void mr_records_drop(mr_context *context)
{
    mr_records_pass(context);
    context->now[MR_CURSOR_RECORD_LATE] = context->now[MR_CURSOR_RECORDS];
}

size_t mr_records_undelivered(const mr_context *context, int64_t *keys, size_t room)
{
    const int64_t *now = context->now;
    uint64_t used = (uint64_t)now[MR_CURSOR_RECORDS];
    size_t count = 0;
    record_head head;

    for (uint64_t at = sizeof(records_head); look(context->records, used, at, &head);
         at += head.bytes) {
        bool there = head.late ? at >= (uint64_t)now[MR_CURSOR_RECORD_LATE]
                               : head.key >= now[MR_CURSOR_CONSUMED];

        if (there && count++ < room)
            keys[count - 1] = head.key;
    }
    return count;
}
