/* probe.c: what ThreadSanitizer must report, and what it must not (tools/tsan):
 *     probe threads   two threads add to one counter without a lock
 *     probe openmp    the threads of a parallel loop do
 *     probe none      parallel loops that read what an earlier one wrote, and a reduction */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { COUNT = 10000 };

static void *add(void *counter) {
    for (int i = 0; i < COUNT; i++)
        ++*(long *)counter;
    return NULL;
}

static long race_threads(void) {
    long counter = 0;
    pthread_t other;
    if (pthread_create(&other, NULL, add, &counter) != 0)
        return -1;
    add(&counter);
    pthread_join(other, NULL);
    return counter;
}

static long race_openmp(void) {
    long counter = 0;
#pragma omp parallel for num_threads(4)
    for (int i = 0; i < COUNT; i++)
        counter++;
    return counter;
}

/* Each loop reads the elements of other threads, which the barrier before it makes safe. */
static long no_race(void) {
    static int from[COUNT], to[COUNT];
    long sum = 0;
    for (int round = 0; round < 10; round++) {
#pragma omp parallel for num_threads(4)
        for (int i = 0; i < COUNT; i++)
            from[i] = round + i;
#pragma omp parallel for num_threads(4) reduction(+ : sum)
        for (int i = 0; i < COUNT; i++)
            sum += to[i] = from[COUNT - 1 - i];
    }
    return sum;
}

int main(int argc, char *argv[]) {
    const char *what = argc == 2 ? argv[1] : "";
    long result = strcmp(what, "threads") == 0  ? race_threads()
                  : strcmp(what, "openmp") == 0 ? race_openmp()
                                                : no_race();
    return printf("%ld\n", result) < 0;
}
