/* MSG_OOB on UNIX streams: the urgent byte, its mark, and what poll says (unix(7), sockatmark(3)). */
#include "report.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int pair[2];

static void look(void) {
    struct pollfd asked = {pair[1], POLLIN | POLLPRI | POLLOUT, 0};
    int mark = -1;
    poll(&asked, 1, 0);
    ioctl(pair[1], SIOCATMARK, &mark);
    printf("poll %x mark %d\n", asked.revents, mark);
}

static void get(int flags) {
    char bytes[100];
    long count = recv(pair[1], bytes, sizeof bytes, flags | MSG_DONTWAIT);
    if (count < 0) {
        printf("recv %x: %s\n", flags, error_name(errno));
    } else {
        printf("recv %x: %.*s\n", flags, (int)count, bytes);
    }
    look();
}

static void put(const char *text, int flags) {
    errno = 0;
    report(text, send(pair[0], text, strlen(text), flags));
    look();
}

int main(void) {
    int on = 1, datagrams[2];
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    get(MSG_OOB);
    put("hello", 0);
    put("abX", MSG_OOB);
    put("world", 0);
    get(MSG_OOB | MSG_PEEK);
    get(MSG_PEEK);
    get(0);
    get(MSG_OOB);
    get(MSG_OOB);
    get(0);
    put("", MSG_OOB);
    put("Y", MSG_OOB);
    get(0);
    get(MSG_OOB);
    put("1", MSG_OOB);
    put("2", MSG_OOB);
    get(MSG_PEEK);
    get(0);
    get(MSG_OOB);
    get(0);
    put("before", 0);
    put("Z", MSG_OOB);
    get(MSG_OOB);
    put("after", 0);
    get(0);
    get(0);
    CALL(setsockopt(pair[1], SOL_SOCKET, SO_OOBINLINE, &on, sizeof on));
    put("in", 0);
    put("L", MSG_OOB);
    put("after", 0);
    get(MSG_OOB);
    get(0);
    get(MSG_PEEK);
    get(0);
    get(0);
    CALL(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagrams));
    CALL(send(datagrams[0], "x", 1, MSG_OOB));
    put("end!", MSG_OOB);
    CALL(close(pair[0]));
    get(0);
    get(0);
    get(MSG_OOB);
    return 0;
}
