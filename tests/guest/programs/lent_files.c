/* Files that are read and written so often that the kernel may have somebody else do it, and what ends that. */
#include "report.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>

enum { OFTEN = 400, PIECE = 64, SIZE = 1 << 16 };

static char buffer[SIZE], contents[SIZE];

static int opened(const char *name, int flags) {
    int fd = open(name, flags | O_CREAT, 0600);
    if (fd < 0) {
        perror(name);
        exit(1);
    }
    return fd;
}

/* Read a file from its start, piece by piece; whether each piece is what it should be. */
static int read_often(int fd) {
    int right = lseek(fd, 0, SEEK_SET) == 0;
    for (int i = 0; i < OFTEN; i++) {
        right &= read(fd, buffer, PIECE) == PIECE && !memcmp(buffer, contents + i * PIECE, PIECE);
    }
    return right;
}

static int write_often(int fd) {
    int right = lseek(fd, 0, SEEK_SET) == 0;
    for (int i = 0; i < OFTEN; i++) {
        right &= write(fd, contents + i * PIECE, PIECE) == PIECE;
    }
    return right;
}

static void positions(int fd) {
    CALL(read_often(fd));
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(lseek(fd, -PIECE, SEEK_CUR));
    CALL(lseek(fd, -SIZE, SEEK_CUR));
    CALL(lseek(fd, LONG_MAX, SEEK_CUR));
    CALL(lseek(fd, 100, SEEK_SET));
    CALL(lseek(fd, -1, SEEK_SET));
    CALL(lseek(fd, 5, 77));
    CALL(read(fd, buffer, 10));
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(pread(fd, buffer, 20, 1000));
    CALL(pread(fd, buffer, 20, -1));
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(lseek(fd, -5, SEEK_END));
    CALL(read(fd, buffer, 10));
    CALL(read(fd, buffer, 10));
    CALL(lseek(fd, 3, SEEK_DATA));
    struct iovec iov[2] = {{buffer, 3}, {buffer + 3, 4}};
    CALL(readv(fd, iov, 2));
    CALL(lseek(fd, 0, SEEK_CUR));
}

static void addresses(int fd) {
    char *area = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(area + 4096, 4096, PROT_READ);
    munmap(area + 2 * 4096, 4096);
    CALL(read_often(fd));
    CALL(read(fd, WILD, 8));
    CALL(read(fd, (void *)-4096L, 8));
    CALL(read(fd, (void *)(1L << 47), 8));
    CALL(read(fd, area + 4096, 8));
    CALL(read(fd, area + 4096 - 8, 16));
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(read(fd, area, 0));
    CALL(read(fd, WILD, 0));
    CALL(pwrite(fd, area + 2 * 4096 - 8, 16, 0));
    CALL(pread(fd, area, 8, 0));
    CALL(memcmp(area, contents, 8) != 0);
    /* Copied when it is written to, which another process must not see. */
    memset(area, 'p', 4096);
    int ends[2];
    CALL(pipe(ends));
    pid_t child = fork();
    if (child == 0) {
        char go;
        _exit(read(ends[0], &go, 1) == 1 && area[0] == 'p' && area[4095] == 'p' ? 0 : 1);
    }
    CALL(read_often(fd));
    CALL(pread(fd, area, 4096, 0));
    CALL(write(ends[1], "g", 1));
    int status;
    waitpid(child, &status, 0);
    printf("the child's page: %x\n", status);
    munmap(area, 2 * 4096);
}

static void numbers(int fd) {
    CALL(read_often(fd));
    int copy = dup(fd);
    CALL(read_often(copy));
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(close(copy));
    CALL(read(copy, buffer, 1));
    int other = opened("other", O_RDWR | O_TRUNC);
    CALL(write(other, "other", 5));
    CALL(read_often(fd));
    int kept = dup(fd);
    CALL(dup2(other, fd) == fd);
    CALL(pread(fd, buffer, 10, 0));
    CALL(dup2(kept, fd) == fd);
    CALL(read_often(fd));
    CALL(close(kept));
    CALL(close(other));
    pid_t child = fork();
    if (child == 0) {
        _exit(read_often(fd) && lseek(fd, 77, SEEK_SET) == 77 ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    printf("a child: %x\n", status);
    CALL(lseek(fd, 0, SEEK_CUR));
    int read_only = opened("file", O_RDONLY), write_only = opened("file", O_WRONLY);
    CALL(read_often(read_only));
    CALL(write(read_only, buffer, 8));
    CALL(write_often(write_only));
    CALL(read(write_only, buffer, 8));
    close(read_only);
    close(write_only);
}

static void changes_of_flags(int fd) {
    CALL(write_often(fd));
    CALL(fcntl(fd, F_SETFL, O_APPEND));
    CALL(lseek(fd, 0, SEEK_SET));
    CALL(write(fd, "end", 3));
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(ftruncate(fd, SIZE));
    CALL(fcntl(fd, F_SETFL, 0));
    CALL(write_often(fd));
    CALL(lseek(fd, 0, SEEK_CUR));
}

/* Of a file that is appended to no more, and of one that has been appended to once. */
static void overwriting(int fd) {
    int appended = opened("file", O_RDWR | O_APPEND);
    CALL(fcntl(appended, F_SETFL, 0));
    CALL(read_often(appended));
    CALL(pwrite(appended, contents, PIECE, 0));
    CALL(lseek(appended, 0, SEEK_END));
    close(appended);
    CALL(write_often(fd));
    CALL(pwritev2(fd, &(struct iovec){"once", 4}, 1, 0, RWF_APPEND));
    CALL(write_often(fd));
    CALL(lseek(fd, 0, SEEK_END));
    CALL(ftruncate(fd, SIZE));
}

static volatile int too_large;

static void handler(int number) { too_large++; }

static void limits(int fd) {
    struct rlimit old, limit;
    getrlimit(RLIMIT_FSIZE, &old);
    limit = old;
    signal(SIGXFSZ, handler);
    CALL(write_often(fd));
    limit.rlim_cur = 10 * PIECE;
    CALL(setrlimit(RLIMIT_FSIZE, &limit));
    CALL(lseek(fd, 10 * PIECE - 4, SEEK_SET));
    CALL(write(fd, contents, PIECE));
    CALL(write(fd, contents, PIECE));
    printf("signals: %d\n", too_large);
    CALL(setrlimit(RLIMIT_FSIZE, &old));
    CALL(write_often(fd));
}

static void watches(int fd) {
    CALL(write_often(fd));
    CALL(read_often(fd));
    int watch = inotify_init1(IN_NONBLOCK);
    CALL(inotify_add_watch(watch, "file", IN_ACCESS | IN_MODIFY) > 0);
    CALL(pread(fd, buffer, PIECE, 0));
    CALL(pwrite(fd, contents, PIECE, 0));
    struct inotify_event events[8];
    ssize_t got = read(watch, events, sizeof events);
    for (ssize_t i = 0; i < got / (ssize_t)sizeof *events; i++) {
        printf("event %x\n", events[i].mask);
    }
    close(watch);
    CALL(read_often(fd));
}

/* The end of a file is where it is now. */
static void ends(int fd) {
    int other = opened("file", O_RDWR);
    CALL(read_often(fd));
    CALL(ftruncate(other, OFTEN * PIECE + 10));
    CALL(read(fd, buffer, PIECE));
    CALL(read(fd, buffer, PIECE));
    CALL(pwrite(other, "more", 4, OFTEN * PIECE + 10));
    CALL(read(fd, buffer, PIECE));
    CALL(memcmp(buffer, "more", 4) != 0);
    CALL(ftruncate(other, 0));
    CALL(read(fd, buffer, PIECE));
    CALL(pread(fd, buffer, PIECE, 0));
    CALL(pwrite(other, contents, SIZE, 0));
    CALL(read_often(fd));
    close(other);
}

static _Atomic int is_over, reads, wrong;

static void *reading(void *argument) {
    int fd = *(int *)argument;
    char own[PIECE];
    while (!is_over) {
        for (int i = 0; i < OFTEN; i++) {
            ssize_t got = pread(fd, own, PIECE, i * PIECE);
            if (got == PIECE) {
                reads++;
                wrong += memcmp(own, contents + i * PIECE, PIECE) != 0;
            } else if (got != -1 || errno != EBADF) {
                wrong++;
            }
        }
    }
    return NULL;
}

/* Another thread closes and opens the number, unmaps memory, and forks, while one reads. */
static void races(void) {
    int fd = opened("file", O_RDONLY), spare = opened("file", O_RDONLY);
    int other = opened("other", O_RDWR | O_TRUNC);
    pthread_t thread;
    pthread_create(&thread, NULL, reading, &fd);
    for (int round = 0; round < 30; round++) {
        int before = reads;
        while (reads < before + 50) {
            sched_yield();
        }
        close(fd);
        char *area = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(area, round, 1 << 16);
        if (write(other, area, 4096) != 4096 || dup2(spare, fd) != fd) {
            wrong++;
        }
        munmap(area, 1 << 16);
        pid_t child = round % 10 ? -1 : fork();
        if (child == 0) {
            _exit(0);
        }
        if (child > 0) {
            waitpid(child, NULL, 0);
        }
    }
    is_over = 1;
    pthread_join(thread, NULL);
    printf("wrong: %d\n", wrong);
    close(fd);
    close(spare);
    close(other);
}

static void interrupted(int fd) {
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval often = {{0, 500}, {0, 500}}, never = {0};
    setitimer(ITIMER_REAL, &often, NULL);
    int right = 1;
    too_large = 0;
    while (too_large < 20) {
        right &= read_often(fd) && write_often(fd);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    printf("in spite of signals: %d\n", right);
}

static long counted(const char *name) {
    static char text[1000];
    int io = open("/proc/self/io", O_RDONLY);
    ssize_t got = read(io, text, sizeof text - 1);
    close(io);
    text[got > 0 ? got : 0] = 0;
    const char *line = strstr(text, name);
    return line ? atol(line + strlen(name)) : -1;
}

/* How many calls there were, and what they moved, whoever has made them. */
static void counts(int fd) {
    static const char *const names[] = {"wchar: ", "syscw: "};
    for (size_t i = 0; i < LENGTH(names); i++) {
        long before = counted(names[i]);
        int right = write_often(fd);
        printf("%s%d %ld\n", names[i], right, counted(names[i]) - before);
    }
    long before = counted("syscr: ");
    int right = read_often(fd);
    printf("syscr: %d %ld\n", right, counted("syscr: ") - before);
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IONBF, 0);
    if (argc > 1 && chdir(argv[1])) {
        return 1;
    }
    for (int i = 0; i < SIZE; i++) {
        contents[i] = (char)(i * 7 + i / 251);
    }
    int fd = opened("file", O_RDWR | O_TRUNC);
    CALL(write_often(fd));
    CALL(pwrite(fd, contents, SIZE, 0));
    positions(fd);
    addresses(fd);
    CALL(pwrite(fd, contents, SIZE, 0));
    numbers(fd);
    changes_of_flags(fd);
    overwriting(fd);
    limits(fd);
    watches(fd);
    ends(fd);
    counts(fd);
    races();
    interrupted(fd);
    return fflush(stdout) != 0;
}
