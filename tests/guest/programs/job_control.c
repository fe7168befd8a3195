/* Controlling terminals: who has one, who may use it, and who hears when it goes (credentials(7), setsid(2),
 * ioctl_tty(2)). Everything happens in sessions of children, each with a terminal of its own. */
#include "report.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

static int master;
static char *name;

static void new_terminal(void) {
    master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0) {
        _exit(99);
    }
    name = strdup(ptsname(master));
}

static const char *how(int status) {
    static char text[64];
    snprintf(text, sizeof text, WIFEXITED(status) ? "exited %d" : WIFSTOPPED(status) ? "stopped %d" : "killed %d",
             WIFEXITED(status) ? WEXITSTATUS(status) : WIFSTOPPED(status) ? WSTOPSIG(status) : WTERMSIG(status));
    return text;
}

static void wait_for(const char *who, pid_t pid, int options) {
    int status = 0;
    waitpid(pid, &status, options);
    printf("%s %s\n", who, how(status));
}

static void handler(int number) {
    char text[32];
    int length = snprintf(text, sizeof text, "signal %d\n", number);
    write(1, text, (size_t)length);
}

static volatile sig_atomic_t seen;

static void note(int number) {
    seen |= number == SIGHUP ? 1 : number == SIGCONT ? 2 : 4;
}

/* SIGHUP and SIGCONT wait until `await_signals`, so that none comes too early. */
static void expect_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCONT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGHUP, note);
    signal(SIGCONT, note);
}

static void await_signals(int wanted) {
    sigset_t none;
    sigemptyset(&none);
    while ((seen & wanted) != wanted) {
        sigsuspend(&none);
    }
    printf("hung up %d, continued %d\n", seen & 1, seen >> 1 & 1);
}

/* -- having a terminal --------------------------------------------------------------------------------- */

static void acquire(void) {
    pid_t group = 0, session = 0;
    int slave = open(name, O_RDWR);
    CALL(ioctl(slave, TIOCGPGRP, &group));
    CALL(open("/dev/tty", O_RDWR) < 0 ? -1 : 0);
    CALL(setsid() < 0 ? -1 : 0);
    CALL(open("/dev/tty", O_RDWR) < 0 ? -1 : 0);
    close(open(name, O_RDWR | O_NOCTTY));
    CALL(open("/dev/tty", O_RDWR) < 0 ? -1 : 0);
    close(open(name, O_WRONLY));
    CALL(open("/dev/tty", O_RDWR) < 0 ? -1 : 0);
    CALL(ioctl(slave, TIOCSCTTY, 0));
    CALL(ioctl(slave, TIOCSCTTY, 0));
    int tty = open("/dev/tty", O_RDWR);
    CALL(ioctl(tty, TIOCGPGRP, &group));
    CALL(ioctl(tty, TIOCGSID, &session));
    printf("in the foreground %d, in the session %d\n", group == getpgrp(), session == getsid(0));
    CALL(tcsetpgrp(tty, -1));
    CALL(tcsetpgrp(tty, 1 << 29));
    CALL(tcsetpgrp(tty, getppid()));
    CALL(tcsetpgrp(tty, getpid()));
    signal(SIGHUP, handler);
    signal(SIGCONT, handler);
    CALL(ioctl(tty, TIOCNOTTY));
    CALL(ioctl(tty, TIOCNOTTY));
    CALL(open("/dev/tty", O_RDWR) < 0 ? -1 : 0);
    CALL(ioctl(slave, TIOCGPGRP, &group));
    close(open(name, O_RDWR));
    CALL(open("/dev/tty", O_RDWR) < 0 ? -1 : 0);
    if (fork() == 0) {
        CALL(ioctl(slave, TIOCNOTTY));
        CALL(open("/dev/tty", O_RDWR) < 0 ? -1 : 0);
        _exit(0);
    }
    wait(NULL);
    CALL(open("/dev/tty", O_RDWR) < 0 ? -1 : 0);
    signal(SIGHUP, SIG_IGN);
}

/* -- the background ------------------------------------------------------------------------------------ */

static int tty;

static void from_background(const char *what, int (*act)(void), void (*prepare)(void)) {
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        signal(SIGTTOU, SIG_DFL);
        prepare();
        errno = 0;
        int result = act();
        printf("%s: %d %s\n", what, result, result < 0 ? error_name(errno) : "");
        _exit(0);
    }
    setpgid(pid, pid);
    int status;
    waitpid(pid, &status, WUNTRACED);
    printf("%s: %s\n", what, how(status));
    if (WIFSTOPPED(status)) {
        tcsetpgrp(tty, pid);
        kill(pid, SIGCONT);
        wait_for(what, pid, 0);
        tcsetpgrp(tty, getpgrp());
    }
}

static int act_read(void) {
    char data[8];
    return (int)read(tty, data, 8);
}

static int act_write(void) {
    return (int)write(tty, "w", 1);
}

static int act_set(void) {
    struct termios termios;
    tcgetattr(tty, &termios);
    return tcsetattr(tty, TCSANOW, &termios);
}

static int act_foreground(void) {
    return tcsetpgrp(tty, getpgrp());
}

static int act_size(void) {
    struct winsize size = {1, 2, 3, 4};
    return ioctl(tty, TIOCSWINSZ, &size);
}

static void nothing(void) {}

static void ignore(void) {
    signal(SIGTTIN, SIG_IGN);
    signal(SIGTTOU, SIG_IGN);
}

static void block(void) {
    sigset_t set;
    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static void catch_them(void) {
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGTTIN, &action, NULL);
    sigaction(SIGTTOU, &action, NULL);
}

static void background(void) {
    struct termios termios;
    signal(SIGTTOU, SIG_IGN);
    setsid();
    tty = open(name, O_RDWR);
    write(master, "line\nline\nline\n", 15);
    from_background("read", act_read, nothing);
    from_background("read, ignored", act_read, ignore);
    from_background("read, blocked", act_read, block);
    from_background("read, caught", act_read, catch_them);
    from_background("write", act_write, nothing);
    tcgetattr(tty, &termios);
    termios.c_lflag |= TOSTOP;
    tcsetattr(tty, TCSANOW, &termios);
    from_background("write with tostop", act_write, nothing);
    from_background("write with tostop, ignored", act_write, ignore);
    from_background("write with tostop, caught", act_write, catch_them);
    from_background("settings", act_set, nothing);
    from_background("settings, blocked", act_set, block);
    from_background("foreground", act_foreground, nothing);
    tcsetpgrp(tty, getpgrp());
    from_background("size", act_size, nothing);
    signal(SIGHUP, SIG_IGN);
}

static void orphan(void) {
    setsid();
    tty = open(name, O_RDWR);
    int done[2];
    pipe(done);
    if (fork() == 0) {
        if (fork() == 0) {
            setpgid(0, 0);
            pid_t parent = getppid();
            close(done[0]);
            kill(parent, SIGKILL);
            while (getppid() == parent) {
                poll(NULL, 0, 10);
            }
            CALL(act_read());
            CALL(act_set());
            CALL(act_write());
            _exit(0);
        }
        pause();
    }
    close(done[1]);
    wait(NULL);
    char byte;
    read(done[0], &byte, 1);
    signal(SIGHUP, SIG_IGN);
}

/* -- keys and the end ---------------------------------------------------------------------------------- */

static pid_t sleeper(void) {
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        pause();
        _exit(0);
    }
    setpgid(pid, pid);
    return pid;
}

static void keys(void) {
    setsid();
    tty = open(name, O_RDWR);
    signal(SIGTTOU, SIG_IGN);
    const char *typed[] = {"\003", "\034", "\032"};
    for (size_t i = 0; i < LENGTH(typed); i++) {
        pid_t pid = sleeper();
        tcsetpgrp(tty, pid);
        write(master, typed[i], 1);
        wait_for("sleeper", pid, WUNTRACED);
        kill(pid, SIGKILL);
    }
    signal(SIGWINCH, handler);
    tcsetpgrp(tty, getpgrp());
    struct winsize size = {10, 20, 0, 0};
    CALL(ioctl(master, TIOCSWINSZ, &size));
    CALL(ioctl(master, TIOCSWINSZ, &size));
    signal(SIGINT, handler);
    CALL(ioctl(master, TIOCSIG, SIGINT));
    signal(SIGHUP, SIG_IGN);
}

static void leader_exits(void) {
    int ready[2], gone[2];
    pipe(ready);
    pipe(gone);
    pid_t leader = fork();
    if (leader == 0) {
        setsid();
        tty = open(name, O_RDWR);
        signal(SIGTTOU, SIG_IGN);
        if (fork() == 0) {
            setpgid(0, 0);
            expect_signals();
            tcsetpgrp(tty, getpgrp());
            write(ready[1], "x", 1);
            await_signals(1);
            CALL(open("/dev/tty", O_RDWR) < 0 ? -1 : 0);
            char data[4];
            CALL(write(tty, "k", 1));
            fcntl(tty, F_SETFL, O_RDWR | O_NONBLOCK);
            CALL(read(tty, data, 4));
            _exit(0);
        }
        char byte;
        read(ready[0], &byte, 1);
        _exit(0);
    }
    close(gone[1]);
    char byte;
    read(gone[0], &byte, 1); /* ends when the last of the session has gone */
    wait_for("leader", leader, 0);
}

static void master_closes(void) {
    int ready[2];
    pipe(ready);
    pid_t leader = fork();
    if (leader == 0) {
        char data[4];
        close(master);
        setsid();
        expect_signals();
        tty = open(name, O_RDWR);
        write(ready[1], "x", 1);
        await_signals(3);
        CALL(read(tty, data, 4));
        CALL(write(tty, data, 4));
        CALL(open("/dev/tty", O_RDWR) < 0 ? -1 : 0);
        _exit(0);
    }
    char byte;
    read(ready[0], &byte, 1);
    close(master);
    wait_for("leader", leader, 0);
}

static void in_child(const char *what, void (*act)(void)) {
    printf("-- %s\n", what);
    new_terminal();
    pid_t pid = fork();
    if (pid == 0) {
        act();
        _exit(0);
    }
    wait_for(what, pid, 0);
    close(master);
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    in_child("acquire", acquire);
    in_child("background", background);
    in_child("orphan", orphan);
    in_child("keys", keys);
    printf("-- end\n");
    new_terminal();
    leader_exits();
    close(master);
    new_terminal();
    master_closes();
    return 0;
}
