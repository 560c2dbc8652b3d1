#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Preloaded into a process: its wall clock is ahead by as many seconds (int64) as stand in the file $SHIFT_FILE.
   Monotonic clocks and waits stay as they are. */

static volatile long long *ahead = 0;
static long long nothing = 0;

static long long shift(void) {
    if (!ahead) {
        char *path = getenv("SHIFT_FILE");
        int file = path ? open(path, O_RDONLY) : -1;
        void *mapped = file >= 0 ? mmap(0, 8, PROT_READ, MAP_SHARED, file, 0) : MAP_FAILED;
        ahead = mapped == MAP_FAILED ? &nothing : mapped;
        if (file >= 0) close(file);
    }
    return *ahead;
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    int failed = syscall(SYS_clock_gettime, clock, at);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) at->tv_sec += shift();
    return failed;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) {
        at->tv_sec = now.tv_sec;
        at->tv_usec = now.tv_nsec / 1000;
    }
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
