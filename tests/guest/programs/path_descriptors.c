/* O_PATH: what is open stays the same file, whatever becomes of its names. */
#include "report.h"

#include <sys/socket.h>
#include <sys/un.h>

static void show(const char *what, const struct stat *facts) {
    printf("  %s: %o, %d links, %d bytes\n", what, facts->st_mode, (int)facts->st_nlink,
           S_ISREG(facts->st_mode) ? (int)facts->st_size : 0);
}

static void opened_again(const char *link, int flags) {
    char text[8] = "";
    int fd = CALL(open(link, flags | O_NONBLOCK)) < 0 ? -1 : open(link, flags | O_NONBLOCK);
    if (fd >= 0 && flags != O_PATH)
        CALL(read(fd, text, 4));
    close(fd);
}

static void look(const char *what, int fd) {
    char link[32], target[PATH_MAX] = "";
    struct stat facts = {0};
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    OK(readlink(link, target, sizeof target - 1));
    printf("%s is %s\n", what, strncmp(target, scratch, strlen(scratch)) ? target : target + strlen(scratch));
    CALL(fstat(fd, &facts));
    show("it", &facts);
    CALL(stat(link, &facts));
    show("link", &facts);
    opened_again(link, O_RDONLY);
    opened_again(link, O_WRONLY);
    opened_again(link, O_PATH);
    CALL(chmod(link, 0640));
    CALL(fchownat(fd, "", getuid(), getgid(), AT_EMPTY_PATH));
    CALL(utimensat(AT_FDCWD, link, NULL, 0));
    CALL(truncate(link, 3));
    CALL(access(link, W_OK));
    CALL(linkat(AT_FDCWD, link, AT_FDCWD, "again", AT_SYMLINK_FOLLOW));
    CALL(unlink("again"));
    CALL(fstat(fd, &facts));
    show("then", &facts);
    CALL(read(fd, target, 1));
    CALL(fchmod(fd, 0600));
    CALL(close(dup(fd)));
    CALL(close(fd));
}

static int path_of_new(const char *name) {
    make_file(name, "text");
    return CALL(open(name, O_PATH));
}

static void files(void) {
    int fd = path_of_new("a");
    CALL(unlink("a"));
    look("unlinked", fd);
    fd = path_of_new("a");
    CALL(link("a", "b"));
    CALL(unlink("a"));
    look("known by another name", fd);
    CALL(unlink("b"));
    fd = path_of_new("a");
    CALL(rename("a", "b"));
    look("renamed", fd);
    CALL(unlink("b"));
    fd = path_of_new("a");
    CALL(unlink("a"));
    make_file("a", "others");
    look("replaced", fd);
    show_file("a");
    fd = CALL(open("a", O_PATH));
    make_file("b", "newer");
    CALL(rename("b", "a"));
    look("overwritten", fd);
    show_file("a");
    CALL(unlink("a"));
}

static void others(void) {
    int fd, listener = CALL(socket(AF_UNIX, SOCK_STREAM, 0)), caller = CALL(socket(AF_UNIX, SOCK_STREAM, 0));
    struct sockaddr_un address = {AF_UNIX, "socket"};
    CALL(bind(listener, (void *)&address, sizeof address));
    CALL(listen(listener, 1));
    fd = CALL(open("socket", O_PATH));
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d", fd);
    CALL(unlink("socket"));
    CALL(connect(caller, (void *)&address, sizeof address));
    look("socket", fd);
    CALL(mkfifo("fifo", 0644));
    fd = CALL(open("fifo", O_PATH));
    look("fifo", fd);
    CALL(unlink("fifo"));
    CALL(mkdir("directory", 0755));
    fd = CALL(open("directory", O_PATH));
    CALL(rmdir("directory"));
    look("directory", fd);
    CALL(close(listener) | close(caller));
}

static void links(void) {
    char target[16] = "";
    CALL(symlink("target", "link"));
    int fd = CALL(open("link", O_PATH | O_NOFOLLOW));
    CALL(unlink("link"));
    CALL(readlinkat(fd, "", target, sizeof target));
    printf("%s\n", target);
    CALL(close(fd));
}

/* Files without a name that are opened again through /proc. */
static void nameless(void) {
    char link[32], target[32] = "";
    int fd = CALL(syscall(SYS_memfd_create, "memory", 0)), pipes[2];
    CALL(pipe(pipes));
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    look("memory", CALL(open(link, O_PATH)));
    snprintf(link, sizeof link, "/proc/self/fd/%d", pipes[0]);
    fd = CALL(open(link, O_PATH));
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    CALL(readlink(link, target, 6));
    printf("%.6s\n", target);
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    files();
    others();
    links();
    nameless();
    return leave_scratch();
}
