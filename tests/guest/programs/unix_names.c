/* UNIX sockets with names: paths, abstract names, autobind; listening, connecting, datagrams between strangers. */
#include "report.h"

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define HEAD offsetof(struct sockaddr_un, sun_path)

static struct sockaddr_un address;
static char text[4096];

static struct sockaddr *at(const char *path) {
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    strncpy(address.sun_path, path, sizeof address.sun_path);
    return (struct sockaddr *)&address;
}

static void show_name(const char *what, const struct sockaddr_un *name, socklen_t length) {
    printf("%s: %u", what, length);
    if (length > HEAD) {
        printf(" %s%.*s", name->sun_path[0] ? "" : "@", name->sun_path[0] ? 108 : 4, name->sun_path + !name->sun_path[0]);
    }
    printf("\n");
}

static void names(const char *what, int fd) {
    struct sockaddr_un name;
    socklen_t length = sizeof name;
    memset(&name, 0, sizeof name);
    if (CALL(getsockname(fd, (struct sockaddr *)&name, &length)) == 0) {
        show_name(what, &name, length);
    }
    length = sizeof name;
    memset(&name, 0, sizeof name);
    if (CALL(getpeername(fd, (struct sockaddr *)&name, &length)) == 0) {
        show_name(what, &name, length);
    }
}

static void show_ready(const char *what, int fd) {
    struct pollfd entry = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
    poll(&entry, 1, 0);
    printf("%s: ready %x\n", what, entry.revents);
}

static void binding(void) {
    struct stat status;
    int s = CALL(socket(AF_UNIX, SOCK_STREAM, 0)), other;
    names("fresh", s);
    CALL(listen(s, 1));
    CALL(bind(s, at("sock"), 1));
    CALL(bind(s, at("sock"), 200));
    CALL(bind(s, at("no/sock"), sizeof address));
    CALL(bind(s, WILD, 10));
    CALL(bind(s, at("sock"), HEAD + 4));
    names("bound", s);
    CALL(stat("sock", &status));
    printf("%o\n", status.st_mode);
    CALL(open("sock", O_RDWR));
    CALL(bind(s, at("sock"), sizeof address));
    CALL(bind(s, at("other"), sizeof address));
    CALL(access("other", F_OK));
    other = CALL(socket(AF_UNIX, SOCK_STREAM, 0));
    CALL(bind(other, at("sock"), sizeof address));
    CALL(connect(other, at("sock"), sizeof address));
    CALL(connect(other, at("missing"), sizeof address));
    CALL(connect(other, at("."), sizeof address));
    address.sun_family = AF_INET;
    CALL(connect(other, (struct sockaddr *)&address, sizeof address));
    CALL(accept(other, NULL, NULL));
    CALL(accept4(other, NULL, NULL, 1));
    CALL(close(s));
    CALL(connect(other, at("sock"), sizeof address));
    CALL(close(other));
    CALL(unlink("sock"));
}

static void streams(void) {
    struct sockaddr_un peer;
    socklen_t length = sizeof peer;
    int listener = CALL(socket(AF_UNIX, SOCK_STREAM, 0)), client, server, third, dgram;
    CALL(bind(listener, at("sock"), sizeof address));
    CALL(listen(listener, 1));
    show_ready("listening", listener);
    CALL(accept4(listener, NULL, NULL, SOCK_CLOEXEC | 8));
    client = CALL(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    show_ready("unconnected", client);
    CALL(recv(client, text, 1, 0));
    CALL(send(client, "x", 1, MSG_NOSIGNAL));
    CALL(bind(client, at("client"), sizeof address));
    CALL(rename("sock", "moved"));
    CALL(connect(client, at("sock"), sizeof address));
    CALL(connect(client, at("moved"), sizeof address));
    CALL(connect(client, at("moved"), sizeof address));
    names("client", client);
    show_ready("listening", listener);
    CALL(send(client, "early", 5, 0)); /* before anybody accepts */
    third = CALL(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    CALL(connect(third, at("moved"), sizeof address));
    int fourth = CALL(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    CALL(connect(fourth, at("moved"), sizeof address));
    CALL(close(fourth));
    dgram = CALL(socket(AF_UNIX, SOCK_DGRAM, 0));
    CALL(connect(dgram, at("moved"), sizeof address));
    CALL(close(dgram));
    memset(&peer, 0, sizeof peer);
    server = CALL(accept4(listener, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK));
    show_name("accepted", &peer, length);
    names("server", server);
    CALL(fcntl(server, F_GETFL) & O_NONBLOCK);
    CALL(recv(server, text, sizeof text, 0));
    CALL(recv(server, text, sizeof text, 0));
    CALL(close(listener)); /* with one that nobody has accepted */
    CALL(recv(third, text, 1, 0));
    CALL(recv(third, text, 1, 0));
    CALL(close(third));
    CALL(send(server, "last", 4, 0));
    CALL(close(server));
    CALL(recv(client, text, sizeof text, 0));
    CALL(recv(client, text, sizeof text, 0));
    CALL(close(client));
    CALL(unlink("moved")), CALL(unlink("client"));
}

static void abstract(void) {
    struct sockaddr_un name;
    socklen_t length = sizeof name;
    char own[16]; /* 13 bytes of it, for this run only */
    snprintf(own, sizeof own, "%caio-%08d", 0, getpid());
    int one = CALL(socket(AF_UNIX, SOCK_DGRAM, 0)), other = CALL(socket(AF_UNIX, SOCK_DGRAM, 0));
    int stream = CALL(socket(AF_UNIX, SOCK_STREAM, 0));
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    memcpy(address.sun_path, own, 13);
    CALL(bind(one, (struct sockaddr *)&address, HEAD + 13));
    CALL(bind(other, (struct sockaddr *)&address, HEAD + 13));
    CALL(bind(stream, (struct sockaddr *)&address, HEAD + 13)); /* each type has its own names */
    names("abstract", one);
    CALL(bind(other, (struct sockaddr *)&address, HEAD)); /* autobind */
    CALL(getsockname(other, (struct sockaddr *)&name, &length));
    printf("%u %d\n", length, name.sun_path[0]);
    memcpy(address.sun_path, own, 13);
    CALL(sendto(other, "hi", 2, 0, (struct sockaddr *)&address, HEAD + 13));
    CALL(sendto(other, "hi", 2, 0, (struct sockaddr *)&address, HEAD + 12));
    length = sizeof name;
    CALL(recvfrom(one, text, sizeof text, 0, (struct sockaddr *)&name, &length));
    printf("%u\n", length);
    CALL(sendto(one, "answer", 6, 0, (struct sockaddr *)&name, length));
    CALL(recv(other, text, 3, MSG_TRUNC));
    CALL(close(one));
    CALL(sendto(other, "hi", 2, 0, (struct sockaddr *)&address, HEAD + 13));
    CALL(close(other)), CALL(close(stream));
}

static void datagrams(void) {
    struct sockaddr_un name;
    socklen_t length = sizeof name;
    int a = CALL(socket(AF_UNIX, SOCK_DGRAM, 0)), b = CALL(socket(AF_UNIX, SOCK_DGRAM, 0));
    int c = CALL(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    CALL(bind(a, at("a"), sizeof address)), CALL(bind(b, at("b"), sizeof address));
    CALL(send(c, "x", 1, 0));
    CALL(listen(a, 1));
    CALL(accept(a, NULL, NULL));
    CALL(sendto(c, "", 0, 0, at("a"), sizeof address));
    CALL(recvfrom(a, text, sizeof text, 0, (struct sockaddr *)&name, &length));
    printf("from %u\n", length);
    CALL(connect(a, at("b"), sizeof address));
    names("connected", a);
    CALL(sendto(c, "x", 1, 0, at("a"), sizeof address)); /* it listens to its peer only */
    CALL(connect(c, at("a"), sizeof address));
    CALL(send(a, "to b", 4, 0));
    length = sizeof name;
    CALL(recvfrom(b, text, sizeof text, 0, (struct sockaddr *)&name, &length));
    show_name("from", &name, length);
    CALL(sendto(b, "back", 4, 0, (struct sockaddr *)&name, length));
    memset(&address, 0, sizeof address);
    CALL(connect(a, (struct sockaddr *)&address, sizeof address)); /* AF_UNSPEC */
    CALL(recv(a, text, sizeof text, MSG_DONTWAIT));
    CALL(send(a, "x", 1, 0));
    CALL(connect(c, at("b"), sizeof address));
    int count = 0;
    while (send(c, "x", 1, 0) == 1) {
        count++;
    }
    printf("full after %d: %s\n", count, error_name(errno));
    show_ready("full", c);
    CALL(recv(b, text, 1, 0));
    show_ready("with room", c);
    CALL(close(b));
    CALL(send(c, "x", 1, 0));
    CALL(send(c, "x", 1, 0));
    CALL(close(a)), CALL(close(c));
    CALL(unlink("a")), CALL(unlink("b"));
}

static void processes(void) {
    int listener = CALL(socket(AF_UNIX, SOCK_SEQPACKET, 0)), status;
    struct ucred who = {0, 0, 0};
    socklen_t length = sizeof who;
    CALL(bind(listener, at("seq"), sizeof address));
    CALL(listen(listener, 5));
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int s = socket(AF_UNIX, SOCK_SEQPACKET, 0);
        connect(s, at("seq"), sizeof address);
        getsockopt(s, SOL_SOCKET, SO_PEERCRED, &who, &length);
        send(s, "one", 3, 0);
        send(s, "packet", 6, 0);
        recv(s, text, sizeof text, 0);
        _exit(who.pid == getppid() ? 0 : 1);
    }
    int server = CALL(accept(listener, NULL, NULL)) < 0;
    server = 4;
    CALL(getsockopt(server, SOL_SOCKET, SO_PEERCRED, &who, &length));
    printf("%d %d %d\n", who.pid == child, who.uid == getuid(), who.gid == getgid());
    CALL(recv(server, text, sizeof text, 0));
    CALL(recv(server, text, sizeof text, 0));
    CALL(send(server, "done", 4, 0));
    waitpid(child, &status, 0);
    printf("status %d\n", status);
    CALL(recv(server, text, sizeof text, 0));
    CALL(close(server)), CALL(close(listener));
    CALL(unlink("seq"));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    binding();
    streams();
    abstract();
    datagrams();
    processes();
    return leave_scratch();
}
