/* clock.h: elapsed time, and the time of day. */
#ifndef CLOCK_H
#define CLOCK_H

/* Seconds on the monotonic clock; only differences mean something. */
double clock_seconds(void);

/* Seconds since 1970 (UTC) on the system clock, which may be set back. */
double clock_wall(void);

#endif
