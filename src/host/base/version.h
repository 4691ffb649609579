/* version.h: the version, as --version, `info`, config.json and the README say it. */
#ifndef VERSION_H
#define VERSION_H

#define PROGRAM_NAME "train_gpu"
#define PROGRAM_VERSION "0.1.0"

#endif
