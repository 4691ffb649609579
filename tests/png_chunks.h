/* png_chunks.h: the chunks of a PNG as bytes (https://www.w3.org/TR/png-3/#5Chunk-layout), to
 * build files that libpng would not write and to correct the checksums of changed ones. */
#ifndef PNG_CHUNKS_H
#define PNG_CHUNKS_H

#include <stddef.h>
#include <stdint.h>

enum { PNG_SIGNATURE_BYTES = 8, PNG_CHUNK_EXTRA = 12 /* length, type, checksum */ };

/* Writes a chunk to `out`, which has room for size + PNG_CHUNK_EXTRA bytes; returns that sum. */
size_t png_chunk_put(uint8_t *out, const char type[4], const void *data, size_t size);

/* Corrects the checksum of every complete chunk, so that it does not give a change away. */
void png_mend_checksums(uint8_t *png, size_t size);

#endif
