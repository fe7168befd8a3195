/* What administrators ask for: quotactl(2), quotactl_fd, swapoff(2), reboot(2); and cachestat(2). */
#include "report.h"

#include <linux/mman.h>
#include <sys/quota.h>
#include <sys/wait.h>

enum { QUOTACTL_FD = 443, CACHESTAT = 451 };

static long quota(int command, const char *special, void *data) {
    return syscall(SYS_quotactl, QCMD(command, USRQUOTA), special, 0, data);
}

static void quotas(void) {
    char data[256];
    int null = open("/dev/null", O_RDONLY), proc = open("/proc", O_PATH);
    CALL(quota(Q_GETFMT, "/nonexistent", data));
    CALL(quota(Q_GETFMT, "/dev/null", data));
    CALL(quota(Q_GETFMT, "/tmp", data));
    CALL(quota(Q_GETFMT, NULL, data));
    CALL(quota(Q_SYNC, NULL, NULL));
    CALL(quota(Q_SYNC, WILD, NULL));
    CALL(syscall(SYS_quotactl, QCMD(Q_GETFMT, 3), "/dev/null", 0, data));
    CALL(syscall(QUOTACTL_FD, null, QCMD(Q_GETFMT, USRQUOTA), 0, data));
    CALL(syscall(QUOTACTL_FD, proc, QCMD(Q_GETQUOTA, GRPQUOTA), 0, data));
    CALL(syscall(QUOTACTL_FD, null, QCMD(Q_GETFMT, 3), 0, data));
    CALL(syscall(QUOTACTL_FD, 99, QCMD(Q_GETFMT, USRQUOTA), 0, data));
    close(null), close(proc);
}

static void of_nobody(void) {
    fflush(stdout);
    if (fork() == 0) {
        if (setresuid(65534, 65534, 65534) < 0 && geteuid() == 0) {
            _exit(1);
        }
        CALL(syscall(SYS_swapon, "/nonexistent", 1 << 20));
        CALL(syscall(SYS_swapon, "/nonexistent", 0));
        CALL(syscall(SYS_swapoff, "/nonexistent"));
        CALL(syscall(SYS_swapoff, WILD));
        CALL(syscall(SYS_reboot, 0, 0, 0, 0));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
}

struct range {
    unsigned long offset, length;
};

static long cache(int fd, const struct range *range, unsigned long *found, unsigned flags) {
    return syscall(CACHESTAT, fd, range, found, flags);
}

static void caches(void) {
    char page[4096] = "";
    struct range all = {0, 0}, some = {4096, 8192}, none = {1 << 20, 4096};
    unsigned long found[5] = {9, 9, 9, 9, 9};
    int fd = open("file", O_RDWR | O_CREAT, 0644), ends[2];
    for (int i = 0; i < 5; i++) {
        if (write(fd, page, sizeof page) != sizeof page) {
            perror("write");
        }
    }
    CALL(cache(fd, &all, found, 0));
    printf("%lu\n", found[0]);
    CALL(cache(fd, &some, found, 0));
    printf("%lu\n", found[0]);
    CALL(cache(fd, &none, found, 0));
    printf("%lu %lu %lu\n", found[0], found[1], found[2]);
    CALL(cache(fd, &all, found, 1));
    CALL(cache(fd, WILD, found, 0));
    CALL(cache(fd, &all, WILD, 0));
    CALL(cache(99, &all, found, 0));
    CALL(pipe(ends));
    CALL(cache(ends[1], &all, found, 0));
    printf("%lu\n", found[0]);
    close(fd), close(ends[0]), close(ends[1]);
    unlink("file");
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    quotas();
    of_nobody();
    caches();
    return leave_scratch();
}
