/* option_values.h: an option of the command line, and the strict parsing of its value. */
#ifndef OPTION_VALUES_H
#define OPTION_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The kinds of values, and the type of the member that stores each. */
enum value_kind {
    VALUE_NONE,         /* a flag; bool */
    VALUE_PATH,         /* a path; char [PATH_CAPACITY] */
    VALUE_WORD,         /* one of option->words; an enum, its index among them */
    VALUE_DEVICE,       /* auto, cpu, cuda or cuda:N; struct device_request */
    VALUE_INT,          /* a whole number from option->low to option->high; int */
    VALUE_INT64,        /* the same; int64_t */
    VALUE_UINT64,       /* the same; uint64_t */
    VALUE_INTS,         /* such numbers, in rising order, separated by commas; struct int_list */
    VALUE_WIDTHS,       /* BLOCK_COUNT such numbers in any order, separated by commas; int
                         * [BLOCK_COUNT] */
    VALUE_POSITIVE,     /* a finite number above 0; float */
    VALUE_NOT_NEGATIVE, /* a finite number, 0 or above; float */
    VALUE_FRACTION,     /* a number from 0 to below 1; float */
};

/* A row of the table in command_line.c. */
struct option {
    const char *name;     /* without the dashes */
    const char *argument; /* as the help shows it; NULL: nothing, or all words of a VALUE_WORD */
    const char *help;     /* with the default */
    unsigned takers;      /* bit 1 << c: command c takes it */
    enum value_kind kind;
    size_t offset;            /* of the member in struct options */
    const char *const *words; /* VALUE_WORD: the words, then NULL */
    uint64_t low, high;       /* range of whole numbers */
};

enum { ALLOWED_CAPACITY = 160 };

/* The value as the help shows it: "N", "bn|gn|ln", "" for a flag. Returns `out`. */
const char *option_argument(char out[ALLOWED_CAPACITY], const struct option *option);

/* Writes what the option allows: "a whole number from 1 to 512". */
void option_allowed(char out[ALLOWED_CAPACITY], const struct option *option);

/* Parses `text` into `member`, which has the type of the option's kind; sets a flag to true. False:
 * the text is not allowed, and the member may have changed. */
bool option_put(void *member, const struct option *option, const char *text);

#endif
