/*
 * pixel_image.c - latents as an image of 8 bits a channel
 *
 * The original's rules: floats are scaled by 255 in their own precision, clipped and cut, not
 * rounded. Where it has none they are: NaN gives 0 (Q7), no rows or no columns are refused, and
 * [H, W, 1] is grey whatever H is (Q8).
 */
#include "ipc/error.h"
#include "ipc/parts.h"
#include <errno.h>
#include <string.h>

/* ---- one element ---- */

/* Written so that a NaN falls through to 0. */
static unsigned char byte_of_f32(float value)
{
    float scaled = value * 255.0f;

    if (scaled >= 255.0f)
        return 255;
    return scaled > 0.0f ? (unsigned char)scaled : 0;
}

static unsigned char byte_of_f64(double value)
{
    double scaled = value * 255.0;

    if (scaled >= 255.0)
        return 255;
    return scaled > 0.0 ? (unsigned char)scaled : 0;
}

static void convert(unsigned char *pixels, const mr_array *array, uint64_t count)
{
    if (array->dtype == MR_U8)
        memcpy(pixels, array->data, count);
    else if (array->dtype == MR_F32)
        for (uint64_t i = 0; i < count; i++)
            pixels[i] = byte_of_f32(((const float *)array->data)[i]);
    else
        for (uint64_t i = 0; i < count; i++)
            pixels[i] = byte_of_f64(((const double *)array->data)[i]);
}

/* ---- the whole ---- */

static int check_image(const mr_array *array)
{
    int64_t channels = array->rank == 3 ? array->shape[2] : 1;

    if (array->rank != 2 && array->rank != 3)
        return mr_fail_code(EINVAL, MR_PIXEL_IMAGE_NDIM,
                            "latents of %u dimensions are no image yet, it has two or three",
                            array->rank);
    if (array->dtype != MR_F32 && array->dtype != MR_F64 && array->dtype != MR_U8)
        return mr_fail_code(EINVAL, MR_PIXEL_IMAGE_DTYPE,
                            "an image of %s can't be shown, only of float32, float64 or uint8",
                            mr_dtype_name(array->dtype));
    if (channels != 1 && channels != 3 && channels != 4)
        return mr_fail_code(EINVAL, MR_PIXEL_IMAGE_CHANNELS,
                            "an image of %lld channels can't be shown, only of 1, 3 or 4",
                            (long long)channels);
    if (array->shape[0] == 0 || array->shape[1] == 0)
        return mr_fail_code(EINVAL, MR_PIXEL_IMAGE_ZERO_SIZE,
                            "the image has no rows or no columns");
    return 0;
}

int mr_pixel_to_generation_output(const mr_pixel *pixel, mr_pixel_output *output,
                                  unsigned char *pixels, uint64_t room)
{
    mr_array array;
    uint64_t count;
    int rc = mr_pixel_latents(pixel, &array);

    if (rc < 0 || (rc = check_image(&array)) < 0)
        return rc;
    count = (uint64_t)mr_array_count(&array);
    *output = (mr_pixel_output){.final_status = mr_pixel_status(pixel),
                                .width = array.shape[1],
                                .height = array.shape[0],
                                .channels = array.rank == 3 ? (uint32_t)array.shape[2] : 1,
                                .bytes = count};
    if (!pixels)
        return 0;
    if (count > room)
        return mr_fail(ENOSPC, "the image has %llu bytes, there is room for %llu",
                       (unsigned long long)count, (unsigned long long)room);
    convert(pixels, &array, count);
    return 0;
}
