/* crc32c.c: CRC-32C, four bits at a time. */
#include "run/crc32c.h"

/* The remainder for each value n of four bits: n times x^32, modulo the polynomial 0x1EDC6F41 of
 * RFC 3720, section 12.1. Bits are reflected (the lowest comes first), so the polynomial is
 * 0x82F63B78. Sarwate, "Computation of cyclic redundancy checks via table look-up", CACM 31 (8),
 * 1988. */
static const uint32_t table[16] = {
    0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
    0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

uint32_t crc32c(const void *data, size_t size) {
    const uint8_t *bytes = data;
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}
