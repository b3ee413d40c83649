/*
 * speech.c - what is to be spoken: the body of /v1/audio/speech
 *
 * Its fields are OpenAI's, how to sample is parameters.c's. A prompt of sound, whose voice is to be
 * imitated, is a file or already tokens.
 */
#include "runtime/tokenizer/request_parts.h"
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_SECONDS = 30, MAX_SECONDS = 600, MAX_PROMPT_TOKENS = 1 << 20 };

static bool read_input(struct request *request, struct fields *body)
{
    const char *text;
    size_t length;
    if (!fields_string(body, "input", &text, &length))
        return fields_refuse(body, REFUSAL_INVALID_PARAMETER, "input", "is missing");
    if (length == 0)
        return fields_refuse(body, REFUSAL_INVALID_PARAMETER, "input", "is empty");
    request->text = (mr_bytes){text, length};
    return true;
}

static void read_prompt_tokens(struct request *request, struct fields *body)
{
    const json_t *tokens = fields_get(body, "audio_prompt_tokens"), *token;
    size_t index;
    if (tokens == NULL)
        return;
    if (!json_is_array(tokens) || json_array_size(tokens) == 0 ||
        json_array_size(tokens) > MAX_PROMPT_TOKENS) {
        fields_refuse(body, REFUSAL_INVALID_PARAMETER, "audio_prompt_tokens",
                      "must be an array of 1 to %d integers", MAX_PROMPT_TOKENS);
        return;
    }
    request->audio_prompt_tokens = calloc(json_array_size(tokens), sizeof(int64_t));
    if (request->audio_prompt_tokens == NULL) {
        fields_refuse(body, REFUSAL_TOO_LARGE, "audio_prompt_tokens", "is too large");
        return;
    }
    json_array_foreach(tokens, index, token)
    {
        if (!json_is_integer(token)) {
            fields_refuse(body, REFUSAL_INVALID_PARAMETER, "audio_prompt_tokens",
                          "has no integer at index %zu", index);
            return;
        }
        request->audio_prompt_tokens[request->audio_prompt_count++] = json_integer_value(token);
    }
}

static void read_audio_prompt(struct request *request, struct fields *body)
{
    const char *url;
    size_t length;
    read_prompt_tokens(request, body);
    if (!fields_string(body, "audio_prompt", &url, &length))
        return;
    request->audio_prompt = (mr_bytes){url, length};
    if (length == 0)
        fields_refuse(body, REFUSAL_INVALID_PARAMETER, "audio_prompt", "is empty");
    else if (request->audio_prompt_tokens != NULL)
        fields_refuse(body, REFUSAL_INVALID_PARAMETER, "audio_prompt",
                      "and 'body.audio_prompt_tokens' exclude each other");
}

static void check_format(struct fields *body)
{
    const char *format;
    size_t length;
    double speed;
    if (fields_string(body, "response_format", &format, &length) &&
        (length != 3 || memcmp(format, "wav", 3) != 0))
        fields_refuse(body, REFUSAL_UNSUPPORTED_PARAMETER, "response_format",
                      "is %s, but only 'wav' is supported", quote(format, length).text);
    if (fields_number(body, "speed", 0.25, 4, &speed) && (speed < 1 || speed > 1))
        fields_refuse(body, REFUSAL_UNSUPPORTED_PARAMETER, "speed",
                      "is %g, but only 1 is supported", speed);
}

bool request_read_speech(struct request *request, struct fields *body)
{
    request->max_seconds = DEFAULT_SECONDS;
    if (!read_input(request, body))
        return false;
    read_audio_prompt(request, body);
    fields_number(body, "max_seconds", 0.01, MAX_SECONDS, &request->max_seconds);
    check_format(body);
    return fields_ok(body);
}
