/* option_values.c: parses the values of options strictly. The whole text must be a value: no signs,
 * no trailing characters, no rounding to zero or infinity. */
#include "option_values.h"

#include "base/files.h"
#include "model/device_choice.h"
#include "run/options.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CUDA_INDEX = 255 };

/* ---- what is allowed ------------------------------------------------------------------------ */

static void join_words(char out[ALLOWED_CAPACITY], const char *const *words, const char *link,
                       const char *last_link) {
    out[0] = '\0';
    for (int i = 0; words[i] != NULL; i++) {
        size_t length = strlen(out);
        snprintf(out + length, ALLOWED_CAPACITY - length, "%s%s",
                 i == 0                 ? ""
                 : words[i + 1] == NULL ? last_link
                                        : link,
                 words[i]);
    }
}

const char *option_argument(char out[ALLOWED_CAPACITY], const struct option *option) {
    if (option->kind == VALUE_WORD)
        join_words(out, option->words, "|", "|");
    else
        snprintf(out, ALLOWED_CAPACITY, "%s", option->argument == NULL ? "" : option->argument);
    return out;
}

void option_allowed(char out[ALLOWED_CAPACITY], const struct option *option) {
    const char *text = "no value";
    switch (option->kind) {
    case VALUE_NONE:
        break;
    case VALUE_PATH:
        snprintf(out, ALLOWED_CAPACITY, "a path of 1 to %d bytes", PATH_CAPACITY - 1);
        return;
    case VALUE_WORD:
        join_words(out, option->words, ", ", " or ");
        return;
    case VALUE_DEVICE:
        snprintf(out, ALLOWED_CAPACITY, "auto, cpu, cuda or cuda:N with N from 0 to %d",
                 MAX_CUDA_INDEX);
        return;
    case VALUE_INT:
    case VALUE_INT64:
    case VALUE_UINT64:
        snprintf(out, ALLOWED_CAPACITY, "a whole number from %" PRIu64 " to %" PRIu64, option->low,
                 option->high);
        return;
    case VALUE_INTS:
        snprintf(out, ALLOWED_CAPACITY,
                 "up to %d whole numbers from %" PRIu64 " to %" PRIu64
                 ", in rising order, separated by commas",
                 MAX_INTS, option->low, option->high);
        return;
    case VALUE_WIDTHS:
        snprintf(out, ALLOWED_CAPACITY,
                 "%d whole numbers from %" PRIu64 " to %" PRIu64 ", separated by commas",
                 BLOCK_COUNT, option->low, option->high);
        return;
    case VALUE_POSITIVE:
        text = "a finite decimal number above 0";
        break;
    case VALUE_NOT_NEGATIVE:
        text = "a finite decimal number, 0 or above";
        break;
    case VALUE_FRACTION:
        text = "a decimal number from 0 to below 1";
        break;
    }
    snprintf(out, ALLOWED_CAPACITY, "%s", text);
}

/* ---- reading -------------------------------------------------------------------------------- */

/* Digits only: no sign, no space, nothing after them. */
static bool read_whole(uint64_t *out, const char *text, uint64_t low, uint64_t high) {
    uint64_t value = 0;
    if (text[0] == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        uint64_t digit = (uint64_t)(*text - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = 10 * value + digit;
    }
    *out = value;
    return value >= low && value <= high;
}

/* A decimal number that is finite as a float, and not 0 as a float unless it is written as a zero.
 * No option takes a negative number. */
static bool read_real(float *out, const char *text) {
    if (text[0] == '\0' || text[0] == '-' || text[0] == '+' ||
        text[strspn(text, "0123456789.eE+-")] != '\0') /* strtof takes "nan", "inf", "0x1p3" */
        return false;
    char *end;
    *out = strtof(text, &end);
    if (end == text || *end != '\0' || !isfinite(*out))
        return false;
    bool written_as_zero = strspn(text, "0.") == strcspn(text, "eE");
    return *out > 0 || written_as_zero;
}

static bool read_device(struct device_request *out, const char *text) {
    uint64_t index = 0;
    if (strncmp(text, "cuda:", 5) == 0 && !read_whole(&index, text + 5, 0, MAX_CUDA_INDEX))
        return false;
    if (strcmp(text, "auto") == 0)
        out->kind = DEVICE_AUTO;
    else if (strcmp(text, "cpu") == 0)
        out->kind = DEVICE_CPU;
    else if (strcmp(text, "cuda") == 0 || strncmp(text, "cuda:", 5) == 0)
        out->kind = DEVICE_CUDA;
    else
        return false;
    out->index = (int)index;
    return true;
}

static bool read_word(int *out, const char *text, const char *const *words) {
    for (*out = 0; words[*out] != NULL; ++*out)
        if (strcmp(words[*out], text) == 0)
            return true;
    return false;
}

/* Reads a whole number into the member, in the member's type. */
static bool put_whole(void *member, const struct option *option, const char *text) {
    uint64_t whole;
    if (!read_whole(&whole, text, option->low, option->high))
        return false;
    int as_int = (int)whole;
    if (option->kind == VALUE_INT)
        memcpy(member, &as_int, sizeof as_int);
    else
        memcpy(member, &whole, sizeof whole); /* at most 10^12 where the member is signed */
    return true;
}

/* Up to `capacity` whole numbers. Returns how many; 0: they are not allowed. */
static int read_list(int *out, int capacity, bool rising, const char *text,
                     const struct option *option) {
    uint64_t low = option->low, value;
    for (int count = 0; count < capacity; low = rising ? value + 1 : low) {
        char digits[24];
        size_t length = strcspn(text, ",");
        if (length >= sizeof digits)
            return 0;
        memcpy(digits, text, length);
        digits[length] = '\0';
        if (!read_whole(&value, digits, low, option->high))
            return 0;
        out[count++] = (int)value;
        if (text[length] == '\0')
            return count;
        text += length + 1;
    }
    return 0;
}

static bool put_ints(struct int_list *out, const struct option *option, const char *text) {
    out->count = read_list(out->values, MAX_INTS, true, text, option);
    return out->count > 0;
}

static bool put_real(void *member, const struct option *option, const char *text) {
    float real;
    if (!read_real(&real, text) || (option->kind == VALUE_POSITIVE && real <= 0) ||
        (option->kind == VALUE_FRACTION && real >= 1))
        return false;
    memcpy(member, &real, sizeof real);
    return true;
}

bool option_put(void *member, const struct option *option, const char *text) {
    int word;
    size_t length;
    switch (option->kind) {
    case VALUE_NONE:
        *(bool *)member = true;
        return true;
    case VALUE_PATH:
        length = strlen(text);
        if (length == 0 || length >= PATH_CAPACITY)
            return false;
        memcpy(member, text, length + 1);
        return true;
    case VALUE_WORD:
        if (!read_word(&word, text, option->words))
            return false;
        memcpy(member, &word, sizeof word);
        return true;
    case VALUE_DEVICE:
        return read_device(member, text);
    case VALUE_INT:
    case VALUE_INT64:
    case VALUE_UINT64:
        return put_whole(member, option, text);
    case VALUE_INTS:
        return put_ints(member, option, text);
    case VALUE_WIDTHS:
        return read_list(member, BLOCK_COUNT, false, text, option) == BLOCK_COUNT;
    case VALUE_POSITIVE:
    case VALUE_NOT_NEGATIVE:
    case VALUE_FRACTION:
        return put_real(member, option, text);
    }
    return false;
}
