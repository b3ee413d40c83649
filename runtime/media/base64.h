/*
 * base64.h - bytes as text and back (RFC 4648, section 4: the alphabet with '+' and '/')
 *
 * The decoder is strict, so that each text has one meaning and each sequence of bytes one text:
 * groups of four characters, the last one filled up with '=', its unused bits zero, and nothing
 * else, no blank and no line break.
 */
#ifndef RUNTIME_MEDIA_BASE64_H
#define RUNTIME_MEDIA_BASE64_H

#include <stddef.h>

/* Characters that so many bytes become, and bytes that so many characters become at most. */
#define BASE64_ENCODED(length) (((length) + 2) / 3 * 4)
#define BASE64_DECODED(length) ((length) / 4 * 3)

/* base64_encode - writes BASE64_ENCODED(length) characters to `text`, without a NUL */
void base64_encode(const void *bytes, size_t length, char *text);

/*
 * base64_decode - the bytes of a text
 *
 *   bytes         out: room for BASE64_DECODED(length); may be the text's own memory
 *   bytes_length  out: how many they are
 *
 * Returns 0, or -EINVAL: no base64 as above; what `bytes` holds then means nothing.
 */
int base64_decode(const char *text, size_t length, unsigned char *bytes, size_t *bytes_length);

#endif
