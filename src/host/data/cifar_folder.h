/* cifar_folder.h: what stands in place of the six binary files of CIFAR-10. The functions return
 * STATUS_BAD_DATA, with an error that says what it is and what helps, or STATUS_OK if they do not
 * recognize it. */
#ifndef CIFAR_FOLDER_H
#define CIFAR_FOLDER_H

#include "error.h"

/* Looks into a folder that lacks a file: another version of CIFAR-10, its archive, compressed files,
 * the folder above, CIFAR-100. */
enum status cifar_folder_explain(struct error *error, const char *folder);

/* Looks at a file that was given as the folder, by its name. */
enum status cifar_folder_explain_file(struct error *error, const char *path);

/* Looks whether `path`, a `kind` of file, is a link to nothing. */
enum status cifar_folder_explain_link(struct error *error, const char *path, const char *kind);

#endif
