/* md5.h: MD5 (RFC 1321), to recognize known files, not to protect against attackers. Sixty lines of
 * our own save a dependency on a cryptographic library. */
#ifndef MD5_H
#define MD5_H

#include <stddef.h>
#include <stdint.h>

enum { MD5_BLOCK = 64, MD5_TEXT = 33 /* 32 digits and a zero byte */ };

struct md5 {
    uint32_t state[4];
    uint64_t bytes;                 /* added so far */
    unsigned char block[MD5_BLOCK]; /* the last bytes % MD5_BLOCK of them */
};

/* The sum of all data between begin and finish, as 32 lower-case hexadecimal digits. */
void md5_begin(struct md5 *md5);
void md5_add(struct md5 *md5, const void *data, size_t bytes);
void md5_finish(char out[MD5_TEXT], struct md5 *md5);

#endif
