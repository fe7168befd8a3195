/* A main thread that ends before the others: what /proc shows of it, and execve by one of the others. */
#include "report.h"

#include "asleep.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static char *program;

static void show(const char *path, const char *field) {
    char text[4096];
    int fd = open(path, O_RDONLY);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    text[length < 0 ? 0 : length] = 0;
    char *found = field ? strstr(text, field) : NULL;
    if (found) found[strcspn(found, "\n")] = 0;
    printf("%s: %s\n", strrchr(path, '/') + 1, found ? found : !field && length > 0 ? "something" : "nothing");
}

static void show_all(void) {
    int entries = 0;
    show("/proc/self/status", "State:");
    show("/proc/self/status", "Threads:");
    show("/proc/self/status", "VmRSS:");
    show("/proc/self/cmdline", NULL);
    show("/proc/self/maps", NULL);
    show("/proc/thread-self/status", "State:");
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *e; tasks && (e = readdir(tasks));) entries += e->d_name[0] != '.';
    if (tasks) closedir(tasks);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/status", getpid());
    show(path, "State:");
    printf("%d entries, is the main thread: %d\n", entries, getpid() == gettid());
    CALL(kill(getpid(), 0));
    CALL(syscall(SYS_tgkill, getpid(), getpid(), 0));
    fflush(stdout);
}

static void *other(void *main_thread) {
    pthread_join(*(pthread_t *)main_thread, NULL);
    while (state_of(getpid()) != 'Z') { /* the word that pthread_join waits for is not the very last */
        sched_yield();
    }
    show_all();
    execl("/proc/self/exe", program, ".", "again", NULL); /* gone with the main thread, for this file */
    report("execl", -1);
    execl(program, program, ".", "again", NULL);
    return NULL;
}

int main(int argc, char **argv) {
    static pthread_t self, thread;
    if (argc > 2) {
        printf("after execve: is the main thread: %d\n", getpid() == gettid());
        show("/proc/self/status", "Threads:");
        return 7;
    }
    program = argv[0];
    self = pthread_self();
    fflush(stdout);
    pid_t pid = fork();
    if (pid) {
        int status;
        waitpid(pid, &status, 0);
        return !printf("status %d\n", WEXITSTATUS(status));
    }
    pthread_create(&thread, NULL, other, &self);
    pthread_exit(NULL);
}
