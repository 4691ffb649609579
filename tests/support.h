/* support.h: what several test programs share: cmocka with the headers that it wants, temporary
 * folders, files to put and get, and checks of an error. Everything here fails the running test
 * when it fails. */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "error.h"

/* Set-up and tear-down for cmocka_unit_test_setup_teardown: *state is the path (char *) of a fresh,
 * empty folder; the tear-down removes it with all that is in it. */
int temporary_folder_make(void **state);
int temporary_folder_remove(void **state);

/* Skips the running test, with the reason where tests/run shows it. */
void skip_because(const char *reason);

/* Checks that a call returned `expected`, put it into `error`, and wrote one line of text that
 * holds each of the `parts` (NULL at the end). */
void assert_failed(enum status returned, enum status expected, const struct error *error,
                   const char *const *parts);
#define FAILED(returned, expected, error, ...)                                                     \
    assert_failed(returned, expected, error, (const char *const[]){__VA_ARGS__, NULL})

/* Checks that a call succeeded; shows the error where it did not. */
void assert_succeeded(enum status returned, const struct error *error);

/* `folder`/`name`, in one of a few buffers that are used in turn. */
const char *in_folder(const char *folder, const char *name);

/* Makes a file of `size` bytes: `data`, or, with data == NULL, zeros that take no room on disk. */
void file_put(const char *path, const void *data, size_t size);

/* Overwrites `size` bytes of a file at `offset`. */
void file_poke(const char *path, size_t offset, const void *data, size_t size);

/* Checks that the file holds exactly these bytes. */
void assert_file_holds(const char *path, const void *data, size_t size);

/* How many names are in a folder, "." and ".." not counted. */
int folder_entries(const char *path);

/* The number that the next opened file would get: the same before and after when nothing was left
 * open. */
int lowest_free_descriptor(void);

/* The rights of an ordinary user for a root that tests, so that permissions mean something;
 * become_self goes back. Skips the test where that cannot be. */
void become_ordinary(void);
void become_self(void);

/* FNV-1a, 64 bits (Fowler, Noll, Vo; draft-eastlake-fnv): one number for many bytes. */
uint64_t hash_bytes(const void *data, size_t size);

#endif
