/* crc32c.h: the checksum CRC-32C (Castagnoli). */
#ifndef CRC32C_H
#define CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32C of `size` bytes, as defined in RFC 3720 (iSCSI), section 12.1. */
uint32_t crc32c(const void *data, size_t size);

#endif
