/* processors.c: affinity mask and CPU quota of the process. The files are described in proc(5),
 * cgroups(7) and in Linux's documentation: admin-guide/cgroup-v2.rst (cpu.max), and
 * scheduler/sched-bwc.rst for version 1 (cpu.cfs_quota_us, cpu.cfs_period_us).
 *
 * /proc/self/cgroup names the group of the process, one line for each tree of groups:
 *     0::/user.slice/a                  version 2
 *     4:cpu,cpuacct:/docker/a           version 1: the controllers of the tree
 * /proc/self/mountinfo says where a part of a tree, from its group `root` on, is mounted:
 *     31 23 0:27 /docker/a /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct
 *                root      mount point            type           options */
#include "cpu/processors.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE = 4096, WIDTH = 1023, PATH = WIDTH + 1 };

/* A mounted tree of groups. */
struct mount {
    char root[PATH], point[PATH];
    bool version_2;
};

/* ---- files ----------------------------------------------------------------------------------- */

static FILE *open_below(const char *root, const char *folder, const char *name) {
    char path[LINE];
    int length = snprintf(path, sizeof path, "%s%s/%s", root, folder, name);
    return length < (int)sizeof path ? fopen(path, "r") : NULL;
}

/* Reads the next line, without its end; a longer one is cut. */
static bool next_line(char line[LINE], FILE *file) {
    if (fgets(line, LINE, file) == NULL)
        return false;
    size_t length = strcspn(line, "\n");
    int byte = line[length] == '\n' ? '\n' : getc(file);
    while (byte != '\n' && byte != EOF)
        byte = getc(file);
    line[length] = '\0';
    return true;
}

/* Reads the only line of a small file; "": there is none. */
static void read_small(char line[LINE], const char *root, const char *folder, const char *name) {
    FILE *file = open_below(root, folder, name);
    line[0] = '\0';
    if (file == NULL)
        return;
    if (!next_line(line, file))
        line[0] = '\0';
    fclose(file);
}

/* ---- groups and where they are mounted ------------------------------------------------------- */

/* Whether a list such as "rw,cpu,cpuacct" has the item "cpu". */
static bool has_cpu(const char *list) {
    for (; *list != '\0'; list += *list == ',') {
        size_t length = strcspn(list, ",");
        if (length == 3 && memcmp(list, "cpu", 3) == 0)
            return true;
        list += length;
    }
    return false;
}

static bool is_octal(char digit) {
    return digit >= '0' && digit <= '7';
}

/* mountinfo writes a blank as \040, and three more characters in the same way. */
static void unescape(char *text) {
    char *to = text;
    for (const char *from = text; *from != '\0'; to++)
        if (from[0] == '\\' && is_octal(from[1]) && is_octal(from[2]) && is_octal(from[3])) {
            *to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    *to = '\0';
}

/* Reads a line of mountinfo; false: it is no tree with CPU quotas. */
static bool parse_mount(struct mount *out, const char *line) {
    char type[16], options[PATH];
    const char *end = strstr(line, " - "); /* optional fields come before it */
    if (end == NULL || sscanf(line, "%*s %*s %*s %1023s %1023s", out->root, out->point) != 2 ||
        out->point[0] != '/' || sscanf(end, " - %15s %*s %1023s", type, options) != 2)
        return false;
    unescape(out->root);
    unescape(out->point);
    out->version_2 = strcmp(type, "cgroup2") == 0;
    return out->version_2 || (strcmp(type, "cgroup") == 0 && has_cpu(options));
}

/* The part of `group` below the mounted root, "" for the root itself. Groups that are not below it
 * are outside of the container: what is mounted is then the container's own. */
static const char *below_root(const char *group, const char *root) {
    size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    bool below = strncmp(group, root, length) == 0 && group[length] == '/';
    return below && group[length + 1] != '\0' && strstr(group, "/..") == NULL ? group + length : "";
}

/* ---- quotas ---------------------------------------------------------------------------------- */

/* Reads the quota of one group: "150000 100000" in version 2, where "max" is none, and two files in
 * version 1, where -1 is none. */
static void read_group(struct cpu_quota *out, const char *root, const char *folder,
                       bool version_2) {
    static const char *const names[] = {"cpu.cfs_quota_us", "cpu.max"};
    char line[LINE];
    *out = (struct cpu_quota){.period = 0};
    snprintf(out->file, sizeof out->file, "%.480s/%s", folder, names[version_2]);
    read_small(line, root, folder, names[version_2]);
    /* the blank is wanted: a number of more than 18 digits is not two */
    int read = sscanf(line, "%18lld%*[ \t]%18lld", &out->quota, &out->period);
    if (read == 1 && !version_2) {
        read_small(line, root, folder, "cpu.cfs_period_us");
        read += sscanf(line, "%18lld", &out->period);
    }
    if (read != 2 || out->quota <= 0)
        out->period = 0;
}

static double processors_of(const struct cpu_quota *quota) {
    return (double)quota->quota / (double)quota->period;
}

/* Looks at a group and all above it in the mounted tree; keeps the least quota. */
static void look_up(struct cpu_quota *least, const char *root, const struct mount *mount,
                    const char *group) {
    char folder[2 * PATH];
    const char *below = below_root(group, mount->root);
    snprintf(folder, sizeof folder, "%s%s", mount->point, below);
    for (bool more = true; more;) {
        struct cpu_quota found;
        read_group(&found, root, folder, mount->version_2);
        if (found.period > 0 &&
            (least->period == 0 || processors_of(&found) < processors_of(least)))
            *least = found;
        more = strlen(folder) > strlen(mount->point);
        *strrchr(folder, '/') = '\0';
    }
}

/* Finds the group of a line of /proc/self/cgroup in all mounted trees of its version. */
static void look_at_group(struct cpu_quota *least, const char *root, char *line) {
    char *controllers = strchr(line, ':');
    char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    if (group == NULL || group[1] != '/')
        return;
    *group++ = '\0';
    bool version_2 = controllers[1] == '\0';
    if (!version_2 && !has_cpu(controllers + 1))
        return;
    FILE *mounts = open_below(root, "/proc/self", "mountinfo");
    char text[LINE];
    struct mount mount;
    while (mounts != NULL && next_line(text, mounts))
        if (parse_mount(&mount, text) && mount.version_2 == version_2)
            look_up(least, root, &mount, group);
    if (mounts != NULL)
        fclose(mounts);
}

bool cpu_quota_find(struct cpu_quota *out, const char *root) {
    char line[LINE];
    *out = (struct cpu_quota){.period = 0};
    FILE *groups = open_below(root, "/proc/self", "cgroup");
    while (groups != NULL && next_line(line, groups))
        look_at_group(out, root, line);
    if (groups != NULL)
        fclose(groups);
    return out->period > 0;
}

/* ---- processors ------------------------------------------------------------------------------ */

/* The processors of the affinity mask; 0: unknown. */
static int affinity(void) {
#ifdef __linux__
    cpu_set_t mask[8]; /* 8,192 processors, the most that Linux for x86 can be built for */
    if (sched_getaffinity(0, sizeof mask, mask) == 0)
        return CPU_COUNT_S(sizeof mask, mask);
#endif
    return 0;
}

void processors_find(struct processors *out, const char *root) {
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    const int all = online > 0 ? (int)online : 1, mask = affinity();
    struct cpu_quota quota;
    out->count = mask > 0 ? mask : all;
    if (cpu_quota_find(&quota, root) && processors_of(&quota) < out->count) {
        snprintf(out->why, sizeof out->why, "CPU quota of %.4g of %d processor%s (%s)",
                 processors_of(&quota), out->count, out->count == 1 ? "" : "s", quota.file);
        out->count = (int)((quota.quota + quota.period - 1) / quota.period);
    } else if (out->count < all) {
        snprintf(out->why, sizeof out->why, "affinity mask of %d of %d processors", out->count,
                 all);
    } else {
        snprintf(out->why, sizeof out->why, "one for each processor");
    }
}
