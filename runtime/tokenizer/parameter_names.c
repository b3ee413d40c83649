/*
 * parameter_names.c - which fields a body may have
 *
 * As at OpenAI, a name that isn't known is an error: a misspelt parameter must not be silently
 * without effect. Names that can't change an answer here are accepted and ignored; names that would
 * change it, but aren't offered, are refused unless their value asks for nothing.
 */
#include "runtime/tokenizer/request_parts.h"
#include <string.h>

enum verdict {
    READ,    /* by one of the other files */
    IGNORED, /* makes no difference to a batch on one's own machine */
    REFUSED  /* unless null, false, or empty */
};

enum { CHAT = 1, COMPLETION = 2, BOTH = 3 };

static const struct name {
    const char *name;
    unsigned endpoints;
    enum verdict verdict;
} names[] = {
    {"messages", CHAT, READ},
    {"prompt", COMPLETION, READ},
    {"model", BOTH, READ},
    {"max_tokens", BOTH, READ},
    {"max_completion_tokens", CHAT, READ},
    {"temperature", BOTH, READ},
    {"top_p", BOTH, READ},
    {"top_k", BOTH, READ},
    {"min_p", BOTH, READ},
    {"n", BOTH, READ},
    {"best_of", COMPLETION, READ},
    {"stop", BOTH, READ},
    {"seed", BOTH, READ},
    {"logprobs", BOTH, READ},
    {"top_logprobs", CHAT, READ},
    {"presence_penalty", BOTH, READ},
    {"frequency_penalty", BOTH, READ},
    {"repetition_penalty", BOTH, READ},
    {"logit_bias", BOTH, READ},
    {"echo", COMPLETION, READ},
    {"min_tokens", BOTH, READ},
    {"ignore_eos", BOTH, READ},
    {"stop_token_ids", BOTH, READ},
    {"include_stop_str_in_output", BOTH, READ},
    {"skip_special_tokens", BOTH, READ},
    {"add_special_tokens", COMPLETION, READ},
    {"priority", BOTH, READ},
    {"timeout", BOTH, READ},
    {"response_format", BOTH, READ},
    {"metadata", BOTH, IGNORED},
    {"modalities", CHAT, IGNORED},
    {"parallel_tool_calls", CHAT, IGNORED},
    {"prompt_cache_key", BOTH, IGNORED},
    {"prompt_cache_retention", BOTH, IGNORED},
    {"safety_identifier", BOTH, IGNORED},
    {"service_tier", BOTH, IGNORED},
    {"store", BOTH, IGNORED},
    {"stream", BOTH, IGNORED},
    {"stream_options", BOTH, IGNORED},
    {"user", BOTH, IGNORED},
    {"audio", CHAT, REFUSED},
    {"function_call", CHAT, REFUSED},
    {"functions", CHAT, REFUSED},
    {"prediction", CHAT, REFUSED},
    {"reasoning_effort", CHAT, REFUSED},
    {"suffix", COMPLETION, REFUSED},
    {"tool_choice", CHAT, REFUSED},
    {"tools", CHAT, REFUSED},
    {"verbosity", CHAT, REFUSED},
    {"web_search_options", CHAT, REFUSED},
};

static const struct name *find(const char *name, enum endpoint endpoint)
{
    unsigned wanted = endpoint == ENDPOINT_CHAT ? CHAT : COMPLETION;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if ((names[i].endpoints & wanted) != 0 && strcmp(names[i].name, name) == 0)
            return &names[i];
    return NULL;
}

/* Whether a value asks for nothing: then it does no harm that it isn't offered. */
static bool asks_for_nothing(const json_t *value)
{
    return json_is_null(value) || json_is_false(value) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_string(value) &&
            (json_string_length(value) == 0 || strcmp(json_string_value(value), "none") == 0));
}

bool request_check_names(struct fields *body, enum endpoint endpoint)
{
    json_t *object = (json_t *)(uintptr_t)body->object;
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        const struct name *name = find(key, endpoint);
        struct quoted shown = quote(key, strlen(key));
        if (name == NULL)
            return fields_refuse(body, REFUSAL_UNKNOWN_PARAMETER, shown.text,
                                 "is not a parameter of this url; see docs/formats.md");
        if (name->verdict == REFUSED && !asks_for_nothing(value))
            return fields_refuse(body, REFUSAL_UNSUPPORTED_PARAMETER, key, "is not supported");
    }
    return true;
}
