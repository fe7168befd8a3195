/* execve(2) of a process with threads: who survives it, under which number, and what is reset. */
#include "report.h"

#include <linux/sched.h>

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

static long raw_clone(unsigned long flags, void *stack, void *parent_tid, void *child_tid, unsigned long tls) {
#ifdef __aarch64__
    return syscall(SYS_clone, flags, stack, parent_tid, tls, child_tid);
#else
    return syscall(SYS_clone, flags, stack, parent_tid, child_tid, tls);
#endif
}

static char *program;
static int ends[2];

static int count_threads(void) {
    DIR *directory = opendir("/proc/self/task");
    int count = 0;
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        count += entry->d_name[0] != '.';
    }
    closedir(directory);
    return count;
}

/* The new program: what it is, and what its process has kept. */
static int executed(char **argv) {
    struct sigaction action;
    sigset_t mask, pending;
    pid_t pid = atoi(argv[2]), parent = atoi(argv[3]);
    printf("pid %s, tid %s, parent %s, threads %d\n", getpid() == pid ? "same" : "new",
           syscall(SYS_gettid) == pid ? "pid" : "other", getppid() == parent ? "same" : "new", count_threads());
    sigaction(SIGUSR1, NULL, &action);
    printf("handled: %s, ", action.sa_handler == SIG_DFL ? "default" : "other");
    sigaction(SIGUSR2, NULL, &action);
    printf("ignored: %s, ", action.sa_handler == SIG_IGN ? "still" : "other");
    sigprocmask(SIG_BLOCK, NULL, &mask);
    sigpending(&pending);
    printf("blocked %d, pending %d\n", sigismember(&mask, SIGHUP), sigismember(&pending, SIGHUP));
    printf("descriptors: %s %s\n", fcntl(atoi(argv[4]), F_GETFD) < 0 ? "closed" : "open",
           fcntl(atoi(argv[5]), F_GETFD) < 0 ? "closed" : "open");
    return 0;
}

static void become(void) {
    char pid[16], parent[16], kept[16], closed[16];
    snprintf(pid, sizeof pid, "%d", getpid());
    snprintf(parent, sizeof parent, "%d", getppid());
    snprintf(kept, sizeof kept, "%d", ends[0]);
    snprintf(closed, sizeof closed, "%d", ends[1]);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    execl(program, program, "executed", pid, parent, kept, closed, NULL);
    _exit(90);
}

static void nothing(int sig) {
    (void)sig;
}

static void *becomes(void *argument) {
    (void)argument;
    become();
    return NULL;
}

static void *spins(void *argument) {
    for (;;) {
        *(volatile int *)argument += 1;
    }
    return NULL;
}

static void *sleeps(void *argument) {
    (void)argument;
    for (;;) {
        pause();
    }
    return NULL;
}

static void *ends_early(void *argument) {
    syscall(SYS_exit, 1);
    return argument;
}

static void *ends_last(void *first) {
    pthread_join(*(pthread_t *)first, NULL);
    syscall(SYS_exit, 1);
    return NULL;
}

/* `who` makes the call: the main thread, another one, or another one after the main thread's end. */
static void run(const char *who) {
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        static int word;
        sigset_t mask;
        pthread_t thread;
        signal(SIGUSR1, nothing);
        signal(SIGUSR2, SIG_IGN);
        sigemptyset(&mask);
        sigaddset(&mask, SIGHUP);
        sigprocmask(SIG_BLOCK, &mask, NULL);
        kill(getpid(), SIGHUP);
        pthread_create(&thread, NULL, spins, &word);
        pthread_create(&thread, NULL, sleeps, NULL);
        pthread_create(&thread, NULL, ends_early, NULL);
        pthread_join(thread, NULL);
        if (who[0] == 'm') {
            become();
        }
        pthread_create(&thread, NULL, becomes, NULL);
        if (who[0] == 'o') {
            pthread_join(thread, NULL);
        }
        syscall(SYS_exit, 77); /* the process lives on in the others */
    }
    waitpid(pid, &status, 0);
    printf("%s: status %x\n", who, status);
}

static void *leaves(void *argument) {
    syscall(SYS_exit_group, *(int *)argument);
    return NULL;
}

/* exit_group of any thread, and the end of the last one. */
static void exits(void) {
    int status, code = 21;
    pthread_t thread;
    fflush(stdout);
    if (fork() == 0) {
        static int word;
        pthread_create(&thread, NULL, spins, &word);
        pthread_create(&thread, NULL, leaves, &code);
        sleeps(NULL);
    }
    wait(&status);
    printf("exit_group of a thread: %x\n", status);
    if (fork() == 0) {
        static pthread_t first;
        first = pthread_self();
        pthread_create(&thread, NULL, ends_last, &first);
        syscall(SYS_exit, 9);
    }
    wait(&status);
    printf("the last thread's status counts: %x\n", status);
    if (fork() == 0) {
        static int word;
        pthread_create(&thread, NULL, spins, &word);
        pthread_create(&thread, NULL, sleeps, NULL);
        pthread_kill(thread, SIGKILL);
        sleeps(NULL);
    }
    wait(&status);
    printf("killed: %x\n", status);
}

/* exec by a child that shares the descriptors, or borrows the memory. */
static void shared(void) {
    int status, fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    char *arguments[] = {program, "true", NULL};
    fflush(stdout);
    if (raw_clone(CLONE_FILES | SIGUSR2, NULL, NULL, NULL, 0) == 0) {
        execve(program, arguments, NULL);
        _exit(91);
    }
    waitid(P_ALL, 0, NULL, WEXITED | WNOWAIT | __WALL);
    CALL(waitpid(-1, &status, __WCLONE)); /* since execve its signal is SIGCHLD */
    CALL(waitpid(-1, &status, 0) > 0);
    printf("status %x, descriptor %s\n", status, fcntl(fd, F_GETFD) < 0 ? "closed" : "open");
    fflush(stdout);
    if (vfork() == 0) {
        execve(program, arguments, NULL);
        _exit(91);
    }
    CALL(waitpid(-1, &status, 0) > 0);
    printf("status %x, descriptor %s\n", status, fcntl(fd, F_GETFD) < 0 ? "closed" : "open");
    close(fd);
}

int main(int argc, char **argv) {
    program = argv[0];
    if (argc > 1 && strcmp(argv[1], "executed") == 0) {
        return executed(argv);
    }
    if (argc > 1 && strcmp(argv[1], "true") == 0) {
        return 8;
    }
    enter_scratch(argc, argv);
    signal(SIGUSR2, SIG_IGN);
    if (pipe(ends) < 0) {
        return 2;
    }
    run("main");
    run("other");
    run("after the main thread");
    exits();
    shared();
    return leave_scratch();
}
