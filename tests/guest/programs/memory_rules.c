/* Rules for memory: mseal(2), PR_SET_MDWE, remap_file_pages(2), and others' memory by descriptor: process_madvise(2),
 * process_mrelease(2); PR_MCE_KILL. */
#include "report.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>

enum { PAGE = 4096, MSEAL = 462, PROCESS_MADVISE = 440, PROCESS_MRELEASE = 448, PIDFD_OPEN = 434 };
#define RW (PROT_READ | PROT_WRITE)
#define DENY(bits) prctl(65, bits, 0, 0, 0) /* PR_SET_MDWE */
#define DENIED() prctl(66, 0, 0, 0, 0)

static char *mapped(int pages, int prot, int kind) {
    return mmap(NULL, pages * PAGE, prot, kind | MAP_ANONYMOUS, -1, 0);
}

static int try_map(void *place, int prot) {
    return mmap(place, PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS | (place != NULL ? MAP_FIXED : 0), -1, 0) == MAP_FAILED ? -1 : 0;
}

static long seal(void *start, unsigned long length, unsigned long flags) {
    return syscall(MSEAL, start, length, flags);
}

static void sealing(void) {
    char *area = mapped(6, RW, MAP_PRIVATE), *other = mapped(4, RW, MAP_PRIVATE);
    munmap(area + 5 * PAGE, PAGE);
    memset(area, 7, 5 * PAGE);
    CALL(seal(area, PAGE, 1));
    CALL(seal(area + 1, PAGE, 0));
    CALL(seal(area, 0, 0));
    CALL(seal(area, -1UL, 0));
    CALL(seal(area, 6 * PAGE, 0)); /* its last page is a gap */
    CALL(mprotect(area, PAGE, RW));
    CALL(seal(area + PAGE, 3 * PAGE - 5, 0));
    CALL(seal(area + PAGE, PAGE, 0)); /* once more */
    CALL(munmap(area, 2 * PAGE));
    CALL(munmap(area + PAGE, PAGE));
    CALL(mprotect(area + 2 * PAGE, PAGE, PROT_READ));
    CALL(mprotect(area + 2 * PAGE, PAGE, RW));
    CALL(mprotect(area, 2 * PAGE, PROT_READ)); /* the first page changes */
    CALL(try_map(area + PAGE, RW));
    CALL(mremap(area + PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0);
    CALL(mremap(area + 3 * PAGE, PAGE, PAGE, 0) == MAP_FAILED ? -1 : 0);
    CALL(mremap(other, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, area + PAGE) == MAP_FAILED ? -1 : 0);
    CALL(madvise(area + PAGE, PAGE, MADV_DONTNEED)); /* it could be written to as well */
    CALL(mlock(area + PAGE, PAGE));
    CALL(munlock(area + PAGE, PAGE));
    printf("%d %d %d\n", area[0], area[PAGE], area[2 * PAGE]);
    CALL(munmap(area + 4 * PAGE, PAGE));
    CALL(munmap(area, PAGE));

    mprotect(other, PAGE, PROT_READ);
    seal(other, PAGE, 0);
    CALL(madvise(other, PAGE, MADV_DONTNEED));
    CALL(madvise(other, PAGE, MADV_FREE));
    CALL(madvise(other, PAGE, MADV_DONTFORK));
    CALL(madvise(other, PAGE, MADV_RANDOM));
    fflush(stdout);
    if (fork() == 0) {
        CALL(munmap(area + PAGE, PAGE));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);

    char *heap = sbrk(PAGE);
    heap = (char *)((unsigned long)(heap + PAGE - 1) & -PAGE);
    sbrk(2 * PAGE);
    seal(heap, PAGE, 0);
    CALL(brk(heap)); /* it stays */
}

static void executing(char **argv) {
    char *area = mapped(2, RW, MAP_PRIVATE), *code = mapped(1, PROT_READ | PROT_EXEC, MAP_PRIVATE);
    CALL(DENIED());
    CALL(DENY(2));
    CALL(DENY(4));
    CALL(prctl(65, 1, 1, 0, 0));
    CALL(prctl(66, 1, 0, 0, 0));
    CALL(DENY(0));
    fflush(stdout);
    if (fork() == 0) {
        CALL(DENY(3));
        CALL(DENIED());
        CALL(DENY(1));
        CALL(DENY(0));
        CALL(try_map(NULL, RW | PROT_EXEC));
        fflush(stdout);
        if (fork() == 0) {
            CALL(DENIED());
            CALL(try_map(NULL, RW | PROT_EXEC));
            fflush(stdout);
            _exit(0);
        }
        wait(NULL);
        _exit(0);
    }
    wait(NULL);
    CALL(DENY(1));
    CALL(DENY(1));
    CALL(try_map(NULL, RW | PROT_EXEC));
    CALL(try_map(area, RW | PROT_EXEC));
    CALL(try_map(NULL, PROT_READ | PROT_EXEC));
    CALL(mprotect(area, PAGE, PROT_READ | PROT_EXEC));
    CALL(mprotect(area, PAGE, PROT_READ));
    CALL(mprotect(code, PAGE, PROT_READ | PROT_EXEC));
    CALL(mprotect(code, PAGE, RW | PROT_EXEC));
    CALL(mprotect(code, PAGE, PROT_READ));
    CALL(mprotect(code, PAGE, PROT_READ | PROT_EXEC));
    fflush(stdout);
    if (fork() == 0) {
        execl("/proc/self/exe", argv[0], "--executed", NULL);
    }
    wait(NULL);
}

static long remap(void *start, unsigned long size, unsigned long prot, unsigned long page, unsigned long flags) {
    return syscall(SYS_remap_file_pages, start, size, prot, page, flags);
}

static void remapping(void) {
    char *shared = mapped(8, RW, MAP_SHARED), *private = mapped(2, RW, MAP_PRIVATE);
    for (int i = 0; i < 8; i++) {
        shared[i * PAGE] = 'a' + i;
    }
    CALL(remap(shared, PAGE, 0, 5, 0));
    CALL(remap(shared + PAGE + 9, 2 * PAGE + 9, 0, 0, MAP_NONBLOCK));
    for (int i = 0; i < 8; i++) {
        putchar(shared[i * PAGE]);
    }
    shared[0] = 'X';
    printf(" %c\n", shared[5 * PAGE]);
    CALL(remap(shared, 8 * PAGE, 0, 0, 0));
    printf("%c%c%c\n", shared[0], shared[PAGE], shared[5 * PAGE]);
    CALL(remap(shared, PAGE, PROT_READ, 0, 0));
    CALL(remap(shared, 0, 0, 0, 0));
    CALL(remap(shared, -2UL * PAGE, 0, 0, 0));
    CALL(remap(shared, PAGE, 0, -1UL, 0));
    CALL(remap(private, PAGE, 0, 1, 0));
    CALL(remap(WILD, PAGE, 0, 1, 0));
    munmap(shared + 3 * PAGE, PAGE);
    CALL(remap(shared, 4 * PAGE, 0, 0, 0));

    int fd = open("file", O_RDWR | O_CREAT, 0600);
    char text[3 * PAGE];
    memset(text, '1', PAGE), memset(text + PAGE, '2', PAGE), memset(text + 2 * PAGE, '3', PAGE);
    CALL(write(fd, text, sizeof text));
    char *file = mmap(NULL, 3 * PAGE, RW, MAP_SHARED, fd, 0);
    close(fd);
    CALL(remap(file, PAGE, 0, 2, 0));
    CALL(remap(file + 2 * PAGE, PAGE, 0, 0, 0));
    printf("%c%c%c\n", file[0], file[PAGE], file[2 * PAGE]);
    munmap(file, 3 * PAGE);
    unlink("file");
}

static long advise(int fd, const struct iovec *vector, unsigned long count, int advice, unsigned flags) {
    return syscall(PROCESS_MADVISE, fd, vector, count, advice, flags);
}

static void others(void) {
    char *area = mapped(4, RW, MAP_PRIVATE);
    struct iovec both[] = {{area, PAGE}, {area + 2 * PAGE, 2 * PAGE}}, wrong[] = {{area, PAGE}, {area + 1, PAGE}};
    memset(area, 5, 4 * PAGE);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        for (;;) {
            pause();
        }
    }
    int self = syscall(PIDFD_OPEN, getpid(), 0), child = syscall(PIDFD_OPEN, pid, 0), null = open("/dev/null", O_RDONLY);
    CALL(advise(self, both, 2, MADV_COLD, 0));
    CALL(advise(child, both, 2, MADV_PAGEOUT, 0));
    CALL(advise(child, both, 2, MADV_WILLNEED, 0));
    CALL(advise(child, both, 2, MADV_DONTNEED, 0));
    CALL(advise(child, both, 2, 77, 0));
    CALL(advise(child, both, 2, MADV_COLD, 1));
    CALL(advise(child, wrong, 2, MADV_COLD, 0));
    CALL(advise(child, wrong + 1, 1, MADV_COLD, 0));
    CALL(advise(child, both, 1025, MADV_COLD, 0));
    CALL(advise(child, both, 0, MADV_COLD, 0));
    CALL(advise(child, WILD, 1, MADV_COLD, 0));
    CALL(advise(null, both, 1, MADV_COLD, 0));
    CALL(advise(99, both, 1, MADV_COLD, 0));

    CALL(syscall(PROCESS_MRELEASE, child, 0));
    CALL(syscall(PROCESS_MRELEASE, child, 1));
    CALL(syscall(PROCESS_MRELEASE, null, 0));
    CALL(syscall(PROCESS_MRELEASE, 99, 0));
    kill(pid, SIGKILL);
    waitid(P_PID, pid, NULL, WEXITED | WNOWAIT);
    CALL(syscall(PROCESS_MRELEASE, child, 0)); /* a zombie */
    CALL(advise(child, both, 1, MADV_COLD, 0));
    waitpid(pid, NULL, 0);
    CALL(syscall(PROCESS_MRELEASE, child, 0));
    close(self), close(child), close(null);
}

static void broken_memory(void) {
    CALL(prctl(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 0, 0, 0));
    CALL(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
    for (int policy = 0; policy < 4; policy++) {
        CALL(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, policy, 0, 0));
        CALL(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
    }
    CALL(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0));
    fflush(stdout);
    if (fork() == 0) {
        CALL(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    CALL(prctl(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 1, 0, 0));
    CALL(prctl(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 0, 0, 0));
    CALL(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
    CALL(prctl(PR_MCE_KILL, 2, 0, 0, 0));
    CALL(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 1, 0));
    CALL(prctl(PR_MCE_KILL_GET, 1, 0, 0, 0));
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "--executed") == 0) {
        CALL(DENIED());
        return 0;
    }
    enter_scratch(argc, argv);
    sealing();
    remapping();
    others();
    broken_memory();
    executing(argv);
    return leave_scratch();
}
