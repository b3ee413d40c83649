/*
 * gguf_types.c - the element types of tensors: their names and the shapes of their blocks
 *
 * Numbers and sizes are facts of ggml-org/ggml (ggml.h, enum ggml_type; ggml-common.h). More are
 * known here than any worker computes with, so that a file which holds one is measured and
 * refused by name instead of being taken for damaged.
 */
#include "models/gguf.h"

typedef struct {
    const char *name;
    uint16_t elements;
    uint16_t bytes;
} tensor_type;

static const tensor_type tensor_types[] = {
    [GGUF_F32] = {"F32", 1, 4},     [GGUF_F16] = {"F16", 1, 2},   [GGUF_Q4_0] = {"Q4_0", 32, 18},
    [GGUF_Q4_1] = {"Q4_1", 32, 20}, [6] = {"Q5_0", 32, 22},       [7] = {"Q5_1", 32, 24},
    [GGUF_Q8_0] = {"Q8_0", 32, 34}, [9] = {"Q8_1", 32, 36},       [10] = {"Q2_K", 256, 84},
    [11] = {"Q3_K", 256, 110},      [12] = {"Q4_K", 256, 144},    [13] = {"Q5_K", 256, 176},
    [14] = {"Q6_K", 256, 210},      [15] = {"Q8_K", 256, 292},    [16] = {"IQ2_XXS", 256, 66},
    [17] = {"IQ2_XS", 256, 74},     [18] = {"IQ3_XXS", 256, 98},  [19] = {"IQ1_S", 256, 50},
    [20] = {"IQ4_NL", 32, 18},      [21] = {"IQ3_S", 256, 110},   [22] = {"IQ2_S", 256, 82},
    [23] = {"IQ4_XS", 256, 136},    [24] = {"I8", 1, 1},          [25] = {"I16", 1, 2},
    [26] = {"I32", 1, 4},           [27] = {"I64", 1, 8},         [28] = {"F64", 1, 8},
    [29] = {"IQ1_M", 256, 56},      [GGUF_BF16] = {"BF16", 1, 2}, [34] = {"TQ1_0", 256, 54},
    [35] = {"TQ2_0", 256, 66},      [39] = {"MXFP4", 32, 17},
};

static const tensor_type *find(uint32_t type)
{
    if (type >= sizeof(tensor_types) / sizeof(tensor_types[0]) || !tensor_types[type].name)
        return NULL;
    return &tensor_types[type];
}

const char *gguf_type_name(uint32_t type)
{
    const tensor_type *known = find(type);

    return known ? known->name : NULL;
}

bool gguf_type_block(uint32_t type, uint32_t *elements, uint32_t *bytes)
{
    const tensor_type *known = find(type);

    if (!known)
        return false;
    *elements = known->elements;
    *bytes = known->bytes;
    return true;
}
