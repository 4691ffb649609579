/* suggest.h: finds the known name that the user may have meant. */
#ifndef SUGGEST_H
#define SUGGEST_H

/* The typed text, and the closest name offered so far. */
struct suggestion {
    const char *typed;
    int length;       /* bytes of `typed` that count */
    const char *name; /* the closest name; NULL: none is close enough */
    int misfit;       /* its distance */
};

/* A suggestion without names yet. */
struct suggestion suggestion_for(const char *typed, int length);

/* Offers a name. The closest one is kept, the first of equally close ones. */
void suggestion_offer(struct suggestion *suggestion, const char *name);

#endif
