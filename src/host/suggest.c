/* suggest.c: finds the known name that the user may have meant. */
#include "suggest.h"

#include <string.h>

enum { MAX_NAME = 32 }; /* longer names match nothing */

/* The number of insertions, deletions, replacements and swaps of neighbours that turn the first `m`
 * bytes of `a` into `b` (the restricted Damerau-Levenshtein distance). */
static int distance(const char *a, int m, const char *b) {
    int rows[MAX_NAME + 1][MAX_NAME + 1];
    int n = (int)strlen(b);
    if (m > MAX_NAME || n > MAX_NAME)
        return MAX_NAME;
    for (int i = 0; i <= m; i++) {
        for (int j = 0; j <= n; j++) {
            if (i == 0 || j == 0) {
                rows[i][j] = i + j;
                continue;
            }
            int best = rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (rows[i - 1][j] + 1 < best)
                best = rows[i - 1][j] + 1;
            if (rows[i][j - 1] + 1 < best)
                best = rows[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                rows[i - 2][j - 2] + 1 < best)
                best = rows[i - 2][j - 2] + 1;
            rows[i][j] = best;
        }
    }
    return rows[m][n];
}

/* The distance between a name and the typed text; 0 if the text is the start of the name. */
static int misfit(const struct suggestion *suggestion, const char *name) {
    if (suggestion->length >= 2 &&
        strncmp(suggestion->typed, name, (size_t)suggestion->length) == 0)
        return 0;
    return distance(suggestion->typed, suggestion->length, name);
}

struct suggestion suggestion_for(const char *typed, int length) {
    /* A name that differs more is hardly the one meant. */
    int limit = length < 5 ? 2 : 3;
    return (struct suggestion){.typed = typed, .length = length, .misfit = limit + 1};
}

void suggestion_offer(struct suggestion *suggestion, const char *name) {
    int far = misfit(suggestion, name);
    if (far < suggestion->misfit) {
        suggestion->misfit = far;
        suggestion->name = name;
    }
}
