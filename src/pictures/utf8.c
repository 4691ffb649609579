/* utf8.c: recognizes valid characters by RFC 3629, section 4. */
#include "pictures/utf8.h"

#include <stdbool.h>
#include <string.h>

/* The length that a first byte announces (0: it is no first byte), and the smallest character that
 * needs that length. */
static int promised_length(unsigned char first, unsigned *least) {
    if (first >= 0xC0 && first < 0xE0)
        return *least = 0x80, 2;
    if (first >= 0xE0 && first < 0xF0)
        return *least = 0x800, 3;
    if (first >= 0xF0 && first < 0xF8)
        return *least = 0x10000, 4;
    return 0;
}

int utf8_length(const char *text) {
    const unsigned char *bytes = (const unsigned char *)text;
    if (bytes[0] < 0x80)
        return bytes[0] >= 0x20 && bytes[0] != 0x7F ? 1 : 0;
    unsigned least = 0;
    int length = promised_length(bytes[0], &least);
    unsigned value = length == 0 ? 0 : bytes[0] & (0x7Fu >> length);
    for (int i = 1; i < length; i++) { /* stops at the zero byte that ends the text */
        if ((bytes[i] & 0xC0) != 0x80)
            return 0;
        value = value << 6 | (bytes[i] & 0x3F);
    }
    bool surrogate = value >= 0xD800 && value < 0xE000, control = value < 0xA0;
    return value < least || value > 0x10FFFF || surrogate || control ? 0 : length;
}

const char *utf8_clean(char *out, size_t capacity, const char *text) {
    size_t used = 0;
    while (*text != '\0') {
        size_t length = (size_t)utf8_length(text);
        size_t taken = length == 0 ? 1 : length;
        if (used + taken >= capacity)
            break;
        memcpy(out + used, length == 0 ? "?" : text, taken);
        used += taken;
        text += taken;
    }
    out[used] = '\0';
    return out;
}
