/* RLIMIT_FSIZE: SIGXFSZ and EFBIG from whatever makes a regular file larger, on disk and in memory, and from nothing else. A
 * write across the limit is cut short there without a signal (setrlimit(2); Linux fs/read_write.c, fs/attr.c, fs/splice.c). */
#include "report.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

enum { LIMIT = 10000 };

static volatile sig_atomic_t signals;
static volatile int code, is_from_us;
static char data[70000];

static void caught(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    signals++;
    code = info->si_code;
    is_from_us = info->si_pid == getpid() && info->si_uid == getuid();
}

/* What a call returns and whether the signal came. */
#define TRY(expression) (signals = 0, CALL(expression), tell())

static void tell(void) {
    if (signals) printf("  %d SIGXFSZ, code %d, %s\n", (int)signals, code, is_from_us ? "from us" : "from elsewhere");
}

static void show_size(int fd) {
    struct stat status;
    fstat(fd, &status);
    printf("  size %lld, position %lld\n", (long long)status.st_size, (long long)lseek(fd, 0, SEEK_CUR));
}

static void writes(int fd) {
    struct iovec vector[] = {{data, 6000}, {data, 6000}};
    TRY(pwrite(fd, data, LIMIT, 0));
    TRY(pwrite(fd, data, 1, LIMIT));
    TRY(pwrite(fd, data, 0, LIMIT));
    TRY(pwrite(fd, data, 2, LIMIT - 1));
    TRY(pwrite(fd, data, 2, 1L << 40));
    TRY(pwritev(fd, vector, 2, 100));
    TRY(pwritev(fd, vector, 2, LIMIT));
    TRY(lseek(fd, LIMIT - 7000, SEEK_SET));
    TRY(writev(fd, vector, 2));
    show_size(fd);
    TRY(writev(fd, vector, 2));
    TRY(write(fd, data, 1));
    TRY(write(fd, data, 0));
    TRY(lseek(fd, 0, SEEK_SET));
    TRY(write(fd, data, 20000));
    TRY(write(fd, WILD, 1));
    TRY(pwrite(fd, WILD, 1, 0));
    TRY(pwritev2(fd, vector, 1, 0, RWF_APPEND));
    TRY(ftruncate(fd, LIMIT - 3));
    TRY(pwritev2(fd, vector, 1, 0, RWF_APPEND));
    TRY(fcntl(fd, F_SETFL, O_APPEND));
    TRY(write(fd, data, 1));
    TRY(pwrite(fd, data, 1, 0));
    TRY(ftruncate(fd, LIMIT - 5));
    TRY(write(fd, data, 9));
    TRY(fcntl(fd, F_SETFL, 0));
    show_size(fd);
}

static void sizes(int fd) {
    TRY(ftruncate(fd, LIMIT));
    TRY(ftruncate(fd, LIMIT + 1));
    TRY(ftruncate(fd, 100));
    TRY(fallocate(fd, 0, 0, LIMIT));
    TRY(fallocate(fd, 0, 0, LIMIT + 1));
    TRY(fallocate(fd, 0, LIMIT, 1));
    TRY(fallocate(fd, FALLOC_FL_KEEP_SIZE, LIMIT, 1));
    TRY(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, LIMIT, 4096));
    show_size(fd);
}

static void transfers(int fd, int source) {
    int pipes[2];
    loff_t at = LIMIT - 10;
    off_t from = 0;
    CALL(pipe(pipes));
    TRY(write(pipes[1], data, 20000));
    TRY(splice(pipes[0], NULL, fd, &at, 100, 0));
    printf("  at %lld\n", (long long)at);
    TRY(splice(pipes[0], NULL, fd, &at, 100, 0));
    TRY(lseek(fd, LIMIT - 5, SEEK_SET));
    TRY(splice(pipes[0], NULL, fd, NULL, 100, 0));
    TRY(splice(pipes[0], NULL, fd, NULL, 100, 0));
    show_size(fd);
    TRY(lseek(fd, LIMIT - 3000, SEEK_SET));
    TRY(sendfile(fd, source, &from, 20000));
    printf("  from %lld\n", (long long)from);
    TRY(sendfile(fd, source, &from, 20000));
    TRY(sendfile(pipes[1], source, &from, 2000));
    show_size(fd);
    close(pipes[0]);
    close(pipes[1]);
}

static void copies(int fd, int source) {
    loff_t from = 0, to = LIMIT - 2000;
    TRY(copy_file_range(source, &from, fd, &to, 20000, 0));
    printf("  from %lld to %lld\n", (long long)from, (long long)to);
    TRY(copy_file_range(source, &from, fd, &to, 20000, 0));
    TRY(copy_file_range(source, &from, fd, &to, 0, 0));
    show_size(fd);
}

static void all(const char *what, int fd, int source) {
    printf("-- %s\n", what);
    writes(fd);
    sizes(fd);
    transfers(fd, source);
    copies(fd, source);
    close(fd);
}

static void others(void) {
    int pair[2], pipes[2], null = open("/dev/null", O_WRONLY);
    printf("-- others\n");
    CALL(setrlimit(RLIMIT_FSIZE, &(struct rlimit){0, LIMIT}));
    CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    CALL(pipe(pipes));
    TRY(write(pair[0], data, 10));
    TRY(write(pipes[1], data, 10));
    TRY(write(null, data, 10));
    int comm = open("/proc/self/comm", O_WRONLY);
    TRY(write(comm, "name", 4));
    TRY(open("grown", O_RDWR | O_TRUNC));
    TRY(truncate("grown", 1));
    TRY(truncate("grown", 0));
    TRY(mkdir("directory", 0700));
    TRY(symlink("grown", "link"));
    CALL(rmdir("directory"));
    CALL(unlink("link"));
}

/* Without a handler it ends the program; ignored or blocked there is the error alone. */
static void endings(int fd) {
    int status;
    fflush(stdout);
    printf("-- endings\n");
    signal(SIGXFSZ, SIG_IGN);
    CALL(pwrite(fd, data, 1, 0));
    signal(SIGXFSZ, SIG_DFL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGXFSZ);
    sigprocmask(SIG_BLOCK, &set, NULL);
    CALL(pwrite(fd, data, 1, 0));
    sigpending(&set);
    printf("pending %d\n", sigismember(&set, SIGXFSZ));
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        sigprocmask(SIG_UNBLOCK, &set, NULL);
        _exit((int)ftruncate(fd, 100));
    }
    waitpid(pid, &status, 0);
    printf("ended by signal %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO};
    sigaction(SIGXFSZ, &action, NULL);
    int source = open("source", O_RDWR | O_CREAT, 0600);
    CALL(write(source, data, sizeof data));
    CALL(setrlimit(RLIMIT_FSIZE, &(struct rlimit){LIMIT, 1 << 20}));
    all("a file", open("grown", O_RDWR | O_CREAT, 0600), source);
    TRY(truncate("grown", LIMIT));
    TRY(truncate("grown", LIMIT + 1));
    TRY(truncate("nothing", LIMIT + 1));
    int reader = open("grown", O_RDONLY);
    TRY(ftruncate(reader, LIMIT + 1));
    TRY(pwrite(reader, data, 1, LIMIT));
    char shared[32];
    snprintf(shared, sizeof shared, "/dev/shm/grown-%d", getpid());
    all("shared memory", open(shared, O_RDWR | O_CREAT, 0600), source);
    CALL(unlink(shared));
    all("memory", memfd_create("grown", 0), source);
    int sealed = memfd_create("sealed", MFD_ALLOW_SEALING);
    CALL(fcntl(sealed, F_ADD_SEALS, F_SEAL_GROW));
    TRY(ftruncate(sealed, LIMIT + 1));
    TRY(ftruncate(sealed, LIMIT));
    TRY(pwrite(sealed, data, 1, LIMIT));
    others();
    int fd = open("grown", O_RDWR);
    endings(fd);
    CALL(unlink("grown"));
    CALL(unlink("source"));
    return leave_scratch();
}
