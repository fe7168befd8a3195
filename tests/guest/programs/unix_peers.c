/* What the ends of UNIX sockets may ask about each other, and looking at a queue from an offset on. */
#include "report.h"

#include "process_of.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

static char bytes[64];

/* Whether SO_PEERGROUPS says what getgroups does. */
static void show_groups(const char *what, int fd) {
    gid_t mine[256], theirs[256];
    int count = getgroups(256, mine);
    socklen_t size = sizeof theirs;
    int result = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, theirs, &size);
    int is_same = !result && size == count * sizeof *mine && !memcmp(mine, theirs, size);
    printf("%s: %d, %s\n", what, result, is_same ? "as getgroups says" : error_name(errno));
    size = count ? 1 : 0;
    result = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, theirs, &size);
    printf("%s: too little room %d\n", what, result == -1 || !count);
    printf("%s: told the room it takes %d\n", what, result == -1 && errno == ENODATA ? -1 : size == count * sizeof *mine);
}

static void show_process(const char *what, int fd, pid_t expected) {
    int found = -1;
    socklen_t size = sizeof found;
    int result = getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &found, &size);
    printf("%s: %d %s, %u bytes\n", what, result, result ? error_name(errno) : "", size);
    if (!result) {
        printf("%s: %d, closed on exec %d\n", what, process_of(found) == expected, fcntl(found, F_GETFD));
        close(found);
    }
}

static void peers(void) {
    int s[2], listener, server, client, status, type = SOCK_STREAM;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    socklen_t length = sizeof name;

    for (int i = 0; i < 3; i++) {
        CALL(socketpair(AF_UNIX, (int[]){SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET}[i], 0, s));
        show_groups("pair", s[0]);
        show_process("pair", s[1], getpid());
        CALL(close(s[0])), CALL(close(s[1]));
    }
    CALL(listener = socket(AF_UNIX, type, 0));
    show_groups("alone", listener);
    show_process("alone", listener, 0);
    CALL(bind(listener, (struct sockaddr *)&name, sizeof(sa_family_t)));
    CALL(getsockname(listener, (struct sockaddr *)&name, &length) & 0);
    CALL(listen(listener, 1));
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        client = socket(AF_UNIX, type, 0);
        connect(client, (struct sockaddr *)&name, length);
        show_process("client", client, getppid());
        fflush(stdout);
        read(client, bytes, 1);
        _exit(0);
    }
    CALL(server = accept(listener, NULL, NULL));
    struct pollfd hungup = {server, POLLRDHUP, 0};
    shutdown(server, SHUT_WR);
    poll(&hungup, 1, -1); /* the child has said what it has to */
    waitpid(child, &status, 0);
    show_groups("server", server);
    client = socket(AF_INET, SOCK_STREAM, 0);
    show_groups("internet", client);
    show_process("internet", client, 0);
    close(client), close(server), close(listener);
}

static void show_offset(int fd) {
    int offset = 99;
    socklen_t size = sizeof offset;
    int result = getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, &size);
    printf("offset %d: %d\n", result, offset);
}

static void take(int fd, int count, int flags) {
    memset(bytes, 0, sizeof bytes);
    errno = 0;
    ssize_t result = recv(fd, bytes, (size_t)count, flags | MSG_DONTWAIT);
    printf("recv(%d, %x) = %zd %s \"%s\"\n", count, flags, result, result < 0 ? error_name(errno) : "", bytes);
    show_offset(fd);
}

static void offsets(int type) {
    int s[2], offset;
    CALL(socketpair(AF_UNIX, type, 0, s));
    show_offset(s[0]);
    CALL(setsockopt(s[0], SOL_SOCKET, SO_PEEK_OFF, &(int){-5}, sizeof offset));
    show_offset(s[0]);
    CALL(setsockopt(s[0], SOL_SOCKET, SO_PEEK_OFF, &(int){0}, 3));
    take(s[0], 4, MSG_PEEK);
    CALL(setsockopt(s[0], SOL_SOCKET, SO_PEEK_OFF, &(int){0}, sizeof offset));
    CALL(send(s[1], "abcdef", 6, 0));
    CALL(send(s[1], "ghi", 3, 0));
    CALL(send(s[1], "", 0, 0));
    CALL(send(s[1], "jklmnop", 7, 0));
    for (int i = 0; i < 4; i++)
        take(s[0], 4, MSG_PEEK);
    take(s[0], 2, MSG_PEEK | MSG_TRUNC);
    take(s[0], 2, 0);
    take(s[0], 40, MSG_PEEK);
    take(s[0], 40, MSG_PEEK);
    take(s[0], 4, 0);
    take(s[0], 4, 0);
    CALL(setsockopt(s[0], SOL_SOCKET, SO_PEEK_OFF, &(int){1}, sizeof offset));
    take(s[0], 4, MSG_PEEK);
    take(s[0], 4, 0);
    CALL(setsockopt(s[0], SOL_SOCKET, SO_PEEK_OFF, &(int){-1}, sizeof offset));
    take(s[0], 4, MSG_PEEK);
    take(s[0], 40, 0);
    CALL(setsockopt(s[0], SOL_SOCKET, SO_PEEK_OFF, &(int){3}, sizeof offset));
    CALL(close(s[1]));
    take(s[0], 4, MSG_PEEK);
    close(s[0]);
}

/* A file among the bytes ends a look, and a look gives a further descriptor of it. */
static void offsets_and_files(void) {
    int s[2];
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    struct iovec part = {"xyz", 3};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    *head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(head), &s[0], sizeof(int));
    CALL(setsockopt(s[0], SOL_SOCKET, SO_PEEK_OFF, &(int){1}, sizeof(int)));
    CALL(send(s[1], "ab", 2, 0));
    CALL(sendmsg(s[1], &message, 0));
    CALL(send(s[1], "cd", 2, 0));
    for (int i = 0; i < 3; i++)
        take(s[0], 40, MSG_PEEK);
    take(s[0], 40, 0);
    take(s[0], 40, 0);
    close(s[0]), close(s[1]);
}

int main(void) {
    peers();
    offsets(SOCK_STREAM);
    offsets(SOCK_DGRAM);
    offsets(SOCK_SEQPACKET);
    offsets_and_files();
    return 0;
}
