/* ptrace(2): who may trace whom, attaching and seizing, group-stops, and what the end of a tracer does. */
#include "trace.h"

#include <sched.h>
#include <sys/prctl.h>
#include <time.h>

static void sleeps(void) {
    for (;;) {
        pause();
    }
}

static pid_t child(void (*what)(void)) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        what();
        _exit(3);
    }
    printf("%s is a child\n", label(pid));
    return pid;
}

/* A line of /proc/PID/status; a process number in it gets its name. */
static void show_line(pid_t pid, const char *what) {
    char name[64], line[256];
    snprintf(name, sizeof name, "/proc/%d/status", pid);
    FILE *file = fopen(name, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, what, strlen(what)) == 0) {
            int number = atoi(line + strlen(what) + 1);
            line[strcspn(line, "\n")] = 0;
            printf("  %s\n", number ? label(number) : line);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

static void end(pid_t pid) {
    kill(pid, SIGKILL);
    show_wait(pid, __WALL);
}

static void errors(void) {
    puts("-- errors");
    long word;
    TRACE(PTRACE_ATTACH, getpid(), 0, 0);
    TRACE(PTRACE_ATTACH, 0, 0, 0);
    TRACE(PTRACE_ATTACH, -1, 0, 0);
    TRACE(PTRACE_PEEKDATA, getppid(), 0, &word);
    pid_t pid = child(sleeps);
    TRACE(PTRACE_CONT, pid, 0, 0);
    TRACE(PTRACE_SEIZE, pid, 1, 0);
    TRACE(PTRACE_SEIZE, pid, 0, 1 << 12);
    TRACE(PTRACE_INTERRUPT, pid, 0, 0);
    TRACE(PTRACE_ATTACH, pid, 0, 0);
    show_wait(pid, 0);
    TRACE(PTRACE_ATTACH, pid, 0, 0);
    TRACE(PTRACE_SETOPTIONS, pid, 0, 1 << 12);
    TRACE(PTRACE_INTERRUPT, pid, 0, 0);
    TRACE(PTRACE_LISTEN, pid, 0, 0);
    TRACE(0x7777, pid, 0, 0);
    TRACE(PTRACE_CONT, pid, 0, 65);
    TRACE(PTRACE_DETACH, pid, 0, 65);
    TRACE(PTRACE_CONT, pid, 0, 0);
    TRACE(PTRACE_CONT, pid, 0, 0);
    TRACE(PTRACE_DETACH, pid, 0, 0);
    TRACE(PTRACE_PEEKDATA, pid, 0, &word);
    end(pid);
    TRACE(PTRACE_ATTACH, pid, 0, 0);
}

static void attach(void) {
    puts("-- attach and detach");
    pid_t pid = child(sleeps);
    TRACE(PTRACE_ATTACH, pid, 0, 0);
    show_wait(pid, 0);
    show_siginfo(pid);
    show_line(pid, "State:");
    show_line(pid, "TracerPid:");
    TRACE(PTRACE_CONT, pid, 0, 0);
    show_wait(pid, WNOHANG);
    kill(pid, SIGUSR1);
    show_wait(pid, 0);
    TRACE(PTRACE_DETACH, pid, 0, 0);
    show_line(pid, "TracerPid:");
    show_wait(pid, WNOHANG);
    kill(pid, SIGSTOP);
    show_wait(pid, WUNTRACED);
    TRACE(PTRACE_ATTACH, pid, 0, 0);
    show_wait(pid, 0);
    TRACE(PTRACE_DETACH, pid, 0, SIGTERM); /* not before a signal, so that it takes none */
    kill(pid, SIGCONT);
    kill(pid, SIGTERM);
    show_wait(pid, 0);
}

/* Two waits for the same thing: WNOWAIT leaves it. */
static void waitid_of_stop(void) {
    puts("-- waitid");
    pid_t pid = child(sleeps);
    siginfo_t info;
    memset(&info, 0, sizeof info);
    TRACE(PTRACE_ATTACH, pid, 0, 0);
    CALL(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT));
    printf("  %s code %d status %d\n", label(info.si_pid), info.si_code, info.si_status);
    memset(&info, 0, sizeof info);
    CALL(waitid(P_PID, pid, &info, WEXITED));
    printf("  %s code %d status %d\n", label(info.si_pid), info.si_code, info.si_status);
    CALL(waitid(P_PID, pid, &info, WEXITED | WNOHANG));
    printf("  %d\n", info.si_pid);
    end(pid);
}

static void seize(void) {
    puts("-- seize, interrupt, listen");
    pid_t pid = child(sleeps);
    TRACE(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD);
    show_wait(pid, WNOHANG);
    TRACE(PTRACE_LISTEN, pid, 0, 0);
    TRACE(PTRACE_INTERRUPT, pid, 0, 0);
    show_wait(pid, 0);
    show_siginfo(pid);
    show_call(pid);
    TRACE(PTRACE_CONT, pid, 0, 0);
    kill(pid, SIGSTOP);
    show_wait(pid, 0);
    show_siginfo(pid);
    TRACE(PTRACE_CONT, pid, 0, SIGSTOP);
    show_wait(pid, 0);
    show_siginfo(pid);
    show_line(pid, "State:");
    TRACE(PTRACE_LISTEN, pid, 0, 0);
    show_wait(pid, WNOHANG);
    TRACE(PTRACE_CONT, pid, 0, 0);
    show_line(pid, "State:");
    kill(pid, SIGCONT);
    show_wait(pid, 0);
    TRACE(PTRACE_CONT, pid, 0, 0);
    show_wait(pid, 0);
    TRACE(PTRACE_CONT, pid, 0, SIGCONT);
    TRACE(PTRACE_INTERRUPT, pid, 0, 0);
    show_wait(pid, 0);
    TRACE(PTRACE_DETACH, pid, 0, 0);
    end(pid);
}

static void group_stop(void) {
    puts("-- group-stop of who has been attached to");
    pid_t pid = child(sleeps);
    siginfo_t info;
    TRACE(PTRACE_ATTACH, pid, 0, 0);
    show_wait(pid, 0);
    TRACE(PTRACE_CONT, pid, 0, SIGSTOP);
    show_wait(pid, 0);
    TRACE(PTRACE_GETSIGINFO, pid, 0, &info);
    kill(pid, SIGCONT);
    show_wait(pid, WNOHANG);
    TRACE(PTRACE_CONT, pid, 0, 0);
    show_wait(pid, 0);
    TRACE(PTRACE_DETACH, pid, 0, SIGCONT);
    end(pid);
}

/* A tracer that is not the parent, and does something first. */
static pid_t other_tracer(pid_t tracee, int how) {
    int ready[2], go[2];
    char byte = 0;
    if (pipe(ready) || pipe(go)) {
        exit(2);
    }
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        trace(PTRACE_ATTACH, tracee, 0, 0);
        waitpid(tracee, NULL, 0);
        if (how == 2) {
            trace(PTRACE_SETOPTIONS, tracee, 0, (void *)PTRACE_O_EXITKILL);
        }
        if (how != 1) {
            trace(PTRACE_CONT, tracee, 0, 0);
        }
        if (how == 3) {
            int status = 0;
            siginfo_t info;
            kill(tracee, SIGKILL);
            waitid(P_PID, tracee, &info, WEXITED | WNOWAIT);
            while (write(ready[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 1) {
            }
            printf("its tracer: ");
            pid_t found = waitpid(tracee, &status, 0);
            show_status(found, status);
            fflush(stdout);
            _exit(0);
        }
        if (write(ready[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 1) {
            _exit(1);
        }
        _exit(0);
    }
    if (read(ready[0], &byte, 1) != 1) {
        exit(2);
    }
    printf("%s traces ", label(pid));
    printf("%s\n", label(tracee));
    if (how == 3) {
        show_wait(tracee, WNOHANG);
        show_line(tracee, "State:");
    } else {
        show_line(tracee, "TracerPid:");
    }
    if (write(go[1], &byte, 1) != 1) {
        exit(2);
    }
    show_wait(pid, 0);
    for (int i = 0; i < 2; i++) {
        close(ready[i]), close(go[i]);
    }
    return pid;
}

static void other_tracers(void) {
    puts("-- another process traces, and ends");
    pid_t pid = child(sleeps);
    other_tracer(pid, 0);
    show_line(pid, "TracerPid:");
    show_wait(pid, WNOHANG);
    end(pid);

    puts("-- in a stop");
    pid = child(sleeps);
    other_tracer(pid, 1);
    show_line(pid, "TracerPid:");
    end(pid);

    puts("-- with EXITKILL");
    pid = child(sleeps);
    other_tracer(pid, 2);
    show_wait(pid, 0);

    puts("-- it hears of the end first");
    pid = child(sleeps);
    other_tracer(pid, 3);
    show_wait(pid, 0);
}

static void secret(void) {
    prctl(PR_SET_DUMPABLE, 0);
    raise(SIGSTOP);
    sleeps();
}

static void rights(void) {
    puts("-- rights");
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && setresuid(1000, 1000, 1000)) {
            _exit(1);
        }
        prctl(PR_SET_DUMPABLE, 1);
        TRACE(PTRACE_ATTACH, 1, 0, 0);
        pid_t found = child(secret);
        waitpid(found, NULL, WUNTRACED);
        TRACE(PTRACE_ATTACH, found, 0, 0);
        TRACE(PTRACE_SEIZE, found, 0, 0);
        char name[64];
        snprintf(name, sizeof name, "/proc/%d/mem", found);
        CALL(open(name, O_RDONLY));
        end(found);
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

static volatile sig_atomic_t told, code;

static void on_child(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    told++;
    code = info->si_code * 1000 + info->si_status;
}

static void notices(void) {
    puts("-- SIGCHLD of stops");
    struct sigaction action = {.sa_sigaction = on_child, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGCHLD, &action, NULL);
    pid_t pid = child(sleeps);
    TRACE(PTRACE_ATTACH, pid, 0, 0);
    show_wait(pid, 0);
    while (!told) { /* the signal may come a little after what it tells of can be waited for */
        sched_yield();
    }
    printf("  %d times, %d\n", told, code);
    action.sa_flags |= SA_NOCLDSTOP;
    sigaction(SIGCHLD, &action, NULL);
    TRACE(PTRACE_CONT, pid, 0, 0);
    kill(pid, SIGUSR1);
    show_wait(pid, 0);
    printf("  %d times, %d\n", told, code);
    end(pid);
    printf("  %d times, %d\n", told, code);
    signal(SIGCHLD, SIG_DFL);
}

int main(void) {
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    errors();
    attach();
    waitid_of_stop();
    seize();
    group_stop();
    other_tracers();
    rights();
    notices();
    return 0;
}
