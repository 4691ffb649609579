/* test_folder.c: making and locking folders.
 *
 * The program replaces the C library's flock: its own fails as the test wants, or does something
 * first. */
#include "support.h"

#include "base/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
    int reason;            /* errno of every flock; 0: none fails */
    bool interrupted;      /* the first one gets EINTR */
    const char *vanishing; /* removed before the first one; NULL: nothing */
} faults;

int flock(int file, int operation) {
    if (faults.interrupted) {
        faults.interrupted = false;
        errno = EINTR;
        return -1;
    }
    if (faults.vanishing != NULL)
        unlink(faults.vanishing);
    faults.vanishing = NULL;
    if (faults.reason == 0)
        return (int)syscall(SYS_flock, file, operation);
    errno = faults.reason;
    return -1;
}

/* ---- making ---------------------------------------------------------------------------------- */

static void folder_is_made_with_its_parents(void **state) {
    struct error error;
    struct stat found;
    const char *path = in_folder(*state, "a//b/c/");
    assert_succeeded(folder_make(&error, path), &error);
    assert_int_equal(stat(in_folder(*state, "a/b/c"), &found), 0);
    assert_true(S_ISDIR(found.st_mode));
    assert_succeeded(folder_make(&error, path), &error); /* an existing one is fine */
    assert_succeeded(folder_make(&error, "/"), &error);
    assert_succeeded(folder_make(&error, "."), &error);
}

static void folder_names_the_part_in_its_way(void **state) {
    struct error error;
    const char *part = in_folder(*state, "file");
    file_put(part, "old", 3);
    FAILED(folder_make(&error, part), STATUS_FAILED, &error, part, "in the way");
    FAILED(folder_make(&error, in_folder(*state, "file/b/c")), STATUS_FAILED, &error, part,
           "in the way");
    assert_null(strstr(error.text, "file/b"));
    assert_file_holds(part, "old", 3);
    part = in_folder(*state, "link");
    assert_int_equal(symlink("nowhere", part), 0);
    FAILED(folder_make(&error, part), STATUS_FAILED, &error, part, "broken link");
}

static void folder_needs_a_writable_parent(void **state) {
    struct error error;
    const char *path = in_folder(*state, "a/b");
    assert_int_equal(chmod(*state, 0555), 0);
    become_ordinary();
    enum status status = folder_make(&error, path);
    become_self();
    FAILED(status, STATUS_FAILED, &error, in_folder(*state, "a'"), "may write to",
           strerror(EACCES));
}

static void folder_needs_a_name(void **state) {
    (void)state;
    struct error error;
    FAILED(folder_make(&error, ""), STATUS_FAILED, &error, "''");
}

/* ---- locking --------------------------------------------------------------------------------- */

static void lock_keeps_others_out(void **state) {
    struct error error;
    struct folder_lock first, second;
    int descriptor = lowest_free_descriptor();
    faults.interrupted = true;
    assert_succeeded(folder_lock(&error, &first, *state), &error);
    FAILED(folder_lock(&error, &second, *state), STATUS_FAILED, &error, *state, "another process");
    folder_unlock(&second); /* none is fine */
    FAILED(folder_lock(&error, &second, *state), STATUS_FAILED, &error, *state, "another process");
    folder_unlock(&first);
    assert_int_equal(folder_entries(*state), 0);
    assert_succeeded(folder_lock(&error, &second, *state), &error);
    folder_unlock(&second);
    assert_int_equal(lowest_free_descriptor(), descriptor);
}

static void lock_takes_what_a_killed_process_left(void **state) {
    struct error error;
    struct folder_lock lock;
    file_put(in_folder(*state, ".lock"), "", 0);
    assert_succeeded(folder_lock(&error, &lock, *state), &error);
    folder_unlock(&lock);
    assert_int_equal(folder_entries(*state), 0);
}

/* NFS turns flock into a write lock, which a read-only descriptor cannot get (EBADF). */
static void lock_is_on_a_writable_file(void **state) {
    struct error error;
    struct folder_lock lock;
    assert_succeeded(folder_lock(&error, &lock, *state), &error);
    assert_int_equal(fcntl(lock.handle, F_GETFL) & O_ACCMODE, O_RDWR);
    folder_unlock(&lock);
}

/* The previous owner removes the file between our open and our flock: we must lock the file that
 * the next process finds. */
static void lock_is_on_the_file_of_that_name(void **state) {
    struct error error;
    struct folder_lock first, second;
    faults.vanishing = in_folder(*state, ".lock");
    assert_succeeded(folder_lock(&error, &first, *state), &error);
    FAILED(folder_lock(&error, &second, *state), STATUS_FAILED, &error, "another process");
    folder_unlock(&first);
}

/* Somebody removes the file of a lock, and another process makes and locks its own. */
static void unlock_leaves_the_lock_of_others(void **state) {
    struct error error;
    struct folder_lock first, second, third;
    assert_succeeded(folder_lock(&error, &first, *state), &error);
    assert_int_equal(unlink(in_folder(*state, ".lock")), 0);
    assert_succeeded(folder_lock(&error, &second, *state), &error);
    folder_unlock(&first);
    FAILED(folder_lock(&error, &third, *state), STATUS_FAILED, &error, "another process");
    folder_unlock(&second);
    assert_int_equal(folder_entries(*state), 0);
}

/* Captures standard error while the folder is being locked. */
static void lock_loudly(char *out, size_t capacity, const char *folder) {
    struct error error;
    struct folder_lock lock;
    int ends[2], before = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    close(ends[1]);
    enum status status = folder_lock(&error, &lock, folder);
    assert_int_equal(dup2(before, STDERR_FILENO), STDERR_FILENO);
    close(before);
    ssize_t length = read(ends[0], out, capacity - 1);
    close(ends[0]);
    out[length < 0 ? 0 : length] = '\0';
    assert_succeeded(status, &error);
    folder_unlock(&lock);
}

static void lock_that_cannot_be_is_told(void **state) {
    static const int reasons[] = {EBADF, ENOLCK, EOPNOTSUPP, EINVAL};
    char told[1024];
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        faults.reason = reasons[i];
        lock_loudly(told, sizeof told, *state);
        faults.reason = 0;
        assert_non_null(strstr(told, "warning: cannot lock"));
        assert_non_null(strstr(told, strerror(reasons[i])));
        assert_ptr_equal(strchr(told, '\n'), told + strlen(told) - 1); /* one line */
        assert_int_equal(folder_entries(*state), 0);
    }
}

static void lock_needs_a_writable_folder(void **state) {
    struct error error;
    struct folder_lock lock;
    FAILED(folder_lock(&error, &lock, in_folder(*state, "absent")), STATUS_FAILED, &error,
           "absent/.lock", strerror(ENOENT));
    assert_int_equal(lock.handle, -1);
    assert_int_equal(chmod(*state, 0555), 0);
    become_ordinary();
    enum status status = folder_lock(&error, &lock, *state);
    become_self();
    FAILED(status, STATUS_FAILED, &error, *state, "may write to", strerror(EACCES));
}

#define IN_FOLDER(test)                                                                            \
    cmocka_unit_test_setup_teardown(test, temporary_folder_make, temporary_folder_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(folder_is_made_with_its_parents),
        IN_FOLDER(folder_names_the_part_in_its_way),
        IN_FOLDER(folder_needs_a_writable_parent),
        cmocka_unit_test(folder_needs_a_name),
        IN_FOLDER(lock_keeps_others_out),
        IN_FOLDER(lock_takes_what_a_killed_process_left),
        IN_FOLDER(lock_is_on_a_writable_file),
        IN_FOLDER(lock_is_on_the_file_of_that_name),
        IN_FOLDER(unlock_leaves_the_lock_of_others),
        IN_FOLDER(lock_that_cannot_be_is_told),
        IN_FOLDER(lock_needs_a_writable_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
