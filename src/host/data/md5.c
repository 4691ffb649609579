/* md5.c: MD5, with the constants of RFC 1321, section 3.4. Blocks are read byte by byte, so the
 * byte order of the machine does not matter. */
#include "data/md5.h"

#include <stdio.h>
#include <string.h>

static const uint32_t sines[MD5_BLOCK] = {
    /* 2^32 |sin(i + 1)| */
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

static uint32_t rotate(uint32_t x, int by) {
    return x << by | x >> (32 - by);
}

/* One step: a = b + ((a + function + word + sine) <<< by); then a, b, c, d rotate. */
static void step(uint32_t v[4], uint32_t function, uint32_t word, uint32_t sine, int by) {
    uint32_t b = v[1] + rotate(v[0] + function + word + sine, by);
    v[0] = v[3], v[3] = v[2], v[2] = v[1], v[1] = b;
}

static void add_block(uint32_t state[4], const unsigned char block[MD5_BLOCK]) {
    static const int by[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    uint32_t x[16], v[4] = {state[0], state[1], state[2], state[3]};
    for (int i = 0; i < 16; i++)
        x[i] = block[4 * i] | (uint32_t)block[4 * i + 1] << 8 | (uint32_t)block[4 * i + 2] << 16 |
               (uint32_t)block[4 * i + 3] << 24;
    for (int i = 0; i < 16; i++)
        step(v, (v[1] & v[2]) | (~v[1] & v[3]), x[i], sines[i], by[0][i % 4]);
    for (int i = 0; i < 16; i++)
        step(v, (v[3] & v[1]) | (~v[3] & v[2]), x[(5 * i + 1) % 16], sines[16 + i], by[1][i % 4]);
    for (int i = 0; i < 16; i++)
        step(v, v[1] ^ v[2] ^ v[3], x[(3 * i + 5) % 16], sines[32 + i], by[2][i % 4]);
    for (int i = 0; i < 16; i++)
        step(v, v[2] ^ (v[1] | ~v[3]), x[7 * i % 16], sines[48 + i], by[3][i % 4]);
    for (int i = 0; i < 4; i++)
        state[i] += v[i];
}

void md5_begin(struct md5 *md5) {
    *md5 = (struct md5){.state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}};
}

void md5_add(struct md5 *md5, const void *data, size_t bytes) {
    const unsigned char *from = data;
    while (bytes > 0) {
        size_t used = md5->bytes % MD5_BLOCK, room = MD5_BLOCK - used;
        size_t now = bytes < room ? bytes : room;
        if (now == MD5_BLOCK) {
            add_block(md5->state, from);
        } else {
            memcpy(md5->block + used, from, now);
            if (now == room)
                add_block(md5->state, md5->block);
        }
        from += now, bytes -= now, md5->bytes += now;
    }
}

/* Padding: a one bit, zeros, and the length in bits at the end of a block. */
void md5_finish(char out[MD5_TEXT], struct md5 *md5) {
    static const unsigned char padding[MD5_BLOCK] = {0x80};
    const uint64_t bits = 8 * md5->bytes;
    const size_t used = md5->bytes % MD5_BLOCK, end = used < 56 ? 56 : 56 + MD5_BLOCK;
    unsigned char length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)(bits >> 8 * i);
    md5_add(md5, padding, end - used);
    md5_add(md5, length, sizeof length);
    for (int i = 0; i < 16; i++)
        snprintf(out + 2 * i, 3, "%02x", (unsigned)(md5->state[i / 4] >> 8 * (i % 4) & 0xff));
}
