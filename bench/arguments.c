/* arguments.c: the command line of a benchmark. */
#include "arguments.h"

#include <stdio.h>
#include <string.h>

static const struct option *find(const struct option *table, int count, const char *word) {
    for (int i = 0; i < count; i++)
        if (strncmp(word, "--", 2) == 0 && strcmp(word + 2, table[i].name) == 0)
            return &table[i];
    return NULL;
}

enum status arguments_parse(struct error *error, void *out, const struct option *table, int count,
                            int argc, char *const argv[]) {
    for (int i = 1; i < argc; i += 2) {
        const struct option *option = find(table, count, argv[i]);
        char allowed[ALLOWED_CAPACITY];
        if (option == NULL)
            return error_set(error, STATUS_USAGE, "unknown option '%.64s'; see --help", argv[i]);
        if (i + 1 == argc || !option_put((char *)out + option->offset, option, argv[i + 1])) {
            option_allowed(allowed, option);
            return error_set(error, STATUS_USAGE, "%s: needs %s", argv[i], allowed);
        }
    }
    return STATUS_OK;
}

bool arguments_help(const char *program, const struct option *table, int count, int argc,
                    char *const argv[]) {
    if (argc != 2 || strcmp(argv[1], "--help") != 0)
        return false;
    char argument[ALLOWED_CAPACITY];
    printf("usage: %s [OPTION VALUE ...]\n", program);
    for (int i = 0; i < count; i++)
        printf("  --%-10s %-20s %s\n", table[i].name, option_argument(argument, &table[i]),
               table[i].help);
    return true;
}
