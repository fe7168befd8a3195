/* Pseudo-terminals: opening them, their requests, and what goes through (pty(7), ioctl_tty(2), termios(3)). */
#include "report.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>

static char *escaped(const char *data, ssize_t length) {
    static char text[512];
    char *at = text;
    for (ssize_t i = 0; i < length && at < text + sizeof text - 5; i++) {
        unsigned char c = (unsigned char)data[i];
        at += sprintf(at, c < 32 || c > 126 ? "\\%03o" : "%c", c);
    }
    *at = '\0';
    return text;
}

/* What a read gives at once. */
static void show_now(const char *who, int fd, size_t limit) {
    char data[256];
    errno = 0;
    ssize_t length = read(fd, data, limit < sizeof data ? limit : sizeof data);
    printf("%s reads %zd %s \"%s\"\n", who, length, length < 0 ? error_name(errno) : "", escaped(data, length));
}

/* What a read gives; the kernel may pass bytes on a little later, so that one waits for them first. */
static void show(const char *who, int fd, size_t limit) {
    struct pollfd poller = {fd, POLLIN, 0};
    poll(&poller, 1, -1);
    show_now(who, fd, limit);
}

/* All that comes, in however many pieces. */
static void show_all(const char *who, int fd, size_t expected) {
    char data[256];
    size_t length = 0;
    struct pollfd poller = {fd, POLLIN, 0};
    while (length < expected && poll(&poller, 1, -1) > 0) {
        ssize_t count = read(fd, data + length, sizeof data - length);
        if (count <= 0) {
            break;
        }
        length += (size_t)count;
    }
    printf("%s reads in all \"%s\"\n", who, escaped(data, (ssize_t)length));
}

/* What is written goes on when the kernel finds the time: until there is so much to read. */
static void until_queued(int fd, int expected) {
    int count = 0;
    while (ioctl(fd, FIONREAD, &count) == 0 && count < expected) {
        sched_yield();
    }
}

static void show_events(const char *who, int fd) {
    struct pollfd poller = {fd, POLLIN | POLLOUT | POLLPRI, 0};
    poll(&poller, 1, 0);
    printf("%s is ready for %x\n", who, (unsigned)poller.revents);
}

static int open_pair(int *slave) {
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0) {
        _exit(99);
    }
    *slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_NONBLOCK);
    fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK);
    return master;
}

static void opening(void) {
    int number = -1, locked = -1, master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    char name[32];
    struct stat status;
    OK(ioctl(master, TIOCGPTN, &number));
    snprintf(name, sizeof name, "/dev/pts/%d", number);
    CALL(ioctl(master, TIOCGPTLCK, &locked));
    printf("locked %d, name %s\n", locked, strcmp(name, ptsname(master)) == 0 ? "alike" : "different");
    CALL(open(name, O_RDWR | O_NOCTTY) < 0 ? -1 : 0);
    CALL(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY) < 0 ? -1 : 0);
    CALL(ioctl(master, TIOCSPTLCK, &(int){0}));
    int slave = open(name, O_RDWR | O_NOCTTY);
    int peer = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    printf("opened %d %d, cloexec %d\n", slave >= 0, peer >= 0, fcntl(peer, F_GETFD));
    CALL(fstat(slave, &status));
    printf("type %o, major %u, mine %d\n", status.st_mode & S_IFMT, (unsigned)(status.st_rdev >> 8 & 0xfff),
           status.st_uid == geteuid());
    CALL(fstat(master, &status));
    printf("master type %o, rdev %lx\n", status.st_mode & S_IFMT, (unsigned long)status.st_rdev);
    CALL(isatty(slave) + 2 * isatty(master));
    char found[64];
    CALL(ttyname_r(slave, found, sizeof found));
    printf("ttyname is %s\n", strcmp(found, name) == 0 ? "right" : found);
    CALL(fchmod(slave, 0600));
    CALL(stat(name, &status));
    printf("mode %o\n", status.st_mode & 07777);
    CALL(lseek(slave, 0, SEEK_CUR));
    CALL(pread(slave, found, 1, 0));
    CALL(ftruncate(slave, 0));
    CALL(fsync(slave));
    CALL(ioctl(slave, TIOCGPTN, &number));
    CALL(ioctl(slave, TIOCSPTLCK, &number));
    CALL(ioctl(slave, TIOCEXCL));
    CALL(ioctl(slave, TIOCGEXCL, &number));
    printf("exclusive %d\n", number);
    CALL(ioctl(slave, TIOCNXCL));
    close(slave);
    close(peer);
    close(master);
    CALL(stat(name, &status));
}

static void settings(void) {
    int slave, master = open_pair(&slave), value = 5;
    struct termios termios;
    struct winsize size = {24, 80, 1, 2}, got = {0};
    CALL(tcgetattr(master, &termios));
    printf("%o %o %o %o\n", termios.c_iflag, termios.c_oflag, termios.c_cflag, termios.c_lflag);
    for (int i = 0; i < 17; i++) {
        printf("%d ", termios.c_cc[i]);
    }
    printf("\n");
    termios.c_cflag = (termios.c_cflag & ~(tcflag_t)CSIZE) | CS5 | PARENB;
    cfsetspeed(&termios, B9600);
    CALL(tcsetattr(slave, TCSAFLUSH, &termios));
    CALL(tcgetattr(slave, &termios));
    printf("%o %u %u\n", termios.c_cflag, cfgetispeed(&termios), cfgetospeed(&termios));
    CALL(ioctl(slave, TCGETS, WILD));
    CALL(ioctl(slave, TCSETS, WILD));
    CALL(ioctl(master, TIOCSWINSZ, &size));
    CALL(ioctl(slave, TIOCGWINSZ, &got));
    printf("%d %d %d %d\n", got.ws_row, got.ws_col, got.ws_xpixel, got.ws_ypixel);
    CALL(ioctl(slave, TIOCGETD, &value));
    printf("discipline %d\n", value);
    value = 29;
    CALL(ioctl(slave, TIOCSETD, &value));
    CALL(tcdrain(slave));
    CALL(tcsendbreak(slave, 0));
    CALL(tcflow(slave, 9));
    CALL(tcflush(slave, 9));
    CALL(ioctl(slave, TIOCOUTQ, &value));
    printf("queued %d\n", value);
    CALL(ioctl(slave, TIOCMGET, &value));
    CALL(ioctl(slave, TIOCGPGRP, &value));
    CALL(ioctl(slave, TIOCGSID, &value));
    CALL(ioctl(slave, TIOCNOTTY));
    CALL(ioctl(master, TIOCGPGRP, &value));
    printf("group %d\n", value);
    CALL(ioctl(master, TIOCSIG, SIGKILL));
    CALL(ioctl(slave, 0x54FF, &value));
    close(slave);
    close(master);
}

static void bytes(void) {
    int slave, master = open_pair(&slave), count;
    struct termios termios;
    CALL(write(master, "ab\177c\026\003\nrest\004", 12));
    until_queued(master, 16); /* what is echoed, at last */
    show("slave", slave, 3);
    CALL(ioctl(slave, FIONREAD, &count));
    printf("left %d\n", count);
    show("slave", slave, 100);
    show("slave", slave, 4);
    show_now("slave", slave, 100);
    CALL(write(slave, "one\n\ttwo\n", 9));
    show_all("master", master, 27);
    CALL(write(master, "x\003", 2)); /* the signal takes what has not been passed on with it */
    show_all("master", master, 2);
    CALL(write(master, "y\032", 2));
    show_all("master", master, 2);
    CALL(write(master, "\023", 1));
    show_events("slave", slave);
    CALL(write(slave, "held", 4));
    CALL(write(master, "\021", 1));
    show_events("slave", slave);
    CALL(write(slave, "sent", 4));
    show_all("master", master, 4);
    tcgetattr(slave, &termios);
    cfmakeraw(&termios);
    termios.c_cc[VMIN] = 3;
    CALL(tcsetattr(slave, TCSANOW, &termios));
    CALL(write(master, "\003\r", 2));
    show_events("slave", slave);
    CALL(write(master, "\n", 1));
    show_events("slave", slave);
    show("slave", slave, 2);
    show_now("slave", slave, 100); /* less than a wait would be for */
    CALL(write(slave, WILD, 4));
    CALL(write(slave, "", 0));
    CALL(read(slave, NULL, 0));
    close(master);
    close(slave);
}

static void timed(void) {
    int slave, master = open_pair(&slave);
    struct termios termios;
    char data[16];
    fcntl(slave, F_SETFL, O_RDWR);
    tcgetattr(slave, &termios);
    cfmakeraw(&termios);
    const int cases[][3] = {{0, 0, 0}, {0, 0, 2}, {0, 1, 0}, {0, 1, 2}, {5, 1, 2}, {2, 0, 2}, {2, 1, 3}};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        termios.c_cc[VMIN] = (cc_t)cases[i][0];
        termios.c_cc[VTIME] = (cc_t)cases[i][1];
        tcsetattr(slave, TCSANOW, &termios);
        if (cases[i][2]) {
            write(master, "abc", (size_t)cases[i][2]);
            struct pollfd poller = {slave, POLLIN, 0};
            poll(&poller, 1, -1);
        }
        printf("min %d time %d typed %d: %zd\n", cases[i][0], cases[i][1], cases[i][2], read(slave, data, 16));
        tcflush(slave, TCIFLUSH);
    }
    close(master);
    close(slave);
}

static void packets(void) {
    int slave, master = open_pair(&slave), value = 1;
    struct termios termios;
    CALL(ioctl(master, TIOCPKT, &value));
    CALL(ioctl(master, TIOCGPKT, &value));
    CALL(write(slave, "x\n", 2));
    until_queued(master, 3);
    show("master", master, 100);
    CALL(tcflush(slave, TCIOFLUSH));
    show_events("master", master);
    show("master", master, 100);
    CALL(tcflow(slave, TCOOFF));
    show("master", master, 100);
    CALL(tcflow(slave, TCOON));
    show("master", master, 1);
    tcgetattr(slave, &termios);
    termios.c_iflag &= ~(tcflag_t)IXON;
    CALL(tcsetattr(slave, TCSANOW, &termios));
    show("master", master, 100);
    show_now("master", master, 100);
    close(master);
    close(slave);
}

static void ends(void) {
    int slave, master = open_pair(&slave);
    char *name = strdup(ptsname(master)), data[8];
    CALL(write(slave, "last", 4));
    close(slave);
    show_events("master", master);
    show("master", master, 100);
    show("master", master, 100);
    slave = open(name, O_RDWR | O_NOCTTY);
    show_events("master", master);
    CALL(write(master, "unread\n", 7));
    close(master);
    show_events("slave", slave);
    CALL(read(slave, data, 8));
    CALL(write(slave, data, 1));
    CALL(ioctl(slave, FIONREAD, data));
    CALL(ioctl(slave, TIOCSPGRP, data));
    CALL(open(name, O_RDWR) < 0 ? -1 : 0);
    close(slave);
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    signal(SIGTTOU, SIG_IGN);
    opening();
    settings();
    bytes();
    timed();
    packets();
    ends();
    return 0;
}
