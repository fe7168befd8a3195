/* /proc/PID/timers: the POSIX timers of a process. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static void show(const char *path) {
    char text[2000];
    int fd = open(path, O_RDONLY);
    long length = read(fd, text, sizeof text - 1);
    close(fd);
    text[length < 0 ? 0 : length] = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        char *number = strchr(line, '.');
        if (number) printf("%.*s is mine: %d\n", (int)(number - line), line, atoi(number + 1) == getpid());
        else printf("%s\n", line);
    }
    printf("length %s\n", length > 0 ? "some" : "none");
}

static int create(clockid_t clock, int notify, int signal, long value) {
    struct sigevent event;
    int id = -1;
    memset(&event, 0, sizeof event);
    event.sigev_notify = notify, event.sigev_signo = signal, event.sigev_value.sival_ptr = (void *)value;
    event.sigev_notify_thread_id = notify == SIGEV_THREAD_ID ? getpid() : 0;
    printf("create: %ld\n", syscall(SYS_timer_create, clock, notify < 0 ? NULL : &event, &id));
    return id;
}

int main(void) {
    struct stat st;
    show("/proc/self/timers");
    create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 0x1234567890abcdef);
    int second = create(CLOCK_REALTIME, SIGEV_NONE, SIGUSR2, 7);
    create(CLOCK_PROCESS_CPUTIME_ID, SIGEV_THREAD_ID, SIGRTMIN, 0);
    create(CLOCK_BOOTTIME, SIGEV_THREAD, SIGALRM, 0);
    create(CLOCK_THREAD_CPUTIME_ID, -1, 0, 0);
    show("/proc/self/timers");
    syscall(SYS_timer_delete, second);
    show("/proc/self/timers");
    printf("thread has it: %d\n", !stat("/proc/thread-self/timers", &st));
    stat("/proc/self/timers", &st);
    printf("mode %o\n", st.st_mode);
    fflush(stdout);
    if (!fork()) {
        show("/proc/self/timers");
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
}
