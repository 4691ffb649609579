/* processors.h: how many processors this process may use. */
#ifndef CPU_PROCESSORS_H
#define CPU_PROCESSORS_H

#include <stdbool.h>

/* A limit on the CPU time of a group of processes (a container, a systemd unit): `quota`
 * microseconds in each `period`, on all processors together. */
struct cpu_quota {
    long long quota, period;
    char file[512]; /* that says so */
};

struct processors {
    int count;     /* at least 1 */
    char why[640]; /* "CPU quota of 1.5 of 8 processors (/sys/fs/cgroup/cpu.max)" */
};

/* The least quota of the process's control group and the groups above it, version 1 or 2. false:
 * there is none, or the files that say so are missing or damaged. `root` is put before the path of
 * every file that is read; "" but in tests. */
bool cpu_quota_find(struct cpu_quota *out, const char *root);

/* The processors of the affinity mask (taskset), or as many of them as a quota pays for, rounded
 * up. Where the system does not tell the mask, all that are online. */
void processors_find(struct processors *out, const char *root);

#endif
