/*
 * reply.h - what the collector must know of a request to write its answer
 *
 * The tokenizer writes a reply into the context's note (mr_request.reply) and the collector reads
 * it there (mr_view.reply); libmillrace carries the bytes and doesn't look into them. Both are of
 * one build, so the encoding is that of the machine; its version is checked all the same, since a
 * domain may be resumed by a newer program.
 */
#ifndef RUNTIME_REPLY_H
#define RUNTIME_REPLY_H

#include <millrace/context.h>

enum { REPLY_VERSION = 2, REPLY_MAX_STOPS = 16 };

/* Which API the request was for; 0 only in refusals of records that didn't get so far. */
enum endpoint {
    ENDPOINT_UNKNOWN = 0,
    ENDPOINT_CHAT = 1,       /* /v1/chat/completions */
    ENDPOINT_COMPLETION = 2, /* /v1/completions */
    ENDPOINT_SPEECH = 3,     /* /v1/audio/speech */
    ENDPOINT_IMAGE = 4       /* /v1/images/generations */
};

enum reply_flags {
    REPLY_REFUSED = 1,      /* only custom_id, line, endpoint and the error_ fields count */
    REPLY_STREAM = 2,       /* pieces are wanted as well (the run's --stream) */
    REPLY_ECHO = 4,         /* the text begins with the prompt */
    REPLY_LOGPROBS = 8,     /* log-probabilities are wanted, with `top_logprobs` alternatives */
    REPLY_KEEP_STOP = 16,   /* the stop string that was found stays in the text */
    REPLY_SHOW_SPECIAL = 32 /* special tokens appear in the text (skip_special_tokens false) */
};

struct reply {
    enum endpoint endpoint;
    unsigned flags;        /* enum reply_flags */
    unsigned top_logprobs; /* alternatives a position, 0 to 20 */
    unsigned sample_rate;  /* of ENDPOINT_SPEECH: samples a second */
    uint64_t line;         /* of the record in the input, the first is 1 */
    mr_bytes custom_id;    /* length 0 only in refusals */
    mr_bytes model;        /* as the answer shall name it */
    mr_bytes prompt; /* REPLY_ECHO with a prompt of text: that text. Length 0: decode the tokens */
    mr_bytes error_code; /* of a refusal: a word, as docs/formats.md lists them */
    mr_bytes error_message;
    mr_bytes error_param; /* the field that is to blame, e.g. "body.max_tokens"; may be empty */
    unsigned stop_count;
    mr_bytes stops[REPLY_MAX_STOPS]; /* none is empty */
};

/* reply_size - bytes that reply_encode() writes */
size_t reply_size(const struct reply *reply);

/* reply_encode - write it to `buffer`, which has room for reply_size() bytes */
void reply_encode(const struct reply *reply, char *buffer);

/*
 * reply_decode - read what reply_encode() wrote; the parts of *reply are views of `note`
 *
 * Returns 0, or -EBADMSG when the note is of another version, cut off or inconsistent.
 */
int reply_decode(struct reply *reply, mr_bytes note);

#endif
