/* seccomp_unotify(2): one process answers the calls of another, through a descriptor of the other's filter. */
#include "report.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#ifndef SECCOMP_ADDFD_FLAG_SEND
#define SECCOMP_ADDFD_FLAG_SEND 2
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define SAY(what) BPF_STMT(BPF_RET | BPF_K, what)
#define IF(number, what) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), SAY(what)

static int between[2];
static volatile sig_atomic_t signals;

static int install(unsigned flags) {
    struct sock_filter code[] = {LOAD(nr), IF(SYS_getppid, SECCOMP_RET_USER_NOTIF), IF(SYS_getpgid, SECCOMP_RET_USER_NOTIF),
                                 IF(SYS_flock, SECCOMP_RET_USER_NOTIF), SAY(SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {LENGTH(code), code};
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static void send_descriptor(int fd) {
    union { char space[CMSG_SPACE(sizeof fd)]; struct cmsghdr align; } control = {{0}};
    struct iovec byte = {"x", 1};
    struct msghdr message = {.msg_iov = &byte, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    *head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
    if (sendmsg(between[1], &message, 0) != 1) _exit(2);
}

static int receive_descriptor(void) {
    int fd = -1;
    char byte;
    union { char space[CMSG_SPACE(sizeof fd)]; struct cmsghdr align; } control;
    struct iovec one = {&byte, 1};
    struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control};
    if (recvmsg(between[0], &message, 0) != 1) exit(2);
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}

static pid_t child, parent;

/* A process that makes calls whose listener we have. */
static int begin(const char *what, void (*calls)(void), unsigned flags) {
    printf("-- %s\n", what);
    fflush(stdout);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, between)) exit(2);
    child = fork();
    if (!child) {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        int fd = install(SECCOMP_FILTER_FLAG_NEW_LISTENER | flags);
        if (fd < 0) _exit(3);
        send_descriptor(fd);
        close(fd);
        calls();
        fflush(stdout);
        _exit(5);
    }
    int fd = receive_descriptor();
    close(between[0]), close(between[1]);
    return fd;
}

static void end(int fd) {
    int status;
    waitpid(child, &status, 0);
    printf("status %#x\n", status);
    close(fd);
}

static struct seccomp_notif note;

static void receive(int fd) {
    memset(&note, 0, sizeof note);
    CALL(ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &note));
    printf("  from the child %d flags %d nr %s args %llx %llx, at an address %d\n", (pid_t)note.pid == child, note.flags,
           note.data.nr == SYS_getppid ? "getppid" : note.data.nr == SYS_getpgid ? "getpgid" : "flock", note.data.args[0], note.data.args[1],
           note.data.instruction_pointer != 0);
}

static int answer(int fd, long value, int error, unsigned flags) {
    struct seccomp_notif_resp response = {note.id, value, error, flags};
    return ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

static void show_poll(int fd, int timeout) {
    struct pollfd one = {fd, POLLIN | POLLOUT, 0};
    poll(&one, 1, timeout);
    printf("  poll %#x\n", one.revents);
}

static void simple(void) {
    CALL(syscall(SYS_getpgid, 0x123456789aL));
    CALL(syscall(SYS_getpgid, 7));
    CALL(syscall(SYS_flock, 99, 1));
    printf("the parent: %d\n", syscall(SYS_getppid, 0, 0) == parent);
}

static void answers(void) {
    int fd = begin("answers", simple, 0);
    printf("close-on-exec %d, ", fcntl(fd, F_GETFD));
    char name[64], target[64] = "";
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    readlink(name, target, sizeof target - 1);
    printf("%s\n", target);
    show_poll(fd, -1);
    receive(fd);
    show_poll(fd, 0);
    CALL(ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &note.id));
    unsigned long wrong = note.id + 1000;
    CALL(ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &wrong));
    CALL(ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, WILD));
    CALL(answer(fd, 1, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE));
    CALL(answer(fd, 0, 1, SECCOMP_USER_NOTIF_FLAG_CONTINUE));
    CALL(answer(fd, 0, 0, 4));
    CALL(ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, WILD));
    CALL(answer(fd, 42, 0, 0));
    receive(fd);
    CALL(answer(fd, 3, -EPERM, 0));
    receive(fd);
    CALL(answer(fd, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE));
    receive(fd);
    CALL(answer(fd, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE));
    end(fd);
}

static void errors(void) {
    int fd = begin("errors", simple, 0);
    struct seccomp_notif_sizes sizes;
    CALL(syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes));
    printf("%d %d %d\n", sizes.seccomp_notif, sizes.seccomp_notif_resp, sizes.seccomp_data);
    CALL(syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 1, &sizes));
    CALL(syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, WILD));
    int action = SECCOMP_RET_USER_NOTIF;
    CALL(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
    memset(&note, 1, sizeof note);
    CALL(ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &note));
    CALL(ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, WILD));
    CALL(ioctl(fd, SECCOMP_IO(77), 0));
    unsigned long flags = 0;
    CALL(ioctl(fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, 1));
    CALL(ioctl(fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, 2));
    char byte;
    CALL(read(fd, &byte, 1));
    CALL(write(fd, &byte, 1));
    CALL(ioctl(0, SECCOMP_IOCTL_NOTIF_ID_VALID, &flags));
    show_poll(fd, -1);
    puts("the listener is closed");
    fflush(stdout);
    CALL(close(fd));
    end(-1);
}

static void twice(void) {
    CALL(install(SECCOMP_FILTER_FLAG_NEW_LISTENER));
    CALL(install(SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC));
    CALL(install(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV));
    CALL(install(0));
    CALL(syscall(SYS_getpgid, 0)); /* the newest filter has no listener */
}

static void refusals(void) {
    int fd = begin("refused", twice, 0);
    end(fd);
}

static void on_signal(int number) { (void)number, signals++; }

static void is_interrupted(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &action, NULL);
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR2, &action, NULL);
    CALL(syscall(SYS_getpgid, 1));
    CALL(syscall(SYS_getpgid, 2));
    printf("%d signals\n", (int)signals);
}

static void interruptions(void) {
    int fd = begin("signals", is_interrupted, 0);
    receive(fd);
    kill(child, SIGUSR1);
    receive(fd);
    unsigned long old = note.id;
    kill(child, SIGUSR2);
    receive(fd);
    printf("  another number %d\n", old != note.id);
    CALL(ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &old));
    CALL(answer(fd, 9, 0, 0));
    end(fd);
}

static void is_killed(void) { syscall(SYS_getpgid, 1); }

static void kills(void) {
    int fd = begin("killed", is_killed, 0);
    receive(fd);
    kill(child, SIGKILL);
    int status;
    waitpid(child, &status, 0);
    printf("status %#x\n", status);
    CALL(answer(fd, 0, 0, 0));
    CALL(ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &note.id));
    show_poll(fd, -1);
    memset(&note, 0, sizeof note);
    CALL(ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &note));
    close(fd);
}

static void gets_descriptors(void) {
    CALL(syscall(SYS_flock, 1, 1));
    long fd = syscall(SYS_flock, 1, 2);
    char text[8] = "";
    printf("%ld: %s %d\n", fd, read((int)fd, text, 4) == 4 ? text : "", fcntl((int)fd, F_GETFD));
    printf("50: %d %d\n", fcntl(50, F_GETFD), fcntl(51, F_GETFD));
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){(rlim_t)fd + 1, 100});
    CALL(syscall(SYS_flock, 1, 3));
}

static int add(int fd, unsigned flags, int source, int new, unsigned new_flags) {
    struct seccomp_notif_addfd request = {note.id, flags, (unsigned)source, (unsigned)new, new_flags};
    return ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &request);
}

static void descriptors(void) {
    int pipes[2];
    int fd = begin("descriptors", gets_descriptors, 0);
    if (pipe(pipes) || write(pipes[1], "text", 4) != 4) exit(2);
    receive(fd);
    CALL(add(fd, 4, 0, 0, 0));
    CALL(add(fd, 0, 0, 3, 0));
    CALL(add(fd, 0, 0, 0, 1));
    CALL(add(fd, 0, 99, 0, 0));
    CALL(add(fd, SECCOMP_ADDFD_FLAG_SETFD, pipes[0], 50, O_CLOEXEC));
    CALL(add(fd, SECCOMP_ADDFD_FLAG_SETFD, pipes[0], 51, 0));
    note.id++;
    CALL(add(fd, 0, 0, 0, 0));
    note.id--;
    CALL(answer(fd, 0, 0, 0));
    receive(fd);
    OK(add(fd, SECCOMP_ADDFD_FLAG_SEND, pipes[0], 0, O_CLOEXEC));
    receive(fd);
    CALL(add(fd, SECCOMP_ADDFD_FLAG_SEND, pipes[0], 0, 0));
    CALL(add(fd, SECCOMP_ADDFD_FLAG_SETFD, pipes[0], 60, 0));
    CALL(answer(fd, 11, 0, 0));
    close(pipes[0]), close(pipes[1]);
    end(fd);
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    parent = getpid();
    answers();
    errors();
    refusals();
    interruptions();
    kills();
    descriptors();
    return leave_scratch();
}
