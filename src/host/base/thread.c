/* thread.c: starts threads that leave signals to the main thread. SIGBUS is none of them: it comes
 * to the thread whose access failed (file_map.c). */
#include "base/thread.h"

#include <signal.h>
#include <stdlib.h>

int thread_start(pthread_t *out, void *(*work)(void *), void *argument) {
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0)
        abort(); /* it fails only if misused */
    int result = pthread_create(out, NULL, work, argument);
    if (pthread_sigmask(SIG_SETMASK, &before, NULL) != 0)
        abort();
    return result;
}
