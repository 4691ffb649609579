/* support.h: what several test programs share: cmocka with the headers it needs, temporary folders,
 * reading and writing files, and checks of an error. On a fault, every function here fails the
 * running test. */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "error.h"

/* Set-up and tear-down for cmocka_unit_test_setup_teardown: *state is the path (char *) of a new,
 * empty folder; the tear-down removes it with its contents. */
int temporary_folder_make(void **state);
int temporary_folder_remove(void **state);

/* Skips the running test; tests/run shows the reason. */
void skip_because(const char *reason);

/* Checks that a call returned `expected`, stored it in `error`, and wrote a line of text that
 * contains each of the `parts` (NULL at the end). */
void assert_failed(enum status returned, enum status expected, const struct error *error,
                   const char *const *parts);
#define FAILED(returned, expected, error, ...)                                                     \
    assert_failed(returned, expected, error, (const char *const[]){__VA_ARGS__, NULL})

/* Checks that a call succeeded; shows the error if it did not. */
void assert_succeeded(enum status returned, const struct error *error);

/* `folder`/`name`, in one of several buffers used in turn. */
const char *in_folder(const char *folder, const char *name);

/* Makes a file of `size` bytes: `data`, or, with data == NULL, zeros that take no space on disk. */
void file_put(const char *path, const void *data, size_t size);

/* Overwrites `size` bytes of a file at `offset`. */
void file_poke(const char *path, size_t offset, const void *data, size_t size);

/* Checks that the file holds exactly these bytes. */
void assert_file_holds(const char *path, const void *data, size_t size);

/* The number of names in a folder, without "." and "..". */
int folder_entries(const char *path);

/* The descriptor of the next file to be opened: the same as before if nothing was left open. */
int lowest_free_descriptor(void);

/* If root runs the tests, takes the permissions of an ordinary user; become_self goes back. Skips
 * the test if that is not possible. */
void become_ordinary(void);
void become_self(void);

/* FNV-1a, 64 bits (Fowler, Noll, Vo; draft-eastlake-fnv): one number for many bytes. */
uint64_t hash_bytes(const void *data, size_t size);

#endif
