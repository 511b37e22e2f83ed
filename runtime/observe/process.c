/* The metrics of the process itself, read from /proc when a scrape asks for them. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "observe/metrics.h"

static bool read_file(const char *path, char *text, size_t size)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    size_t n = fread(text, 1, size - 1, f);
    text[n] = '\0';
    fclose(f);
    return n > 0;
}

static bool resident(double *out)
{
    char text[256];
    unsigned long pages;
    if (!read_file("/proc/self/statm", text, sizeof text) || sscanf(text, "%*u %lu", &pages) != 1)
        return false;
    *out = (double)pages * (double)sysconf(_SC_PAGESIZE);
    return true;
}

static bool open_files(double *out)
{
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return false;
    unsigned n = 0;
    for (const struct dirent *e; (e = readdir(dir));)
        n += e->d_name[0] != '.';
    closedir(dir);
    *out = n - 1; /* the folder's own */
    return true;
}

/* Field 22 of stat counts ticks since boot; the program's name before it may hold blanks and brackets. */
static bool started(double *out)
{
    char stat[1024], boot[64 * 1024];
    unsigned long long ticks, booted;
    if (!read_file("/proc/self/stat", stat, sizeof stat) || !read_file("/proc/stat", boot, sizeof boot))
        return false;
    const char *after = strrchr(stat, ')'), *line = strstr(boot, "\nbtime ");
    if (!after || !line || sscanf(line, "\nbtime %llu", &booted) != 1 ||
        sscanf(after + 1, "%*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
               &ticks) != 1)
        return false;
    *out = (double)booted + (double)ticks / (double)sysconf(_SC_CLK_TCK);
    return true;
}

void mt_metrics_process(struct mt_metrics *m)
{
    double value;
    mt_metrics_set(m, "moontide_build_info", "Version of the program; the value is always 1",
                   (const struct mt_label[]){{"version", MT_VERSION}, {0}}, 1);
    if (resident(&value))
        mt_metrics_set(m, "process_resident_memory_bytes", "Resident memory", NULL, value);
    if (open_files(&value))
        mt_metrics_set(m, "process_open_fds", "Open file descriptors", NULL, value);
    if (started(&value))
        mt_metrics_set(m, "process_start_time_seconds", "Start of the process since the epoch", NULL, value);
}
