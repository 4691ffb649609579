/* faults.h: system calls that fail on demand. In a program linked with ld's --wrap (see FAULTY in
 * the Makefile), allocations, file operations and thread creation go through here; jansson's do too
 * once faults_begin was called. The clock advances by a millisecond at each read, so that a run
 * writes the same bytes each time. */
#ifndef FAULTS_H
#define FAULTS_H

#include "base/files.h"

/* clang-format off */
/* What fails, and how:
 *   FAULT_MEMORY    malloc, calloc, realloc, aligned_alloc, strdup; open_memstream and
 *                   writes into its stream; libpng's structs: ENOMEM
 *   FAULT_OPEN      open: EMFILE
 *   FAULT_READ      read, pread: EIO
 *   FAULT_WRITE     write: only half is written, then ENOSPC
 *   FAULT_SYNC      fsync: EIO
 *   FAULT_TRUNCATE  ftruncate: EIO
 *   FAULT_RENAME    rename: ENOSPC
 *   FAULT_REMOVE    unlink: EIO
 *   FAULT_FOLDER    mkdir: ENOSPC
 *   FAULT_CLOSE     close: EIO; the descriptor is gone all the same
 *   FAULT_THREAD    pthread_create: EAGAIN
 *
 * Calls inside libpng, cairo, FreeType and fontconfig do not come through here and are not counted:
 * they are shared libraries, they keep memory for the next picture, and to fontconfig a font that
 * it has no memory for is missing. */
/* clang-format on */
enum fault_class {
    FAULT_MEMORY,
    FAULT_OPEN,
    FAULT_READ,
    FAULT_WRITE,
    FAULT_SYNC,
    FAULT_TRUNCATE,
    FAULT_RENAME,
    FAULT_REMOVE,
    FAULT_FOLDER,
    FAULT_CLOSE,
    FAULT_THREAD,
};
enum { FAULT_CLASSES = FAULT_THREAD + 1 };

/* Sets of classes. */
#define FAULT_SET(class) (1u << (class))
enum {
    FAULT_CHANGES = FAULT_SET(FAULT_OPEN) | FAULT_SET(FAULT_WRITE) | FAULT_SET(FAULT_SYNC) |
                    FAULT_SET(FAULT_TRUNCATE) | FAULT_SET(FAULT_RENAME) | FAULT_SET(FAULT_REMOVE) |
                    FAULT_SET(FAULT_FOLDER) | FAULT_SET(FAULT_CLOSE)
};

enum fault_effect {
    EFFECT_ONCE,   /* this call fails */
    EFFECT_ALWAYS, /* this one and all later ones of the set */
    EFFECT_KILL,   /* the program dies before this call, or after half of a write */
    EFFECT_POWER,  /* the same, and files lose the bytes written since their last fsync */
};

struct fault_plan {
    unsigned classes; /* FAULT_SET(...) | ... */
    enum fault_effect effect;
    long call; /* number of the call in these classes, from 1; 0: none */
};

enum { FAULTS_LOGGED = 8 };

struct fault_log {
    long calls[FAULT_CLASSES];
    long struck; /* calls that failed */
    struct fault_entry {
        enum fault_class class;
        char path[PATH_CAPACITY]; /* "" for memory and threads */
        bool read_only;           /* of a descriptor: it was opened for reading */
    } first[FAULTS_LOGGED];       /* of them */
    int unsynced; /* files written after their last fsync, and renames with no fsync of the
                     folder */
};

/* From here on calls are counted, and fail as planned. */
void faults_begin(const struct fault_plan *plan);

/* From here on nothing fails. The log is valid until the next faults_begin. */
const struct fault_log *faults_end(void);

/* Blocks of memory that are allocated and not yet released. */
long faults_live_blocks(void);

#endif
