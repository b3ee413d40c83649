/*
 * text_fields.c - reading a text context: views, lengths, fields of the request
 *
 * Everything is read from the private cursors and the private copy of the parameters, so a view
 * never reaches outside of the token array whatever lies in shared memory. Inside a reserve scope a
 * negative n may cross the ends of a view over; it is empty then.
 */
#include "ipc/text.h"

/* ---- views and lengths ---- */

static mr_tokens view(const mr_text *text, int64_t start, int64_t end)
{
    const mr_context *c = mr_context_of(text);

    return (mr_tokens){c->tokens + start, end > start ? (size_t)(end - start) : 0};
}

static int64_t word(const mr_text *text, enum mr_cursor cursor)
{
    return mr_context_of(text)->now[cursor];
}

mr_tokens mr_text_all(const mr_text *text)
{
    return view(text, 0, word(text, MR_CURSOR_LENGTH));
}

mr_tokens mr_text_prompt(const mr_text *text)
{
    return view(text, 0, word(text, MR_CURSOR_PROMPT));
}

mr_tokens mr_text_generated(const mr_text *text)
{
    return view(text, word(text, MR_CURSOR_PROMPT), word(text, MR_CURSOR_LENGTH));
}

mr_tokens mr_text_active(const mr_text *text)
{
    return view(text, word(text, MR_CURSOR_START) + word(text, MR_CURSOR_OFFSET),
                word(text, MR_CURSOR_END));
}

int64_t mr_text_length(const mr_text *text)
{
    return word(text, MR_CURSOR_LENGTH);
}

int64_t mr_text_prompt_length(const mr_text *text)
{
    return word(text, MR_CURSOR_PROMPT);
}

int64_t mr_text_generated_length(const mr_text *text)
{
    return word(text, MR_CURSOR_LENGTH) - word(text, MR_CURSOR_PROMPT);
}

int64_t mr_text_processed_length(const mr_text *text)
{
    return word(text, MR_CURSOR_START);
}

int64_t mr_text_active_length(const mr_text *text)
{
    return word(text, MR_CURSOR_END) - word(text, MR_CURSOR_START) - word(text, MR_CURSOR_OFFSET);
}

int64_t mr_text_current_position(const mr_text *text)
{
    return word(text, MR_CURSOR_END) - word(text, MR_CURSOR_OFFSET);
}

int64_t mr_text_processing_end(const mr_text *text)
{
    return word(text, MR_CURSOR_END);
}

int64_t mr_text_processing_offset(const mr_text *text)
{
    return word(text, MR_CURSOR_OFFSET);
}

int64_t mr_text_completion_start(const mr_text *text)
{
    return word(text, MR_CURSOR_CONSUMED);
}

int64_t mr_text_completion_end(const mr_text *text)
{
    return word(text, MR_CURSOR_COMPLETION);
}

bool mr_text_has_outstanding_generated_tokens(const mr_text *text)
{
    return word(text, MR_CURSOR_COMPLETION) > word(text, MR_CURSOR_CONSUMED);
}

bool mr_text_actively_chunked(const mr_text *text)
{
    return word(text, MR_CURSOR_FLAGS) & MR_FLAG_CHUNKED;
}

int mr_text_get(const mr_text *text, int64_t index, int64_t *token)
{
    const mr_context *c = mr_context_of(text);
    int64_t length = c->now[MR_CURSOR_LENGTH];

    if (index < -length || index >= length)
        return mr_text_refuse(c, MR_TEXT_INDEX, "read a token of",
                              "the index lies outside of [-length, length)");
    *token = c->tokens[index < 0 ? length + index : index];
    return 0;
}

int64_t mr_text_original_prompt_length(const mr_text *text)
{
    return mr_context_of(text)->params.original_prompt;
}

int64_t mr_text_capacity(const mr_text *text)
{
    return mr_context_of(text)->params.capacity;
}

/* ---- fields ---- */

int64_t mr_text_max_length(const mr_text *text)
{
    return mr_context_of(text)->params.max_length;
}

int64_t mr_text_min_tokens(const mr_text *text)
{
    return mr_context_of(text)->params.sampling.min_new_tokens;
}

int mr_text_log_probabilities(const mr_text *text)
{
    return (int)mr_context_of(text)->params.log_probabilities;
}

bool mr_text_wants_log_probabilities(const mr_text *text)
{
    return mr_context_of(text)->params.want_log_probabilities;
}

bool mr_text_log_probabilities_echo(const mr_text *text)
{
    return mr_context_of(text)->params.log_probabilities_echo;
}

bool mr_text_ignore_eos(const mr_text *text)
{
    return mr_context_of(text)->params.ignore_eos;
}

static mr_bytes bytes_of(const mr_context *c, const mr_range *range)
{
    return (mr_bytes){(const char *)c->domain->data + range->offset, range->bytes};
}

mr_bytes mr_text_json_schema(const mr_text *text)
{
    return bytes_of(mr_context_of(text), &mr_context_of(text)->params.json_schema);
}

mr_bytes mr_text_target_endpoint(const mr_text *text)
{
    return bytes_of(mr_context_of(text), &mr_context_of(text)->params.target_endpoint);
}

const int64_t *mr_text_eos_token_ids(const mr_text *text, size_t *count)
{
    const mr_context *c = mr_context_of(text);

    return mr_context_words(c, &c->params.eos_ids, count);
}

size_t mr_text_eos_sequence_count(const mr_text *text)
{
    return mr_context_of(text)->params.eos_sequence_count;
}

mr_tokens mr_text_eos_sequence(const mr_text *text, size_t i)
{
    mr_sequences rest = mr_text_sequences(mr_context_of(text));
    mr_tokens sequence;

    while (mr_text_next_sequence(&rest, &sequence))
        if (i-- == 0)
            return sequence;
    return (mr_tokens){NULL, 0};
}

bool mr_text_is_initial_prompt(const mr_text *text)
{
    return word(text, MR_CURSOR_FLAGS) & MR_FLAG_INITIAL;
}

enum mr_status mr_text_status(const mr_text *text)
{
    return (enum mr_status)word(text, MR_CURSOR_STATUS);
}

bool mr_text_is_done(const mr_text *text)
{
    return word(text, MR_CURSOR_STATUS) != MR_ACTIVE;
}

/* ---- computed from these ---- */

/* Like Python's integers but for 2^63: the result wraps there, which no sane limit reaches. */
int64_t mr_text_compute_num_available_steps(const mr_text *text, int64_t max_seq_len)
{
    int64_t used = mr_text_length(text) - mr_text_active_length(text);

    return (int64_t)((uint64_t)max_seq_len - (uint64_t)used);
}

bool mr_text_min_token_mask(const mr_text *text, int64_t step)
{
    const mr_context *c = mr_context_of(text);
    int64_t position;

    if (__builtin_add_overflow(mr_text_current_position(text), step, &position))
        return false;
    return position >= c->now[MR_CURSOR_BASE] &&
           position - c->now[MR_CURSOR_BASE] < c->params.sampling.min_new_tokens;
}
