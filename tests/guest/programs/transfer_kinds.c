/* sendfile(2), splice(2) and copy_file_range(2) between all kinds of files: what is moved, what is refused, and which
 * positions move. */
#include "report.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

enum { FILE_, APPENDED, DIRECTORY, NULL_, ZERO, FULL, URANDOM, READER, WRITER, STREAM, DATAGRAMS, EVENT, EPOLL, MEMFD, KINDS };
static const char *names[] = {"file", "appended", "directory", "null",      "zero",  "full",  "urandom",
                              "reader", "writer", "stream",  "datagrams", "event", "epoll", "memfd"};
enum { SENDFILE, SPLICE, COPY, CALLS };
static const char *calls[] = {"sendfile", "splice", "copy_file_range"};

static int filled(int fd) {
    if (write(fd, "0123456789", 10) != 10)
        perror("write");
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static int open_file(const char *name, int flags) {
    close(filled(open(name, O_RDWR | O_CREAT, 0600)));
    return open(name, O_RDWR | flags);
}

/* A file of a kind, with something to read if it can have that; `other` is what has to stay open for it. */
static int opened(int kind, const char *name, int *other) {
    static const char *devices[] = {[NULL_] = "/dev/null", [ZERO] = "/dev/zero", [FULL] = "/dev/full", [URANDOM] = "/dev/urandom"};
    int pair[2] = {-1, -1};
    *other = -1;
    switch (kind) {
    case FILE_:
    case APPENDED:
        return open_file(name, kind == APPENDED ? O_APPEND : 0);
    case DIRECTORY:
        return open(".", O_RDONLY);
    case NULL_:
    case ZERO:
    case FULL:
    case URANDOM:
        return open(devices[kind], O_RDWR);
    case EVENT:
        return eventfd(3, EFD_NONBLOCK);
    case EPOLL:
        return epoll_create1(0);
    case MEMFD:
        return filled(memfd_create("memory", 0));
    case READER:
    case WRITER:
        if (pipe2(pair, O_NONBLOCK))
            perror("pipe");
        break;
    default:
        socketpair(AF_UNIX, (kind == STREAM ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK, 0, pair);
    }
    int used = kind == WRITER;
    if (kind != WRITER)
        filled(pair[1]);
    *other = pair[!used];
    return pair[used];
}

static long moved(int call, int in, loff_t *from, int out, loff_t *to, size_t length) {
    errno = 0;
    if (call == SENDFILE)
        return sendfile(out, in, from, length);
    if (call == SPLICE)
        return splice(in, from, out, to, length, 0);
    return copy_file_range(in, from, out, to, length, 0);
}

static void move(int call, int source, int target, size_t length, int has_offsets) {
    int others[2];
    int in = opened(source, "source", &others[0]), out = opened(target, "target", &others[1]);
    loff_t from = 2, to = 3;
    long done = moved(call, in, has_offsets ? &from : NULL, out, has_offsets && call != SENDFILE ? &to : NULL, length);
    printf("%s %s to %s, %zu%s: %ld %s", calls[call], names[source], names[target], length, has_offsets ? " at" : "", done,
           done < 0 ? error_name(errno) : "");
    printf(" %d %d %d %d\n", (int)from, (int)to, (int)lseek(in, 0, SEEK_CUR), (int)lseek(out, 0, SEEK_CUR));
    close(in), close(out), close(others[0]), close(others[1]);
}

/* What does not fit is left to the next call, though the pipe would wait. */
static void fill_a_pipe(void) {
    int ends[2], file = CALL(open("large", O_RDWR | O_CREAT | O_TRUNC, 0600));
    CALL(ftruncate(file, 300000));
    CALL(pipe(ends));
    CALL(sendfile(ends[1], file, NULL, 300000));
    CALL(lseek(file, 0, SEEK_CUR));
    CALL(fcntl(ends[1], F_SETFL, O_NONBLOCK));
    CALL(sendfile(ends[1], file, NULL, 300000));
    CALL(close(file));
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    for (int source = 0; source < KINDS; source++)
        for (int target = 0; target < KINDS; target++)
            for (int call = 0; call < CALLS; call++) {
                move(call, source, target, 0, 0);
                move(call, source, target, 8, 0);
                move(call, source, target, 8, 1);
            }
    fill_a_pipe();
    return 0;
}
