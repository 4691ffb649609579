/* image_orientation.c: the EXIF tag Orientation (CIPA DC-008, section 4.6.4). EXIF data is a TIFF
 * structure: byte order, 42, offset of a directory. The directory is a count, then entries of 12
 * bytes: tag, type, count, value. */
#include "data/image_orientation.h"

#include <stdbool.h>
#include <string.h>

enum { HEADER_BYTES = 8, ENTRY_BYTES = 12, ORIENTATION = 0x0112, TYPE_SHORT = 3 };

/* EXIF data and its byte order. */
struct exif {
    const uint8_t *data;
    size_t bytes;
    bool big_endian;
};

/* The `count` bytes at `place`, which must be within the data, as a number. */
static uint32_t number(const struct exif *exif, size_t place, int count) {
    uint32_t value = 0;
    for (int i = 0; i < count; i++)
        value = value << 8 | exif->data[place + (size_t)(exif->big_endian ? i : count - 1 - i)];
    return value;
}

int exif_orientation(const uint8_t *data, size_t bytes) {
    struct exif exif = {data, bytes, bytes > 0 && data[0] == 'M'};
    if (bytes < HEADER_BYTES || (memcmp(data, "II*\0", 4) != 0 && memcmp(data, "MM\0*", 4) != 0))
        return 1;
    size_t place = number(&exif, 4, 4);
    if (place > bytes || bytes - place < 2)
        return 1;
    size_t entries = number(&exif, place, 2);
    for (place += 2; entries > 0 && bytes - place >= ENTRY_BYTES; entries--, place += ENTRY_BYTES) {
        if (number(&exif, place, 2) != ORIENTATION)
            continue;
        uint32_t value = number(&exif, place + 8, 2);
        bool valid = number(&exif, place + 2, 2) == TYPE_SHORT && value >= 1 && value <= 8;
        return valid ? (int)value : 1;
    }
    return 1;
}

/* The first stored pixel belongs in one of the four corners of the upright image; for orientations
 * 5 to 8 the stored rows are its columns. */
void image_orient(uint8_t image[IMAGE_BYTES], int orientation) {
    enum { LAST = IMAGE_SIDE - 1 };
    const bool exchanged = orientation >= 5;
    const bool from_bottom =
        orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
    const bool from_right =
        orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
    uint8_t stored[IMAGE_BYTES];
    memcpy(stored, image, sizeof stored);
    for (int i = 0; i < IMAGE_BYTES; i++) {
        int row = i / IMAGE_SIDE % IMAGE_SIDE, column = i % IMAGE_SIDE;
        int down = from_bottom ? LAST - row : row, across = from_right ? LAST - column : column;
        int from = exchanged ? across * IMAGE_SIDE + down : down * IMAGE_SIDE + across;
        image[i] = stored[i / IMAGE_PIXELS * IMAGE_PIXELS + from];
    }
}
