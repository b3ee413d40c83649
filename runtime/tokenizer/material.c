/*
 * material.c - the memory that a request is made of
 */
#include "runtime/tokenizer/material.h"
#include <stdlib.h>

void *material_take(struct material *material, size_t bytes, struct refusal *refusal)
{
    void *memory = NULL;
    if (material->owned_count < MATERIAL_OWNED)
        memory = calloc(1, bytes > 0 ? bytes : 1);
    if (memory != NULL)
        material->owned[material->owned_count++] = memory;
    else
        refuse(refusal, REFUSAL_TOO_LARGE, "", "there is no memory to make the request of");
    return memory;
}

void material_free(struct material *material)
{
    for (unsigned i = 0; i < material->owned_count; i++)
        free(material->owned[i]);
    material->owned_count = 0;
}
