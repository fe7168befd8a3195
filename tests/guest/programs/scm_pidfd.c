/* SO_PASSPIDFD: messages that say by a descriptor which process has sent them (unix(7)). */
#include "report.h"

#include "process_of.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#define SCM_PIDFD_KIND 4

static const int on = 1;

static const char *who(pid_t process) {
    return process == getpid() ? "me" : process == getppid() ? "parent" : process > 1 ? "another" : process == -1 ? "ended" : "?";
}

static void take(int fd, size_t room, int flags) {
    char control[256] = {0}, text[32] = {0};
    struct iovec vector = {text, sizeof text - 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room};
    errno = 0;
    long result = recvmsg(fd, &message, flags | MSG_DONTWAIT);
    printf("%ld %s \"%s\" flags %x control %zu\n", result, result < 0 ? error_name(errno) : "", text,
           (unsigned)message.msg_flags, result < 0 ? 0 : (size_t)message.msg_controllen);
    if (result < 0)
        return;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
        int found = -1;
        struct ucred claimed;
        memcpy(&found, CMSG_DATA(head), sizeof found);
        memcpy(&claimed, CMSG_DATA(head), sizeof claimed);
        printf("  control %d %d of %zu:", head->cmsg_level, head->cmsg_type, (size_t)head->cmsg_len);
        if (head->cmsg_type == SCM_CREDENTIALS)
            printf(" %s\n", who(claimed.pid));
        else if (found < 0)
            printf(" %d\n", found);
        else if (head->cmsg_type == SCM_PIDFD_KIND)
            printf(" %s, closed on exec %d\n", who(process_of(found)), fcntl(found, F_GETFD)), close(found);
        else
            printf(" a file\n"), close(found);
    }
}

static long say(int fd, const char *text, int kind, const void *data, size_t size) {
    char control[CMSG_SPACE(sizeof(struct ucred))] = {0};
    struct iovec vector = {(void *)text, strlen(text)};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(size)};
    *CMSG_FIRSTHDR(&message) = (struct cmsghdr){CMSG_LEN(size), SOL_SOCKET, kind};
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), data, size);
    return sendmsg(fd, &message, 0);
}

static void messages(int type) {
    int s[2], value = 9, child;
    socklen_t size = sizeof value;
    struct ucred mine = {getpid(), getuid(), getgid()};
    printf("== type %d\n", type);
    socketpair(AF_UNIX, type, 0, s);
    CALL(getsockopt(s[1], SOL_SOCKET, SO_PASSPIDFD, &value, &size));
    printf("%d\n", value);
    send(s[0], "before", 6, 0);
    CALL(setsockopt(s[1], SOL_SOCKET, SO_PASSPIDFD, &on, 3));
    CALL(setsockopt(s[1], SOL_SOCKET, SO_PASSPIDFD, &on, sizeof on));
    CALL(getsockopt(s[1], SOL_SOCKET, SO_PASSPIDFD, &value, &size));
    printf("%d\n", value);
    take(s[1], 256, 0);
    send(s[0], "plain", 5, 0);
    take(s[1], 256, MSG_PEEK);
    take(s[1], 256, 0);
    for (size_t room = 0; room <= 24; room += 4) {
        send(s[0], "room", 4, 0);
        take(s[1], room, 0);
    }
    say(s[0], "a file", SCM_RIGHTS, &s[0], sizeof(int));
    take(s[1], 256, 0);
    say(s[0], "claimed", SCM_CREDENTIALS, &mine, sizeof mine);
    take(s[1], 256, 0);
    setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    say(s[0], "both", SCM_RIGHTS, &s[0], sizeof(int));
    take(s[1], 256, 0);
    say(s[0], "both", SCM_RIGHTS, &s[0], sizeof(int));
    take(s[1], 60, 0);
    if (!(child = fork())) {
        send(s[0], "child", 5, 0);
        send(s[0], "gone", 4, 0);
        _exit(0);
    }
    struct pollfd here = {s[1], POLLIN, 0};
    poll(&here, 1, -1);
    siginfo_t info;
    waitid(P_PID, child, &info, WEXITED | WNOWAIT);
    send(s[0], "mine", 4, 0);
    take(s[1], 256, 0);
    take(s[1], 256, 0);
    take(s[1], 256, 0);
    waitpid(child, NULL, 0);
    struct rlimit before, none = {5, 5};
    send(s[0], "none", 4, 0);
    getrlimit(RLIMIT_NOFILE, &before);
    none.rlim_max = before.rlim_max;
    none.rlim_cur = s[1] + 1;
    setrlimit(RLIMIT_NOFILE, &none);
    take(s[1], 256, 0);
    setrlimit(RLIMIT_NOFILE, &before);
    CALL(setsockopt(s[1], SOL_SOCKET, SO_PASSPIDFD, &(int){0}, sizeof on));
    send(s[0], "off", 3, 0);
    take(s[1], 256, 0);
    CALL(say(s[0], "x", SCM_PIDFD_KIND, &value, sizeof value));
    close(s[0]), close(s[1]);
}

static void accepted(void) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    socklen_t length = sizeof name;
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    bind(listener, (void *)&name, sizeof(sa_family_t));
    getsockname(listener, (void *)&name, &length);
    listen(listener, 1);
    setsockopt(listener, SOL_SOCKET, SO_PASSPIDFD, &on, sizeof on);
    setsockopt(client, SOL_SOCKET, SO_PASSPIDFD, &on, sizeof on);
    CALL(connect(client, (void *)&name, length));
    getsockname(client, (void *)&name, &length);
    printf("name of %d\n", length > sizeof(sa_family_t));
    send(client, "early", 5, 0);
    int server = accept(listener, NULL, NULL);
    take(server, 256, 0);
    close(listener), close(client), close(server);
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    messages(SOCK_STREAM);
    messages(SOCK_DGRAM);
    messages(SOCK_SEQPACKET);
    accepted();
    for (int family = AF_INET; family <= AF_NETLINK; family += AF_NETLINK - AF_INET) {
        int value, s = socket(family, SOCK_DGRAM, 0);
        socklen_t size = sizeof value;
        CALL(setsockopt(s, SOL_SOCKET, SO_PASSPIDFD, &on, sizeof on));
        CALL(getsockopt(s, SOL_SOCKET, SO_PASSPIDFD, &value, &size));
        CALL(setsockopt(s, SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
        CALL(getsockopt(s, SOL_SOCKET, SO_PASSCRED, &value, &size));
        close(s);
    }
    return 0;
}
