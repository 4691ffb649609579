/* text.h: numbers for people, one-line texts, and text to and from JSON. */
#ifndef TEXT_H
#define TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { TEXT_CAPACITY = 32 };

/* Thousands with commas: "45,520". Returns `out`. */
const char *text_count(char out[TEXT_CAPACITY], int64_t value);

/* "9.1 s", "6 min 12 s", "1 h 02 min". Returns `out`. */
const char *text_duration(char out[TEXT_CAPACITY], double seconds);

/* Replaces control bytes with '?', so that a text with a path or file content in it stays one line.
 * Returns `text`. */
const char *text_one_line(char *text);

/* The decimal number with the fewest digits that rounds to `value`: 0.1, not 0.10000000149. For
 * JSON. */
double text_decimal(float value);

/* Untrusted text, such as a path, as a JSON string; if it is not UTF-8, its bytes beyond ASCII
 * become '?'. NULL: no memory. */
json_t *text_json(const char *text);

/* Appends `value` and returns `array`. If either is NULL or there is no memory, releases both and
 * returns NULL. */
json_t *text_json_append(json_t *array, json_t *value);

/* The value as a JSON integer, or as a string of digits above 2^63 - 1, the limit of jansson's
 * integers. NULL: no memory. */
json_t *text_json_uint64(uint64_t value);

/* Whether all bytes are ASCII. */
bool text_is_ascii(const char *text);

/* A JSON object or array as text, with `flags` as for json_dumps; NULL: no memory, or `object` is
 * NULL. Release with free. */
char *text_of_json(const json_t *object, size_t flags);

/* Parses `length` bytes of text as JSON; an object with the same name twice is invalid. Release
 * with json_decref. On failure returns NULL: either *no_memory is true, or *fault says where and
 * why the text is invalid. */
json_t *text_parse_json(bool *no_memory, json_error_t *fault, const char *text, size_t length);

#endif
