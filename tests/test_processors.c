/* test_processors.c: CPU quotas of control groups, found in trees of files like those of Linux, and
 * the affinity mask of this process. */
#include "support.h"

#include "cpu/processors.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What stands in /proc/self/mountinfo. */
#define MOUNT_2 "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
#define MOUNT_1 "35 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
#define OTHERS                                                                                     \
    "22 27 0:21 / /proc rw,relatime - proc proc rw\n"                                              \
    "34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"                            \
    "33 31 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"

/* One made-up system: files with their text, and the quota that is to be found. */
struct system {
    const char *name, *groups, *mounts; /* NULL: there is no such file */
    const char *files[10];              /* path, text, path, text ... */
    double processors;                  /* 0: no quota */
    const char *file;                   /* that is named */
};

/* Makes a file below the folder, with the folders above it. */
static void put(const char *root, const char *path, const char *text) {
    char whole[512];
    snprintf(whole, sizeof whole, "%s%s", root, path);
    for (char *slash = strchr(whole + strlen(root) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(whole, 0777);
        *slash = '/';
    }
    file_put(whole, text, strlen(text));
}

/* A folder below `parent` with the files of a system. */
static const char *build(const char *parent, const struct system *system, int number) {
    static char root[256];
    snprintf(root, sizeof root, "%s/%d", parent, number);
    assert_int_equal(mkdir(root, 0777), 0);
    if (system->groups != NULL)
        put(root, "/proc/self/cgroup", system->groups);
    if (system->mounts != NULL)
        put(root, "/proc/self/mountinfo", system->mounts);
    for (int i = 0; system->files[i] != NULL; i += 2)
        put(root, system->files[i], system->files[i + 1]);
    return root;
}

static void check(void **state, const struct system *systems, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const struct system *system = &systems[i];
        struct cpu_quota quota;
        const char *file = system->file == NULL ? "" : system->file;
        bool found = cpu_quota_find(&quota, build(*state, system, (int)i));
        if (found != (system->processors > 0) ||
            (found && ((double)quota.quota != system->processors * (double)quota.period ||
                       strcmp(quota.file, file) != 0)))
            fail_msg("%s: %s, %lld of %lld in %s", system->name, found ? "found" : "nothing",
                     quota.quota, quota.period, quota.file);
    }
}
#define CHECK(state, systems) check(state, systems, sizeof(systems) / sizeof((systems)[0]))

static void version_2(void **state) {
    static const struct system systems[] = {
        {"the process's own group",
         "0::/a.slice/b\n",
         OTHERS MOUNT_2,
         {"/sys/fs/cgroup/a.slice/b/cpu.max", "150000 100000\n"},
         1.5,
         "/sys/fs/cgroup/a.slice/b/cpu.max"},
        {"a container: the group is the root",
         "0::/\n",
         MOUNT_2,
         {"/sys/fs/cgroup/cpu.max", "400000 100000\n"},
         4,
         "/sys/fs/cgroup/cpu.max"},
        {"the least is above",
         "0::/a/b/c\n",
         MOUNT_2,
         {"/sys/fs/cgroup/a/b/c/cpu.max", "300000 100000\n", "/sys/fs/cgroup/a/b/cpu.max",
          "max 100000\n", "/sys/fs/cgroup/a/cpu.max", "20000 40000\n"},
         0.5,
         "/sys/fs/cgroup/a/cpu.max"},
        {"the least is below",
         "0::/a/b\n",
         MOUNT_2,
         {"/sys/fs/cgroup/a/b/cpu.max", "70000 100000\n", "/sys/fs/cgroup/a/cpu.max",
          "80000 100000\n"},
         0.7,
         "/sys/fs/cgroup/a/b/cpu.max"},
        {"no limit", "0::/a\n", MOUNT_2, {"/sys/fs/cgroup/a/cpu.max", "max 100000\n"}, 0, NULL},
        {"a neighbour's limit",
         "0::/a\n",
         MOUNT_2,
         {"/sys/fs/cgroup/b/cpu.max", "10000 100000\n", "/sys/fs/cgroup/ab/cpu.max",
          "10000 100000\n"},
         0,
         NULL},
        {"mounted elsewhere, with a blank",
         "0::/a\n",
         "29 23 0:26 / /my\\040groups rw - cgroup2 none rw\n",
         {"/my groups/a/cpu.max", "200000 100000\n"},
         2,
         "/my groups/a/cpu.max"},
        {"a part is mounted",
         "0::/docker/x/y\n",
         "29 23 0:26 /docker/x /sys/fs/cgroup rw - cgroup2 none rw\n",
         {"/sys/fs/cgroup/y/cpu.max", "200000 100000\n", "/sys/fs/cgroup/cpu.max",
          "100000 100000\n"},
         1,
         "/sys/fs/cgroup/cpu.max"},
        {"a group outside of what is mounted",
         "0::/docker/xy\n",
         "29 23 0:26 /docker/x /sys/fs/cgroup rw - cgroup2 none rw\n",
         {"/sys/fs/cgroup/cpu.max", "100000 100000\n", "/sys/fs/cgroup/docker/xy/cpu.max",
          "50000 100000\n"},
         1,
         "/sys/fs/cgroup/cpu.max"},
        {"a group outside of the namespace",
         "0::/../other\n",
         MOUNT_2,
         {"/sys/fs/cgroup/cpu.max", "100000 100000\n"},
         1,
         "/sys/fs/cgroup/cpu.max"},
    };
    CHECK(state, systems);
}

static void version_1(void **state) {
    static const struct system systems[] = {
        {"the process's own group",
         "9:name=systemd:/s\n4:cpu,cpuacct:/a\n0::/\n",
         OTHERS MOUNT_1,
         {"/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "250000\n",
          "/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n"},
         2.5,
         "/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us"},
        {"no limit below, one above",
         "1:cpu:/a/b\n",
         MOUNT_1,
         {"/sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us", "-1\n",
          "/sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us", "100000\n",
          "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n", "/sys/fs/cgroup/cpu/cpu.cfs_period_us",
          "100000\n"},
         0.5,
         "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"},
        {"a container without a namespace",
         "4:cpu:/docker/a\n",
         "35 31 0:29 /docker/a /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpuacct,cpu\n",
         {"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "100000\n",
          "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"},
         1,
         "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us"},
        {"the period is missing",
         "1:cpu:/\n",
         MOUNT_1,
         {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n"},
         0,
         NULL},
        {"both versions, the least counts",
         "1:cpu:/\n0::/a\n",
         MOUNT_1 MOUNT_2,
         {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "300000\n", "/sys/fs/cgroup/cpu/cpu.cfs_period_us",
          "100000\n", "/sys/fs/cgroup/a/cpu.max", "200000 100000\n"},
         2,
         "/sys/fs/cgroup/a/cpu.max"},
        {"another controller",
         "1:cpuset:/\n",
         MOUNT_1,
         {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n", "/sys/fs/cgroup/cpu/cpu.cfs_period_us",
          "100000\n"},
         0,
         NULL},
    };
    CHECK(state, systems);
}

/* A line that is longer than what is read at once, and whose rest would be a good line. */
static const char *long_line(void) {
    static char line[8200];
    memset(line, 'x', 4095);
    snprintf(line + 4095, sizeof line - 4095, "%s", MOUNT_2);
    return line;
}

static void missing_and_damaged_files(void **state) {
    const struct system systems[] = {
        {"no files at all", NULL, NULL, {NULL}, 0, NULL},
        {"no mounts", "0::/\n", NULL, {"/sys/fs/cgroup/cpu.max", "50000 100000\n"}, 0, NULL},
        {"no groups", NULL, MOUNT_2, {"/sys/fs/cgroup/cpu.max", "50000 100000\n"}, 0, NULL},
        {"no cpu.max", "0::/a\n", MOUNT_2, {NULL}, 0, NULL},
        {"groups are nonsense",
         "\n:\n0\n0:\n0::\n0::a\n",
         MOUNT_2,
         {"/sys/fs/cgroup/cpu.max", "50000 100000\n"},
         0,
         NULL},
        {"mounts are nonsense",
         "0::/\n",
         "\n - \n - cgroup2\n1 2 3 / - cgroup2 none rw\n1 2 3 / /sys/fs/cgroup - cgroup2\n"
         "29 23 0:26 / /sys/fs/cgroup rw cgroup2 cgroup2 rw\n",
         {"/sys/fs/cgroup/cpu.max", "50000 100000\n"},
         0,
         NULL},
        {"a long line",
         "0::/\n",
         long_line(),
         {"/sys/fs/cgroup/cpu.max", "50000 100000\n"},
         0,
         NULL},
        {"an empty file", "0::/\n", MOUNT_2, {"/sys/fs/cgroup/cpu.max", ""}, 0, NULL},
        {"half a line", "0::/\n", MOUNT_2, {"/sys/fs/cgroup/cpu.max", "50000"}, 0, NULL},
        {"a period of 0", "0::/\n", MOUNT_2, {"/sys/fs/cgroup/cpu.max", "50000 0\n"}, 0, NULL},
        {"negative", "0::/\n", MOUNT_2, {"/sys/fs/cgroup/cpu.max", "-5 -1\n"}, 0, NULL},
        {"words", "0::/\n", MOUNT_2, {"/sys/fs/cgroup/cpu.max", "a b\n"}, 0, NULL},
        {"one number, as long as two",
         "0::/\n",
         MOUNT_2,
         {"/sys/fs/cgroup/cpu.max", "555555555555555555555555555555555555\n"},
         0,
         NULL},
        {"a mount point of one slash",
         "0::/a\n",
         "1 2 3 / / rw - cgroup2 none rw\n",
         {"/a/cpu.max", "50000 100000\n"},
         0.5,
         "//a/cpu.max"},
    };
    CHECK(state, systems);
}

/* ---- this process ---------------------------------------------------------------------------- */

/* A quota of less than one processor is less than any mask. */
static void a_quota_limits_the_processors(void **state) {
    static const struct system system = {
        "half", "0::/\n", MOUNT_2, {"/sys/fs/cgroup/cpu.max", "50000 100000\n"}, 0, NULL};
    struct processors found;
    processors_find(&found, build(*state, &system, 0));
    assert_int_equal(found.count, 1);
    assert_non_null(strstr(found.why, "CPU quota of 0.5 of "));
    assert_non_null(strstr(found.why, " (/sys/fs/cgroup/cpu.max)"));
}

/* A quota of one and a half is rounded up, and one of all processors and more is none. */
static void quotas_are_rounded_up(void **state) {
    static const struct system systems[] = {
        {"1.5", "0::/\n", MOUNT_2, {"/sys/fs/cgroup/cpu.max", "150000 100000\n"}, 0, NULL},
        {"more digits than fit",
         "0::/\n",
         MOUNT_2,
         {"/sys/fs/cgroup/cpu.max", "99999999999999999999999 100000\n"},
         0,
         NULL},
        {"10,000", "0::/\n", MOUNT_2, {"/sys/fs/cgroup/cpu.max", "1000000000 100000\n"}, 0, NULL},
    };
    struct processors found, without;
    processors_find(&without, *state);
    processors_find(&found, build(*state, &systems[0], 0));
    assert_int_equal(found.count, without.count < 2 ? 1 : 2);
    for (int i = 1; i < 3; i++) {
        processors_find(&found, build(*state, &systems[i], i));
        assert_int_equal(found.count, without.count);
        assert_string_equal(found.why, without.why);
    }
}

/* As taskset does it. */
static void the_mask_limits_the_processors(void **state) {
    cpu_set_t before, one;
    struct processors found;
    char expected[64];
    int processor = 0;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    processors_find(&found, *state);
    assert_int_equal(found.count, CPU_COUNT(&before));
    while (!CPU_ISSET(processor, &before))
        processor++;
    CPU_ZERO(&one);
    CPU_SET(processor, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    processors_find(&found, *state);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    assert_int_equal(found.count, 1);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    snprintf(expected, sizeof expected, "affinity mask of 1 of %ld processors", online);
    assert_string_equal(found.why, online == 1 ? "one for each processor" : expected);
}

#define IN_FOLDER(test)                                                                            \
    cmocka_unit_test_setup_teardown(test, temporary_folder_make, temporary_folder_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(version_2),
        IN_FOLDER(version_1),
        IN_FOLDER(missing_and_damaged_files),
        IN_FOLDER(a_quota_limits_the_processors),
        IN_FOLDER(quotas_are_rounded_up),
        IN_FOLDER(the_mask_limits_the_processors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
