/* fuzz.h: what the fuzz targets share. A target is one function that libFuzzer calls with one input
 * after another (https://llvm.org/docs/LibFuzzer.html). It checks its conditions with `require`;
 * the sanitizers check the rest. */
#ifndef FUZZ_H
#define FUZZ_H

#include "error.h"

#include <stddef.h>
#include <stdint.h>

/* Called by libFuzzer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Aborts unless the condition holds; libFuzzer then reports the input. */
#define require(condition) fuzz_require(condition, #condition, __FILE__, __LINE__)
void fuzz_require(int holds, const char *condition, const char *file, int line);

/* Puts the input into a file in memory, which stays open; returns its path. */
const char *fuzz_file(const uint8_t *data, size_t size);

/* Makes a folder of empty files with these names (NULL at the end) and opens them into files[]. It
 * is removed when the process ends. Returns its path. A process may have two. */
const char *fuzz_folder(int *files, const char *const *names);

/* Replaces the content of the file. */
void fuzz_fill(int file, const void *data, size_t size);

/* Every error has one line, which names the file, and the status that was returned. */
void fuzz_check_error(enum status returned, const struct error *error, const char *path);

/* The descriptor that the next opened file would get: it tells whether one was leaked. */
int fuzz_lowest_descriptor(void);

#endif
