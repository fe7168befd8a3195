/* /proc/PID/io: what a process has read and written, by which calls. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

struct io { long rchar, wchar, syscr, syscw; };
static long own_read; /* what the latest look was: it counts in the next one */

static struct io look(const char *path) {
    struct io found = {0};
    char text[400] = "";
    int fd = open(path, O_RDONLY);
    long length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length > 0) own_read = length;
    sscanf(text, "rchar: %ld\nwchar: %ld\nsyscr: %ld\nsyscw: %ld\nread_bytes: %*d\nwrite_bytes: %*d\ncancelled_write_bytes: 0", &found.rchar, &found.wchar, &found.syscr, &found.syscw);
    return found;
}

static void step(const char *what) {
    static struct io last;
    static long before;
    struct io now = look("/proc/self/io");
    printf("%s: read %ld in %ld, written %ld in %ld\n", what, now.rchar - last.rchar - before, now.syscr - last.syscr - 1, now.wchar - last.wchar, now.syscw - last.syscw);
    fflush(NULL);
    last = look("/proc/self/io");
    before = own_read;
}

static int file;
static void *thread(void *_) {
    char path[60];
    if (pwrite(file, "thread", 6, 0) != 6) perror("pwrite");
    snprintf(path, sizeof path, "/proc/self/task/%d/io", (int)syscall(SYS_gettid));
    struct io mine = look(path);
    printf("thread alone: read %ld in %ld, written %ld in %ld\n", mine.rchar, mine.syscr, mine.wchar, mine.syscw);
    return _;
}

int main(void) {
    static char buffer[20000];
    static char output[1 << 16];
    setvbuf(stdout, output, _IOFBF, sizeof output);
    file = open("file", O_RDWR | O_CREAT | O_TRUNC, 0644);
    int other = open("other", O_RDWR | O_CREAT | O_TRUNC, 0644), ends[2], pair[2];
    if (pipe2(ends, O_NONBLOCK) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) perror("pipe");
    FILE *null = freopen("/dev/null", "w", stderr);
    struct iovec parts[2] = {{buffer, 3}, {buffer + 3, 4}}, nothing = {buffer, 0};
    look("/proc/self/io");
    int console = dup(1);
    dup2(fileno(null), 1);
    step("all before");
    dup2(console, 1);
    step("nothing");
    if (write(file, buffer, sizeof buffer) < 0) perror("write");
    step("write");
    if (pread(file, buffer, 100, 5) < 0) perror("pread");
    if (pread(file, buffer, 100, 19990) < 0) perror("pread");
    step("two preads");
    if (preadv(file, parts, 2, 0) < 0 || writev(file, parts, 2) < 0) perror("vectors");
    step("vectors");
    if (readv(file, parts, 2) < 0 || pwritev(file, parts, 2, 9) < 0) perror("vectors");
    step("vectors again");
    if (read(ends[0], buffer, 10) != -1 || errno != EAGAIN) perror("read");
    step("nothing in a pipe");
    if (write(ends[1], buffer, 10) != 10 || read(ends[0], buffer, 100) != 10) perror("pipe");
    step("a pipe");
    if (send(pair[0], buffer, 10, 0) != 10 || recv(pair[1], buffer, 10, 0) != 10) perror("socket");
    step("send and recv");
    if (write(pair[0], buffer, 10) != 10 || read(pair[1], buffer, 10) != 10) perror("socket");
    step("a socket");
    if (read(99, buffer, 10) != -1 || write(99, buffer, 10) != -1) perror("closed");
    step("closed");
    off_t from = 0, to = 0;
    if (sendfile(other, file, &from, 5000) != 5000) perror("sendfile");
    step("sendfile");
    if (copy_file_range(file, &from, other, &to, 300, 0) != 300) perror("copy_file_range");
    step("copy_file_range");
    if (preadv2(file, parts, 2, 0, 0) != 7 || pwritev2(file, &nothing, 0, 0, 0)) perror("preadv2");
    step("preadv2");
    if (splice(file, &from, ends[1], NULL, 4096, 0) < 0) perror("splice");
    step("splice");
    pthread_t id;
    pthread_create(&id, NULL, thread, NULL);
    pthread_join(id, NULL);
    struct io before = look("/proc/self/io");
    pid_t child = fork();
    if (!child) {
        if (write(file, buffer, 12345) != 12345) perror("child");
        _exit(0);
    }
    siginfo_t info;
    waitid(P_PID, child, &info, WEXITED | WNOWAIT);
    struct io meanwhile = look("/proc/self/io");
    waitpid(child, NULL, 0);
    struct io after = look("/proc/self/io");
    printf("of the child: before its end is known %ld, then %ld\n", meanwhile.wchar - before.wchar, after.wchar - before.wchar);
    struct stat st;
    stat("/proc/self/io", &st);
    printf("mode %o\n", st.st_mode);
    if (null) fclose(null);
    unlink("file");
    unlink("other");
}
