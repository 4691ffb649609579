/* utf8.h: cleans untrusted text, so that it can be drawn and stored. */
#ifndef UTF8_H
#define UTF8_H

#include <stddef.h>

/* Copies as many whole characters of `text` as fit; control characters and bytes that are not UTF-8
 * become '?'. Returns `out`. */
const char *utf8_clean(char *out, size_t capacity, const char *text);

/* The number of bytes of the character at `text`; 0 if it is invalid or a control character. */
int utf8_length(const char *text);

#endif
