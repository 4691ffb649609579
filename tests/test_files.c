/* test_files.c: paths, and file_write under every failure of a system call.
 *
 * The program replaces the C library's write, fsync, close and rename: its own fail the n-th call
 * that file_write makes, and cut writes short. */
#include "support.h"

#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- failing system calls -------------------------------------------------------------------- */

static struct {
    bool armed;
    int calls;   /* so far */
    int fail_at; /* the call that fails, from 1 */
    int reason;  /* its errno */
    size_t most; /* bytes that one write takes; 0: all */
} faults;

static bool fault(void) {
    if (!faults.armed || ++faults.calls != faults.fail_at)
        return false;
    errno = faults.reason;
    return true;
}

ssize_t write(int file, const void *data, size_t bytes) {
    if (fault())
        return -1;
    if (faults.armed && faults.most != 0 && bytes > faults.most)
        bytes = faults.most;
    return syscall(SYS_write, file, data, bytes);
}

int fsync(int file) {
    return fault() ? -1 : (int)syscall(SYS_fsync, file);
}

int close(int file) { /* closes even when it fails, as Linux does */
    int result = (int)syscall(SYS_close, file);
    return fault() ? -1 : result;
}

int rename(const char *from, const char *to) {
    return fault() ? -1 : renameat(AT_FDCWD, from, AT_FDCWD, to);
}

/* ---- a file of two pieces -------------------------------------------------------------------- */

static const struct file_piece pieces[] = {{"first, ", 7}, {"second", 6}};
static const char whole[] = "first, second";
static const char old[] = "old";

static enum status write_pieces(struct error *error, const char *path) {
    return file_write(error, path, pieces, 2);
}

/* The same with the n-th call failing for `reason`. */
static enum status write_failing(struct error *error, const char *path, int n, int reason) {
    faults.armed = true, faults.calls = 0, faults.fail_at = n, faults.reason = reason;
    enum status status = write_pieces(error, path);
    faults.armed = false;
    return status;
}

/* The path of a file in the test's folder that holds `old`. */
static const char *old_file(const char *folder) {
    const char *path = in_folder(folder, "file");
    file_put(path, old, strlen(old));
    return path;
}

/* ---- file_write ------------------------------------------------------------------------------ */

static void write_makes_a_file(void **state) {
    struct error error;
    const char *path = in_folder(*state, "file");
    assert_false(file_exists(path));
    assert_succeeded(write_pieces(&error, path), &error);
    assert_true(file_exists(path));
    assert_file_holds(path, whole, strlen(whole));
    assert_int_equal(folder_entries(*state), 1);
}

static void write_replaces_a_file(void **state) {
    struct error error;
    const char *path = old_file(*state);
    assert_succeeded(write_pieces(&error, path), &error);
    assert_file_holds(path, whole, strlen(whole));
    assert_int_equal(folder_entries(*state), 1);
}

/* A reader that has the old file open still reads the old file. */
static void write_leaves_open_readers_alone(void **state) {
    struct error error;
    char found[sizeof whole];
    const char *path = old_file(*state);
    int reader = open(path, O_RDONLY);
    assert_true(reader >= 0);
    assert_succeeded(write_pieces(&error, path), &error);
    assert_int_equal(read(reader, found, sizeof found), strlen(old));
    assert_memory_equal(found, old, strlen(old));
    assert_int_equal(close(reader), 0);
}

static void write_takes_no_pieces_and_empty_ones(void **state) {
    struct error error;
    const char *path = old_file(*state);
    assert_succeeded(file_write(&error, path, NULL, 0), &error);
    assert_file_holds(path, "", 0);
    const struct file_piece empty = {NULL, 0};
    assert_succeeded(file_write(&error, path, &empty, 1), &error);
    assert_file_holds(path, "", 0);
}

/* Leftovers of a killed run do not matter. */
static void write_overwrites_a_stale_temporary(void **state) {
    struct error error;
    const char *path = in_folder(*state, "file");
    file_put(in_folder(*state, "file.tmp"), "much longer than the new contents", 33);
    assert_succeeded(write_pieces(&error, path), &error);
    assert_file_holds(path, whole, strlen(whole));
    assert_int_equal(folder_entries(*state), 1);
}

static void write_takes_a_bare_name(void **state) {
    struct error error;
    int before = open(".", O_RDONLY | O_DIRECTORY);
    assert_true(before >= 0);
    assert_int_equal(chdir(*state), 0);
    enum status status = write_pieces(&error, "file");
    assert_int_equal(fchdir(before), 0);
    assert_int_equal(close(before), 0);
    assert_succeeded(status, &error);
    assert_file_holds(in_folder(*state, "file"), whole, strlen(whole));
}

static void write_continues_after_short_writes(void **state) {
    struct error error;
    const char *path = old_file(*state);
    faults.most = 2;
    enum status status = write_failing(&error, path, 0, 0);
    faults.most = 0;
    assert_succeeded(status, &error);
    assert_true(faults.calls > 7); /* seven writes at least: they were cut short */
    assert_file_holds(path, whole, strlen(whole));
}

static void write_goes_on_after_signals(void **state) {
    static const int interruptible[] = {1, 2, 3, 4, 6}; /* write, write, fsync, close; fsync */
    struct error error;
    for (size_t i = 0; i < sizeof interruptible / sizeof interruptible[0]; i++) {
        const char *path = old_file(*state);
        assert_succeeded(write_failing(&error, path, interruptible[i], EINTR), &error);
        assert_file_holds(path, whole, strlen(whole));
    }
}

/* Fails each call in turn: the message names it, no temporary file is left, no file stays open, and
 * the old file is complete until the new one replaces it. */
static void write_survives_every_failure(void **state) {
    static const char *const calls[] = {"write failed", "write failed",  "fsync failed",
                                        "close failed", "rename failed", "fsync of its folder"};
    enum { CALLS = sizeof calls / sizeof calls[0], RENAME = 5 };
    struct error error;
    int descriptor = lowest_free_descriptor();
    for (int n = 1; n <= CALLS; n++) {
        const char *path = old_file(*state);
        FAILED(write_failing(&error, path, n, EIO), STATUS_FAILED, &error, path, calls[n - 1],
               strerror(EIO));
        assert_file_holds(path, n <= RENAME ? old : whole, strlen(n <= RENAME ? old : whole));
        assert_int_equal(folder_entries(*state), 1);
        assert_int_equal(lowest_free_descriptor(), descriptor);
    }
    /* The next call closes the folder, which has nothing to lose. */
    assert_succeeded(write_failing(&error, in_folder(*state, "file"), CALLS + 1, EIO), &error);
}

static void write_accepts_folders_that_cannot_be_synced(void **state) {
    struct error error;
    const char *path = old_file(*state);
    assert_succeeded(write_failing(&error, path, 6, EINVAL), &error);
    assert_file_holds(path, whole, strlen(whole));
}

static void write_reports_a_full_disk(void **state) {
    struct error error;
    const char *path = old_file(*state);
    FAILED(write_failing(&error, path, 2, ENOSPC), STATUS_FAILED, &error, path, "13 bytes",
           "make room", strerror(ENOSPC));
    assert_file_holds(path, old, strlen(old));
    assert_int_equal(folder_entries(*state), 1);
}

/* A real limit, reached in the middle of a write: the kernel writes a part first and fails the
 * rest. */
static void write_fails_cleanly_at_the_size_limit(void **state) {
    enum { LIMIT = 100000 };
    struct error error;
    struct rlimit before, limited;
    static char data[2 * LIMIT];
    const struct file_piece large = {data, sizeof data};
    const char *path = old_file(*state);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limited = before;
    limited.rlim_cur = LIMIT;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limited), 0);
    enum status status = file_write(&error, path, &large, 1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    FAILED(status, STATUS_FAILED, &error, path, "write failed", "200000 bytes", strerror(EFBIG));
    assert_file_holds(path, old, strlen(old));
    assert_int_equal(folder_entries(*state), 1);
}

static void write_needs_its_folder(void **state) {
    struct error error;
    const char *path = in_folder(*state, "absent/file");
    FAILED(write_pieces(&error, path), STATUS_FAILED, &error, path, "folder", strerror(ENOENT));
    assert_int_equal(folder_entries(*state), 0);
}

static void write_needs_a_writable_folder(void **state) {
    struct error error;
    const char *path = old_file(*state);
    assert_int_equal(chmod(*state, 0555), 0);
    become_ordinary();
    enum status status = write_pieces(&error, path);
    become_self();
    FAILED(status, STATUS_FAILED, &error, path, "may write to", strerror(EACCES));
    assert_file_holds(path, old, strlen(old));
    assert_int_equal(folder_entries(*state), 1);
}

static void write_does_not_replace_a_folder(void **state) {
    struct error error;
    const char *path = in_folder(*state, "file");
    assert_int_equal(mkdir(path, 0777), 0);
    FAILED(write_pieces(&error, path), STATUS_FAILED, &error, path, "is a folder");
    assert_int_equal(folder_entries(*state), 1);
}

static void write_does_not_follow_a_link_in_its_way(void **state) {
    struct error error;
    const char *victim = old_file(*state), *path = in_folder(*state, "new");
    assert_int_equal(symlink(victim, in_folder(*state, "new.tmp")), 0);
    FAILED(write_pieces(&error, path), STATUS_FAILED, &error, path, strerror(ELOOP));
    assert_file_holds(victim, old, strlen(old));
}

/* ---- links, pipes, devices ------------------------------------------------------------------- */

static void make_link(const char *target, const char *path) {
    if (symlink(target, path) != 0)
        fail_msg("cannot link %s: %s", path, strerror(errno));
}

static bool is_link(const char *path) {
    struct stat found;
    return lstat(path, &found) == 0 && S_ISLNK(found.st_mode);
}

/* A link to a relative link to a file in another folder: the file is replaced, beside itself. */
static void write_follows_links(void **state) {
    struct error error;
    const char *folder = in_folder(*state, "elsewhere"), *path = in_folder(*state, "link");
    assert_int_equal(mkdir(folder, 0777), 0);
    const char *victim = old_file(folder), *second = in_folder(folder, "second");
    make_link("file", second);
    make_link(second, path);
    int reader = open(victim, O_RDONLY);
    assert_succeeded(write_pieces(&error, path), &error);
    assert_file_holds(victim, whole, strlen(whole));
    assert_true(is_link(path) && is_link(second));
    char found[sizeof whole];
    assert_int_equal(read(reader, found, sizeof found), strlen(old)); /* replaced as a whole */
    close(reader);
    assert_int_equal(folder_entries(*state), 2);
    assert_int_equal(folder_entries(folder), 2);
    FAILED(write_failing(&error, path, 1, ENOSPC), STATUS_FAILED, &error, path, "write failed");
    assert_int_equal(folder_entries(folder), 2);
    file_put(in_folder(folder, "file.tmp"), "half", 4);
    assert_succeeded(file_remove(&error, path), &error); /* the link and the temporary file */
    assert_int_equal(folder_entries(*state), 1);
    assert_int_equal(folder_entries(folder), 2);
}

static void write_makes_what_a_link_leads_to(void **state) {
    struct error error;
    const char *path = in_folder(*state, "link");
    make_link("new", path);
    assert_succeeded(write_pieces(&error, path), &error);
    assert_file_holds(in_folder(*state, "new"), whole, strlen(whole));
    assert_true(is_link(path));
    make_link("loop", in_folder(*state, "loop"));
    path = in_folder(*state, "loop");
    FAILED(write_pieces(&error, path), STATUS_FAILED, &error, path, strerror(ELOOP));
    path = in_folder(*state, "broken");
    make_link("absent/file", path);
    FAILED(write_pieces(&error, path), STATUS_FAILED, &error, path, strerror(ENOENT));
}

/* Like /dev/stdout, a link to a pipe. */
static void write_goes_into_a_pipe(void **state) {
    struct error error;
    struct stat found;
    char bytes[sizeof whole];
    const char *pipe = in_folder(*state, "pipe"), *path = in_folder(*state, "link");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    make_link("pipe", path);
    int reader = open(pipe, O_RDONLY | O_NONBLOCK), descriptor = lowest_free_descriptor();
    assert_succeeded(write_pieces(&error, path), &error);
    assert_int_equal(read(reader, bytes, sizeof bytes), strlen(whole));
    assert_memory_equal(bytes, whole, strlen(whole));
    FAILED(write_failing(&error, path, 1, EPIPE), STATUS_FAILED, &error, path, strerror(EPIPE));
    FAILED(write_failing(&error, path, 3, EIO), STATUS_FAILED, &error, path, "close failed");
    assert_int_equal(lowest_free_descriptor(), descriptor);
    close(reader);
    assert_int_equal(folder_entries(*state), 2);
    assert_true(is_link(path) && lstat(pipe, &found) == 0 && S_ISFIFO(found.st_mode));
}

static void write_goes_to_a_device(void **state) {
    struct error error;
    struct stat found;
    const char *path = in_folder(*state, "null");
    make_link("/dev/null", path); /* if this test fails, the link is replaced, not the device */
    assert_succeeded(write_pieces(&error, path), &error);
    assert_int_equal(stat("/dev/null", &found), 0);
    assert_true(S_ISCHR(found.st_mode) && is_link(path));
    path = in_folder(*state, "full");
    make_link("/dev/full", path);
    FAILED(write_pieces(&error, path), STATUS_FAILED, &error, path, "make room", strerror(ENOSPC));
    assert_int_equal(folder_entries(*state), 2);
}

static void write_refuses_a_socket(void **state) {
    struct error error;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = in_folder(*state, "socket");
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int server = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(server, (const struct sockaddr *)&address, sizeof address), 0);
    FAILED(write_pieces(&error, path), STATUS_FAILED, &error, path, "is a socket");
    close(server);
    assert_int_equal(folder_entries(*state), 1);
}

/* Through the open descriptor: opened again, the file would be overwritten from its start. */
static void write_goes_to_standard_output(void **state) {
    struct error error;
    const char *path = old_file(*state);
    int before = dup(STDOUT_FILENO), file = open(path, O_WRONLY | O_APPEND);
    fflush(stdout);
    assert_int_equal(dup2(file, STDOUT_FILENO), STDOUT_FILENO);
    enum status status = write_pieces(&error, "/dev/stdout");
    assert_int_equal(dup2(before, STDOUT_FILENO), STDOUT_FILENO);
    close(before);
    close(file);
    assert_succeeded(status, &error);
    assert_file_holds(path, "oldfirst, second", 16);
    assert_int_equal(folder_entries(*state), 1);
}

/* The link /proc/self/fd/N of a removed file reads "... (deleted)", which is not a name to write
 * to. */
static void write_reaches_a_file_without_name(void **state) {
    struct error error;
    char path[64], found[sizeof whole];
    const char *name = old_file(*state);
    int file = open(name, O_RDWR);
    assert_int_equal(unlink(name), 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    assert_succeeded(write_pieces(&error, path), &error);
    assert_int_equal(pread(file, found, sizeof found, 0), strlen(whole));
    assert_memory_equal(found, whole, strlen(whole));
    close(file);
    assert_int_equal(folder_entries(*state), 0);
}

/* What is open as /dev/fd/N is what its owner reads, whatever its name. */
static void write_reaches_an_open_file(void **state) {
    struct error error;
    char path[64], found[sizeof whole];
    int file = open(old_file(*state), O_RDWR);
    snprintf(path, sizeof path, "/dev/fd/%d", file);
    assert_succeeded(write_pieces(&error, path), &error);
    assert_int_equal(pread(file, found, sizeof found, 0), strlen(whole));
    assert_memory_equal(found, whole, strlen(whole));
    close(file);
    assert_int_equal(folder_entries(*state), 1);
}

/* The first bytes of a long path are a path, too. */
static void write_follows_no_link_that_is_too_long(void **state) {
    struct error error;
    char target[PATH_CAPACITY + 8];
    const char *link = in_folder(*state, "link");
    memset(target, '/', sizeof target);
    snprintf(target, sizeof target, "%s", *(const char **)state);
    target[strlen(target)] = '/';
    memcpy(target + PATH_CAPACITY - 5, "short/b", 8);
    assert_int_equal(symlink(target, link), 0);
    FAILED(write_pieces(&error, link), STATUS_FAILED, &error, link, "link to a path over 1023");
    assert_int_equal(folder_entries(*state), 1);
}

/* ---- paths ----------------------------------------------------------------------------------- */

static void join_puts_one_slash(void **state) {
    (void)state;
    struct error error;
    char path[PATH_CAPACITY];
    assert_succeeded(path_join(&error, path, "a", "b"), &error);
    assert_string_equal(path, "a/b");
    assert_succeeded(path_join(&error, path, "a/", "b"), &error);
    assert_string_equal(path, "a/b");
    assert_succeeded(path_join(&error, path, "/", "b"), &error);
    assert_string_equal(path, "/b");
    assert_succeeded(path_join(&error, path, "", "b"), &error);
    assert_string_equal(path, "b");
}

static void join_refuses_what_does_not_fit(void **state) {
    (void)state;
    struct error error;
    char path[PATH_CAPACITY], longest[PATH_CAPACITY - 2]; /* with "/b" and the zero it just fits */
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    assert_succeeded(path_join(&error, path, longest, "b"), &error);
    assert_int_equal(strlen(path), PATH_CAPACITY - 1);
    FAILED(path_join(&error, path, longest, "bc"), STATUS_USAGE, &error, "path too long", "aaa");

    char longer[PATH_CAPACITY + 1];
    memset(longer, 'a', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    FAILED(path_join(&error, path, "", longer), STATUS_USAGE, &error, "path too long", "'aaa");
}

static void remove_takes_what_a_cut_off_write_left(void **state) {
    struct error error;
    const char *path = in_folder(*state, "file");
    assert_succeeded(file_remove(&error, path), &error); /* nothing there */
    old_file(*state);
    file_put(in_folder(*state, "file.tmp"), "half", 4);
    assert_succeeded(file_tidy(&error, path), &error);
    assert_file_holds(path, old, strlen(old));
    assert_int_equal(folder_entries(*state), 1);
    file_put(in_folder(*state, "file.tmp"), "half", 4);
    assert_succeeded(file_remove(&error, path), &error);
    assert_int_equal(folder_entries(*state), 0);
}

static void remove_says_why_not(void **state) {
    struct error error;
    const char *path = old_file(*state);
    assert_int_equal(chmod(*state, 0555), 0);
    become_ordinary();
    enum status status = file_remove(&error, path);
    become_self();
    FAILED(status, STATUS_FAILED, &error, path, "may write to", strerror(EACCES));
}

static void sync_takes_files_and_pipes(void **state) {
    struct error error;
    int pipe_ends[2];
    const char *path = old_file(*state);
    int file = open(path, O_RDONLY);
    assert_true(file >= 0 && pipe(pipe_ends) == 0);
    assert_succeeded(file_sync(&error, file, path), &error);
    assert_succeeded(file_sync(&error, pipe_ends[1], "a pipe"), &error);
    close(file);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    FAILED(file_sync(&error, file, path), STATUS_FAILED, &error, path, "fsync", strerror(EBADF));
}

#define IN_FOLDER(test)                                                                            \
    cmocka_unit_test_setup_teardown(test, temporary_folder_make, temporary_folder_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(write_makes_a_file),
        IN_FOLDER(write_replaces_a_file),
        IN_FOLDER(write_leaves_open_readers_alone),
        IN_FOLDER(write_takes_no_pieces_and_empty_ones),
        IN_FOLDER(write_overwrites_a_stale_temporary),
        IN_FOLDER(write_takes_a_bare_name),
        IN_FOLDER(write_continues_after_short_writes),
        IN_FOLDER(write_goes_on_after_signals),
        IN_FOLDER(write_survives_every_failure),
        IN_FOLDER(write_accepts_folders_that_cannot_be_synced),
        IN_FOLDER(write_reports_a_full_disk),
        IN_FOLDER(write_fails_cleanly_at_the_size_limit),
        IN_FOLDER(write_needs_its_folder),
        IN_FOLDER(write_needs_a_writable_folder),
        IN_FOLDER(write_does_not_replace_a_folder),
        IN_FOLDER(write_does_not_follow_a_link_in_its_way),
        IN_FOLDER(write_follows_links),
        IN_FOLDER(write_makes_what_a_link_leads_to),
        IN_FOLDER(write_goes_into_a_pipe),
        IN_FOLDER(write_goes_to_a_device),
        IN_FOLDER(write_refuses_a_socket),
        IN_FOLDER(write_goes_to_standard_output),
        IN_FOLDER(write_reaches_a_file_without_name),
        IN_FOLDER(write_reaches_an_open_file),
        IN_FOLDER(write_follows_no_link_that_is_too_long),
        cmocka_unit_test(join_puts_one_slash),
        cmocka_unit_test(join_refuses_what_does_not_fit),
        IN_FOLDER(remove_takes_what_a_cut_off_write_left),
        IN_FOLDER(remove_says_why_not),
        IN_FOLDER(sync_takes_files_and_pipes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
