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

/* Replaces control bytes with '?', so that a text stays one line whatever path or file content is
 * in it. Returns `text`. */
const char *text_one_line(char *text);

/* The decimal number with the fewest digits that rounds to `value`: 0.1, not 0.10000000149. For
 * JSON. */
double text_decimal(float value);

/* Untrusted text, such as a path, as a JSON string; if it is not UTF-8, its bytes beyond ASCII
 * become '?'. NULL: no memory. */
json_t *text_json(const char *text);

/* Appends `value` and returns `array`. NULL, with both released, if one of them is NULL or there is
 * no memory. */
json_t *text_json_append(json_t *array, json_t *value);

/* The value as a JSON integer, or as a string of its digits if it is above 2^63 - 1, the limit of
 * jansson's integers. NULL: no memory. */
json_t *text_json_uint64(uint64_t value);

/* Whether no byte is beyond ASCII. */
bool text_is_ascii(const char *text);

/* A JSON object or array as text with these flags of json_dumps; NULL if there is no memory, or no
 * object. Release with free. */
char *text_of_json(const json_t *object, size_t flags);

/* Parses `length` bytes of text as JSON; an object with a name twice is invalid. NULL: invalid, and
 * *fault says where and why; or *no_memory, and *fault says nothing. Release with json_decref. */
json_t *text_parse_json(bool *no_memory, json_error_t *fault, const char *text, size_t length);

#endif
