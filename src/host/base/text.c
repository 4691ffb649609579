/* text.c: numbers for people, one-line texts, and text to and from JSON. */
#include "base/text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *text_count(char out[TEXT_CAPACITY], int64_t value) {
    char digits[TEXT_CAPACITY];
    int length =
        snprintf(digits, sizeof digits, "%" PRIu64, value < 0 ? -(uint64_t)value : (uint64_t)value);
    char *to = out;
    if (value < 0)
        *to++ = '-';
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return out;
}

const char *text_duration(char out[TEXT_CAPACITY], double seconds) {
    long whole = (long)(seconds + 0.5);
    if (seconds < 59.95)
        snprintf(out, TEXT_CAPACITY, "%.1f s", seconds);
    else if (whole < 3600)
        snprintf(out, TEXT_CAPACITY, "%ld min %02ld s", whole / 60, whole % 60);
    else
        snprintf(out, TEXT_CAPACITY, "%ld h %02ld min", whole / 3600, whole % 3600 / 60);
    return out;
}

const char *text_one_line(char *text) {
    for (char *byte = text; *byte != '\0'; byte++)
        if ((unsigned char)*byte < 0x20 || *byte == 0x7f)
            *byte = '?';
    return text;
}

double text_decimal(float value) {
    char text[TEXT_CAPACITY];
    for (int digits = 1; digits < 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value)
            return strtod(text, NULL);
    }
    return (double)value; /* nine digits always suffice */
}

bool text_is_ascii(const char *text) {
    for (; *text != '\0'; text++)
        if ((unsigned char)*text >= 0x80)
            return false;
    return true;
}

json_t *text_json(const char *text) {
    json_t *string = json_string(text);
    if (string != NULL || text_is_ascii(text)) /* NULL: no memory */
        return string;
    char *ascii = strdup(text);
    for (char *byte = ascii; byte != NULL && *byte != '\0'; byte++)
        if ((unsigned char)*byte >= 0x80)
            *byte = '?';
    string = json_string(ascii);
    free(ascii);
    return string;
}

json_t *text_json_append(json_t *array, json_t *value) {
    if (json_array_append_new(array, value) == 0)
        return array;
    json_decref(array);
    return NULL;
}

json_t *text_json_uint64(uint64_t value) {
    char digits[TEXT_CAPACITY];
    snprintf(digits, sizeof digits, "%" PRIu64, value);
    return value <= INT64_MAX ? json_integer((json_int_t)value) : json_string(digits);
}

/* Without json_dumps: up to jansson 2.14, it silently leaves out a key for which it gets no memory.
 * json_dumpb needs no memory. */
char *text_of_json(const json_t *object, size_t flags) {
    size_t length = json_dumpb(object, NULL, 0, flags);
    char *text = length == 0 ? NULL : malloc(length + 1);
    if (text == NULL)
        return NULL;
    if (json_dumpb(object, text, length, flags) != length) {
        free(text);
        return NULL;
    }
    text[length] = '\0';
    return text;
}

/* Whether there is memory to parse that much text. Without it, jansson's reader (2.14) crashes or
 * calls the text invalid. It needs at most 81 bytes per byte of text, for [{},{},...]. */
static bool memory_suffices(size_t length) {
    enum { MOST_PER_BYTE = 128 };
    /* volatile: else a compiler may leave out both calls */
    void *volatile block = malloc(MOST_PER_BYTE * (length + 1));
    free(block);
    return block != NULL;
}

json_t *text_parse_json(bool *no_memory, json_error_t *fault, const char *text, size_t length) {
    const char *zero = memchr(text, '\0', length);
    *no_memory = zero == NULL && !memory_suffices(length);
    if (*no_memory)
        return NULL;
    if (zero != NULL) { /* jansson (2.14) ignores a zero byte after a number */
        *fault = (json_error_t){.position = (int)(zero - text), .text = "a zero byte"};
        return NULL;
    }
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, fault);
    /* jansson leaves the text empty in most cases where it gets no memory */
    *no_memory = root == NULL &&
                 (fault->text[0] == '\0' || json_error_code(fault) == json_error_out_of_memory);
    return root;
}
