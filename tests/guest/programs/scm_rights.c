/* Files and credentials in messages between UNIX sockets. */
#include "report.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static char text[64];

static long send_files(int socket, const char *data, size_t length, const int *fds, size_t count, int kind) {
    char control[CMSG_SPACE(300 * sizeof(int))] = {0};
    struct iovec vector = {(void *)data, length};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control};
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = kind;
    head->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(head), fds, count * sizeof(int));
    return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Receive, print what comes, and put the descriptors that come into fds. */
static int receive(int socket, size_t length, size_t room, int flags, int *fds) {
    char control[256];
    int count = 0;
    memset(control, 0, sizeof control);
    memset(text, 0, sizeof text);
    struct iovec vector = {text, length};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room};
    errno = 0;
    long result = recvmsg(socket, &message, flags | MSG_DONTWAIT);
    printf("received %ld %s '%s' flags %x control %zu\n", result, result < 0 ? error_name(errno) : "", text,
           (unsigned)message.msg_flags, result < 0 ? 0 : (size_t)message.msg_controllen);
    if (result < 0) {
        return 0;
    }
    for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
        size_t size = head->cmsg_len - CMSG_LEN(0);
        printf("control %d %d, %zu bytes\n", head->cmsg_level, head->cmsg_type, size);
        if (head->cmsg_type == SCM_RIGHTS) {
            count = size / sizeof(int);
            memcpy(fds, CMSG_DATA(head), count * sizeof(int));
            for (int i = 0; i < count; i++) {
                printf("fd %d flags %d\n", fds[i], fcntl(fds[i], F_GETFD));
            }
        } else if (head->cmsg_type == SCM_CREDENTIALS) {
            struct ucred who;
            memcpy(&who, CMSG_DATA(head), sizeof who);
            printf("from %d %d %d\n", who.pid == getpid() ? 1 : who.pid, who.uid == getuid(), who.gid == getgid());
        }
    }
    return count;
}

static void close_all(const int *fds, int count) {
    for (int i = 0; i < count; i++) {
        close(fds[i]);
    }
}

static void passing(int type) {
    int s[2], p[2], fds[300], count;
    printf("-- type %d\n", type);
    CALL(socketpair(AF_UNIX, type, 0, s));
    CALL(pipe(p));
    CALL(send_files(s[0], "file", 4, p, 2, SCM_RIGHTS));
    CALL(close(p[0])), CALL(close(p[1]));
    count = receive(s[1], sizeof text - 1, 256, MSG_CMSG_CLOEXEC, fds);
    CALL(write(fds[1], "through", 7));
    CALL(read(fds[0], text, sizeof text));
    CALL(send_files(s[0], "again", 5, fds, 2, SCM_RIGHTS));
    close_all(fds, count);
    close_all(fds, receive(s[1], 2, 256, MSG_PEEK, fds)); /* a copy of its own */
    close_all(fds, receive(s[1], 2, CMSG_LEN(sizeof(int)), 0, fds)); /* room for one */
    close_all(fds, receive(s[1], sizeof text - 1, 256, 0, fds));
    fds[0] = 99;
    CALL(send_files(s[0], "x", 1, fds, 1, SCM_RIGHTS));
    for (int i = 0; i < 300; i++) {
        fds[i] = s[0];
    }
    CALL(send_files(s[0], "x", 1, fds, 254, SCM_RIGHTS));
    CALL(send_files(s[0], "x", 1, fds, 253, SCM_RIGHTS));
    CALL(recv(s[1], text, 1, 0)); /* nowhere to put them */
    CALL(send_files(s[0], "x", 1, fds, 1, 77));
    CALL(send_files(s[0], "", 0, fds, 1, SCM_RIGHTS));
    close_all(fds, receive(s[1], sizeof text - 1, 256, 0, fds));
    CALL(dup(0)); /* nothing has been left open */
    CALL(close(s[0])), CALL(close(s[1]));
    CALL(close(s[1] + 1));
}

static void boundaries(void) {
    int s[2], fds[8];
    CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    CALL(send(s[0], "ab", 2, 0));
    CALL(send_files(s[0], "cd", 2, s, 1, SCM_RIGHTS));
    CALL(send_files(s[0], "ef", 2, s, 1, SCM_RIGHTS));
    CALL(send(s[0], "gh", 2, 0));
    close_all(fds, receive(s[1], 20, 256, 0, fds));
    close_all(fds, receive(s[1], 20, 256, 0, fds));
    close_all(fds, receive(s[1], 20, 0, 0, fds));
    close_all(fds, receive(s[1], 20, 256, 0, fds));
    CALL(close(s[0])), CALL(close(s[1]));
}

static void credentials(int type) {
    int s[2], fds[8], on = 1;
    struct ucred who = {getpid(), getuid(), getgid()};
    CALL(socketpair(AF_UNIX, type, 0, s));
    CALL(send(s[0], "before", 6, 0));
    CALL(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    CALL(send(s[0], "after", 5, 0));
    receive(s[1], sizeof text - 1, 256, 0, fds);
    receive(s[1], sizeof text - 1, 256, 0, fds);
    CALL(send_files(s[0], "mine", 4, (int *)&who, 3, SCM_CREDENTIALS));
    receive(s[1], sizeof text - 1, 20, 0, fds);
    CALL(send_files(s[0], "short", 5, (int *)&who, 2, SCM_CREDENTIALS));
    CALL(close(s[0])), CALL(close(s[1]));
}

/* Sockets that only their own queues hold. A kernel that collects them later may hold all for a while: fewer than 1024. */
static void circles(void) {
    for (int i = 0; i < 150; i++) {
        int s[2], t[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, s) < 0 || socketpair(AF_UNIX, SOCK_DGRAM, 0, t) < 0) {
            printf("round %d: %s\n", i, error_name(errno));
            return;
        }
        send_files(s[0], "x", 1, s, 2, SCM_RIGHTS);
        send_files(s[1], "x", 1, t, 2, SCM_RIGHTS);
        send_files(t[0], "x", 1, s, 2, SCM_RIGHTS);
        close(s[0]), close(s[1]), close(t[0]), close(t[1]);
    }
    int p[2], s[2];
    CALL(pipe(p));
    CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    CALL(send_files(s[0], "x", 1, p + 1, 1, SCM_RIGHTS));
    CALL(send_files(s[0], "x", 1, s, 2, SCM_RIGHTS));
    CALL(close(p[1])), CALL(close(s[0])), CALL(close(s[1]));
    CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, s)); /* Linux looks for circles when a socket is closed */
    CALL(close(s[0])), CALL(close(s[1]));
    CALL(read(p[0], text, 1)); /* the writing end has gone with the circle */
    CALL(close(p[0]));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    passing(SOCK_STREAM);
    passing(SOCK_DGRAM);
    boundaries();
    credentials(SOCK_STREAM);
    credentials(SOCK_DGRAM);
    circles();
    return leave_scratch();
}
