/* cifar_folder.h: explains what users have instead of the six binary files of CIFAR-10. The
 * functions return STATUS_BAD_DATA, with an error that says what it is and what to do, or STATUS_OK
 * if they do not recognize it. */
#ifndef CIFAR_FOLDER_H
#define CIFAR_FOLDER_H

#include "error.h"

/* Explains a folder that lacks a file: another version of CIFAR-10, its archive, compressed files,
 * the parent folder, CIFAR-100. */
enum status cifar_folder_explain(struct error *error, const char *folder);

/* Explains, by its name, a file that was given as the folder. */
enum status cifar_folder_explain_file(struct error *error, const char *path);

/* Explains `path` if it is a broken link; `kind` ("data file") is for the message. */
enum status cifar_folder_explain_link(struct error *error, const char *path, const char *kind);

#endif
