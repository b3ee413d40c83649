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

enum {
    CHAT = 1,
    COMPLETION = 2,
    BOTH = CHAT | COMPLETION,
    SPEECH = 4,
    SAMPLED = BOTH | SPEECH, /* what makes tokens */
    IMAGE = 8,
    ANY = SAMPLED | IMAGE
};

static const struct name {
    const char *name;
    unsigned endpoints;
    enum verdict verdict;
} names[] = {
    {"messages", CHAT, READ},
    {"prompt", COMPLETION | IMAGE, READ},
    {"model", ANY, READ},
    {"max_tokens", SAMPLED, READ},
    {"max_completion_tokens", CHAT, READ},
    {"temperature", SAMPLED, READ},
    {"top_p", SAMPLED, READ},
    {"top_k", SAMPLED, READ},
    {"min_p", SAMPLED, READ},
    {"n", BOTH | IMAGE, READ},
    {"best_of", COMPLETION, READ},
    {"stop", BOTH, READ},
    {"seed", ANY, READ},
    {"logprobs", BOTH, READ},
    {"top_logprobs", CHAT, READ},
    {"presence_penalty", SAMPLED, READ},
    {"frequency_penalty", SAMPLED, READ},
    {"repetition_penalty", SAMPLED, READ},
    {"logit_bias", SAMPLED, READ},
    {"echo", COMPLETION, READ},
    {"min_tokens", SAMPLED, READ},
    {"ignore_eos", SAMPLED, READ},
    {"stop_token_ids", SAMPLED, READ},
    {"include_stop_str_in_output", BOTH, READ},
    {"skip_special_tokens", BOTH, READ},
    {"add_special_tokens", COMPLETION, READ},
    {"priority", ANY, READ},
    {"timeout", ANY, READ},
    {"response_format", ANY, READ},
    {"input", SPEECH, READ},
    {"audio_prompt", SPEECH, READ},
    {"audio_prompt_tokens", SPEECH, READ},
    {"max_seconds", SPEECH, READ},
    {"speed", SPEECH, READ},
    {"size", IMAGE, READ},
    {"width", IMAGE, READ},
    {"height", IMAGE, READ},
    {"num_inference_steps", IMAGE, READ},
    {"guidance_scale", IMAGE, READ},
    {"true_cfg_scale", IMAGE, READ},
    {"secondary_prompt", IMAGE, READ},
    {"negative_prompt", IMAGE, READ},
    {"secondary_negative_prompt", IMAGE, READ},
    {"output_format", IMAGE, READ},
    {"voice", SPEECH, IGNORED},
    {"metadata", ANY, IGNORED},
    {"modalities", CHAT, IGNORED},
    {"parallel_tool_calls", CHAT, IGNORED},
    {"prompt_cache_key", BOTH, IGNORED},
    {"prompt_cache_retention", BOTH, IGNORED},
    {"safety_identifier", ANY, IGNORED},
    {"service_tier", ANY, IGNORED},
    {"store", ANY, IGNORED},
    {"stream", ANY, IGNORED},
    {"stream_options", BOTH, IGNORED},
    {"user", ANY, IGNORED},
    {"audio", CHAT, REFUSED},
    {"function_call", CHAT, REFUSED},
    {"functions", CHAT, REFUSED},
    {"prediction", CHAT, REFUSED},
    {"reasoning_effort", CHAT, REFUSED},
    {"suffix", COMPLETION, REFUSED},
    {"instructions", SPEECH, REFUSED},
    {"stream_format", SPEECH, REFUSED},
    {"background", IMAGE, REFUSED},
    {"moderation", IMAGE, REFUSED},
    {"output_compression", IMAGE, REFUSED},
    {"partial_images", IMAGE, REFUSED},
    {"quality", IMAGE, REFUSED},
    {"style", IMAGE, REFUSED},
    {"tool_choice", CHAT, REFUSED},
    {"tools", CHAT, REFUSED},
    {"verbosity", CHAT, REFUSED},
    {"web_search_options", CHAT, REFUSED},
};

static const struct name *find(const char *name, enum endpoint endpoint)
{
    static const unsigned bits[] = {[ENDPOINT_CHAT] = CHAT,
                                    [ENDPOINT_COMPLETION] = COMPLETION,
                                    [ENDPOINT_SPEECH] = SPEECH,
                                    [ENDPOINT_IMAGE] = IMAGE};
    unsigned wanted = bits[endpoint];
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
            (json_string_length(value) == 0 || strcmp(json_string_value(value), "none") == 0 ||
             strcmp(json_string_value(value), "auto") == 0));
}

bool request_check_names(struct fields *body, enum endpoint endpoint)
{
    json_t *object = (json_t *)(uintptr_t)body->object;
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        const struct name *name = find(key, endpoint);
        struct quoted shown = quote(key, strlen(key)); /* which the path below quotes itself */
        shown.text[strlen(shown.text) - 1] = '\0';
        if (name == NULL)
            return fields_refuse(body, REFUSAL_UNKNOWN_PARAMETER, shown.text + 1,
                                 "is not a parameter of this url; see docs/formats.md");
        if (name->verdict == REFUSED && !asks_for_nothing(value))
            return fields_refuse(body, REFUSAL_UNSUPPORTED_PARAMETER, key, "is not supported");
    }
    return true;
}
