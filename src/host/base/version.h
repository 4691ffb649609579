/* version.h: the program's name and version; CHANGELOG.md lists the versions. */
#ifndef VERSION_H
#define VERSION_H

#define PROGRAM_NAME "train_gpu"
#define PROGRAM_VERSION "0.2.0"

#endif
