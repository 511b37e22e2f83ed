/* `moontide doctor`: what the system grants this process. Called by doctor.c on the main thread; reads /proc
 * and /sys only. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/doctor.h"

enum {
    LEAST_FILES = 1024,
    LEAST_MIB = 64, /* one bundle at work: 8 MB at rest, and batches */
    LEAST_WATCHES = 4096,
    LEAST_INSTANCES = 32
};

/* The first line of a file; false: there is none. */
static bool read_line(const char *root, const char *path, char out[256])
{
    char *name = mt_format("%s%s", root, path);
    FILE *in = fopen(name, "re");
    free(name);
    bool ok = in && fgets(out, 256, in);
    if (in)
        fclose(in);
    if (ok)
        out[strcspn(out, "\n")] = '\0';
    return ok;
}

/* ---- control groups ---- */

/* Calls each() for the group of this process and those above it: a limit of any of them holds. */
static void each_group(const char *root, const char *file, void (*each)(double *least, const char *line),
                       double *least)
{
    char *name = mt_format("%s/proc/self/cgroup", root), group[4096] = "/", line[4096], value[256];
    FILE *in = fopen(name, "re");
    free(name);
    while (in && fgets(line, sizeof line, in))
        if (strncmp(line, "0::/", 4) == 0) { /* version 2 */
            line[strcspn(line, "\n")] = '\0';
            snprintf(group, sizeof group, "%s", line + 3);
        }
    if (in)
        fclose(in);
    for (char *end = group + strlen(group);; end = strrchr(group, '/')) {
        *end = '\0'; /* "" at last: the top, which a container sees as its own */
        char *path = mt_format("/sys/fs/cgroup%s/%s", group, file);
        if (read_line(root, path, value))
            each(least, value);
        free(path);
        if (!group[0])
            break;
    }
}

static void least_number(double *least, const char *line)
{
    char *end;
    double value = strtod(line, &end); /* "max" is no number */
    if (end != line && value < *least)
        *least = value;
}

static void least_quota(double *least, const char *line)
{
    char *end;
    double quota = strtod(line, &end), period = strtod(end, NULL);
    if (end != line && period > 0 && quota / period < *least)
        *least = quota / period;
}

static void check_groups(struct mt_checkup *c, const char *root)
{
    char first[256], second[256];
    double bytes = 1e18, cpus = 1e6;
    each_group(root, "memory.max", least_number, &bytes);
    each_group(root, "cpu.max", least_quota, &cpus);
    if (read_line(root, "/sys/fs/cgroup/memory/memory.limit_in_bytes", first)) /* version 1 */
        least_number(&bytes, first);
    if (read_line(root, "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", first) && atof(first) > 0 &&
        read_line(root, "/sys/fs/cgroup/cpu/cpu.cfs_period_us", second) && atof(second) > 0 &&
        atof(first) / atof(second) < cpus)
        cpus = atof(first) / atof(second);
    double mib = bytes / (1 << 20);
    if (mib < LEAST_MIB)
        mt_checkup_add(
            c, MT_DOUBTFUL, "memory",
            "its control group grants %.0f MiB: a resync of large pages may be killed; grant %d MiB "
            "or more (MemoryMax=, or the container's limit)",
            mib, LEAST_MIB);
    else if (bytes < 1e15)
        mt_checkup_add(c, MT_FINE, "memory", "%.0f MiB for its control group", mib);
    else
        mt_checkup_add(c, MT_FINE, "memory", "no limit of a control group");
    if (cpus < 0.5)
        mt_checkup_add(
            c, MT_DOUBTFUL, "cpu",
            "its control group grants %.2g of a CPU: everything is slow and requests may time out; "
            "grant half of one or more (CPUQuota=, or the container's limit)",
            cpus);
    else if (cpus < 1e5)
        mt_checkup_add(c, MT_FINE, "cpu", "%.2g CPUs for its control group", cpus);
    else
        mt_checkup_add(c, MT_FINE, "cpu", "%ld, no quota", sysconf(_SC_NPROCESSORS_ONLN));
}

/* ---- the rest ---- */

static void check_files(struct mt_checkup *c)
{
    struct rlimit files = {0};
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    if (files.rlim_cur < LEAST_FILES)
        mt_checkup_add(c, MT_DOUBTFUL, "files",
                       "at most %llu open at once: connections may fail; allow %d or more (ulimit -n, "
                       "LimitNOFILE= of the unit)",
                       (unsigned long long)files.rlim_cur, LEAST_FILES);
    else
        mt_checkup_add(c, MT_FINE, "files", "%llu may be open at once", (unsigned long long)files.rlim_cur);
}

static void check_inotify(struct mt_checkup *c, const char *root)
{
    char watches[256], instances[256];
    bool known = read_line(root, "/proc/sys/fs/inotify/max_user_watches", watches) &&
                 read_line(root, "/proc/sys/fs/inotify/max_user_instances", instances);
    int fd = inotify_init1(IN_CLOEXEC);
    int why = errno;
    if (fd >= 0)
        close(fd);
    if (fd < 0)
        mt_checkup_add(c, MT_DOUBTFUL, "inotify",
                       "run --watch cannot work: %s (raise fs.inotify.max_user_instances; SIGHUP and POST "
                       "/reload need no inotify)",
                       strerrordesc_np(why));
    else if (!known)
        mt_checkup_add(c, MT_DOUBTFUL, "inotify",
                       "its limits in /proc/sys/fs/inotify cannot be read: run --watch may not work here "
                       "(SIGHUP and POST /reload need no inotify)");
    else if (atol(watches) < LEAST_WATCHES || atol(instances) < LEAST_INSTANCES)
        mt_checkup_add(c, MT_DOUBTFUL, "inotify",
                       "%ld watches and %ld instances for a user are few for run --watch: sysctl "
                       "fs.inotify.max_user_watches=65536 fs.inotify.max_user_instances=128",
                       atol(watches), atol(instances));
    else
        mt_checkup_add(c, MT_FINE, "inotify", "%ld watches, %ld instances for a user", atol(watches),
                       atol(instances));
}

void mt_check_limits(struct mt_checkup *c, const char *root)
{
    check_files(c);
    check_groups(c, root);
    check_inotify(c, root);
}
