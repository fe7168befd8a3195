/* Which process a pidfd stands for. */
#ifndef PROCESS_OF_H
#define PROCESS_OF_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* -1 for one that has been reaped, -99 for another kind of descriptor. */
static inline pid_t process_of(int fd) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    int info = open(path, O_RDONLY);
    ssize_t length = read(info, text, sizeof text - 1);
    close(info);
    text[length > 0 ? length : 0] = 0;
    char *found = strstr(text, "Pid:");
    return found ? atoi(found + 4) : -99;
}

#endif
