/* test_file_read.c: reading files: what is refused, short reads, signals, failing calls.
 *
 * The program replaces the C library's read: its own fails one call and cuts reads short. */
#include "support.h"

#include "base/file_read.h"
#include "memory.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
    int calls, fail_at, reason; /* so far; the call that fails, from 1; its errno */
    size_t most;                /* bytes that one read takes; 0: all */
} faults;

ssize_t read(int file, void *out, size_t bytes) {
    if (++faults.calls == faults.fail_at) {
        errno = faults.reason;
        return -1;
    }
    return syscall(SYS_read, file, out,
                   faults.most != 0 && bytes > faults.most ? faults.most : bytes);
}

static int reset(void **state) {
    memset(&faults, 0, sizeof faults);
    return temporary_folder_make(state);
}

static const char contents[] = "0123456789";
enum { BYTES = sizeof contents - 1 };

static const char *ten_bytes(const char *folder) {
    const char *path = in_folder(folder, "file");
    file_put(path, contents, BYTES);
    return path;
}

static void reads_in_pieces(void **state) {
    struct error error;
    struct file_reader reader;
    char bytes[BYTES];
    size_t got;
    int descriptor = lowest_free_descriptor();
    faults.most = 3, faults.fail_at = 2, faults.reason = EINTR;
    assert_succeeded(file_open(&error, &reader, ten_bytes(*state), "test file"), &error);
    assert_int_equal(reader.size, BYTES);
    assert_succeeded(file_read(&error, bytes, 7, &reader), &error);
    assert_memory_equal(bytes, contents, 7);
    assert_int_equal(reader.done, 7);
    assert_succeeded(file_read_up_to(&error, bytes, &got, BYTES, &reader), &error);
    assert_int_equal(got, 3);
    assert_memory_equal(bytes, contents + 7, 3);
    assert_succeeded(file_read_up_to(&error, bytes, &got, BYTES, &reader), &error);
    assert_int_equal(got, 0);
    FAILED(file_read(&error, bytes, 1, &reader), STATUS_BAD_DATA, &error, "test file", "/file'",
           "ended at byte 10");
    file_close(&reader);
    file_close(&reader); /* again is fine */
    assert_int_equal(lowest_free_descriptor(), descriptor);
}

static void reports_a_failing_disk(void **state) {
    struct error error;
    struct file_reader reader;
    char bytes[BYTES];
    assert_succeeded(file_open(&error, &reader, ten_bytes(*state), "test file"), &error);
    faults.most = 4, faults.fail_at = 2, faults.reason = EIO;
    FAILED(file_read(&error, bytes, BYTES, &reader), STATUS_BAD_DATA, &error, "test file", "/file'",
           "at byte 4", strerror(EIO));
    file_close(&reader);
}

static void refuses(const char *path, int reason, const char *words) {
    struct error error;
    struct file_reader reader;
    int descriptor = lowest_free_descriptor();
    FAILED(file_open(&error, &reader, path, "test file"), STATUS_BAD_DATA, &error, "test file",
           path, words);
    assert_int_equal(reader.reason, reason);
    assert_int_equal(reader.handle, -1);
    assert_int_equal(lowest_free_descriptor(), descriptor);
}

static void refuses_what_is_no_file(void **state) {
    refuses(in_folder(*state, "absent"), ENOENT, "no test file");
    refuses(*state, EISDIR, "is a folder");
    refuses("/dev/null", ENOTSUP, "is a device or pipe");
    const char *pipe = in_folder(*state, "pipe");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    refuses(pipe, ENOTSUP, "is a device or pipe");
    const char *path = ten_bytes(*state);
    assert_int_equal(chmod(path, 0), 0);
    become_ordinary();
    refuses(path, EACCES, strerror(EACCES));
    become_self();
}

static void reads_a_whole_file(void **state) {
    struct error error;
    char *text;
    size_t bytes;
    const char *path = ten_bytes(*state);
    assert_succeeded(file_read_whole(&error, &text, &bytes, path, "test file", BYTES), &error);
    assert_int_equal(bytes, BYTES);
    assert_string_equal(text, contents); /* with its zero byte */
    memory_free(text);
    FAILED(file_read_whole(&error, &text, &bytes, path, "test file", BYTES - 1), STATUS_BAD_DATA,
           &error, path, "10 bytes, at most 9");
    assert_null(text);
    faults.calls = 0, faults.fail_at = 1, faults.reason = EIO;
    FAILED(file_read_whole(&error, &text, &bytes, path, "test file", BYTES), STATUS_BAD_DATA,
           &error, path, strerror(EIO));
    assert_null(text);
}

static void advice_is_appended(void **state) {
    struct error error;
    struct file_reader reader;
    (void)file_open(&error, &reader, in_folder(*state, "absent"), "test file");
    FAILED(error_append(&error, "; make\none with %d bytes", BYTES), STATUS_BAD_DATA, &error,
           "no test file", "; make?one with 10 bytes");
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, reset, temporary_folder_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(reads_in_pieces),         IN_FOLDER(reports_a_failing_disk),
        IN_FOLDER(refuses_what_is_no_file), IN_FOLDER(reads_a_whole_file),
        IN_FOLDER(advice_is_appended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
