/* comparison_text.h: a comparison as JSON and as Markdown. */
#ifndef COMPARISON_TEXT_H
#define COMPARISON_TEXT_H

#include "compare/comparison_figures.h"
#include "error.h"

#include <jansson.h>
#include <stddef.h>

/* The object of compare.json; NULL: no memory. */
json_t *comparison_json(const struct comparison *comparison);

/* Makes the text of compare.md, *bytes long; with `pictures` it shows the pictures in its folder.
 * Release with free. Errors: STATUS_FAILED: no memory. */
enum status comparison_text_make(struct error *error, char **out, size_t *bytes,
                                 const struct comparison *comparison, bool pictures);

/* "84.96 +- 0.18", with `digits` decimals and a real plus-minus sign; for one seed only the value.
 * Returns `out`. */
enum { SPREAD_CAPACITY = 128 }; /* two numbers of up to 39 digits */
const char *spread_text(char out[SPREAD_CAPACITY], const struct sample *sample, int digits);

/* "group norm is 0.80 points above layer norm; with 3 seeds each, this difference exceeds the
 * noise ...", in at most `capacity` bytes. Returns `out`. */
const char *difference_text(char *out, size_t capacity, const struct norm_difference *difference);

#endif
