/* png_chunks.c: the chunks of a PNG as bytes. */
#include "png_chunks.h"

#include <string.h>

static uint32_t get_word(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void put_word(uint8_t *bytes, uint32_t word) {
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(word >> (24 - 8 * i));
}

/* CRC-32 of type and data (https://www.w3.org/TR/png-3/#5CRC-algorithm), bit by bit. */
static uint32_t checksum(const uint8_t *bytes, size_t size) {
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320u : 0);
    }
    return ~crc;
}

size_t png_chunk_put(uint8_t *out, const char type[4], const void *data, size_t size) {
    put_word(out, (uint32_t)size);
    memcpy(out + 4, type, 4);
    if (size > 0)
        memcpy(out + 8, data, size);
    put_word(out + 8 + size, checksum(out + 4, size + 4));
    return size + PNG_CHUNK_EXTRA;
}

void png_mend_checksums(uint8_t *png, size_t size) {
    size_t place = PNG_SIGNATURE_BYTES;
    while (place < size && size - place >= PNG_CHUNK_EXTRA) {
        size_t length = get_word(png + place);
        if (length > size - place - PNG_CHUNK_EXTRA)
            return;
        put_word(png + place + 8 + length, checksum(png + place + 4, length + 4));
        place += length + PNG_CHUNK_EXTRA;
    }
}
