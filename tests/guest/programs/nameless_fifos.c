/* FIFOs that have lost their names, but not those who have them open (fifo(7), proc_pid_fd(5)). */
#include "report.h"

#include "asleep.h"

#include <sys/wait.h>

static char bytes[8], path[64];

static const char *path_of(int fd) {
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return path;
}

static void show(int fd) {
    struct stat status;
    CALL(fstat(fd, &status));
    printf("  %o, %ld names\n", status.st_mode, (long)status.st_nlink);
}

static void show_open_again(void) {
    CALL(mkfifo("p", 0640));
    int named = open("p", O_PATH);
    int reader = CALL(open("p", O_RDONLY | O_NONBLOCK));
    int writer = CALL(open("p", O_WRONLY));
    CALL(unlink("p"));
    CALL(write(writer, "abc", 3));
    CALL(read(reader, bytes, sizeof bytes));
    show(reader);
    CALL(fchmod(reader, 0600));
    CALL(fchown(reader, geteuid(), getegid()));
    CALL(futimens(reader, NULL));
    show(named);
    int again = CALL(open(path_of(reader), O_WRONLY));
    CALL(write(again, "xyz", 3));
    CALL(read(reader, bytes, sizeof bytes));
    CALL(close(again));
    again = CALL(open(path_of(named), O_RDWR));
    CALL(write(again, "xyz", 3));
    CALL(read(reader, bytes, sizeof bytes));
    CALL(close(again));
    CALL(close(reader));
    CALL(close(writer));
    reader = CALL(open(path_of(named), O_RDONLY | O_NONBLOCK));
    writer = CALL(open(path_of(named), O_WRONLY | O_NONBLOCK));
    CALL(write(writer, "xyz", 3));
    CALL(read(reader, bytes, sizeof bytes));
    CALL(linkat(AT_FDCWD, path_of(reader), AT_FDCWD, "p", AT_SYMLINK_FOLLOW));
    CALL(close(reader));
    CALL(close(writer));
    CALL(close(named));
}

/* Somebody waits in open when the name goes, and another FIFO gets it. */
static void show_waiting_opener(void) {
    CALL(mkfifo("q", 0640));
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int fd = open("q", O_RDONLY);
        _exit(fd < 0 ? 99 : (int)read(fd, bytes, sizeof bytes));
    }
    until_asleep(child);
    int named = open("q", O_PATH), status;
    CALL(unlink("q"));
    CALL(mkfifo("q", 0640));
    CALL(open("q", O_WRONLY | O_NONBLOCK));
    int writer = CALL(open(path_of(named), O_WRONLY));
    CALL(write(writer, "abc", 3));
    waitpid(child, &status, 0);
    printf("the child has read %d bytes\n", WEXITSTATUS(status));
    CALL(close(writer));
    CALL(close(named));
    CALL(unlink("q"));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    show_open_again();
    show_waiting_opener();
    return leave_scratch();
}
