/* SO_RCVLOWAT of UNIX streams: how much a blocking read waits for. */
#include "report.h"
#include "asleep.h"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/time.h>

static int ends[2];
static char data[64];

static long set_least(int bytes) {
    return setsockopt(ends[0], SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
}

static int least(void) {
    int bytes = 0;
    socklen_t length = sizeof bytes;
    getsockopt(ends[0], SOL_SOCKET, SO_RCVLOWAT, &bytes, &length);
    return bytes;
}

static volatile pid_t reader;
static volatile size_t wanted;

static void *read_some(void *unused) {
    (void)unused;
    reader = gettid();
    return (void *)read(ends[0], data, wanted);
}

/* A read that sleeps before each part is sent. */
static void while_reading(size_t size, const char *first, const char *second) {
    pthread_t thread;
    void *done;
    reader = 0, wanted = size;
    pthread_create(&thread, NULL, read_some, NULL);
    while (reader == 0) {
    }
    until_asleep(reader);
    OK(write(ends[1], first, strlen(first)));
    until_asleep(reader);
    OK(write(ends[1], second, strlen(second)));
    pthread_join(thread, &done);
    printf("%zd bytes\n", (ssize_t)done);
    printf("rest %zd\n", recv(ends[0], data, sizeof data, MSG_DONTWAIT));
}

int main(void) {
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    struct pollfd what = {.events = POLLIN};
    socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    what.fd = ends[0];
    printf("%d\n", least());
    CALL(set_least(4));
    printf("%d\n", least());
    OK(write(ends[1], "ab", 2));
    CALL(poll(&what, 1, 0)); /* it is for reads alone */
    CALL(recv(ends[0], data, sizeof data, MSG_DONTWAIT));
    while_reading(64, "abc", "de");
    while_reading(4, "abc", "de");
    OK(write(ends[1], "ab", 2));
    CALL(read(ends[0], data, 2));
    CALL(read(ends[0], data, 0));
    struct timeval time = {.tv_usec = 10000};
    setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
    OK(write(ends[1], "ab", 2));
    CALL(read(ends[0], data, sizeof data));
    CALL(read(ends[0], data, sizeof data));
    OK(write(ends[1], "ab", 2));
    close(ends[1]);
    CALL(read(ends[0], data, sizeof data));
    CALL(set_least(0));
    printf("%d\n", least());
    CALL(set_least(-1));
    printf("%d\n", least());
    return 0;
}
