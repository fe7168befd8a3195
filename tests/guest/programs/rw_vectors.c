/* readv, writev, preadv, pwritev and their second versions, across memory that is there and that is not. */
#include "report.h"

#include <sys/mman.h>
#include <sys/uio.h>

static char first[8], second[8], third[8];

static void clear(void) {
    memset(first, 0, sizeof first);
    memset(second, 0, sizeof second);
    memset(third, 0, sizeof third);
}

static void show(void) {
    printf("  [%.8s] [%.8s] [%.8s]\n", first, second, third);
    clear();
}

static void whole_vectors(int fd) {
    struct iovec out[] = {{"abc", 3}, {"", 0}, {"defgh", 5}, {"ij", 2}};
    struct iovec in[] = {{first, 2}, {second, 0}, {second, 3}, {third, 8}};
    CALL(writev(fd, out, 4));
    CALL(lseek(fd, 0, SEEK_SET));
    CALL(readv(fd, in, 4));
    show();
    CALL(readv(fd, in, 4));
    CALL(preadv(fd, in, 4, 4));
    show();
    CALL(pwritev(fd, out, 2, 8));
    CALL(pwritev2(fd, out, 4, 20, 0));
    CALL(preadv2(fd, in, 4, 18, 0));
    show();
    CALL(lseek(fd, 1, SEEK_SET));
    CALL(preadv2(fd, in, 4, -1, 0)); /* at the file's own position */
    show();
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(pwritev2(fd, out, 1, -1, RWF_DSYNC));
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(pwritev2(fd, out, 1, 0, RWF_APPEND));
    CALL(lseek(fd, 0, SEEK_END));
}

#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif

static void appending(void) {
    int fd = CALL(open("appended", O_RDWR | O_CREAT | O_APPEND, 0644));
    struct iovec two[] = {{"ab", 2}};
    char found[32] = "";
    CALL(write(fd, "0123456789", 10));
    CALL(pwritev2(fd, two, 1, 3, 0));
    CALL(pwritev2(fd, two, 1, 3, RWF_NOAPPEND));
    CALL(pwritev2(fd, two, 1, 3, RWF_NOAPPEND | RWF_APPEND));
    CALL(lseek(fd, 6, SEEK_SET));
    CALL(pwritev2(fd, two, 1, -1, RWF_NOAPPEND));
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(pwritev2(fd, two, 1, -1, 0));
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(preadv2(fd, two, 0, 0, RWF_NOAPPEND | RWF_APPEND));
    CALL(preadv2(fd, two, 0, 0, RWF_APPEND));
    CALL(pread(fd, found, 31, 0));
    printf("%s\n", found);
    CALL(close(fd));
    CALL(unlink("appended"));
}

static void refused(int fd) {
    struct iovec one[] = {{first, 8}}, negative[] = {{first, 1}, {second, (size_t)-1}};
    struct iovec *many = calloc(IOV_MAX + 1, sizeof *many);
    CALL(readv(fd, one, 0));
    CALL(syscall(SYS_readv, fd, one, -1));
    CALL(readv(fd, many, IOV_MAX));
    CALL(readv(fd, many, IOV_MAX + 1));
    CALL(readv(fd, negative, 2));
    CALL(writev(fd, negative, 2));
    CALL(readv(99, WILD, 1));
    CALL(readv(fd, WILD, 1));
    CALL(writev(fd, WILD, 1));
    CALL(readv(fd, WILD, 0));
    CALL(preadv(fd, one, 1, -1));
    CALL(preadv(fd, one, 1, -2));
    CALL(preadv2(fd, one, 1, -2, 0));
    CALL(preadv2(fd, one, 1, 0, 1 << 20));
    CALL(pwritev2(fd, one, 1, 0, 1 << 20));
    CALL(preadv(99, one, 1, -1));
    free(many);
}

/* Transfers stop at the first byte that is not accessible; what came before it counts. */
static void partial(int fd) {
    long page = sysconf(_SC_PAGESIZE);
    char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(memory + page, page);
    char *last = memory + page - 4;
    struct iovec in[] = {{first, 3}, {WILD, 4}, {second, 4}}, across[] = {{last, 8}, {second, 8}};
    struct iovec bad_first[] = {{WILD, 4}, {first, 4}};
    CALL(ftruncate(fd, 0));
    CALL(pwrite(fd, "0123456789ABCDEF", 16, 0));
    CALL(lseek(fd, 0, SEEK_SET));
    CALL(readv(fd, in, 3));
    show();
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(readv(fd, bad_first, 2));
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(preadv(fd, across, 2, 0));
    printf("  [%.4s]\n", last);
    show();
    memcpy(last, "wxyz", 4);
    CALL(pwrite(fd, last, 8, 16));
    CALL(pwrite(fd, last + 4, 8, 16));
    CALL(pwritev(fd, across, 2, 20));
    CALL(lseek(fd, 0, SEEK_END));
    CALL(lseek(fd, 0, SEEK_SET));
    CALL(read(fd, last, 100));
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(read(fd, last + 4, 100));
    CALL(lseek(fd, 0, SEEK_CUR));
    munmap(memory, page);
}

static void pipes(void) {
    int fds[2];
    struct iovec out[] = {{"abc", 3}, {"defgh", 5}}, in[] = {{first, 2}, {second, 8}};
    struct iovec bad_first[] = {{WILD, 4}, {first, 4}};
    CALL(pipe2(fds, O_NONBLOCK));
    CALL(writev(fds[1], out, 2));
    CALL(readv(fds[0], bad_first, 2));
    CALL(readv(fds[0], in, 2));
    show();
    CALL(readv(fds[0], in, 2));
    CALL(writev(fds[1], bad_first, 2));
    CALL(preadv(fds[0], in, 2, 0));
    CALL(pwritev(fds[1], in, 2, 0));
    CALL(preadv2(fds[0], in, 2, -1, 0));
    CALL(close(fds[0])), CALL(close(fds[1]));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    int fd = CALL(open("file", O_CREAT | O_RDWR, 0644));
    whole_vectors(fd);
    refused(fd);
    appending();
    partial(fd);
    pipes();
    CALL(close(fd));
    show_file("file");
    CALL(unlink("file"));
    return leave_scratch();
}
