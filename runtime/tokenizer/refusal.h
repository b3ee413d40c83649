/*
 * refusal.h - why a record is not accepted, as its answer will tell
 *
 * The codes are words that scripts compare; docs/formats.md lists them. The message is one
 * sentence, valid UTF-8, whatever stood in the record.
 */
#ifndef RUNTIME_TOKENIZER_REFUSAL_H
#define RUNTIME_TOKENIZER_REFUSAL_H

#include <stdbool.h>
#include <stddef.h>

enum { REFUSAL_MESSAGE_MAX = 400, REFUSAL_PARAM_MAX = 96 };

struct refusal {
    const char *code; /* a literal */
    char message[REFUSAL_MESSAGE_MAX];
    char param[REFUSAL_PARAM_MAX]; /* the field to blame, "body.top_p"; "" if there is none */
};

#define REFUSAL_INVALID_JSON          "invalid_json"
#define REFUSAL_LINE_TOO_LONG         "line_too_long"
#define REFUSAL_INVALID_RECORD        "invalid_record" /* what stands around the body */
#define REFUSAL_DUPLICATE_ID          "duplicate_custom_id"
#define REFUSAL_UNKNOWN_URL           "unknown_url"
#define REFUSAL_INVALID_PARAMETER     "invalid_parameter"
#define REFUSAL_UNKNOWN_PARAMETER     "unknown_parameter"
#define REFUSAL_UNSUPPORTED_PARAMETER "unsupported_parameter"
#define REFUSAL_CONTEXT_LENGTH        "context_length_exceeded"
#define REFUSAL_TOO_LARGE             "request_too_large"
#define REFUSAL_NO_TEMPLATE           "no_chat_template"
#define REFUSAL_POISON                "kills_tokenizer"
#define REFUSAL_SERVER_ERROR          "server_error"

/* refuse - fill a refusal; always false, for `return refuse(...)` */
bool refuse(struct refusal *refusal, const char *code, const char *param, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A piece of a record for a message: in quotes, shortened, without control characters. */
struct quoted {
    char text[72];
};
struct quoted quote(const char *bytes, size_t length);

#endif
