/* checked_files.h: the MD5 of the files in a folder, remembered with their sizes and times in
 * $XDG_CACHE_HOME/train_gpu (~/.cache/train_gpu), so that a file that did not change is not summed
 * again. Where nothing can be remembered, every start sums them. */
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
    char memory[PATH_CAPACITY]; /* path of the file with the sums; "": there is none */
    int count;
    struct checked_file files[MAX_CHECKED];
    bool unsaved;
};

/* Reads what is remembered of a folder's files; nothing if that is missing or damaged. */
void checked_files_open(struct checked_files *out, const char *folder);

/* Describes the open file, `name` in the folder, as it is now; out->md5 is the one remembered, or ""
 * if the file is not remembered like this. */
void checked_files_find(struct checked_file *out, const struct checked_files *files,
                        const char *name, int handle);

/* Remembers the file as checked_files_find described it, with the MD5 that was put into it;
 * checked_files_save writes that. Neither can fail: it would only cost time at the next start. */
void checked_files_put(struct checked_files *files, const struct checked_file *file);
void checked_files_save(struct checked_files *files);

#endif
