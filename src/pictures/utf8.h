/* utf8.h: text of unknown origin made fit to be drawn and stored. */
#ifndef UTF8_H
#define UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Copies `text`, as much as fits in whole characters; control characters and bytes that are not
 * UTF-8 become '?'. Returns `out`. */
const char *utf8_clean(char *out, size_t capacity, const char *text);

/* Bytes of the valid character at `text`; 0: it is none, or a control character. */
int utf8_length(const char *text);

bool utf8_is_ascii(const char *text);

#endif
