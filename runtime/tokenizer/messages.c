/*
 * messages.c - a chat's messages
 *
 * A content is a string or an array of parts: texts, which are joined, and images, of which the
 * message keeps the places and the request the urls. What a joined content needs of memory hangs on
 * the message's own JSON object, so it is freed with the record.
 */
#include "runtime/tokenizer/request_parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The key under which a joined content is kept; should a message have it too, it is replaced. */
static const char joined_key[] = "\x01joined";

static bool read_role(struct fields *message, gguf_text *role)
{
    static const char *const roles[] = {"system", "developer", "user", "assistant", "tool"};
    const char *bytes;
    size_t length;
    if (!fields_string(message, "role", &bytes, &length))
        return fields_refuse(message, REFUSAL_INVALID_PARAMETER, "role", "is missing");
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
        if (strlen(roles[i]) == length && memcmp(roles[i], bytes, length) == 0) {
            /* OpenAI's newer word for the same; models know the older. */
            bool developer = strcmp(roles[i], "developer") == 0;
            *role = developer ? (gguf_text){"system", 6} : (gguf_text){bytes, length};
            return true;
        }
    return fields_refuse(message, REFUSAL_INVALID_PARAMETER, "role",
                         "is %s; known are system, developer, user, assistant and tool",
                         quote(bytes, length).text);
}

/* What a part is. */
enum part_type { PART_WRONG, PART_TEXT, PART_IMAGE };

static enum part_type type_of_part(struct fields *message, const json_t *part, bool with_images)
{
    const json_t *type = json_object_get(part, "type");
    const char *name = json_string_value(type);
    if (!json_is_object(part) || name == NULL)
        fields_refuse(message, REFUSAL_INVALID_PARAMETER, "content",
                      "has a part that is no object with a 'type'");
    else if (strcmp(name, "text") == 0)
        return PART_TEXT;
    else if (with_images && strcmp(name, "image_url") == 0)
        return PART_IMAGE;
    else
        fields_refuse(message, REFUSAL_UNSUPPORTED_PARAMETER, "content",
                      "has a part of type %s; this run takes parts of type %s only",
                      quote(name, json_string_length(type)).text,
                      with_images ? "'text' and 'image_url'" : "'text'");
    return PART_WRONG;
}

static const json_t *text_of_part(struct fields *message, const json_t *part)
{
    const json_t *text = json_object_get(part, "text");
    if (!json_is_string(text))
        fields_refuse(message, REFUSAL_INVALID_PARAMETER, "content",
                      "has a part of type 'text' whose 'text' is no string");
    return json_is_string(text) ? text : NULL;
}

static bool add_image(struct request *request, struct fields *message, const json_t *part)
{
    const json_t *image = json_object_get(part, "image_url");
    const json_t *url = json_is_object(image) ? json_object_get(image, "url") : image;
    if (!json_is_string(url) || json_string_length(url) == 0)
        return fields_refuse(message, REFUSAL_INVALID_PARAMETER, "content",
                             "has a part of type 'image_url' without an 'image_url.url'");
    if (request->image_count == REQUEST_MAX_IMAGES)
        return fields_refuse(message, REFUSAL_TOO_LARGE, "content",
                             "has an image too many; a request has at most %d", REQUEST_MAX_IMAGES);
    request->images[request->image_count++] =
        (mr_bytes){json_string_value(url), json_string_length(url)};
    return true;
}

/* Whether all parts are good. The images among them are added to the request. */
static bool check_parts(struct request *request, struct fields *message, const json_t *parts,
                        bool with_images, size_t *length, size_t *marks)
{
    const json_t *part;
    size_t index;
    json_array_foreach(parts, index, part)
    {
        enum part_type type = type_of_part(message, part, with_images);
        const json_t *text = type == PART_TEXT ? text_of_part(message, part) : NULL;
        if (type == PART_IMAGE)
            *marks += add_image(request, message, part);
        *length += json_string_length(text);
        if (!fields_ok(message))
            return false;
    }
    return true;
}

/* The texts behind each other; an image leaves a mark. */
static size_t join_parts(const json_t *parts, char *bytes, size_t *marks)
{
    const json_t *part;
    size_t index, length = 0, count = 0;
    json_array_foreach(parts, index, part)
    {
        const json_t *text = json_object_get(part, "text");
        if (strcmp(json_string_value(json_object_get(part, "type")), "text") != 0) {
            marks[count++] = length;
            continue;
        }
        memcpy(bytes + length, json_string_value(text), json_string_length(text));
        length += json_string_length(text);
    }
    return length;
}

static bool read_parts(struct request *request, struct fields *message, const json_t *parts,
                       bool with_images, chat_message *result)
{
    size_t length = 0;
    json_t *joined = NULL;
    char *bytes;
    if (!check_parts(request, message, parts, with_images, &length, &result->mark_count))
        return false;
    bytes = malloc(length + 1);
    result->marks = calloc(result->mark_count + 1, sizeof(*result->marks));
    if (bytes != NULL && result->marks != NULL)
        joined = json_stringn(bytes, join_parts(parts, bytes, result->marks));
    free(bytes);
    /* json_object_set_new() takes `joined`, also when it fails. */
    if (json_object_set_new((json_t *)(uintptr_t)message->object, joined_key, joined) < 0)
        return fields_refuse(message, REFUSAL_TOO_LARGE, "content", "is too large to be joined");
    result->content = (gguf_text){json_string_value(joined), json_string_length(joined)};
    return true;
}

static bool read_content(struct request *request, struct fields *message, bool with_images,
                         chat_message *result)
{
    const json_t *value = fields_get(message, "content");
    if (value == NULL)
        return fields_refuse(message, REFUSAL_INVALID_PARAMETER, "content", "is missing");
    if (json_is_array(value))
        return read_parts(request, message, value, with_images, result);
    if (!json_is_string(value))
        return fields_refuse(message, REFUSAL_INVALID_PARAMETER, "content",
                             "must be a string or an array of parts, not %s",
                             json_type_name(value));
    result->content = (gguf_text){json_string_value(value), json_string_length(value)};
    return true;
}

static bool refuse_tool_calls(struct fields *message)
{
    static const char *const names[] = {"tool_calls", "function_call", "audio"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const json_t *value = fields_get(message, names[i]);
        if (value != NULL && !(json_is_array(value) && json_array_size(value) == 0))
            return fields_refuse(message, REFUSAL_UNSUPPORTED_PARAMETER, names[i],
                                 "is not supported");
    }
    return true;
}

static bool read_message(struct request *request, const json_t *object, size_t index,
                         bool with_images, struct refusal *refusal)
{
    chat_message *message = &request->messages[index];
    char path[48];
    struct fields fields;
    snprintf(path, sizeof(path), "body.messages[%zu]", index);
    if (!json_is_object(object))
        return refuse(refusal, REFUSAL_INVALID_PARAMETER, path, "'%s' must be an object, not %s",
                      path, json_type_name(object));
    strcat(path, ".");
    fields = fields_of(object, path, refusal);
    return read_role(&fields, &message->role) && refuse_tool_calls(&fields) &&
           read_content(request, &fields, with_images, message);
}

bool request_read_messages(struct request *request, struct fields *body, bool with_images)
{
    const json_t *messages = fields_get(body, "messages"), *message;
    size_t index;
    if (messages == NULL)
        return fields_refuse(body, REFUSAL_INVALID_PARAMETER, "messages", "is missing");
    if (!json_is_array(messages) || json_array_size(messages) == 0)
        return fields_refuse(body, REFUSAL_INVALID_PARAMETER, "messages",
                             "must be an array of at least one message");
    request->message_count = json_array_size(messages);
    request->messages = calloc(request->message_count, sizeof(*request->messages));
    if (request->messages == NULL)
        return fields_refuse(body, REFUSAL_TOO_LARGE, "messages", "has too many messages");
    json_array_foreach(messages, index,
                       message) if (!read_message(request, message, index, with_images,
                                                  body->refusal)) return false;
    return true;
}
