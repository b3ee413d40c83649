/*
 * pretokenize.c - cutting text into the pieces inside which tokens are merged
 *
 * The expressions are those that the names stand for in llama.cpp (src/llama-vocab.cpp) and in
 * the models' own tokenizer.json, with these changes that leave the cuts as they are:
 *
 *   - \s is spelled out as Unicode's White_Space, which it means to the reference (Oniguruma).
 *     PCRE2 also counts U+180E, which lost that property in Unicode 6.3.
 *   - Where the reference cuts in several rounds (smollm: digits, then the rest; default:
 *     punctuation, then words, then runs of three digits), one expression cuts at once. A round
 *     ends the text for the next one, so the look-ahead behind blanks takes what an earlier
 *     round has cut off for the end of the text.
 *   - What repeats a group is possessive, so that a run of any length needs no stack.
 *
 * Letters and digits are those of PCRE2's Unicode tables (14 in Debian 12, as the reference's).
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "runtime/tokenizer/pretokenize.h"
#include "runtime/tokenizer/text_copy.h"

#include <errno.h>
#include <pcre2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPACE                                                                                      \
    "\\t-\\r \\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}"       \
    "\\x{3000}"
#define CUT_FIRST "\\p{P}$+<=>^~|" /* what default's first round cuts off */

#define CONTRACTION  "'(?:[stmd]|re|ve|ll)"
#define OTHERS       " ?[^" SPACE "\\p{L}\\p{N}]+"
#define BLANKS(stop) "[" SPACE "]+(?![^" SPACE stop "])|[" SPACE "]+"

#define GPT2   CONTRACTION "| ?\\p{L}+| ?\\p{N}+|" OTHERS "|" BLANKS("")
#define SMOLLM CONTRACTION "| ?\\p{L}+|\\p{N}|" OTHERS "|" BLANKS("\\p{N}")
#define DEFAULT                                                                                    \
    "[" CUT_FIRST "]+| ?\\p{L}+|[0-9]{3}|(?:(?![0-9]{3})\\p{N})++"                                 \
    "| ?[^" SPACE "\\p{L}\\p{N}" CUT_FIRST "]+|" BLANKS(CUT_FIRST)
#define LLAMA3(digits)                                                                             \
    "(?i:" CONTRACTION ")|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" digits "|" OTHERS "[\\r\\n]*"      \
    "|[" SPACE "]*[\\r\\n]+|" BLANKS("")

static const struct {
    const char *name;
    const char *expression;
} known[] = {
    {"default", DEFAULT},           {"gpt-2", GPT2},       {"smollm", SMOLLM},
    {"llama-bpe", LLAMA3("{1,3}")}, {"qwen2", LLAMA3("")},
};

enum { JIT_STACK_START = 32 * 1024, JIT_STACK_MOST = 1024 * 1024 };

struct pretokenizer {
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
    bool jit;
};

static const char *expression_of(const char *name, char *error, size_t error_size)
{
    size_t used;

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(known[i].name, name) == 0)
            return known[i].expression;
    snprintf(error, error_size,
             "the model file's pre-tokenizer '%.64s' is not known; it can be one of", name);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        used = strlen(error);
        snprintf(error + used, error_size - used, "%s '%s'", i ? "," : "", known[i].name);
    }
    text_make_printable(error);
    return NULL;
}

/* Without room for machine code (a machine that forbids it) the interpreter gives the same. */
static void compile_to_machine_code(pretokenizer *new)
{
    if (pcre2_jit_compile(new->code, PCRE2_JIT_COMPLETE) != 0)
        return;
    new->stack = pcre2_jit_stack_create(JIT_STACK_START, JIT_STACK_MOST, NULL);
    if (!new->stack)
        return;
    pcre2_jit_stack_assign(new->context, NULL, new->stack);
    new->jit = true;
}

static bool prepare(pretokenizer *new, const char *expression)
{
    int reason;
    PCRE2_SIZE offset;

    new->code = pcre2_compile((PCRE2_SPTR)expression, PCRE2_ZERO_TERMINATED,
                              PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &reason, &offset, NULL);
    if (!new->code)
        return false;
    new->match = pcre2_match_data_create(1, NULL);
    new->context = pcre2_match_context_create(NULL);
    if (!new->match || !new->context)
        return false;
    /* A run of a million blanks is stepped back over once; that is no runaway. */
    pcre2_set_match_limit(new->context, UINT32_MAX);
    return true;
}

pretokenizer *pretokenizer_new(const char *name, bool jit, char *error, size_t error_size)
{
    const char *expression = expression_of(name, error, error_size);
    pretokenizer *new;

    if (!expression)
        return NULL;
    new = calloc(1, sizeof(*new));
    if (!new || !prepare(new, expression)) {
        snprintf(error, error_size, "no memory for the pre-tokenizer '%s'", name);
        pretokenizer_free(new);
        return NULL;
    }
    if (jit)
        compile_to_machine_code(new);
    return new;
}

void pretokenizer_free(pretokenizer *cutter)
{
    if (!cutter)
        return;
    pcre2_match_data_free(cutter->match);
    pcre2_match_context_free(cutter->context);
    pcre2_jit_stack_free(cutter->stack);
    pcre2_code_free(cutter->code);
    free(cutter);
}

int pretokenizer_next(pretokenizer *cutter, const char *text, size_t length, size_t offset,
                      size_t *end)
{
    PCRE2_SPTR subject = (PCRE2_SPTR)text + offset;
    int found;

    if (cutter->jit)
        found = pcre2_jit_match(cutter->code, subject, length - offset, 0, PCRE2_NO_UTF_CHECK,
                                cutter->match, cutter->context);
    else
        found = pcre2_match(cutter->code, subject, length - offset, 0, PCRE2_NO_UTF_CHECK,
                            cutter->match, cutter->context);
    if (found < 0)
        return found == PCRE2_ERROR_NOMEMORY ? -ENOMEM : -EIO;
    *end = offset + pcre2_get_ovector_pointer(cutter->match)[1];
    return 0;
}
