/* fuzz.h: what the fuzz targets share. A target is one function that libFuzzer calls with one input
 * after another (https://llvm.org/docs/LibFuzzer.html); what must hold is checked with `require`,
 * and the sanitizers watch the rest. */
#ifndef FUZZ_H
#define FUZZ_H

#include "error.h"

#include <stddef.h>
#include <stdint.h>

/* libFuzzer's side of it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the program, which libFuzzer reports together with the input, unless the condition holds. */
#define require(condition) fuzz_require(condition, #condition, __FILE__, __LINE__)
void fuzz_require(int holds, const char *condition, const char *file, int line);

/* Puts the input into a file that lives in memory and stays open; returns its path. */
const char *fuzz_file(const uint8_t *data, size_t size);

/* Makes a folder of empty files of these names (NULL at the end) and opens them into files[]; all
 * of it goes when the process ends. Returns its path. A process may have two. */
const char *fuzz_folder(int *files, const char *const *names);

/* Makes these bytes all that the file holds. */
void fuzz_fill(int file, const void *data, size_t size);

/* What holds of every error: one line, that names the file and has the status that was returned. */
void fuzz_check_error(enum status returned, const struct error *error, const char *path);

/* The number that the next opened file would get. */
int fuzz_lowest_descriptor(void);

#endif
