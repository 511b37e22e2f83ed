/* Preloaded into a process (LD_PRELOAD): shifts its wall clock by the number of seconds in the file that
 * MOONTIDE_SPEC_CLOCK names, read anew each time, so that a spec can set the clock of one running process.
 * Its monotonic clock is the system's. By system calls: the next library in line may be a sanitizer's, which
 * is not ready that early. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long shift(void)
{
    const int before = errno;
    const char *path = getenv("MOONTIDE_SPEC_CLOCK");
    char text[32];
    long seconds = 0;
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file >= 0) {
        ssize_t n = read(file, text, sizeof text - 1);
        text[n > 0 ? n : 0] = '\0';
        seconds = strtol(text, NULL, 10);
        close(file);
    }
    errno = before;
    return seconds;
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    long rc = syscall(SYS_clock_gettime, clock, out);
    if (rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        out->tv_sec += shift();
    return (int)rc;
}

/* The C library declares its arguments as never NULL; callers that pass a zone do not exist here. */
int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec t;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &t);
    out->tv_sec = t.tv_sec;
    out->tv_usec = t.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (out)
        *out = t.tv_sec;
    return t.tv_sec;
}
