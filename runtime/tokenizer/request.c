/*
 * request.c - a record of the input, read and checked: what stands around the body
 */
#include "runtime/tokenizer/request.h"
#include "runtime/tokenizer/json.h"
#include "runtime/tokenizer/request_parts.h"
#include <stdlib.h>
#include <string.h>

static bool read_custom_id(struct request *request, struct refusal *refusal)
{
    const json_t *id = json_object_get(request->root, "custom_id");
    if (id == NULL || json_is_null(id))
        return refuse(refusal, REFUSAL_INVALID_RECORD, "custom_id", "'custom_id' is missing");
    if (!json_is_string(id))
        return refuse(refusal, REFUSAL_INVALID_RECORD, "custom_id",
                      "'custom_id' must be a string, not %s", json_type_name(id));
    if (json_string_length(id) == 0 || json_string_length(id) > REQUEST_ID_MAX)
        return refuse(refusal, REFUSAL_INVALID_RECORD, "custom_id",
                      "'custom_id' has %zu bytes, but must have 1 to %d", json_string_length(id),
                      REQUEST_ID_MAX);
    request->custom_id = (mr_bytes){json_string_value(id), json_string_length(id)};
    return true;
}

bool request_open(struct request *request, const char *line, size_t length, struct refusal *refusal)
{
    *request = (struct request){.begin = true};
    mr_sampling_defaults(&request->sampling);
    request->root = json_parse(line, length, refusal);
    if (request->root == NULL)
        return false;
    if (!json_is_object(request->root))
        return refuse(refusal, REFUSAL_INVALID_RECORD, "",
                      "the line is %s, but a record is an object", json_type_name(request->root));
    return read_custom_id(request, refusal);
}

static bool read_url(struct request *request, struct fields *record)
{
    static const struct {
        const char *url;
        enum endpoint endpoint;
    } known[] = {{"/v1/chat/completions", ENDPOINT_CHAT},
                 {"/v1/completions", ENDPOINT_COMPLETION},
                 {"/v1/audio/speech", ENDPOINT_SPEECH},
                 {"/v1/images/generations", ENDPOINT_IMAGE}};
    const char *url;
    size_t length;
    if (!fields_string(record, "url", &url, &length))
        return fields_refuse(record, REFUSAL_INVALID_RECORD, "url", "is missing");
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strlen(known[i].url) == length && memcmp(known[i].url, url, length) == 0)
            request->endpoint = known[i].endpoint;
    if (request->endpoint == ENDPOINT_UNKNOWN)
        return fields_refuse(record, REFUSAL_UNKNOWN_URL, "url",
                             "is %s; known are '/v1/chat/completions', '/v1/completions', "
                             "'/v1/audio/speech' and '/v1/images/generations'",
                             quote(url, length).text);
    return true;
}

static bool check_method(struct fields *record)
{
    const char *method = "POST";
    size_t length = 4;
    fields_string(record, "method", &method, &length);
    if (fields_ok(record) && (length != 4 || memcmp(method, "POST", 4) != 0))
        fields_refuse(record, REFUSAL_INVALID_RECORD, "method", "is %s, but must be 'POST'",
                      quote(method, length).text);
    return fields_ok(record);
}

static const json_t *find_body(struct fields *record)
{
    const json_t *body = fields_get(record, "body");
    if (body == NULL)
        fields_refuse(record, REFUSAL_INVALID_RECORD, "body", "is missing");
    else if (!json_is_object(body))
        fields_refuse(record, REFUSAL_INVALID_RECORD, "body", "must be an object, not %s",
                      json_type_name(body));
    return fields_ok(record) ? body : NULL;
}

/* check_served - whether this run has workers for the record's kind */
static bool check_served(const struct request *request, const struct served *served,
                         struct fields *record)
{
    static const char *const names[] = {[MR_KIND_TEXT] = "text",
                                        [MR_KIND_VISION] = "vision",
                                        [MR_KIND_TTS] = "tts",
                                        [MR_KIND_PIXEL] = "pixel"};
    if (served->kinds >> request->kind & 1)
        return true;
    return fields_refuse(record, REFUSAL_UNKNOWN_URL, "url",
                         "asks for a request of kind %s, which this run doesn't serve; start it "
                         "with --kinds and a --worker for it",
                         names[request->kind]);
}

static bool read_text_body(struct request *request, struct fields *body,
                           const struct served *served)
{
    bool with_images = served->kinds & MR_TAKES_VISION;
    bool good = request->endpoint == ENDPOINT_CHAT
                    ? request_read_messages(request, body, with_images)
                    : request_read_prompt(request, body, served->tokens);
    request->kind = request->image_count > 0 ? MR_KIND_VISION : MR_KIND_TEXT;
    return good && request_read_parameters(request, body, served->tokens);
}

static bool read_body(struct request *request, struct fields *body, const struct served *served)
{
    switch (request->endpoint) {
    case ENDPOINT_SPEECH:
        request->kind = MR_KIND_TTS;
        return request_read_speech(request, body) &&
               request_read_parameters(request, body, served->tokens);
    case ENDPOINT_IMAGE:
        request->kind = MR_KIND_PIXEL;
        return request_read_picture(request, body);
    case ENDPOINT_UNKNOWN:
    case ENDPOINT_CHAT:
    case ENDPOINT_COMPLETION:
        break;
    }
    return read_text_body(request, body, served);
}

bool request_read(struct request *request, const struct served *served, struct refusal *refusal)
{
    struct fields record = fields_of(request->root, "", refusal), body;
    const json_t *object;
    if (!read_url(request, &record) || !check_method(&record))
        return false;
    object = find_body(&record);
    if (object == NULL)
        return false;
    body = fields_of(object, "body.", refusal);
    return request_check_names(&body, request->endpoint) && read_body(request, &body, served) &&
           check_served(request, served, &record);
}

void request_free(struct request *request)
{
    json_decref(request->root);
    free(request->tokens);
    free(request->biases);
    free(request->audio_prompt_tokens);
    for (size_t i = 0; request->messages != NULL && i < request->message_count; i++)
        free(request->messages[i].marks);
    free(request->messages);
    *request = (struct request){0};
}
