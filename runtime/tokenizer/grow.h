/*
 * grow.h - arrays that grow by doubling
 */
#ifndef MILLRACE_TOKENIZER_GROW_H
#define MILLRACE_TOKENIZER_GROW_H

#include <errno.h>
#include <stdlib.h>

/*
 * grow - room for at least `count` elements
 *
 *   array  from malloc, or NULL; moved if need be
 *   room   of the array, in elements; in and out
 *
 * Returns the array, or NULL: no memory, and array and room are as they were.
 */
static inline void *grow(void *array, size_t *room, size_t count, size_t element)
{
    size_t wanted = *room ? *room : 64;
    void *grown;

    if (count <= *room && array)
        return array;
    while (wanted < count)
        wanted *= 2;
    grown = reallocarray(array, wanted, element);
    if (grown)
        *room = wanted;
    return grown;
}

/* GROW - grows the array in place; false: no memory, and it is as it was. */
#define GROW(array, room, count)                                                                   \
    __extension__({                                                                                \
        void *grow_to = grow((array), &(room), (count), sizeof(*(array)));                         \
        if (grow_to)                                                                               \
            (array) = grow_to;                                                                     \
        grow_to != NULL;                                                                           \
    })

#endif
