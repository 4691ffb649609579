/* clock.h: elapsed time. */
#ifndef CLOCK_H
#define CLOCK_H

/* Seconds on the monotonic clock; only differences mean something. */
double clock_seconds(void);

#endif
