/*
 * template_internal.h - what was read of a chat template: all that rendering needs
 */
#ifndef MILLRACE_TOKENIZER_TEMPLATE_INTERNAL_H
#define MILLRACE_TOKENIZER_TEMPLATE_INTERNAL_H

#include "runtime/tokenizer/template.h"

/* The literals around role and content. */
typedef struct {
    const char *before_role;
    const char *after_role;
    const char *after_content;
    bool eos_after_content; /* before after_content */
    bool three_roles;       /* system, user and assistant alone */
} template_family;

struct chat_template {
    const template_family *family;
    char *begin;    /* before the first message: BOS, or nothing */
    char *eos;      /* text of the EOS token */
    char *system;   /* the system message of a chat that has none; NULL: no such */
    char *preamble; /* put in front of each chat's system message; NULL: nothing */
    bool strips;    /* contents lose the blanks around them */
};

#endif
