/* checked_files.c: remembered MD5 sums. A folder's sums are in one text file, a line for each; the
 * file is named after the MD5 of the folder's path. */
#include "data/checked_files.h"

#include "base/file_read.h"
#include "base/files.h"
#include "base/folder.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { LINE_CAPACITY = 160, TEXT_BYTES = MAX_CHECKED * LINE_CAPACITY };

/* ---- where ----------------------------------------------------------------------------------- */

/* The folder of this program's cache; false: the environment names none, or its path is too
 * long. */
static bool memory_folder(char out[PATH_CAPACITY]) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int length = PATH_CAPACITY;
    if (cache != NULL && cache[0] == '/')
        length = snprintf(out, PATH_CAPACITY, "%s/train_gpu", cache);
    else if (home != NULL && home[0] == '/')
        length = snprintf(out, PATH_CAPACITY, "%s/.cache/train_gpu", home);
    return length < PATH_CAPACITY;
}

/* The path of the file for a folder's sums; "" if they cannot be remembered. */
static void find_memory(char out[PATH_CAPACITY], const char *folder) {
    char memory[PATH_CAPACITY], sum[MD5_TEXT], name[MD5_TEXT + 4];
    char *path = realpath(folder, NULL);
    struct error ignored;
    struct md5 md5;
    out[0] = '\0';
    if (path != NULL && memory_folder(memory)) {
        md5_begin(&md5);
        md5_add(&md5, path, strlen(path));
        md5_finish(sum, &md5);
        snprintf(name, sizeof name, "%s.md5", sum);
        if (path_join(&ignored, out, memory, name) != STATUS_OK)
            out[0] = '\0';
    }
    free(path);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void parse(struct checked_files *out, const char *text) {
    for (const char *line = text; out->count < MAX_CHECKED && line != NULL; out->count++) {
        struct checked_file *file = &out->files[out->count];
        if (sscanf(line, "%32[0-9a-f] %" SCNd64 " %" SCNd64 " %" SCNd64 " %23s", file->md5,
                   &file->size, &file->modified, &file->changed, file->name) != 5)
            return;
        line = strchr(line, '\n');
        line = line == NULL ? NULL : line + 1;
    }
}

void checked_files_open(struct checked_files *out, const char *folder) {
    char text[TEXT_BYTES + 1];
    struct file_reader reader;
    struct error ignored;
    size_t bytes = 0;
    memset(out, 0, sizeof *out);
    find_memory(out->memory, folder);
    if (out->memory[0] == '\0' ||
        file_open(&ignored, &reader, out->memory, "remembered sums") != STATUS_OK)
        return;
    (void)file_read_up_to(&ignored, text, &bytes, TEXT_BYTES, &reader);
    file_close(&reader);
    text[bytes] = '\0';
    parse(out, text);
}

/* ---- the files ------------------------------------------------------------------------------- */

/* The index of `name` in the list; the first free index if it is not in the list. */
static int place_of(const struct checked_files *files, const char *name) {
    int place = 0;
    while (place < files->count && strcmp(files->files[place].name, name) != 0)
        place++;
    return place;
}

void checked_files_find(struct checked_file *out, const struct checked_files *files,
                        const char *name, int handle) {
    const int64_t second = 1000000000;
    struct stat found;
    *out = (struct checked_file){.name = ""};
    if (fstat(handle, &found) != 0)
        return;
    snprintf(out->name, sizeof out->name, "%s", name);
    out->size = found.st_size;
    out->modified = second * found.st_mtim.tv_sec + found.st_mtim.tv_nsec;
    out->changed = second * found.st_ctim.tv_sec + found.st_ctim.tv_nsec;
    int place = place_of(files, name);
    if (place == files->count)
        return;
    const struct checked_file *then = &files->files[place];
    if (then->size == out->size && then->modified == out->modified && then->changed == out->changed)
        memcpy(out->md5, then->md5, sizeof out->md5);
}

void checked_files_put(struct checked_files *files, const struct checked_file *file) {
    int place = place_of(files, file->name);
    if (place == MAX_CHECKED || file->name[0] == '\0')
        return;
    files->files[place] = *file;
    files->count += place == files->count;
    files->unsaved = true;
}

void checked_files_save(struct checked_files *files) {
    char folder[PATH_CAPACITY], text[TEXT_BYTES];
    struct error ignored;
    int length = 0;
    if (!files->unsaved || files->memory[0] == '\0' || !memory_folder(folder) ||
        folder_make(&ignored, folder) != STATUS_OK)
        return;
    for (int i = 0; i < files->count; i++) {
        const struct checked_file *file = &files->files[i];
        length += snprintf(text + length, sizeof text - (size_t)length,
                           "%s %" PRId64 " %" PRId64 " %" PRId64 " %s\n", file->md5, file->size,
                           file->modified, file->changed, file->name);
    }
    const struct file_piece piece = {text, (size_t)length};
    (void)file_write(&ignored, files->memory, &piece, 1);
    files->unsaved = false;
}
