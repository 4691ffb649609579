/* utf8.h: makes text of unknown origin fit to be drawn and stored. */
#ifndef UTF8_H
#define UTF8_H

#include <stddef.h>

/* Copies `text`, as much as fits in whole characters; control characters and bytes that are not
 * UTF-8 become '?'. Returns `out`. */
const char *utf8_clean(char *out, size_t capacity, const char *text);

/* The bytes of the character at `text`; 0 if it is invalid or a control character. */
int utf8_length(const char *text);

#endif
