/* ptrace(2): stops at system calls, at signals and at events, as a tracer sees them. */
#include "trace.h"

#include <sched.h>
#include <stddef.h>
#include <sys/procfs.h>

static int shared;

static void calls(void) {
    syscall(SYS_getppid);
    if (write(99, "x", 1) < 0) {
        shared = errno;
    }
    _exit(shared == EBADF ? 5 : 6);
}

static void at_calls(void) {
    puts("-- system calls");
    pid_t pid = tracee(calls);
    show_siginfo(pid);
    TRACE(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD);
    for (int i = 0; i < 5; i++) {
        TRACE(PTRACE_SYSCALL, pid, 0, 0);
        show_wait(pid, 0);
        show_siginfo(pid);
        show_call(pid);
        printf("  message %lu\n", message(pid));
    }
    TRACE(PTRACE_CONT, pid, 0, 0);
    show_wait(pid, 0);
    show_wait(pid, 0);

    puts("-- the same without TRACESYSGOOD");
    pid = tracee(calls);
    for (int i = 0; i < 2; i++) {
        TRACE(PTRACE_SYSCALL, pid, 0, 0);
        show_wait(pid, 0);
        show_siginfo(pid);
        show_call(pid);
    }
    TRACE(PTRACE_KILL, pid, 0, 0);
    show_wait(pid, 0);
}

/* Have the tracee, which is about to make a call, make another one. */
static void change_call(pid_t pid, int number) {
#ifdef __aarch64__
    struct iovec vector = {&number, sizeof number};
    report("change the call", trace(PTRACE_SETREGSET, pid, (void *)NT_ARM_SYSTEM_CALL, &vector));
#else
    void *place = (void *)offsetof(struct user, regs.orig_rax);
    report("change the call", trace(PTRACE_POKEUSER, pid, place, (void *)(long)number));
#endif
}

static void at_other_calls(void) {
    puts("-- calls that the tracer changes");
    static const int numbers[] = {SYS_write, 1000, -5};
    pid_t pid = tracee(calls);
    TRACE(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD);
    TRACE(PTRACE_SYSCALL, pid, 0, 0);
    show_wait(pid, 0);
    for (size_t i = 0; i < LENGTH(numbers); i++) {
        TRACE(PTRACE_SYSCALL, pid, 0, 0);
        show_wait(pid, 0);
        change_call(pid, numbers[i]);
        TRACE(PTRACE_SYSCALL, pid, 0, 0);
        show_wait(pid, 0);
        show_call(pid);
    }
    kill(pid, SIGKILL);
    show_wait(pid, 0);
}

static volatile sig_atomic_t handled;

static void on_signal(int number) {
    handled = number;
}

static void signals(void) {
    signal(SIGUSR1, on_signal);
    signal(SIGUSR2, SIG_IGN);
    raise(SIGUSR1);
    int first = handled;
    handled = 0;
    raise(SIGUSR1);
    int second = handled;
    raise(SIGUSR2);
    handled = 0;
    raise(SIGTERM);
    _exit(first * 16 + second + handled);
}

static void at_signals(void) {
    puts("-- signals: let through, dropped, ignored, replaced");
    pid_t pid = tracee(signals);
    TRACE(PTRACE_CONT, pid, 0, 0);
    show_wait(pid, 0);
    show_siginfo(pid);
    TRACE(PTRACE_CONT, pid, 0, SIGUSR1);
    show_wait(pid, 0);
    TRACE(PTRACE_CONT, pid, 0, 0);
    show_wait(pid, 0);
    siginfo_t info;
    trace(PTRACE_GETSIGINFO, pid, 0, &info);
    info.si_code = SI_QUEUE;
    TRACE(PTRACE_SETSIGINFO, pid, 0, &info);
    TRACE(PTRACE_CONT, pid, 0, SIGUSR2);
    show_wait(pid, 0);
    TRACE(PTRACE_CONT, pid, 0, 65);
    TRACE(PTRACE_CONT, pid, 0, SIGUSR1);
    show_wait(pid, 0);

    puts("-- a signal that ends it");
    pid = tracee(signals);
    TRACE(PTRACE_CONT, pid, 0, SIGQUIT);
    show_wait(pid, 0);
}

static void masks(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR1);
    union sigval value = {.sival_int = 7};
    sigqueue(getpid(), SIGRTMIN, value);
    raise(SIGSTOP);
}

static void pending(void) {
    puts("-- masks and pending signals");
    pid_t pid = tracee(masks);
    TRACE(PTRACE_CONT, pid, 0, 0);
    show_wait(pid, 0);
    unsigned long mask = 0;
    TRACE(PTRACE_GETSIGMASK, pid, 4, &mask);
    TRACE(PTRACE_GETSIGMASK, pid, 8, &mask);
    printf("  mask %#lx\n", mask);
    siginfo_t infos[4];
    struct __ptrace_peeksiginfo_args arguments = {.off = 0, .flags = 0, .nr = 4};
    if (TRACE(PTRACE_PEEKSIGINFO, pid, &arguments, infos) == 1) {
        printf("  own: %d\n", infos[0].si_signo);
    }
    arguments.flags = PTRACE_PEEKSIGINFO_SHARED;
    if (TRACE(PTRACE_PEEKSIGINFO, pid, &arguments, infos) == 1) {
        printf("  shared: %d with %d\n", infos[0].si_signo - SIGRTMIN, infos[0].si_value.sival_int);
    }
    arguments.flags = 2;
    TRACE(PTRACE_PEEKSIGINFO, pid, &arguments, infos);
    mask = 0;
    TRACE(PTRACE_SETSIGMASK, pid, 8, &mask);
    TRACE(PTRACE_CONT, pid, 0, 0);
    show_wait(pid, 0);
    TRACE(PTRACE_CONT, pid, 0, 0);
    show_wait(pid, 0);
    TRACE(PTRACE_CONT, pid, 0, 0);
    show_wait(pid, 0);
}

static char stack[65536];

static int in_clone(void *argument) {
    (void)argument;
    _exit(4);
}

static void children(void) {
    pid_t pid = fork();
    if (pid == 0) {
        _exit(1);
    }
    waitpid(pid, NULL, 0);
    pid = vfork();
    if (pid == 0) {
        _exit(2);
    }
    waitpid(pid, NULL, 0);
    pid = clone(in_clone, stack + sizeof stack, CLONE_VM | CLONE_FILES, NULL);
    waitpid(pid, NULL, __WCLONE);
    pid = clone(in_clone, stack + sizeof stack, CLONE_VM | CLONE_UNTRACED | SIGCHLD, NULL);
    waitpid(pid, NULL, 0);
}

static void at_children(void) {
    puts("-- children");
    pid_t pid = tracee(children);
    long options = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEVFORKDONE | PTRACE_O_TRACEEXIT;
    TRACE(PTRACE_SETOPTIONS, pid, 0, options);
    TRACE(PTRACE_CONT, pid, 0, 0);
    for (int round = 0; round < 3; round++) {
        pid_t child = show_new(pid, "child");
        show_siginfo(child);
        TRACE(PTRACE_CONT, child, 0, 0);
        show_wait(child, __WALL);
        printf("  message %#lx\n", message(child));
        TRACE(PTRACE_CONT, pid, 0, 0);
        TRACE(PTRACE_CONT, child, 0, 0);
        show_wait(child, __WALL);
        if (round == 1) {
            int status = show_wait(pid, 0);
            if (status >> 16 == PTRACE_EVENT_VFORK_DONE) {
                printf("  of %s\n", label((pid_t)message(pid)));
            }
            TRACE(PTRACE_CONT, pid, 0, 0);
        }
        if (round < 2) {
            show_wait(pid, 0);
            TRACE(PTRACE_CONT, pid, 0, SIGCHLD);
        }
    }
    show_wait(pid, 0);
    TRACE(PTRACE_CONT, pid, 0, 0);
    show_wait(pid, 0);
    printf("  message %#lx\n", message(pid));
    TRACE(PTRACE_CONT, pid, 0, 0);
    show_wait(pid, 0);
}

static const char *self;

static void executes(void) {
    execl("/nonexistent", "x", NULL);
    execl(self, self, "end", NULL);
}

static void at_exec(void) {
    puts("-- another program");
    pid_t pid = tracee(executes);
    TRACE(PTRACE_CONT, pid, 0, 0);
    show_wait(pid, 0);
    show_siginfo(pid);
    TRACE(PTRACE_CONT, pid, 0, 0);
    show_wait(pid, 0);

    pid = tracee(executes);
    TRACE(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXEC);
    TRACE(PTRACE_CONT, pid, 0, 0);
    show_wait(pid, 0);
    show_siginfo(pid);
    printf("  it was %s\n", label((pid_t)message(pid)));
    TRACE(PTRACE_SYSCALL, pid, 0, 0);
    show_wait(pid, 0);
    TRACE(PTRACE_CONT, pid, 0, 0);
    show_wait(pid, 0);
}

static long counter = 40;
static const long constant = 41;

static void reads(void) {
    _exit(counter == 42 && *(const volatile long *)&constant == 43 ? 0 : 1);
}

static void memory(void) {
    puts("-- memory");
    pid_t pid = tracee(reads);
    long word = 0;
    TRACE(PTRACE_PEEKDATA, pid, &counter, &word);
    printf("  %ld\n", word);
    TRACE(PTRACE_PEEKTEXT, pid, &constant, &word);
    printf("  %ld\n", word);
    TRACE(PTRACE_PEEKDATA, pid, 8, &word);
    TRACE(PTRACE_POKEDATA, pid, 8, 1);
    TRACE(PTRACE_PEEKDATA, pid, &counter, 8);
    TRACE(PTRACE_POKEDATA, pid, &counter, 42);
    TRACE(PTRACE_POKETEXT, pid, &constant, 43);
    printf("  own: %ld %ld\n", counter, *(const volatile long *)&constant);
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/mem", pid);
    int fd = open(name, O_RDWR);
    CALL(pread(fd, &word, sizeof word, (off_t)&constant));
    printf("  %ld\n", word);
    CALL(pwrite(fd, &word, sizeof word, (off_t)&constant));
    CALL(pread(fd, &word, sizeof word, 8));
    CALL(pwrite(fd, &word, sizeof word, 8));
    TRACE(PTRACE_CONT, pid, 0, 0);
    show_wait(pid, 0);
    CALL(pread(fd, &word, sizeof word, (off_t)&constant));
    close(fd);
}

static void registers(void) {
    puts("-- sets of registers");
    pid_t pid = tracee(calls);
    unsigned long words[1024];
    struct iovec all = {words, sizeof words}, part = {words, 8}, odd = {words, 7};
    TRACE(PTRACE_GETREGSET, pid, NT_PRSTATUS, &all);
    printf("  the same size as elf_gregset_t: %d\n", all.iov_len == sizeof(elf_gregset_t));
    TRACE(PTRACE_SETREGSET, pid, NT_PRSTATUS, &all);
    TRACE(PTRACE_GETREGSET, pid, NT_PRSTATUS, &part);
    TRACE(PTRACE_GETREGSET, pid, NT_PRSTATUS, &odd);
    TRACE(PTRACE_GETREGSET, pid, 0x7777, &part);
    TRACE(PTRACE_GETREGSET, pid, NT_PRSTATUS, 8);
    all.iov_len = sizeof words;
    TRACE(PTRACE_GETREGSET, pid, NT_PRFPREG, &all);
    printf("  %d\n", all.iov_len == sizeof(elf_fpregset_t));
    TRACE(PTRACE_SETREGSET, pid, NT_PRFPREG, &all);
    TRACE(PTRACE_CONT, pid, 0, 0);
    show_wait(pid, 0);
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "end")) {
        _exit(9);
    }
    sigset_t none; /* whoever starts it may block some */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    self = argv[0];
    at_calls();
    at_other_calls();
    at_signals();
    pending();
    at_children();
    at_exec();
    memory();
    registers();
    return 0;
}
