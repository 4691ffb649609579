/* checked_files.h: remembers the MD5 sums of a folder's files, with their sizes and times, in
 * $XDG_CACHE_HOME/train_gpu (~/.cache/train_gpu), so that unchanged files are not summed again. If
 * the sums cannot be remembered, every start computes them. */
#ifndef CHECKED_FILES_H
#define CHECKED_FILES_H

#include "base/files.h"
#include "data/md5.h"

#include <stdbool.h>
#include <stdint.h>

enum { MAX_CHECKED = 8, CHECKED_NAME = 24 };

/* A file at one moment. */
struct checked_file {
    char name[CHECKED_NAME], md5[MD5_TEXT];
    int64_t size, modified, changed; /* in bytes; mtime and ctime in nanoseconds */
};

struct checked_files {
    char memory[PATH_CAPACITY]; /* path of the file with the sums; "": not remembered */
    int count;
    struct checked_file files[MAX_CHECKED];
    bool unsaved;
};

/* Reads the remembered sums of a folder's files; none if they are missing or damaged. */
void checked_files_open(struct checked_files *out, const char *folder);

/* Describes the open file `name` of the folder as it is now. out->md5 is the remembered sum; "": no
 * sum is remembered, or the file has changed. */
void checked_files_find(struct checked_file *out, const struct checked_files *files,
                        const char *name, int handle);

/* Remembers a file as described by checked_files_find, with its md5 filled in; checked_files_save
 * writes all to disk. Failures are ignored: they only cost time at the next start. */
void checked_files_put(struct checked_files *files, const struct checked_file *file);
void checked_files_save(struct checked_files *files);

#endif
