/*
 * fetch.h - where the bytes of an image or a sound come from
 *
 * A request names them by a URL, or by the path of a file:
 *
 *   data:[TYPE][;PARAMETER...][;base64],CONTENT   RFC 2397; without ";base64" it is text with %XX.
 *                           TYPE is not looked at: the content itself tells what it is
 *   file:///PATH            RFC 8089, also file:/PATH and file://localhost/PATH; %XX are bytes
 *   PATH                    all that begins with no scheme and "//"; absolute, or relative to the
 *                           process's working directory, and taken as it is
 *
 * Whatever lies on the network is refused: a batch must give the same answer again, and a runtime
 * that fetches what strangers' records name is a hole. Of files only regular ones are read; a
 * FIFO or a device is refused without waiting for it.
 */
#ifndef RUNTIME_MEDIA_FETCH_H
#define RUNTIME_MEDIA_FETCH_H

#include "runtime/media/media.h"

/*
 * media_fetch - the bytes that a URL names
 *
 *   limit  on the bytes, in [0, SIZE_MAX / 8]
 *   bytes  out; may be none
 *
 * Returns 0 or a failure as in media.h. Memory taken: at most four times the limit, and after a
 * success just what the bytes need. Cost: reads a file with plain calls.
 */
int media_fetch(const char *url, size_t length, size_t limit, struct media_bytes *bytes,
                struct media_error *error);

#endif
