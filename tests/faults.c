/* faults.c: replacements of the wrapped calls. --wrap=NAME turns each call of NAME into one of
 * __wrap_NAME; the original is __real_NAME. Only one thread at a time makes these calls: the loader's
 * thread allocates nothing and opens nothing, and the main thread does neither while a checkpoint is
 * being written by its thread. */
#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <png.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_UNSYNCED = 8 };

/* A file with bytes written since its last fsync. */
struct unsynced {
    char path[PATH_CAPACITY];
    off_t size; /* that survives */
};

static struct {
    bool on;
    struct fault_plan plan;
    struct fault_log log;
    long seen;        /* calls of the plan's classes */
    long live_blocks; /* since the program began */
    long clock_reads;
    int cut_off; /* descriptor whose last write was short, so that the next one fails; -1: none */
    int unsynced_count, renames; /* the latter since the last fsync of a folder */
    struct unsynced unsynced[MAX_UNSYNCED];
} now = {.cut_off = -1};

static const int reasons[FAULT_CLASSES] = {
    [FAULT_MEMORY] = ENOMEM, [FAULT_OPEN] = EMFILE,  [FAULT_READ] = EIO,
    [FAULT_WRITE] = ENOSPC,  [FAULT_SYNC] = EIO,     [FAULT_TRUNCATE] = EIO,
    [FAULT_RENAME] = ENOSPC, [FAULT_REMOVE] = EIO,   [FAULT_FOLDER] = ENOSPC,
    [FAULT_CLOSE] = EIO,     [FAULT_THREAD] = EAGAIN};

/* ---- bytes that are not synced --------------------------------------------------------------- */

static void path_of(char out[PATH_CAPACITY], int file) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, out, PATH_CAPACITY - 1);
    out[length < 0 ? 0 : length] = '\0';
}

static struct unsynced *find_unsynced(const char *path) {
    for (int i = 0; i < now.unsynced_count; i++)
        if (strcmp(now.unsynced[i].path, path) == 0)
            return &now.unsynced[i];
    return NULL;
}

static void forget_unsynced(const char *path) {
    struct unsynced *file = find_unsynced(path);
    if (file != NULL)
        *file = now.unsynced[--now.unsynced_count];
}

/* Notes that `file` is about to get bytes; those that it has now are safe. */
static void note_write(int file) {
    struct stat found;
    char path[PATH_CAPACITY];
    path_of(path, file);
    if (!now.on || find_unsynced(path) != NULL || fstat(file, &found) != 0 ||
        !S_ISREG(found.st_mode))
        return;
    if (now.unsynced_count == MAX_UNSYNCED)
        abort(); /* the program syncs nothing at all */
    struct unsynced *place = &now.unsynced[now.unsynced_count++];
    memcpy(place->path, path, sizeof place->path);
    place->size = found.st_size;
}

static void note_sync(int file) {
    struct stat found;
    char path[PATH_CAPACITY];
    path_of(path, file);
    if (fstat(file, &found) == 0 && S_ISDIR(found.st_mode))
        now.renames = 0;
    else
        forget_unsynced(path);
}

static void note_rename(const char *from, const char *to) {
    struct unsynced *file = find_unsynced(from);
    now.renames++;
    forget_unsynced(to);
    if (file != NULL)
        snprintf(file->path, sizeof file->path, "%s", to);
}

/* ---- the plan -------------------------------------------------------------------------------- */

enum outcome { GO_ON, FAIL, DIE };

/* Counts a call and returns its effect. `file` is used if there is no path; -1: neither. */
static enum outcome strike(enum fault_class class, const char *path, int file) {
    const struct fault_plan *plan = &now.plan;
    if (!now.on)
        return GO_ON;
    now.log.calls[class]++;
    if ((plan->classes & FAULT_SET(class)) == 0 || plan->call == 0 || ++now.seen < plan->call)
        return GO_ON;
    if (plan->effect == EFFECT_KILL || plan->effect == EFFECT_POWER)
        return DIE;
    if (plan->effect == EFFECT_ONCE && now.seen > plan->call)
        return GO_ON;
    if (now.log.struck < FAULTS_LOGGED) {
        struct fault_entry *entry = &now.log.first[now.log.struck];
        entry->class = class;
        entry->read_only = file >= 0 && (fcntl(file, F_GETFL) & O_ACCMODE) == O_RDONLY;
        if (path != NULL)
            snprintf(entry->path, sizeof entry->path, "%s", path);
        else if (file >= 0)
            path_of(entry->path, file);
    }
    now.log.struck++;
    errno = reasons[class];
    return FAIL;
}

static void die(void) {
    for (int i = 0; i < now.unsynced_count && now.plan.effect == EFFECT_POWER; i++)
        if (truncate(now.unsynced[i].path, now.unsynced[i].size) != 0)
            abort();
    raise(SIGKILL);
}

/* Whether a call fails; does not return if the program dies. */
static bool fails(enum fault_class class, const char *path, int file) {
    enum outcome outcome = strike(class, path, file);
    if (outcome == DIE)
        die();
    return outcome != GO_ON;
}

void faults_begin(const struct fault_plan *plan) {
    json_set_alloc_funcs(malloc, free); /* the wrapped ones, like all here */
    memset(&now.log, 0, sizeof now.log);
    now.plan = *plan;
    now.seen = now.clock_reads = 0;
    now.unsynced_count = now.renames = 0;
    now.cut_off = -1;
    now.on = true;
}

const struct fault_log *faults_end(void) {
    now.on = false;
    now.log.unsynced = now.unsynced_count + now.renames;
    return &now.log;
}

long faults_live_blocks(void) {
    return now.live_blocks;
}

/* ---- time ------------------------------------------------------------------------------------ */

double __wrap_clock_seconds(void);

double __wrap_clock_seconds(void) {
    return (double)now.clock_reads++ / 1000;
}

/* ---- memory ---------------------------------------------------------------------------------- */

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *block, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
void __real_free(void *block);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *block, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
char *__wrap_strdup(const char *text);
void __wrap_free(void *block);

static void *counted(void *block) {
    now.live_blocks += block != NULL;
    return block;
}

void *__wrap_malloc(size_t bytes) {
    return fails(FAULT_MEMORY, NULL, -1) ? NULL : counted(__real_malloc(bytes));
}

void *__wrap_calloc(size_t count, size_t bytes) {
    return fails(FAULT_MEMORY, NULL, -1) ? NULL : counted(__real_calloc(count, bytes));
}

void *__wrap_realloc(void *block, size_t bytes) {
    if (fails(FAULT_MEMORY, NULL, -1))
        return NULL;
    void *moved = __real_realloc(block, bytes);
    return block == NULL ? counted(moved) : moved;
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes) {
    return fails(FAULT_MEMORY, NULL, -1) ? NULL : counted(__real_aligned_alloc(alignment, bytes));
}

char *__wrap_strdup(const char *text) {
    size_t bytes = strlen(text) + 1;
    char *copy = __wrap_malloc(bytes);
    return copy == NULL ? NULL : memcpy(copy, text, bytes);
}

void __wrap_free(void *block) {
    now.live_blocks -= block != NULL;
    __real_free(block);
}

json_t *__real_json_loadb(const char *text, size_t length, size_t flags, json_error_t *error);
json_t *__wrap_json_loadb(const char *text, size_t length, size_t flags, json_error_t *error);

/* jansson's reader (2.14) writes out of bounds when memory for a growing token runs out, so nothing
 * fails in it. The program checks beforehand that there is enough. */
json_t *__wrap_json_loadb(const char *text, size_t length, size_t flags, json_error_t *error) {
    bool on = now.on;
    now.on = false;
    json_t *root = __real_json_loadb(text, length, flags, error);
    now.on = on;
    return root;
}

/* ---- files ----------------------------------------------------------------------------------- */

int __real_open(const char *path, int flags, ...);
int __real_close(int file);
ssize_t __real_read(int file, void *out, size_t bytes);
ssize_t __real_pread(int file, void *out, size_t bytes, off_t place);
ssize_t __real_write(int file, const void *data, size_t bytes);
int __real_ftruncate(int file, off_t size);
int __real_rename(const char *from, const char *to);
int __real_unlink(const char *path);
int __real_mkdir(const char *path, mode_t mode);
int __wrap_open(const char *path, int flags, ...);
int __wrap_close(int file);
ssize_t __wrap_read(int file, void *out, size_t bytes);
ssize_t __wrap_pread(int file, void *out, size_t bytes, off_t place);
ssize_t __wrap_write(int file, const void *data, size_t bytes);
int __wrap_fsync(int file);
int __wrap_ftruncate(int file, off_t size);
int __wrap_rename(const char *from, const char *to);
int __wrap_unlink(const char *path);
int __wrap_mkdir(const char *path, mode_t mode);

int __wrap_open(const char *path, int flags, ...) {
    mode_t mode = 0;
    if ((flags & O_CREAT) != 0) {
        va_list arguments;
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    return fails(FAULT_OPEN, path, -1) ? -1 : __real_open(path, flags, mode);
}

int __wrap_close(int file) {
    bool failed = fails(FAULT_CLOSE, NULL, file);
    int result = __real_close(file);
    if (file == now.cut_off)
        now.cut_off = -1;
    if (failed)
        errno = reasons[FAULT_CLOSE];
    return failed ? -1 : result;
}

ssize_t __wrap_read(int file, void *out, size_t bytes) {
    return fails(FAULT_READ, NULL, file) ? -1 : __real_read(file, out, bytes);
}

ssize_t __wrap_pread(int file, void *out, size_t bytes, off_t place) {
    return fails(FAULT_READ, NULL, file) ? -1 : __real_pread(file, out, bytes, place);
}

/* The first failing write is a short one, as on a disk that fills up; the next one to the same file
 * then fails. */
ssize_t __wrap_write(int file, const void *data, size_t bytes) {
    if (file == now.cut_off) {
        now.cut_off = -1;
        errno = reasons[FAULT_WRITE];
        return -1;
    }
    enum outcome outcome = strike(FAULT_WRITE, NULL, file);
    if (outcome == FAIL && (bytes < 2 || now.log.struck > 1))
        return -1;
    note_write(file);
    if (outcome == GO_ON)
        return __real_write(file, data, bytes);
    ssize_t written = __real_write(file, data, bytes / 2);
    if (outcome == DIE)
        die();
    now.cut_off = file;
    return written;
}

/* Only recorded: what a real fsync adds shows only after a power failure. */
int __wrap_fsync(int file) {
    if (fails(FAULT_SYNC, NULL, file))
        return -1;
    note_sync(file);
    return 0;
}

int __wrap_ftruncate(int file, off_t size) {
    return fails(FAULT_TRUNCATE, NULL, file) ? -1 : __real_ftruncate(file, size);
}

int __wrap_rename(const char *from, const char *to) {
    if (fails(FAULT_RENAME, to, -1))
        return -1;
    int result = __real_rename(from, to);
    if (result == 0)
        note_rename(from, to);
    return result;
}

int __wrap_unlink(const char *path) {
    if (fails(FAULT_REMOVE, path, -1))
        return -1;
    forget_unsynced(path);
    return __real_unlink(path);
}

int __wrap_mkdir(const char *path, mode_t mode) {
    return fails(FAULT_FOLDER, path, -1) ? -1 : __real_mkdir(path, mode);
}

/* ---- streams --------------------------------------------------------------------------------- */

FILE *__wrap_open_memstream(char **out, size_t *bytes);

/* A stream into memory that grows as it is written. */
struct memory_stream {
    char **out;
    size_t *bytes;
};

static ssize_t grow(void *cookie, const char *data, size_t bytes) {
    const struct memory_stream *stream = cookie;
    char *grown = __wrap_realloc(*stream->out, *stream->bytes + bytes + 1);
    if (grown == NULL)
        return 0; /* a failed write, to fopencookie */
    *stream->out = grown;
    memcpy(grown + *stream->bytes, data, bytes);
    *stream->bytes += bytes;
    grown[*stream->bytes] = '\0';
    return (ssize_t)bytes;
}

static int close_memory(void *cookie) {
    __wrap_free(cookie);
    return 0;
}

FILE *__wrap_open_memstream(char **out, size_t *bytes) {
    static const cookie_io_functions_t calls = {.write = grow, .close = close_memory};
    *bytes = 0;
    *out = __wrap_calloc(1, 1);
    if (*out == NULL)
        return NULL;
    struct memory_stream *stream = counted(__real_malloc(sizeof *stream));
    *stream = (struct memory_stream){out, bytes};
    return fopencookie(stream, "w", calls);
}

png_structp __real_png_create_write_struct(png_const_charp version, png_voidp pointer,
                                           png_error_ptr fault, png_error_ptr warning);
png_infop __real_png_create_info_struct(png_const_structrp png);
png_structp __wrap_png_create_write_struct(png_const_charp version, png_voidp pointer,
                                           png_error_ptr fault, png_error_ptr warning);
png_infop __wrap_png_create_info_struct(png_const_structrp png);

png_structp __wrap_png_create_write_struct(png_const_charp version, png_voidp pointer,
                                           png_error_ptr fault, png_error_ptr warning) {
    if (fails(FAULT_MEMORY, NULL, -1))
        return NULL;
    return __real_png_create_write_struct(version, pointer, fault, warning);
}

png_infop __wrap_png_create_info_struct(png_const_structrp png) {
    return fails(FAULT_MEMORY, NULL, -1) ? NULL : __real_png_create_info_struct(png);
}

/* ---- threads --------------------------------------------------------------------------------- */

int __real_pthread_create(pthread_t *out, const pthread_attr_t *attributes, void *(*work)(void *),
                          void *argument);
int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *attributes, void *(*work)(void *),
                          void *argument);

int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *attributes, void *(*work)(void *),
                          void *argument) {
    if (fails(FAULT_THREAD, NULL, -1))
        return reasons[FAULT_THREAD];
    return __real_pthread_create(out, attributes, work, argument);
}
