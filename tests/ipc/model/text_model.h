/*
 * text_model.h - a second TextContext, written in another manner, to compare the first with
 *
 * Plain arrays in private memory, the specification's sentences one by one, a table instead of a
 * log for the records, and no idea of commits but one: the state as of the last one is kept as a
 * whole copy. Each operation returns 0 or the error code that libmillrace must give.
 */
#ifndef MILLRACE_TESTS_TEXT_MODEL_H
#define MILLRACE_TESTS_TEXT_MODEL_H

#include <millrace/text.h>

enum { MODEL_TOKENS = 128, MODEL_KEYS = 2 * MODEL_TOKENS };

/* What a model is made of; constant. */
struct model_setup {
    int64_t prompt[MODEL_TOKENS];
    int prompt_length;
    int64_t max_length;
    int64_t capacity;
    int64_t record_bytes;
    int64_t min_tokens;
    int64_t eos_ids[2];
    size_t eos_count;
    int64_t sequences[2][3];
    size_t sequence_lengths[2];
    size_t sequence_count;
};

/* A record is told by a number, 0: none; it has number % 4 alternatives. The smallest key that can
 * be is -1, that of a placeholder realised while the offset makes the active window empty. */
struct model_state {
    int64_t tokens[MODEL_TOKENS + 1];
    int64_t length, prompt, start, end, offset, consumed, base;
    bool chunked, initial, placeholder;
    int status, status_before;
    int map[MODEL_KEYS];  /* [key + 1]: records not yet delivered, as MAX's dictionary */
    int last[MODEL_KEYS]; /* [key + 1]: the last record ever stored, as the collector finds it */
    int64_t record_bytes;
    int64_t echo;
    int resets;
};

struct model {
    const struct model_setup *setup;
    struct model_state now;
    struct model_state committed;
    bool reserved, held, deferred;
    int64_t saved_length, saved_end;
    bool has_matcher;
    int64_t matcher_refuses; /* token */
    int64_t matcher_taken;
};

struct model_output {
    int64_t start, end;
    int records[MODEL_TOKENS]; /* of each position, 0: none */
};

int64_t model_active_length(const struct model *m);
int64_t model_position(const struct model *m);
bool model_masked(const struct model *m, int64_t step);

void model_start(struct model *m, const struct model_setup *setup);
int model_update(struct model *m, int64_t token, int record);
int model_jump_ahead(struct model *m, int64_t token);
int model_future(struct model *m, bool *chunk_advanced);
int model_realize(struct model *m, int64_t token, int record);
int model_reset(struct model *m, bool whole);
int model_offset(struct model *m, int64_t offset);
int model_rewind(struct model *m, int64_t n);
int model_skip(struct model *m, int64_t n);
int model_chunk(struct model *m, int64_t size);
int model_advance_chunk(struct model *m);
int model_append(struct model *m, int64_t token, bool mark);
int model_overwrite(struct model *m, int64_t token);
int model_consume(struct model *m, struct model_output *output);
int model_output(struct model *m, struct model_output *output);
int model_set_status(struct model *m, int status);
int model_echo(struct model *m, int64_t position, int record);
int model_reserve(struct model *m, int64_t n);
void model_leave(struct model *m);
void model_hold(struct model *m);
void model_release(struct model *m);
void model_take_over(struct model *m);
void model_die(struct model *m); /* the holder is gone, a successor loads it */

#endif
