/* What hostile programs share: numbers from a seed, and children that are given up when they get nowhere. */
#ifndef HOSTILE_H
#define HOSTILE_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul
#define PLACE ((void *)0x31415926000) /* far from all that is played with */
#ifndef PATIENCE
#define PATIENCE 30 /* moments that a step may take */
#endif
#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define PICK(array) ((array)[below(LENGTH(array))])

static __thread uint64_t random_state = 1;

/* splitmix64: every step is good, so a state may be any number. */
static inline uint64_t number(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static inline uint64_t below(uint64_t limit)
{
    return number() % limit;
}

/* Every step has numbers of its own, so that it can be repeated alone. */
static inline void begin_step(uint64_t seed, uint64_t step)
{
    random_state = seed * 0x100000001b3 + step;
    random_state = number();
}

static inline void fill_randomly(void *memory, size_t length)
{
    for (size_t i = 0; i < length; i++)
        ((unsigned char *)memory)[i] = (unsigned char)number();
}

/* A child does so many steps before the next one begins in a fresh world. */
static inline uint64_t first_of(uint64_t next, uint64_t last)
{
    return next + 200 < last ? next + 200 : last;
}

typedef void step_function(uint64_t seed, uint64_t step);

/* Do the steps from `first` until `last`, in children that may die of one or get stuck in one: then the next child
 * goes on behind it. `set_up` is called in each child. */
static inline void survive(uint64_t seed, uint64_t first, uint64_t last, void (*set_up)(void), step_function *step)
{
    volatile uint64_t *next = mmap(PLACE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const struct timespec moment = {0, 2000000};
    unsigned died = 0, stuck = 0;
    for (int signal = 1; signal < 32; signal++)
        if (signal != SIGCHLD)
            sigaction(signal, &(struct sigaction){.sa_handler = SIG_IGN}, 0);
    *next = first;
    while (*next < last) {
        pid_t child = fork();
        if (child < 0) {
            perror("fork");
            exit(1);
        }
        if (child == 0) {
            for (int signal = 1; signal < 32; signal++)
                sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, 0);
            setpgid(0, 0);
            set_up();
            for (uint64_t end = first_of(*next, last); *next < end;) {
                uint64_t now = *next;
                *next = now + 1;
                step(seed, now);
            }
            _exit(0);
        }
        uint64_t seen = *next;
        for (int patience = 0; waitpid(child, 0, WNOHANG) == 0; patience++) {
            nanosleep(&moment, 0);
            if (waitpid(-1, 0, WNOHANG | __WALL) == child) /* a thread of it that has asked to be traced ends first */
                break;
            if (*next != seen) {
                seen = *next;
                patience = 0;
            } else if (patience == PATIENCE) {
                kill(child, SIGKILL);
                stuck++;
            }
        }
        died++;
        kill(-child, SIGKILL);
        while (waitpid(-1, 0, WNOHANG) > 0)
            ;
    }
    fprintf(stderr, "%u children, %u of them stuck\n", died, stuck);
    printf("survived\n");
}

#endif
