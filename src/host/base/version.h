/* version.h: the version that --version, `info`, config.json and CHANGELOG.md give. */
#ifndef VERSION_H
#define VERSION_H

#define PROGRAM_NAME "train_gpu"
#define PROGRAM_VERSION "0.2.0"

#endif
