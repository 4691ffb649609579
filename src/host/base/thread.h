/* thread.h: starts threads that leave signals to the main thread. */
#ifndef THREAD_H
#define THREAD_H

#include <pthread.h>

/* pthread_create with all signals but SIGBUS blocked in the new thread. Returns 0 or an errno value. */
int thread_start(pthread_t *out, void *(*work)(void *), void *argument);

#endif
