/* Looking into other processes: process_vm_readv(2), process_vm_writev(2), kcmp(2). */
#include "report.h"

#include <linux/kcmp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>

static char *page;

static pid_t child(void) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        for (;;) {
            pause();
        }
    }
    return pid;
}

static void memory(void) {
    char text[64] = "local text", more[64] = "";
    struct iovec local[2] = {{text, 5}, {more, 20}}, remote[3] = {{page + 10, 3}, {page + 100, 4}, {page + 4090, 20}};
    strcpy(page + 10, "0123456789"), strcpy(page + 100, "abcdefgh");
    pid_t pid = child();
    page[10] = 'X'; /* not in the child */
    CALL(process_vm_readv(pid, local, 2, remote, 2, 0));
    printf("%.5s %.2s\n", text, more);
    CALL(process_vm_readv(pid, local, 2, remote, 3, 0)); /* up to the end of the page */
    CALL(process_vm_readv(pid, local, 2, remote + 2, 1, 0));
    remote[2].iov_base = page + 4096;
    CALL(process_vm_readv(pid, local, 2, remote + 2, 1, 0));
    CALL(process_vm_readv(pid, local, 2, remote, 3, 0));
    CALL(process_vm_readv(pid, local, 2, remote, 3, 1));
    CALL(process_vm_readv(pid, local, 0, remote, 3, 0));
    CALL(process_vm_readv(1 << 30, local, 0, remote, 3, 0));
    CALL(process_vm_readv(1 << 30, local, 2, remote, 0, 0));
    CALL(process_vm_readv(1 << 30, local, 2, remote, 1, 0));
    CALL(process_vm_readv(pid, WILD, 1, remote, 1, 0));
    CALL(process_vm_readv(pid, local, 1, WILD, 1, 0));
    CALL(process_vm_readv(pid, local, 1025, remote, 1, 0));
    CALL(process_vm_readv(pid, local, 1, remote, 1025, 0));
    CALL(process_vm_readv(getpid(), local, 1, remote, 1, 0));
    printf("%.3s\n", text);
    strcpy(text, "written");
    local[0].iov_len = 7, remote[0].iov_len = 7;
    CALL(process_vm_writev(pid, local, 1, remote, 1, 0));
    memset(text, 0, sizeof text);
    CALL(process_vm_readv(pid, local, 1, remote, 1, 0));
    printf("%s\n", text);
    remote[0].iov_base = "literal";
    CALL(process_vm_writev(pid, local, 1, remote, 1, 0)); /* read only */
    remote[0].iov_len = (size_t)-1;
    CALL(process_vm_readv(pid, local, 1, remote, 1, 0));
    kill(pid, SIGKILL);
    waitid(P_PID, pid, NULL, WEXITED | WNOWAIT);
    remote[0].iov_len = 1, remote[0].iov_base = page;
    CALL(process_vm_readv(pid, local, 1, remote, 1, 0)); /* a zombie */
    waitpid(pid, NULL, 0);
}

static long kcmp_raw(pid_t one, pid_t other, int kind, unsigned long first, unsigned long second) {
    long result = syscall(SYS_kcmp, one, other, kind, first, second);
    return result > 0 ? 1 : result;
}

static void comparing(void) {
    int fd = open("/dev/null", O_RDONLY), copy = dup(fd), again = open("/dev/null", O_RDONLY);
    pid_t pid = child(), own = getpid();
    CALL(kcmp_raw(own, own, KCMP_FILE, fd, copy));
    CALL(kcmp_raw(own, own, KCMP_FILE, fd, again));
    CALL(kcmp_raw(own, pid, KCMP_FILE, fd, fd));
    CALL(kcmp_raw(own, pid, KCMP_FILE, fd, again));
    CALL(kcmp_raw(own, pid, KCMP_FILE, fd, 99));
    for (int kind = KCMP_VM; kind <= KCMP_SYSVSEM; kind++) {
        printf("%d: %ld %ld\n", kind, kcmp_raw(own, own, kind, 0, 0), kcmp_raw(own, pid, kind, 0, 0));
    }
    CALL(kcmp_raw(own, own, 99, 0, 0));
    CALL(kcmp_raw(own, 1 << 30, KCMP_VM, 0, 0));
    CALL(kcmp_raw(0, own, KCMP_VM, 0, 0));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(fd), close(copy), close(again);
}

static long epoll_target(int fd, unsigned epoll, unsigned target, unsigned offset) {
    struct kcmp_epoll_slot slot = {epoll, target, offset};
    return kcmp_raw(getpid(), getpid(), KCMP_EPOLL_TFD, fd, (uintptr_t)&slot);
}

static void epoll_targets(void) {
    struct epoll_event event = {.events = EPOLLIN};
    int ends[2], epoll = epoll_create1(0), old = 50, copy;
    CALL(pipe(ends));
    copy = dup(ends[0]);
    CALL(dup2(ends[1], old));
    CALL(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event));
    CALL(epoll_ctl(epoll, EPOLL_CTL_ADD, old, &event));
    CALL(dup2(copy, old)); /* another file has the number; the entry stays, as its file is open */
    CALL(epoll_ctl(epoll, EPOLL_CTL_ADD, old, &event));
    CALL(epoll_target(copy, epoll, ends[0], 0));
    CALL(epoll_target(ends[1], epoll, ends[0], 0));
    CALL(epoll_target(copy, epoll, ends[0], 1));
    printf("%d\n", epoll_target(copy, epoll, old, 0) == 0 || epoll_target(copy, epoll, old, 1) == 0);
    CALL(epoll_target(copy, epoll, old, 2));
    CALL(epoll_target(copy, epoll, ends[1], 0));
    CALL(epoll_target(copy, ends[0], ends[0], 0));
    CALL(epoll_target(copy, 99, ends[0], 0));
    CALL(epoll_target(99, epoll, ends[0], 0));
    CALL(kcmp_raw(getpid(), getpid(), KCMP_EPOLL_TFD, copy, 8));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(page + 4096, 4096);
    memory();
    comparing();
    epoll_targets();
    return leave_scratch();
}
