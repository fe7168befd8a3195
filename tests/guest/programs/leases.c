/* Leases: who is told that somebody wants to open or truncate a file, and how long that one waits (fcntl(2)). */
#include "report.h"

#include "asleep.h"

#include <signal.h>
#include <sys/wait.h>

static sigset_t watched;

static void show_signal(int fd) {
    static const struct timespec now;
    siginfo_t info;
    int number = sigtimedwait(&watched, &info, &now);
    if (number < 0) {
        puts("  no signal");
    } else if (number == SIGIO) {
        printf("  SIGIO code %x\n", info.si_code);
    } else {
        printf("  SIGRTMIN+%d code %x band %lx fd %s\n", number - SIGRTMIN, info.si_code, info.si_band,
               info.si_fd == fd ? "as it was" : "another");
    }
}

/* The lines of /proc/locks about our leases, without numbers. They are read at once: a further read begins where the
 * first one has ended, by counting lines, though somebody else on the machine may have got a lock meanwhile. */
static void show_locks(void) {
    char text[65536], kind[20], state[20], access[20];
    int pid, locks = open("/proc/locks", O_RDONLY);
    ssize_t length = read(locks, text, sizeof text - 1);
    text[length > 0 ? length : 0] = 0;
    close(locks);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        char *rest = strchr(line, ':') + 2;
        int waits = strncmp(rest, "-> ", 3) == 0;
        if (sscanf(rest + 3 * waits, "%19s %19s %19s %d", kind, state, access, &pid) == 4 && !strcmp(kind, "LEASE")
            && (pid == getpid() || getpgid(pid) == getpid())) {
            printf("  %s%s %s %s%s\n", waits ? "-> " : "", kind, state, access, strstr(line, "<none>:0") ? " <none>" : "");
        }
    }
}

static void show_own_lease(int fd) {
    char path[64], line[200], kind[20], state[20], access[20];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    FILE *info = fopen(path, "r");
    while (fgets(line, sizeof line, info)) {
        if (sscanf(line, "lock:\t%*d: %19s %19s %19s", kind, state, access) == 3) {
            printf("  fdinfo: %s %s %s\n", kind, state, access);
        }
    }
    fclose(info);
}

/* A child without the holder's file that makes a call, which may have to wait; its errno is its exit status. */
#define CHILD(call) ({ \
    fflush(stdout); \
    pid_t child = fork(); \
    if (child == 0) { \
        close(holder); \
        errno = 0; \
        long done = (call); \
        _exit(done == -1 ? errno : 0); \
    } \
    printf("child: %s\n", #call); \
    child; \
})

static void show_end(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    printf("  ends with %s\n", WEXITSTATUS(status) ? error_name(WEXITSTATUS(status)) : "success");
}

static void show_refusals(void) {
    int pair[2];
    make_file("plain", "text");
    int reading = CALL(open("plain", O_RDONLY));
    CALL(fcntl(reading, F_GETLEASE));
    CALL(fcntl(reading, F_SETLEASE, F_UNLCK));
    CALL(fcntl(reading, F_SETLEASE, 7));
    int directory = open(".", O_RDONLY | O_DIRECTORY);
    CALL(fcntl(directory, F_SETLEASE, F_UNLCK));
    CALL(fcntl(directory, F_SETLEASE, F_WRLCK));
    CALL(fcntl(directory, F_SETLEASE, 7));
    CALL(fcntl(directory, F_GETLEASE));
    CALL(close(directory));
    CALL(pipe(pair));
    CALL(fcntl(pair[0], F_SETLEASE, F_RDLCK));
    CALL(fcntl(pair[0], F_GETLEASE));
    int path = open("plain", O_PATH);
    CALL(fcntl(path, F_SETLEASE, F_RDLCK));
    CALL(fcntl(path, F_GETLEASE));
    int writing = open("plain", O_RDWR);
    CALL(fcntl(writing, F_SETLEASE, F_RDLCK));
    CALL(fcntl(reading, F_SETLEASE, F_RDLCK));
    CALL(fcntl(writing, F_SETLEASE, F_WRLCK));
    CALL(close(reading));
    CALL(fcntl(writing, F_SETLEASE, F_WRLCK));
    CALL(fcntl(writing, F_SETLEASE, F_WRLCK));
    CALL(fcntl(writing, F_SETLEASE, F_RDLCK));
    CALL(fcntl(writing, F_GETLEASE));
    CALL(fcntl(writing, F_SETLEASE, F_UNLCK));
    CALL(close(writing));
    CALL(close(path));
    CALL(close(pair[0]));
    CALL(close(pair[1]));
}

static void show_shared(void) {
    int one = open("plain", O_RDONLY), two = open("plain", O_RDONLY);
    CALL(fcntl(one, F_SETLEASE, F_RDLCK));
    CALL(fcntl(two, F_SETLEASE, F_RDLCK));
    CALL(fcntl(two, F_SETLEASE, F_WRLCK));
    show_locks();
    show_own_lease(one);
    int copy = dup(one);
    CALL(fcntl(one, F_GETOWN) == getpid());
    CALL(close(one));
    CALL(fcntl(copy, F_GETLEASE));
    CALL(fcntl(copy, F_SETSIG, SIGRTMIN));
    CALL(fcntl(copy, F_SETLEASE, F_UNLCK));
    CALL(fcntl(copy, F_GETOWN));
    CALL(fcntl(copy, F_GETSIG));
    CALL(close(copy));
    CALL(fcntl(two, F_SETLEASE, F_WRLCK));
    CALL(fcntl(two, F_GETLEASE));
    show_locks();
    CALL(close(two));
    show_locks();
}

static void show_refused_openers(void) {
    int holder = open("plain", O_RDONLY);
    CALL(fcntl(holder, F_SETLEASE, F_RDLCK));
    CALL(close(open("plain", O_RDONLY | O_NONBLOCK)));
    show_signal(holder);
    CALL(open("plain", O_WRONLY | O_NONBLOCK));
    show_signal(holder);
    CALL(open("plain", O_WRONLY | O_NONBLOCK));
    show_signal(holder);
    CALL(fcntl(holder, F_GETLEASE));
    show_locks();
    CALL(fcntl(holder, F_SETLEASE, F_RDLCK));
    CALL(fcntl(holder, F_GETLEASE));
    int second = open("plain", O_RDONLY);
    CALL(fcntl(second, F_SETLEASE, F_RDLCK));
    CALL(fcntl(holder, F_SETLEASE, F_UNLCK));
    CALL(fcntl(second, F_SETLEASE, F_RDLCK));
    CALL(close(second));
    CALL(fcntl(holder, F_SETLEASE, F_WRLCK));
    CALL(fcntl(holder, F_SETSIG, SIGRTMIN + 1));
    CALL(open("plain", O_RDONLY | O_NONBLOCK));
    show_signal(holder);
    CALL(fcntl(holder, F_GETLEASE));
    show_locks();
    CALL(fcntl(holder, F_SETLEASE, F_RDLCK));
    CALL(fcntl(holder, F_GETLEASE));
    CALL(close(open("plain", O_RDONLY | O_NONBLOCK)));
    CALL(rename("plain", "other"));
    CALL(chmod("other", 0600));
    CALL(link("other", "plain"));
    CALL(unlink("other"));
    CALL(ftruncate(holder, 1));
    CALL(close(open("plain", O_PATH)));
    show_signal(holder);
    CALL(close(open("plain", O_RDONLY | O_TRUNC | O_NONBLOCK)));
    show_signal(holder);
    CALL(close(holder));
}

static void show_waiting(const char *what, int access, int lease, int then) {
    int holder = open("plain", access);
    printf("%s\n", what);
    CALL(fcntl(holder, F_SETLEASE, lease));
    CALL(fcntl(holder, F_SETSIG, SIGRTMIN + 1));
    pid_t child = !strcmp(what, "open to write") ? CHILD(open("plain", O_WRONLY))
                  : !strcmp(what, "open to read") ? CHILD(open("plain", O_RDONLY))
                  : !strcmp(what, "truncate") ? CHILD(truncate("plain", 2))
                  : CHILD(execl("plain", "plain", NULL));
    siginfo_t info;
    CALL(sigwaitinfo(&watched, &info) - SIGRTMIN);
    until_asleep(child);
    show_locks();
    CALL(fcntl(holder, F_GETLEASE));
    CALL(fcntl(holder, F_SETLEASE, F_WRLCK));
    if (then == F_RDLCK) {
        CALL(fcntl(holder, F_SETLEASE, then));
        show_end(child);
        CALL(fcntl(holder, F_GETLEASE));
    } else if (then == F_UNLCK) {
        CALL(fcntl(holder, F_SETLEASE, then));
        show_end(child);
    }
    CALL(close(holder));
    if (then < 0) {
        show_end(child);
    }
}

static void do_nothing(int number) {
    (void)number;
}

static void show_interrupted(void) {
    struct sigaction action = {.sa_handler = do_nothing};
    int holder = open("plain", O_RDONLY);
    sigaction(SIGUSR1, &action, NULL);
    CALL(fcntl(holder, F_SETLEASE, F_RDLCK));
    pid_t child = CHILD(open("plain", O_WRONLY));
    siginfo_t info;
    CALL(sigwaitinfo(&watched, &info) == SIGIO);
    until_asleep(child);
    kill(child, SIGUSR1);
    show_end(child);
    CALL(fcntl(holder, F_GETLEASE));
    CALL(close(holder));
}

static void show_rights(void) {
    if (geteuid() != 0) {
        puts("no root");
        return;
    }
    int holder = open("plain", O_RDONLY);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (setresuid(1000, 1000, 1000) < 0) {
            _exit(99);
        }
        CALL(fcntl(holder, F_SETLEASE, F_RDLCK));
        CALL(fcntl(holder, F_SETLEASE, F_UNLCK));
        CALL(fcntl(holder, F_GETLEASE));
        exit(0);
    }
    show_end(child);
    CALL(fcntl(holder, F_SETLEASE, F_RDLCK));
    CALL(close(holder));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    setpgid(0, 0);
    sigemptyset(&watched);
    sigaddset(&watched, SIGIO);
    sigaddset(&watched, SIGRTMIN + 1);
    sigprocmask(SIG_BLOCK, &watched, NULL);
    show_file("/proc/sys/fs/leases-enable");
    show_file("/proc/sys/fs/lease-break-time");
    show_refusals();
    show_shared();
    show_refused_openers();
    show_waiting("open to write", O_RDONLY, F_RDLCK, F_UNLCK);
    show_waiting("open to write", O_RDONLY, F_RDLCK, -1);
    show_waiting("open to read", O_RDWR, F_WRLCK, F_UNLCK);
    show_waiting("open to read", O_RDONLY, F_WRLCK, F_RDLCK);
    show_waiting("truncate", O_RDONLY, F_RDLCK, F_UNLCK);
    CALL(chmod("plain", 0755));
    show_waiting("execute", O_RDONLY, F_WRLCK, -1); /* who closes a file that he may write to is a writer for a moment more */
    show_waiting("execute", O_RDONLY, F_WRLCK, F_UNLCK);
    show_interrupted();
    show_rights();
    CALL(unlink("plain"));
    return leave_scratch();
}
