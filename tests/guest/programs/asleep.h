/* When another task has got as far as it gets by itself. */
#ifndef ASLEEP_H
#define ASLEEP_H

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* 'R', 'S' and so on, as /proc tells; 'X' if it is no more. */
static inline char state_of(pid_t tid) {
    char path[40], text[200] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)tid);
    int fd = open(path, O_RDONLY);
    ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    close(fd);
    char *name_end = length > 0 ? strrchr(text, ')') : NULL;
    return name_end ? name_end[2] : 'X';
}

/* It sleeps, is stopped, or has ended. */
static inline void until_asleep(pid_t tid) {
    char state;
    while ((state = state_of(tid)) == 'R' || state == 'D') {
        sched_yield();
    }
}

#endif
