/*
 * parts.h - what a kind of context has beside its text (private to ipc/)
 *
 *     parts.c       which arrays and fields a request has: checked, counted, written into its range
 *     directory.c   named arrays of a context
 *     vision.c  tts.c  pixel.c  pixel_image.c   the kinds' operations
 *     validate.c    what a model may demand
 *
 * The intake (request.c) calls mr_parts_check(), mr_parts_size() as a part of what it reserves, and
 * mr_parts_fill() behind what it has written itself. A view of a kind other than text is checked by
 * mr_parts_load().
 */
#ifndef MILLRACE_IPC_PARTS_H
#define MILLRACE_IPC_PARTS_H

#include "ipc/context.h"
#include <millrace/array.h>
#include <millrace/intake.h>
#include <millrace/pixel.h>
#include <millrace/tts.h>
#include <millrace/vision.h>

/* mr_parts_check - is this a request that a context of its kind can be made of? For kinds with text
 * that includes mr_text_check(). Reasons: the enumerations of text.h, vision.h, tts.h, pixel.h. */
int mr_parts_check(const mr_request *request);

/* mr_parts_size - bytes that the kind's own part needs, UINT64_MAX if no memory has so many; 0 for
 * text */
uint64_t mr_parts_size(const mr_request *request);

/* mr_parts_fill - write it at `offset` of the segment, where mr_parts_size() bytes are reserved,
 * and the kind's own parameters; a multiple of 8 is enough for `offset`. Nothing for text and
 * refusals, as mr_parts_start(). */
void mr_parts_fill(mr_domain *domain, mr_params *params, const mr_request *request,
                   uint64_t offset);

/* mr_parts_start - the kind's own cursors of a context that has just been filled */
void mr_parts_start(mr_context *context, const mr_request *request);

/* mr_parts_load - check the kind's own ranges and cursors of a view; 0 or -EBADMSG */
int mr_parts_load(const mr_context *context);

/* mr_vision_check_chunk - refuse a chunk that would end inside an image; 0 for other kinds */
int mr_vision_check_chunk(const mr_context *context, const char *operation, int64_t end);

/* mr_vision_check - the checks of a vision request's images; mr_text_check() comes between */
int mr_vision_check_images(const mr_vision_request *vision);
int mr_vision_check_places(const mr_request *request);

/* ---- named arrays (directory.c) ---- */

/* mr_directory_check - a name and a description that an entry can hold */
int mr_directory_check(const mr_array_given *given);

/* mr_directory_bytes - bytes that an array takes, its entry not counted; UINT64_MAX as above */
uint64_t mr_directory_bytes(const mr_array_given *given);

/* mr_directory_put - write an entry, and the array to `offset` */
void mr_directory_put(mr_domain *domain, mr_entry *entry, uint32_t group,
                      const mr_array_given *given, uint64_t offset);

/* mr_directory_where - index of the entry of that name, -ENOENT or -EBADMSG */
int mr_directory_where(const mr_context *context, uint32_t group, const char *name);

/* mr_directory_is_replaced - is replaceable array i another than the request gave? _forget: no
 * more, in the private view */
bool mr_directory_is_replaced(const mr_context *context, int i);
void mr_directory_forget(mr_context *context, int i);

#endif
