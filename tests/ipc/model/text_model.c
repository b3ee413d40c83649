/*
 * text_model.c - see text_model.h
 */
#include "tests/ipc/model/text_model.h"
#include <string.h>

static void commit(struct model *m)
{
    m->deferred = m->now.placeholder || m->reserved || m->held;
    if (!m->deferred)
        m->committed = m->now;
}

int64_t model_active_length(const struct model *m)
{
    return m->now.end - m->now.start - m->now.offset;
}

int64_t model_position(const struct model *m)
{
    return m->now.end - m->now.offset;
}

bool model_masked(const struct model *m, int64_t step)
{
    int64_t i = model_position(m) + step;

    return !(i < m->now.base || i >= m->now.base + m->setup->min_tokens);
}

void model_start(struct model *m, const struct model_setup *setup)
{
    *m = (struct model){.setup = setup};
    memcpy(m->now.tokens, setup->prompt, sizeof(setup->prompt));
    m->now.length = m->now.prompt = m->now.end = m->now.consumed = m->now.base =
        setup->prompt_length;
    m->now.initial = true;
    m->now.record_bytes = 8;
    m->committed = m->now;
}

/* ---- pieces ---- */

static void to_next_chunk(struct model *m)
{
    m->now.offset = 0;
    m->now.start = m->now.end;
    m->now.end = m->now.length;
    m->now.chunked = false;
}

static void append(struct model *m, int64_t token, bool mark)
{
    if (mark)
        m->now.start = m->now.end;
    m->now.end += 1;
    m->now.tokens[m->now.length] = token;
    m->now.length += 1;
    m->now.offset = 0;
}

static bool is_end(const struct model *m, int64_t token)
{
    const struct model_setup *s = m->setup;

    for (size_t i = 0; i < s->eos_count; i++)
        if (s->eos_ids[i] == token)
            return true;
    for (size_t i = 0; i < s->sequence_count; i++) {
        int64_t n = (int64_t)s->sequence_lengths[i];
        bool equal = m->now.length - m->now.base >= n;

        for (int64_t j = 0; j < n && equal; j++)
            equal = m->now.tokens[m->now.length - n + j] == s->sequences[i][j];
        if (equal)
            return true;
    }
    return false;
}

static void follow(struct model *m, int64_t token)
{
    if (is_end(m, token))
        m->now.status = MR_END_OF_SEQUENCE;
    else if (model_position(m) >= m->setup->max_length)
        m->now.status = MR_MAXIMUM_LENGTH;
    m->now.initial = false;
    if (m->has_matcher)
        m->matcher_taken++;
}

static int64_t bytes_of(int record)
{
    return record ? 16 + 16 + 16 * (record % 4) : 0;
}

static bool has_room(const struct model *m, int record)
{
    return m->now.record_bytes + bytes_of(record) <= m->setup->record_bytes;
}

static void store(struct model *m, int64_t key, int record)
{
    if (!record)
        return;
    m->now.map[key + 1] = record;
    m->now.last[key + 1] = record;
    m->now.record_bytes += bytes_of(record);
}

static void forget(struct model *m, int64_t from, int64_t to)
{
    for (int64_t key = from; key < to; key++)
        m->now.map[key + 1] = 0;
}

static int can_append(const struct model *m, int64_t token)
{
    if (m->now.placeholder)
        return MR_TEXT_AFTER_FUTURE;
    if (token < 0)
        return MR_TEXT_NEGATIVE_TOKEN;
    if (m->now.length >= m->setup->capacity)
        return MR_TEXT_CAPACITY;
    return 0;
}

static bool refused_by_matcher(const struct model *m, int64_t token)
{
    return m->has_matcher && token == m->matcher_refuses;
}

/* ---- a step ---- */

int model_update(struct model *m, int64_t token, int record)
{
    int error;

    if (m->reserved)
        return MR_TEXT_RESERVED;
    if (m->now.chunked)
        return model_advance_chunk(m);
    if ((error = can_append(m, token)))
        return error;
    if (refused_by_matcher(m, token))
        return MR_TEXT_MATCHER;
    if (!has_room(m, record))
        return MR_TEXT_CAPACITY;
    store(m, model_position(m), record);
    append(m, token, true);
    follow(m, token);
    commit(m);
    return 0;
}

int model_jump_ahead(struct model *m, int64_t token)
{
    int error;

    if (m->reserved)
        return MR_TEXT_RESERVED;
    if (m->now.chunked)
        return model_advance_chunk(m);
    if ((error = can_append(m, token)))
        return error;
    if (refused_by_matcher(m, token))
        return MR_TEXT_MATCHER;
    append(m, token, false);
    follow(m, token);
    commit(m);
    return 0;
}

int model_future(struct model *m, bool *chunk_advanced)
{
    int error;

    *chunk_advanced = false;
    if (m->reserved)
        return MR_TEXT_RESERVED;
    if (m->has_matcher)
        return MR_TEXT_FUTURE_MATCHER;
    if (m->now.placeholder)
        return MR_TEXT_FUTURE_TWICE;
    *chunk_advanced = m->now.chunked;
    if (m->now.chunked)
        return model_advance_chunk(m);
    if ((error = can_append(m, 0)))
        return error;
    m->now.status_before = m->now.status;
    append(m, MR_FUTURE_TOKEN, true);
    m->now.placeholder = true;
    follow(m, MR_FUTURE_TOKEN);
    commit(m);
    return 0;
}

int model_realize(struct model *m, int64_t token, int record)
{
    if (m->reserved)
        return MR_TEXT_RESERVED;
    if (m->now.length == m->now.prompt)
        return MR_TEXT_REALIZE_EMPTY;
    if (!m->now.placeholder)
        return MR_TEXT_REALIZE_NOT_FUTURE;
    if (token < 0)
        return MR_TEXT_NEGATIVE_TOKEN;
    if (!has_room(m, record))
        return MR_TEXT_CAPACITY;
    store(m, model_position(m) - 1, record);
    m->now.tokens[m->now.length - 1] = token;
    m->now.placeholder = false;
    if (is_end(m, token))
        m->now.status = MR_END_OF_SEQUENCE;
    commit(m);
    return 0;
}

/* ---- beginning anew ---- */

static void restart(struct model *m)
{
    if (m->now.placeholder) {
        m->now.placeholder = false;
        m->now.length--;
        m->now.status = m->now.status_before;
    }
    m->now.start = m->now.offset = 0;
    m->now.end = m->now.prompt = m->now.consumed = m->now.length;
    m->now.chunked = false;
}

int model_reset(struct model *m, bool whole)
{
    if (m->reserved)
        return MR_TEXT_RESERVED;
    restart(m);
    m->now.base = m->now.prompt;
    if (whole)
        m->now.initial = true;
    forget(m, -1, m->now.consumed);
    commit(m);
    return 0;
}

void model_take_over(struct model *m)
{
    struct model_state before = m->committed;

    m->now = m->committed;
    m->reserved = m->held = m->deferred = false;
    restart(m);
    m->now.initial = true;
    if (before.start == 0 && before.offset == 0 && before.end == m->now.end &&
        before.prompt == m->now.prompt && before.consumed == m->now.consumed && !before.chunked &&
        before.initial)
        return;
    forget(m, before.consumed, m->now.consumed);
    m->now.resets++;
    commit(m);
}

void model_die(struct model *m)
{
    m->now = m->committed;
    m->reserved = m->held = m->deferred = m->has_matcher = false;
}

/* ---- the buffer ---- */

int model_offset(struct model *m, int64_t offset)
{
    if (m->reserved)
        return MR_TEXT_RESERVED;
    if (offset < -m->now.start)
        return MR_TEXT_OFFSET_START;
    if (offset > m->now.end - m->now.start)
        return MR_TEXT_OFFSET_END;
    m->now.offset = offset;
    commit(m);
    return 0;
}

int model_rewind(struct model *m, int64_t n)
{
    if (m->reserved)
        return MR_TEXT_RESERVED;
    if (n < 0)
        return MR_TEXT_NEGATIVE_N;
    if (n > m->now.start)
        return MR_TEXT_RANGE_START;
    if (m->now.start - n + m->now.offset < 0)
        return MR_TEXT_OFFSET_START;
    m->now.start -= n;
    commit(m);
    return 0;
}

int model_skip(struct model *m, int64_t n)
{
    if (m->reserved)
        return MR_TEXT_RESERVED;
    if (n < 0)
        return MR_TEXT_NEGATIVE_N;
    if (n >= model_active_length(m))
        return MR_TEXT_SKIP_ALL;
    if (m->now.start + n > m->now.end)
        return MR_TEXT_RANGE_START;
    m->now.start += n;
    commit(m);
    return 0;
}

int model_chunk(struct model *m, int64_t size)
{
    if (m->reserved)
        return MR_TEXT_RESERVED;
    if (size <= 0 || size >= model_active_length(m))
        return MR_TEXT_CHUNK_SIZE;
    if (m->now.end + size - model_active_length(m) < m->now.start)
        return MR_TEXT_RANGE_END;
    m->now.end += size - model_active_length(m);
    m->now.chunked = true;
    commit(m);
    return 0;
}

int model_advance_chunk(struct model *m)
{
    if (m->reserved)
        return MR_TEXT_RESERVED;
    if (!m->now.chunked)
        return MR_TEXT_NOT_CHUNKED;
    to_next_chunk(m);
    commit(m);
    return 0;
}

int model_append(struct model *m, int64_t token, bool mark)
{
    int error;

    if (m->reserved)
        return MR_TEXT_RESERVED;
    if (m->now.chunked)
        return MR_TEXT_CHUNKED;
    if ((error = can_append(m, token)))
        return error;
    append(m, token, mark);
    commit(m);
    return 0;
}

int model_overwrite(struct model *m, int64_t token)
{
    if (m->reserved)
        return MR_TEXT_RESERVED;
    if (m->now.length == m->now.prompt)
        return MR_TEXT_NOTHING_GENERATED;
    if (token < 0)
        return MR_TEXT_NEGATIVE_TOKEN;
    m->now.tokens[m->now.length - 1] = token;
    m->now.placeholder = false;
    commit(m);
    return 0;
}

/* ---- output ---- */

int model_consume(struct model *m, struct model_output *output)
{
    if (m->reserved)
        return MR_TEXT_RESERVED;
    if (m->now.consumed == m->now.length)
        return MR_TEXT_NOTHING_OUTSTANDING;
    *output = (struct model_output){.start = m->now.consumed, .end = m->now.length};
    forget(m, output->start, output->end);
    m->now.consumed = m->now.length;
    commit(m);
    return 0;
}

int model_output(struct model *m, struct model_output *output)
{
    if (m->reserved)
        return MR_TEXT_RESERVED;
    if (m->now.placeholder && m->now.consumed < m->now.length)
        return MR_TEXT_OUTPUT_FUTURE;
    *output = (struct model_output){.start = m->now.consumed, .end = m->now.length};
    for (int64_t i = output->start; i < output->end; i++)
        output->records[i - output->start] = m->now.map[i + 1];
    if (output->start == output->end)
        return 0;
    forget(m, output->start, output->end);
    m->now.consumed = m->now.length;
    commit(m);
    return 0;
}

int model_echo(struct model *m, int64_t position, int record)
{
    if (m->reserved)
        return MR_TEXT_RESERVED;
    if (position < 1 || position >= m->setup->prompt_length)
        return MR_TEXT_INDEX;
    if (position < m->now.echo)
        return 0;
    if (!has_room(m, record))
        return MR_TEXT_CAPACITY;
    store(m, position, record);
    m->now.echo = position + 1;
    return 0;
}

/* ---- the rest ---- */

int model_set_status(struct model *m, int status)
{
    m->now.status = m->now.status_before = status;
    commit(m);
    return 0;
}

int model_reserve(struct model *m, int64_t n)
{
    if (m->reserved)
        return MR_TEXT_RESERVED;
    if (n < m->now.start - m->now.end)
        return MR_TEXT_RANGE_END;
    if (n > m->setup->capacity - m->now.length)
        return MR_TEXT_CAPACITY;
    m->reserved = true;
    m->saved_length = m->now.length;
    m->saved_end = m->now.end;
    m->now.length += n;
    m->now.end += n;
    return 0;
}

void model_leave(struct model *m)
{
    if (!m->reserved)
        return;
    m->reserved = false;
    m->now.length = m->saved_length;
    m->now.end = m->saved_end;
    if (m->deferred)
        commit(m);
}

void model_hold(struct model *m)
{
    m->held = true;
}

void model_release(struct model *m)
{
    m->held = false;
    if (m->deferred)
        commit(m);
}
