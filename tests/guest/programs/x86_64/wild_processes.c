/* Wild arguments for clone(2), clone3(2), wait4(2), waitid(2) and the scheduler's calls: `wild_processes COUNT SEED`.
 * The same seed makes the same calls everywhere; what is printed does not depend on pids. Each is made in a child, so
 * that what succeeds does no harm. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 0x10000000 /* where all kernels have something */
#define NAMESPACES (0x20000 | 0x2000000 | 0x4000000 | 0x8000000 | 0x10000000 | 0x20000000 | 0x40000000 | 0x80ull)
#define STACK 65536
#define ANY(...)                                         \
    ({                                                   \
        static const uint64_t choices[] = {__VA_ARGS__}; \
        choices[dice(sizeof choices / 8)];               \
    })

static char *const page = (char *)PAGE;
static uint64_t state;

static uint64_t dice(uint64_t sides) { /* xorshift* */
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state * 2685821657736338717ull % sides;
}

static uint64_t pointer(void) {
    return dice(3) ? PAGE : ANY(0, 8, -1, -4096, 0x800000000000, 1, 2);
}

static uint64_t word(void) {
    return ANY(0, 1, 2, 3, 4, 5, 8, 16, 64, -1, -2, 0x80000000, 0x7fffffff, 0xffffffff, 0x100000000, 1ull << 63);
}

static const char *name(long result) { return result < 0 ? strerrorname_np(errno) : "ok"; }

static uint64_t clone_flags(int bits) {
    uint64_t flags = 0;
    for (int count = dice(6); count > 0; count--) {
        flags |= 1ull << (8 + dice(bits));
    }
    return flags & ~(NAMESPACES | CLONE_SETTLS | CLONE_UNTRACED);
}

/* On a stack of its own, where the child ends at once. */
static long raw_clone(uint64_t flags, uint64_t parent_tid, uint64_t child_tid) {
    char *stack = mmap(0, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    register long r10 asm("r10") = child_tid;
    register long r8 asm("r8") = 0;
    long result;
    asm volatile("syscall\n test %%rax, %%rax\n jnz 1f\n mov $0, %%edi\n mov $60, %%eax\n syscall\n 1:"
                 : "=a"(result)
                 : "a"(SYS_clone), "D"(flags), "S"(stack + STACK - 64), "d"(parent_tid), "r"(r10), "r"(r8)
                 : "rcx", "r11", "memory");
    errno = result < 0 ? -result : 0;
    return result < 0 ? -1 : result;
}

static void tell_end(const char *call, uint64_t flags, long child) {
    int status = -1;
    const char *made = name(child);
    long ended = child > 0 && !(flags & CLONE_THREAD) ? waitpid(child, &status, __WALL) : 0;
    printf("%s %lx: %s %s %x\n", call, flags, made, name(ended), status);
}

static void wild_clone(void) {
    uint64_t flags = clone_flags(24) | ANY(0, 17, 17, 17, 10, 64, 65, 127, 200);
    if (dice(4) == 0) {
        flags |= CLONE_THREAD;
    }
    tell_end("clone", flags, raw_clone(flags, pointer(), pointer()));
}

static void wild_clone3(void) {
    uint64_t arguments[11] = {clone_flags(26) & ~(CLONE_VM | CLONE_THREAD | CLONE_PARENT | CLONE_VFORK)};
    uint64_t sizes = ANY(88, 88, 88, 88, 64, 80, 0, 63, 65, 96, 4096, 4097, 72);
    arguments[0] |= dice(6) ? 0 : dice(256) & ~0x80;
    arguments[0] |= dice(6) ? 0 : CLONE_THREAD;
    arguments[1] = pointer(), arguments[2] = pointer(), arguments[3] = pointer();
    arguments[4] = ANY(17, 17, 17, 0, 10, 64, 65, 255, 256, 1ull << 32);
    arguments[5] = dice(4) ? 0 : pointer(), arguments[6] = dice(4) ? 0 : word();
    for (int i = 8; i < 11; i++) {
        arguments[i] = dice(6) ? 0 : word();
    }
    memcpy(page + 2048, arguments, sizeof arguments);
    errno = 0;
    long child = syscall(SYS_clone3, dice(20) ? PAGE + 2048 : pointer(), sizes);
    if (child == 0) {
        _exit(7);
    }
    tell_end("clone3", arguments[0], child);
}

static void wild_wait(void) {
    pid_t children[3];
    siginfo_t info;
    for (int i = 0; i < 3; i++) {
        if ((children[i] = fork()) == 0) {
            i == 0 ? _exit(3) : i == 1 ? raise(SIGSTOP) : pause();
            _exit(0);
        }
    }
    waitid(P_PID, children[0], &info, WEXITED | WNOWAIT);
    waitid(P_PID, children[1], &info, WSTOPPED | WNOWAIT);
    uint64_t options = WNOHANG | ANY(0, 2, 4, 8, 0x1000000, 0x20000000, 0x40000000, 0x80000000, 16, 0x100) |
                       ANY(0, 0, 2, 4, 8, 4, 0x1000000, 0x80000000, 0x40000000) | ANY(0, 4, 4, 4, 0x20000000);
    long which = dice(5), pid = which < 3 ? children[which] : (long)ANY(0, -1, 0x80000000, 1);
    uint64_t told = pointer(), usage = dice(2) ? 0 : pointer();
    memset(page, 0x55, 512);
    errno = 0;
    long found = dice(2) ? syscall(SYS_wait4, pid, told, options, usage == PAGE ? PAGE + 512 : usage)
                         : syscall(SYS_waitid, ANY(0, 1, 1, 1, 3, 4, -1), pid, told, options,
                                   usage == PAGE ? PAGE + 512 : usage);
    int *words = (int *)page;
    printf("wait %ld %lx: %s %d %x %x %x %x\n", which, options, name(found), found > 0 ? 1 : (int)found, words[0],
           words[1], words[2], words[5]);
    for (int i = 0; i < 3; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
}

static void wild_priority(void) {
    uint64_t pid = dice(3) ? 0 : ANY(-1, 0x80000000, 0x7fffffff), value = dice(2) ? dice(60) - 30 : word();
    uint64_t io = dice(3) ? dice(10) << 13 | dice(12) : word();
    *(int *)page = dice(4) ? (int)dice(100) : (int)word();
    errno = 0;
    switch (dice(5)) {
    case 0: printf("setpriority: %s", name(syscall(SYS_setpriority, dice(6) ? 0 : word(), pid, value))); break;
    case 1: printf("ioprio_set: %s", name(syscall(SYS_ioprio_set, dice(6) ? 1 : word() & ~3, pid, io))); break;
    case 2: printf("setscheduler: %s", name(syscall(SYS_sched_setscheduler, pid, dice(9), pointer()))); break;
    case 3: printf("setparam: %s", name(syscall(SYS_sched_setparam, pid, pointer()))); break;
    case 4: printf("priorities: %s", name(syscall(SYS_sched_get_priority_max, word()))); break;
    }
    printf(" %ld %ld %ld\n", syscall(SYS_getpriority, 0, 0), syscall(SYS_ioprio_get, 1, 0), syscall(SYS_sched_getscheduler, 0));
}

int main(int argc, char **argv) {
    void (*const calls[])(void) = {wild_clone, wild_clone3, wild_wait, wild_priority};
    if (argc < 3 || mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != page) {
        return 1;
    }
    for (int i = 0; i < atoi(argv[1]); i++) {
        int status;
        state = (strtoull(argv[2], NULL, 10) * 1000003 + i) * 0x9E3779B97F4A7C15ull + 1;
        dice(2), dice(2);
        printf("%d: ", i);
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            signal(SIGUSR1, SIG_IGN);
            alarm(60);
            calls[i % 4]();
            exit(0);
        }
        waitpid(pid, &status, 0);
        printf("%x\n", status);
        while (waitpid(-1, NULL, __WALL) > 0) { /* siblings by CLONE_PARENT */
        }
    }
}
