/*
 * messages.c - a chat's messages
 *
 * A content is a string or an array of parts of text, which are joined. What a joined content
 * needs of memory hangs on the message's own JSON object, so it is freed with the record.
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

static const json_t *text_of_part(struct fields *message, const json_t *part)
{
    const json_t *type = json_object_get(part, "type"), *text = json_object_get(part, "text");
    if (!json_is_object(part) || !json_is_string(type)) {
        fields_refuse(message, REFUSAL_INVALID_PARAMETER, "content",
                      "has a part that is no object with a 'type'");
        return NULL;
    }
    if (strcmp(json_string_value(type), "text") != 0) {
        fields_refuse(message, REFUSAL_UNSUPPORTED_PARAMETER, "content",
                      "has a part of type %s; this model takes parts of type 'text' only",
                      quote(json_string_value(type), json_string_length(type)).text);
        return NULL;
    }
    if (!json_is_string(text))
        fields_refuse(message, REFUSAL_INVALID_PARAMETER, "content",
                      "has a part of type 'text' whose 'text' is no string");
    return json_is_string(text) ? text : NULL;
}

static json_t *join_parts(struct fields *message, const json_t *parts)
{
    size_t length = 0, index;
    const json_t *part;
    json_t *joined;
    char *bytes = NULL, *end;
    json_array_foreach(parts, index, part)
    {
        const json_t *text = text_of_part(message, part);
        if (text == NULL)
            return NULL;
        length += json_string_length(text);
    }
    end = bytes = malloc(length + 1);
    if (bytes == NULL)
        return NULL;
    json_array_foreach(parts, index, part)
    {
        const json_t *text = json_object_get(part, "text");
        memcpy(end, json_string_value(text), json_string_length(text));
        end += json_string_length(text);
    }
    joined = json_stringn(bytes, length);
    free(bytes);
    return joined;
}

static bool read_parts(struct fields *message, const json_t *parts, gguf_text *content)
{
    json_t *joined = join_parts(message, parts);
    /* json_object_set_new() takes `joined`, also when it fails. */
    if (fields_ok(message) &&
        json_object_set_new((json_t *)(uintptr_t)message->object, joined_key, joined) < 0)
        return fields_refuse(message, REFUSAL_TOO_LARGE, "content", "is too large to be joined");
    if (!fields_ok(message))
        return false;
    *content = (gguf_text){json_string_value(joined), json_string_length(joined)};
    return true;
}

static bool read_content(struct fields *message, gguf_text *content)
{
    const json_t *value = fields_get(message, "content");
    if (value == NULL)
        return fields_refuse(message, REFUSAL_INVALID_PARAMETER, "content", "is missing");
    if (json_is_array(value))
        return read_parts(message, value, content);
    if (!json_is_string(value))
        return fields_refuse(message, REFUSAL_INVALID_PARAMETER, "content",
                             "must be a string or an array of parts, not %s",
                             json_type_name(value));
    *content = (gguf_text){json_string_value(value), json_string_length(value)};
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

static bool read_message(chat_message *message, const json_t *object, size_t index,
                         struct refusal *refusal)
{
    char path[48];
    struct fields fields;
    snprintf(path, sizeof(path), "body.messages[%zu]", index);
    if (!json_is_object(object))
        return refuse(refusal, REFUSAL_INVALID_PARAMETER, path, "'%s' must be an object, not %s",
                      path, json_type_name(object));
    strcat(path, ".");
    fields = fields_of(object, path, refusal);
    return read_role(&fields, &message->role) && refuse_tool_calls(&fields) &&
           read_content(&fields, &message->content);
}

bool request_read_messages(struct request *request, struct fields *body)
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
                       message) if (!read_message(&request->messages[index], message, index,
                                                  body->refusal)) return false;
    return true;
}
