#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* Preloaded into a process: SIGUSR1 lets it leak 200 MiB a second, SIGUSR2 lets its main thread spin for ever. */

static void *leak(void *unused) {
    struct timespec pause = {0, 100 * 1000 * 1000};
    const size_t size = 20 << 20;
    (void)unused;
    for (;;) {
        void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory != MAP_FAILED) memset(memory, 1, size);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static void on_leak(int signum) {
    pthread_t thread;
    (void)signum;
    pthread_create(&thread, NULL, leak, NULL);
}

static void on_spin(int signum) {
    (void)signum;
    for (;;) __asm__ volatile("");
}

__attribute__((constructor)) static void prepare(void) {
    signal(SIGUSR1, on_leak);
    signal(SIGUSR2, on_spin);
}
