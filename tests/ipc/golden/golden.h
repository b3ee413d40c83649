/*
 * golden.h - what the files of the golden replay share
 *
 *     golden.c      reads the files, tells kinds apart, counts
 *     report.c      says what differed
 *     slugs.c       the vectors' reasons and our error codes
 *     request.c     a line's constructor arguments as a request
 *     state.c       a context's state as the vectors write it
 *     operations.c  the operations by their names
 *     parts.c, parts_operations.c   what belongs to vision and speech
 *     replay.c      step by step: what is expected, what differs by a verdict of the specification
 *     numbers.c     typed arrays and checksums
 *     ..._kind.c    kinds that are no sequence of operations
 *
 * The vectors' format is that of tests/ipc/golden/README.md.
 */
#ifndef MILLRACE_TESTS_GOLDEN_H
#define MILLRACE_TESTS_GOLDEN_H

#include "tests/ipc/fixture.h"
#include <jansson.h>
#include <millrace/tts.h>

/* ---- report.c ---- */

/* Where the replay is; false is returned by whoever reports a difference. */
struct place {
    const char *file;
    size_t line;
    const char *id;
    size_t step;    /* 0: creation */
    const char *op; /* of the step */
};

bool report_text(const struct place *place, const char *what, const char *expected,
                 const char *actual);
bool report_json(const struct place *place, const char *what, const json_t *expected,
                 const json_t *actual);

/* Equal as the vectors mean it: numbers by value, an int equals the float of the same value. */
bool json_same(const json_t *a, const json_t *b);

/* report_compare - true if equal, else it is reported */
bool report_compare(const struct place *place, const char *what, const json_t *expected,
                    const json_t *actual);

/* ---- slugs.c ---- */

/* slug_code - our error code for a reason; 0 if there is none */
int slug_code(const char *slug);

/* report_error - true if an operation gave what is expected: rc 0 and no slug, or the slug's code
 */
bool report_error(const struct place *place, const char *slug, int rc, int code);

/* ---- request.c ---- */

/* What a parsed request points to; freed together. */
struct pool {
    void *blocks[256];
    size_t count;
};

void *pool_get(struct pool *pool, size_t bytes);
void pool_free(struct pool *pool);

int64_t *json_integers(struct pool *pool, const json_t *list, size_t *count);

/* request_parse - the arguments of `new` for a kind; less than 0 when the constructor would refuse
 * them before there is a request */
int request_parse(struct pool *pool, const char *kind, const json_t *arguments,
                  mr_request *request);

/* request_logprobs - the `logprob` argument of an operation, or NULL */
const mr_logprobs *request_logprobs(struct pool *pool, const json_t *argument);

/* ---- a context under replay ---- */

struct subject {
    struct fixture *fixture;
    const json_t *allowed; /* the matcher's tokens; NULL: all */
    bool has_matcher;
    int64_t matcher_consumed;
    int64_t defined; /* tokens before this index have contents; behind it they are reserved */
};

/* ---- state.c ---- */

json_t *state_of(const struct subject *subject);
const char *status_name(enum mr_status status);
enum mr_status status_of(const char *name);

/* ---- operations.c ---- */

struct outcome {
    int rc;
    int code;    /* mr_error_code() if rc < 0 */
    json_t *ret; /* NULL: nothing to compare; the caller's */
};

/* A record of log-probabilities as the vectors write it. */
json_t *record_of(const mr_logprobs *record);

/* operation_run - false: no such operation */
bool operation_run(struct subject *subject, const char *name, const json_t *arguments,
                   struct outcome *outcome);

/* ---- parts.c, parts_operations.c ---- */

void parts_parse(struct pool *pool, const char *kind, const json_t *arguments, mr_request *request);
void parts_add(json_t *state, mr_context *context);
json_t *speech_of(mr_speech speech);

int compute_image_aligned_idx(struct subject *s, const json_t *a, json_t **ret);
int update_speech_tokens(struct subject *s, const json_t *a, json_t **ret);
int next_speech_tokens(struct subject *s, const json_t *a, json_t **ret);
int set_decoded_index(struct subject *s, const json_t *a, json_t **ret);
int set_audio_generation_status(struct subject *s, const json_t *a, json_t **ret);
int validate_requires_vision_context(struct subject *s, const json_t *a, json_t **ret);
int validate_only_one_image(struct subject *s, const json_t *a, json_t **ret);
int validate_initial_prompt_has_image(struct subject *s, const json_t *a, json_t **ret);
int validate_aspect_ratio_args(struct subject *s, const json_t *a, json_t **ret);
int validate_image_shape_5d(struct subject *s, const json_t *a, json_t **ret);
int validate_image_grid_thw_args(struct subject *s, const json_t *a, json_t **ret);
int validate_vision_position_ids(struct subject *s, const json_t *a, json_t **ret);

/* ---- numbers.c ---- */

double json_float(const json_t *value);
mr_array json_typed_array(struct pool *pool, const json_t *object); /* {shape, dtype, data} */
json_t *shape_of(const mr_array *array);
json_t *checksum_of(const mr_array *array);

/* ---- kinds; each replays one line, true if all is as expected ---- */

bool replay_text(struct place *place, const json_t *line);
bool replay_reserve(struct place *place, const json_t *line);
bool sampling_kind(struct place *place, const json_t *line);
bool merge_kind(struct place *place, const json_t *line);
bool pixel_kind(struct place *place, const json_t *line);
bool text_tokenizer_kind(struct place *place, const json_t *line);
bool image_hash_kind(struct place *place, const json_t *line);
bool pixel_tokenizer_kind(struct place *place, const json_t *line);

#endif
