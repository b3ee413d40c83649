/*
 * millrace/array.h - typed arrays: what a tensor in shared memory is
 *
 * An mr_array is a description with an address, never a copy: dtype, rank, shape and strides as
 * NumPy has them (strides in bytes). `data` of an array of a context lies in shared memory and is
 * valid as long as the context is held.
 */
#ifndef MILLRACE_ARRAY_H
#define MILLRACE_ARRAY_H

#include <millrace/text.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { MR_MAX_RANK = 8 };

/* NumPy's types, and bfloat16 in the place of a u16 that means one. */
enum mr_dtype {
    MR_DTYPE_NONE = 0, /* there is no such array */
    MR_BOOL = 1,       /* a byte, 0 or 1 */
    MR_I8,
    MR_I16,
    MR_I32,
    MR_I64,
    MR_U8,
    MR_U16,
    MR_U32,
    MR_U64,
    MR_F16,
    MR_BF16,
    MR_F32,
    MR_F64,
    MR_C64,  /* two f32 */
    MR_C128, /* two f64 */
    MR_DTYPES
};

typedef struct mr_array {
    uint32_t dtype; /* enum mr_dtype */
    uint32_t rank;  /* 0 to MR_MAX_RANK; a scalar has 0 */
    int64_t shape[MR_MAX_RANK];
    int64_t strides[MR_MAX_RANK]; /* bytes from one index to the next */
    void *data;
} mr_array;

/* mr_dtype_size - bytes of one element; 0 for what is no dtype */
size_t mr_dtype_size(uint32_t dtype);

/* mr_dtype_name - NumPy's name of it ("float32"; "bfloat16"), NULL for what is no dtype;
 * mr_dtype_from_name() is the way back, MR_DTYPE_NONE if there is none */
const char *mr_dtype_name(uint32_t dtype);
enum mr_dtype mr_dtype_from_name(const char *name);

/* mr_array_count - its elements; -EOVERFLOW for a shape that can't be, -EINVAL for a bad rank or
 * dtype or a negative length */
int64_t mr_array_count(const mr_array *array);

/* mr_array_bytes - bytes of it, C-contiguous; errors as above */
int64_t mr_array_bytes(const mr_array *array);

/* mr_array_make_contiguous - sets the strides of C order for its dtype, rank and shape */
void mr_array_make_contiguous(mr_array *array);

/* mr_array_is_contiguous - whether its elements lie one behind the other in C order */
bool mr_array_is_contiguous(const mr_array *array);

/*
 * mr_array_tokens - a prompt that comes as an array, as MAX's TokenBuffer takes it
 *
 * Returns 0, or -EINVAL with MR_TEXT_TOKENS_NDIM (not one-dimensional), MR_TEXT_TOKENS_DTYPE (not
 * i64) or MR_TEXT_TOKENS_EMPTY, checked in this order; -ENOTSUP for an array with gaps.
 */
int mr_array_tokens(const mr_array *array, mr_tokens *tokens);

/* mr_array_copy - the elements of `from`, whatever its strides, in C order to `to`, which has room
 * for mr_array_bytes(from) */
void mr_array_copy(void *to, const mr_array *from);

/* ---- the arrays of a context ---- */

/* Longest name, in bytes. */
enum { MR_ARRAY_NAME_MAX = 55 };

/* Names are told apart by what they name. */
enum mr_array_group {
    MR_ARRAY_FIELD = 1, /* a field of the kind: "latents", "audio_prompt_tokens", ... */
    MR_ARRAY_EXTRA = 2, /* a model's own: extra_model_args, extra_params */
    MR_ARRAY_IMAGE = 3  /* pixel values of an image; its name is its number: "0", "1", ... */
};

/* An array of a request to be admitted. */
typedef struct mr_array_given {
    const char *name;
    mr_array array;
    uint64_t room; /* 0: stays as it is; else it may be replaced by any of up to so many bytes */
} mr_array_given;

typedef struct mr_array_info {
    char name[MR_ARRAY_NAME_MAX + 1];
    uint32_t group;       /* enum mr_array_group */
    uint32_t replaceable; /* 1: see mr_context_array_prepare() */
    uint64_t room;        /* bytes that it can have at most */
} mr_array_info;

/*
 * mr_context_array_count, mr_context_array_at - all arrays of a context, in no particular order
 *
 * What an entry says is checked each time against the context's own memory: -EBADMSG when it makes
 * no sense, -ERANGE when there is no array `i`. An array that isn't there (a field that is none)
 * has dtype MR_DTYPE_NONE.
 */
size_t mr_context_array_count(const mr_context *context);
int mr_context_array_at(const mr_context *context, size_t i, mr_array_info *info, mr_array *array);

/* mr_context_array - by its name; -ENOENT if there is none; else as above */
int mr_context_array(const mr_context *context, enum mr_array_group group, const char *name,
                     mr_array *array);

/*
 * mr_context_array_prepare - where to write what is to replace an array
 *
 *   place  in: dtype, rank and shape of what is coming; out: strides, and the address to write it
 *          to, which nobody reads before mr_context_array_replace()
 *
 * Should the array have been replaced since the last commit (under a hold), that is given up.
 * Returns 0; -ENOENT, -EBADMSG as above; -EROFS (this array can't be replaced), -ENOSPC (it is
 * larger than the room that its request reserved), -EINVAL, -EOVERFLOW (a bad description).
 */
int mr_context_array_prepare(mr_context *context, enum mr_array_group group, const char *name,
                             mr_array *place);

/* mr_context_array_replace - what was prepared is now the array: one commit. -EINVAL if nothing was
 * prepared. Views of the array as it was are valid until the next mr_context_array_prepare(). */
int mr_context_array_replace(mr_context *context, enum mr_array_group group, const char *name);

#ifdef __cplusplus
}
#endif
#endif
