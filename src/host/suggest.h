/* suggest.h: the known name that an unknown one may have meant. */
#ifndef SUGGEST_H
#define SUGGEST_H

/* What was typed and the best name offered so far. */
struct suggestion {
    const char *typed;
    int length;       /* bytes of `typed` that count */
    const char *name; /* NULL: none is close enough */
    int misfit;
};

/* A suggestion without names yet. */
struct suggestion suggestion_for(const char *typed, int length);

/* Offers a name; the closest one is kept, the first of equally close ones. */
void suggestion_offer(struct suggestion *suggestion, const char *name);

#endif
