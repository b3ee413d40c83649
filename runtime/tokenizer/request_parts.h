/*
 * request_parts.h - the parts of a body, each read by a file of its own
 *
 * Each returns false when the refusal of `body` was filled.
 */
#ifndef RUNTIME_TOKENIZER_REQUEST_PARTS_H
#define RUNTIME_TOKENIZER_REQUEST_PARTS_H

#include "runtime/tokenizer/request.h"

/* parameter_names.c: whether all names of the body are known at this endpoint */
bool request_check_names(struct fields *body, enum endpoint endpoint);

/* messages.c: a chat's messages; with_images: may some of them have images? */
bool request_read_messages(struct request *request, struct fields *body, bool with_images);

/* prompt.c: a completion's prompt */
bool request_read_prompt(struct request *request, struct fields *body, size_t token_limit);

/* parameters.c: how to generate, when to stop, what to tell */
bool request_read_parameters(struct request *request, struct fields *body, size_t token_limit);

/* parameters.c: how the runtime treats it, whatever is asked for */
bool request_read_handling(struct request *request, struct fields *body);

/* speech.c: what is to be spoken, and how */
bool request_read_speech(struct request *request, struct fields *body);

/* picture.c: which image is to be made */
bool request_read_picture(struct request *request, struct fields *body);

#endif
