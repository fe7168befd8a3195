/* What becomes of children whose parent ends: adoption, death signals, stopped groups. */
#include "report.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static volatile sig_atomic_t seen[65], sender_code, sender_pid;

static void on_signal(int sig, siginfo_t *info, void *context) {
    (void)context;
    seen[sig]++;
    sender_code = info->si_code, sender_pid = info->si_pid;
}

static void catch(int sig) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(sig, &action, NULL);
}

static void until(int sig) {
    while (!seen[sig]) {
        sched_yield();
    }
}

static void tell(int fd, char byte) {
    if (write(fd, &byte, 1) != 1) {
        _exit(99);
    }
}

static char hear(int fd) {
    char byte;
    return read(fd, &byte, 1) == 1 ? byte : '-';
}

/* A grandchild is adopted by the nearest subreaper, running or dead. */
static void adoption(int is_zombie) {
    int ends[2], status = 0;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    CALL(pipe(ends) < 0);
    fflush(stdout);
    pid_t self = getpid(), pid = fork();
    if (pid == 0) {
        pid_t father = getpid(), inner = fork();
        if (inner == 0) {
            if (is_zombie) {
                _exit(11);
            }
            while (getppid() == father) {
                sched_yield();
            }
            tell(ends[1], getppid() == self ? 'y' : 'n');
            _exit(11);
        }
        if (is_zombie) {
            waitid(P_PID, inner, NULL, WEXITED | WNOWAIT);
        }
        _exit(12);
    }
    CALL(waitpid(pid, &status, 0) == pid);
    printf("child %x\n", status);
    if (!is_zombie) {
        printf("adopted %c\n", hear(ends[0]));
    }
    CALL(wait(&status) > 0);
    printf("grandchild %x\n", status);
    CALL(wait(&status));
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    close(ends[0]), close(ends[1]);
}

static int pipe_ends[2];

/* Made by a thread: its end is the parent's. */
static void *makes_child(void *argument) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        catch(SIGUSR1);
        prctl(PR_SET_PDEATHSIG, SIGUSR1);
        tell(pipe_ends[1], 'r');
        until(SIGUSR1);
        tell(pipe_ends[1], sender_code == SI_USER && sender_pid == getppid() ? 's' : '?');
        _exit(seen[SIGUSR1]);
    }
    *(pid_t *)argument = pid;
    hear(pipe_ends[0]);
    return NULL;
}

static void death_signals(void) {
    int status;
    pid_t pid = 0;
    pthread_t thread;
    CALL(pipe(pipe_ends) < 0);
    pthread_create(&thread, NULL, makes_child, &pid);
    pthread_join(thread, NULL);
    printf("after the thread: %c\n", hear(pipe_ends[0]));
    CALL(waitpid(pid, &status, 0) == pid);
    printf("status %x\n", status);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        pid_t father = getpid();
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGUSR1);
            catch(SIGUSR1);
            tell(pipe_ends[1], 'r');
            until(SIGUSR1);
            tell(pipe_ends[1], sender_pid == father ? 's' : '?');
            _exit(seen[SIGUSR1]);
        }
        hear(pipe_ends[0]);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    printf("after the process: %c\n", hear(pipe_ends[0]));
    CALL(wait(&status) > 0);
    printf("status %x\n", status);
    CALL(prctl(PR_SET_PDEATHSIG, 65));
    CALL(prctl(PR_SET_PDEATHSIG, 0));
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

/* A stopped group that loses the one who could let it go on is hung up. */
static void stopped_group(void) {
    int status;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        setsid(); /* a session of its own: the group below depends on this process alone */
        pid_t inner = fork();
        if (inner == 0) {
            setpgid(0, 0);
            catch(SIGHUP), catch(SIGCONT);
            raise(SIGTSTP);
            until(SIGHUP), until(SIGCONT);
            tell(pipe_ends[1], sender_code == SI_KERNEL ? 'k' : '?');
            raise(SIGTSTP); /* orphaned by now: nothing happens */
            raise(SIGTTIN), raise(SIGTTOU);
            tell(pipe_ends[1], 'g');
            _exit(seen[SIGHUP] * 16 + seen[SIGCONT]);
        }
        setpgid(inner, inner);
        waitpid(inner, &status, WUNTRACED);
        tell(pipe_ends[1], WIFSTOPPED(status) ? 't' : '?');
        _exit(0);
    }
    printf("%c", hear(pipe_ends[0]));
    CALL(waitpid(pid, &status, 0) == pid);
    printf("%c", hear(pipe_ends[0]));
    printf("%c\n", hear(pipe_ends[0]));
    CALL(wait(&status) > 0);
    printf("status %x\n", status);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

/* SIGSTOP stops even orphans. */
static void stops_orphans(void) {
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        raise(SIGTSTP);
        raise(SIGSTOP);
        _exit(6);
    }
    CALL(waitpid(pid, &status, WUNTRACED) == pid);
    printf("stopped %x\n", status);
    kill(pid, SIGCONT);
    CALL(waitpid(pid, &status, 0) == pid);
    printf("status %x\n", status);
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    adoption(0);
    adoption(1);
    death_signals();
    stopped_group();
    stops_orphans();
    return leave_scratch();
}
