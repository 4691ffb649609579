/* suggest.h: which known name was meant by one that is not known. */
#ifndef SUGGEST_H
#define SUGGEST_H

/* What was typed and the best name offered so far. */
struct suggestion {
    const char *typed;
    int length;       /* bytes of `typed` that count */
    const char *name; /* NULL: none is near enough to be meant */
    int misfit;
};

/* A suggestion that waits for names. */
struct suggestion suggestion_for(const char *typed, int length);

/* Offers a name; the nearest one stays, the first one of equals. */
void suggestion_offer(struct suggestion *suggestion, const char *name);

#endif
