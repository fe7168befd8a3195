/* Stop and continue: wait options, siginfo of SIGCHLD, threads, calls that are interrupted by it. */
#include "report.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

static volatile sig_atomic_t last_code, last_status, last_pid, news;

static void on_child(int sig, siginfo_t *info, void *context) {
    (void)sig, (void)context;
    last_code = info->si_code, last_status = info->si_status, last_pid = info->si_pid;
    news++;
}

/* The signal may come a little after what it tells of can be waited for. */
static void show_news(pid_t pid) {
    while (!news) {
        sched_yield();
    }
    printf("SIGCHLD: %d time(s), code %d status %d %s\n", news, last_code, last_status,
           last_pid == pid ? "child" : "other");
    news = 0;
}

static void catch_children(int flags) {
    struct sigaction action = {.sa_sigaction = on_child, .sa_flags = SA_SIGINFO | SA_RESTART | flags};
    sigaction(SIGCHLD, &action, NULL);
}

/* A child in a group of its own, whose parent is here and looks after it. */
static pid_t sleeper(void (*what)(void)) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        what();
        _exit(0);
    }
    setpgid(pid, pid);
    return pid;
}

static void sleeps(void) {
    for (;;) {
        pause();
    }
}

static void show(const char *what, pid_t pid, int options) {
    int status = 0;
    errno = 0;
    pid_t found = waitpid(pid, &status, options);
    printf("%s: %s status %x %s\n", what, found == pid ? "child" : found == 0 ? "none" : "error", status,
           found < 0 ? error_name(errno) : "");
}

static void show_id(const char *what, pid_t pid, int options) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    errno = 0;
    int result = waitid(P_PID, pid, &info, options);
    printf("%s: %d %s signo %d code %d status %d %s\n", what, result, result < 0 ? error_name(errno) : "",
           info.si_signo, info.si_code, info.si_status, info.si_pid == pid ? "child" : "other");
}

static void every_signal(void) {
    static const int signals[] = {SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU};
    catch_children(0);
    pid_t pid = sleeper(sleeps);
    for (size_t i = 0; i < LENGTH(signals); i++) {
        news = 0;
        kill(pid, signals[i]);
        show_id("keep", pid, WSTOPPED | WNOWAIT);
        show_news(pid);
        show("stopped", pid, WUNTRACED);
        show("again", pid, WUNTRACED | WNOHANG);
        kill(pid, signals[i]); /* has no effect any more */
        kill(pid, SIGCONT);
        show_id("keep", pid, WCONTINUED | WNOWAIT);
        show_news(pid);
        show("continued", pid, WCONTINUED);
        show("again", pid, WCONTINUED | WUNTRACED | WNOHANG);
        kill(pid, SIGCONT); /* runs already */
        show("runs", pid, WCONTINUED | WNOHANG);
    }
    kill(pid, SIGSTOP);
    show_id("stopped", pid, WSTOPPED | WEXITED | WCONTINUED);
    kill(pid, SIGTERM); /* waits */
    show("still", pid, WNOHANG);
    kill(pid, SIGCONT);
    show("dead", pid, 0);
    news = 0;
    pid = sleeper(sleeps);
    kill(pid, SIGSTOP);
    show("stopped", pid, WUNTRACED);
    kill(pid, SIGKILL);
    show_id("no continue", pid, WCONTINUED | WEXITED);
    show_id("gone", pid, WCONTINUED);
}

static void quietly(void) {
    catch_children(SA_NOCLDSTOP);
    news = 0;
    pid_t pid = sleeper(sleeps);
    kill(pid, SIGSTOP);
    show("stopped", pid, WUNTRACED);
    kill(pid, SIGCONT);
    show("continued", pid, WCONTINUED);
    printf("news: %d\n", news);
    kill(pid, SIGKILL);
    show("dead", pid, 0);
    show_news(pid);
}

static void ignores(void) {
    signal(SIGTSTP, SIG_IGN);
    kill(getppid(), SIGUSR1);
    sleeps();
}

static void wakes(int sig) {
    (void)sig;
}

/* Only zombies there: nothing can stop or go on. */
static void only_zombies(void) {
    pid_t pid = sleeper(sleeps);
    siginfo_t info;
    kill(pid, SIGKILL);
    waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
    show_id("stopped zombie", pid, WSTOPPED | WNOHANG);
    show_id("continued zombie", pid, WCONTINUED);
    show("zombie", pid, 0);
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, &old);
    pid = sleeper(ignores);
    int sig;
    sigwait(&set, &sig);
    sigprocmask(SIG_SETMASK, &old, NULL);
    kill(pid, SIGTSTP);
    kill(pid, SIGCONT);
    show("ignored stop", pid, WUNTRACED | WCONTINUED | WNOHANG);
    kill(pid, SIGKILL);
    show("dead", pid, 0);
}

static void *spins(void *count) {
    for (;;) {
        __atomic_add_fetch((long *)count, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static int channel[2];

/* Threads that run, and one that reads. */
static void many(void) {
    static long count;
    pthread_t thread;
    char byte;
    pthread_create(&thread, NULL, spins, &count);
    ssize_t got = read(channel[0], &byte, 1);
    _exit(got == 1 ? byte : 99);
}

static void threads(void) {
    CALL(pipe(channel) < 0);
    catch_children(0);
    pid_t pid = sleeper(many);
    for (int i = 0; i < 3; i++) {
        kill(pid, SIGSTOP);
        show("stopped", pid, WUNTRACED);
        kill(pid, SIGCONT);
        show("continued", pid, WCONTINUED);
    }
    CALL(write(channel[1], "\x2a", 1));
    show("read went on", pid, 0);
    close(channel[0]), close(channel[1]);
}

/* Calls that a stop interrupts: most go on. */
static void interrupted(void) {
    struct timespec little = {0, 150000000}, left = {9, 9};
    errno = 0;
    int result = nanosleep(&little, &left);
    printf("nanosleep: %d %s\n", result, result < 0 ? error_name(errno) : "");
    errno = 0;
    result = poll(NULL, 0, 100);
    printf("poll: %d %s\n", result, result < 0 ? error_name(errno) : "");
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    little.tv_sec = 1000;
    errno = 0;
    result = sigtimedwait(&set, NULL, &little);
    printf("sigtimedwait: %d %s\n", result, result < 0 ? error_name(errno) : "");
    fflush(stdout);
}

static void calls(void) {
    struct timespec pace = {0, 50000000};
    pid_t pid = sleeper(interrupted);
    int status;
    for (int i = 0;; i++) {
        nanosleep(&pace, NULL);
        kill(pid, SIGSTOP);
        if (waitpid(pid, &status, WUNTRACED) == pid && !WIFSTOPPED(status)) {
            break;
        }
        nanosleep(&pace, NULL);
        kill(pid, SIGCONT);
    }
    printf("status %x\n", status);
}

int main(int argc, char **argv) {
    signal(SIGUSR1, wakes);
    enter_scratch(argc, argv);
    every_signal();
    quietly();
    only_zombies();
    threads();
    calls();
    return leave_scratch();
}
