/* cifar_folder.c: recognizes files that users have instead of CIFAR-10's binary files. The names
 * are those in the archives on https://www.cs.toronto.edu/~kriz/cifar.html. */
#include "data/cifar_folder.h"

#include "base/files.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define FETCH "the binary version is needed: `make data` fetches it into data/cifar-10-batches-bin"
#define CIFAR_100                                                                                  \
    "these networks are for CIFAR-10: `make data` fetches it into data/cifar-10-batches-bin"

/* What a name in the folder means; the first one that exists counts. The advice is `before`, then,
 * unless `after` is NULL, the folder and `after`. */
static const struct {
    const char *name, *what, *before, *after;
} contents[] = {
    {"cifar-10-batches-bin/data_batch_1.bin", "has the files one folder below", "give '",
     "/cifar-10-batches-bin'"},
    {"data_batch_1.bin.gz", "holds compressed files", "unpack them: gunzip '", "'/*.gz"},
    {"test_batch.bin.gz", "holds compressed files", "unpack them: gunzip '", "'/*.gz"},
    {"cifar-10-binary.tar.gz", "holds the archive of CIFAR-10", "unpack it: cd '",
     "' && tar -xzf cifar-10-binary.tar.gz, and give the folder cifar-10-batches-bin in it"},
    {"data_batch_1", "holds the Python version of CIFAR-10", FETCH, NULL},
    {"cifar-10-batches-py", "holds the Python version of CIFAR-10", FETCH, NULL},
    {"cifar-10-python.tar.gz", "holds the Python version of CIFAR-10", FETCH, NULL},
    {"data_batch_1.mat", "holds the Matlab version of CIFAR-10", FETCH, NULL},
    {"cifar-10-batches-mat", "holds the Matlab version of CIFAR-10", FETCH, NULL},
    {"cifar-10-matlab.tar.gz", "holds the Matlab version of CIFAR-10", FETCH, NULL},
    {"train.bin", "holds CIFAR-100", CIFAR_100, NULL},
    {"fine_label_names.txt", "holds CIFAR-100", CIFAR_100, NULL},
    {"meta", "holds the Python version of CIFAR-100", CIFAR_100, NULL},
    {"train.mat", "holds the Matlab version of CIFAR-100", CIFAR_100, NULL},
    {"cifar-100-binary", "holds CIFAR-100", CIFAR_100, NULL},
    {"cifar-100-python", "holds CIFAR-100", CIFAR_100, NULL},
    {"cifar-100-binary.tar.gz", "holds CIFAR-100", CIFAR_100, NULL},
    {"cifar-100-python.tar.gz", "holds CIFAR-100", CIFAR_100, NULL},
};

/* What the last part of a file's path means. */
static const struct {
    const char *name, *what, *advice;
} files[] = {
    {"cifar-10-binary.tar.gz", "is the archive of CIFAR-10",
     "unpack it with tar -xzf, and give the folder cifar-10-batches-bin in it"},
    {"cifar-10-python.tar.gz", "is the Python version of CIFAR-10", FETCH},
    {"cifar-10-matlab.tar.gz", "is the Matlab version of CIFAR-10", FETCH},
    {"cifar-100-binary.tar.gz", "is CIFAR-100", CIFAR_100},
    {"cifar-100-python.tar.gz", "is CIFAR-100", CIFAR_100},
    {"data_batch_1.bin", "is one of the six files", "give the folder that they are in"},
    {"test_batch.bin", "is one of the six files", "give the folder that they are in"},
};

static bool holds(const char *folder, const char *name) {
    char path[PATH_CAPACITY];
    struct error too_long;
    return path_join(&too_long, path, folder, name) == STATUS_OK && file_exists(path);
}

enum status cifar_folder_explain(struct error *error, const char *folder) {
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++)
        if (holds(folder, contents[i].name))
            return error_set(error, STATUS_BAD_DATA, "data folder '%s' %s; %s%s%s", folder,
                             contents[i].what, contents[i].before,
                             contents[i].after == NULL ? "" : folder,
                             contents[i].after == NULL ? "" : contents[i].after);
    return STATUS_OK;
}

enum status cifar_folder_explain_file(struct error *error, const char *path) {
    const char *slash = strrchr(path, '/'), *last = slash == NULL ? path : slash + 1;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (strcmp(last, files[i].name) == 0)
            return error_set(error, STATUS_BAD_DATA, "data folder '%s' %s; %s", path, files[i].what,
                             files[i].advice);
    return STATUS_OK;
}

enum status cifar_folder_explain_link(struct error *error, const char *path, const char *kind) {
    char target[PATH_CAPACITY];
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length < 0 || file_exists(path))
        return STATUS_OK;
    target[length] = '\0';
    return error_set(error, STATUS_BAD_DATA,
                     "%s '%s' is a broken link: it leads to '%s', which does not exist; "
                     "mount or restore that, or correct the link",
                     kind, path, target);
}
