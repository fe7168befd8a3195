/* clone(2) and clone3: which flags go together, who shares what, where numbers are stored. */
#include "report.h"

#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define CSIGNAL_CHLD SIGCHLD

static long raw_clone(unsigned long flags, void *stack, void *parent_tid, void *child_tid, unsigned long tls) {
#ifdef __aarch64__
    return syscall(SYS_clone, flags, stack, parent_tid, tls, child_tid);
#else
    return syscall(SYS_clone, flags, stack, parent_tid, child_tid, tls);
#endif
}

/* What comes of a clone with a copy of the memory: the error, or that the child has run. */
static void attempt(const char *what, unsigned long flags) {
    fflush(stdout);
    int tid = -1;
    errno = 0;
    long pid = raw_clone(flags, NULL, &tid, &tid, 0);
    if (pid == 0) {
        _exit(0);
    }
    if (pid < 0) {
        printf("%s: %s\n", what, error_name(errno));
        return;
    }
    int status;
    long found = waitpid(pid, &status, __WALL);
    printf("%s: made, wait %d\n", what, found == pid ? status : -1);
}

#define ATTEMPT(flags) attempt(#flags, flags)

static void legacy(void) {
    ATTEMPT(CSIGNAL_CHLD);
    ATTEMPT(0);
    ATTEMPT(200);
    ATTEMPT(CLONE_THREAD | SIGCHLD);
    ATTEMPT(CLONE_THREAD | CLONE_VM | SIGCHLD);
    ATTEMPT(CLONE_SIGHAND | SIGCHLD);
    ATTEMPT(CLONE_THREAD | CLONE_SIGHAND | SIGCHLD);
    ATTEMPT(CLONE_FS | CLONE_NEWNS | SIGCHLD);
    ATTEMPT(CLONE_FS | CLONE_NEWUSER | SIGCHLD);
    ATTEMPT(CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD);
    ATTEMPT(CLONE_PIDFD | CLONE_DETACHED | SIGCHLD);
    ATTEMPT(CLONE_DETACHED | CLONE_UNTRACED | CLONE_PTRACE | CLONE_IO | CLONE_SYSVSEM | SIGCHLD);
    ATTEMPT(CLONE_VFORK | SIGCHLD);
    ATTEMPT(CLONE_FILES | CLONE_FS | SIGCHLD);
}

static struct clone_args args;

static void attempt3(const char *what, size_t size) {
    fflush(stdout);
    errno = 0;
    long pid = syscall(SYS_clone3, &args, size);
    if (pid == 0) {
        _exit(3);
    }
    if (pid < 0) {
        printf("%s: %s\n", what, error_name(errno));
    } else {
        int status;
        long found = waitpid(pid, &status, __WALL);
        printf("%s: made, wait %x\n", what, found == pid ? status : -1);
    }
    memset(&args, 0, sizeof args);
    args.exit_signal = SIGCHLD;
}

#define ATTEMPT3(setting) (setting, attempt3(#setting, sizeof args))

static void modern(void) {
    signal(64, SIG_IGN);
    static char more[sizeof args + 64];
    int tid = 0;
    memset(&args, 0, sizeof args);
    args.exit_signal = SIGCHLD;
    ATTEMPT3(args.flags = 0);
    ATTEMPT3(args.flags = SIGCHLD);
    ATTEMPT3(args.flags = CLONE_DETACHED);
    ATTEMPT3(args.flags = CLONE_THREAD);
    ATTEMPT3(args.flags = CLONE_PARENT);
    ATTEMPT3(args.flags = CLONE_SIGHAND);
    ATTEMPT3(args.flags = CLONE_VM | CLONE_SIGHAND | CLONE_CLEAR_SIGHAND);
    ATTEMPT3(args.flags = CLONE_CLEAR_SIGHAND);
    ATTEMPT3(args.flags = 1ULL << 40);
    ATTEMPT3(args.flags = CLONE_PIDFD);
    ATTEMPT3((args.flags = CLONE_PIDFD, args.pidfd = 8));
    ATTEMPT3((args.flags = CLONE_PIDFD | CLONE_PARENT_SETTID, args.pidfd = args.parent_tid = (uintptr_t)&tid));
    ATTEMPT3(args.exit_signal = 65);
    ATTEMPT3(args.exit_signal = 64);
    ATTEMPT3(args.exit_signal = 1ULL << 32 | SIGCHLD);
    ATTEMPT3(args.exit_signal = 0);
    ATTEMPT3(args.stack = 4096);
    ATTEMPT3(args.stack_size = 4096);
    ATTEMPT3((args.stack = -4096, args.stack_size = 8192));
    ATTEMPT3((args.stack = 4096, args.stack_size = -1));
    ATTEMPT3(args.set_tid = (uintptr_t)&tid);
    ATTEMPT3(args.set_tid_size = 1);
    ATTEMPT3((args.set_tid = (uintptr_t)&tid, args.set_tid_size = 33));
    ATTEMPT3((args.set_tid = 8, args.set_tid_size = 1));
    ATTEMPT3((args.set_tid = (uintptr_t)&tid, args.set_tid_size = 1)); /* number 0 */
    tid = getpid();
    ATTEMPT3((args.set_tid = (uintptr_t)&tid, args.set_tid_size = 1)); /* taken */
    ATTEMPT3((args.flags = CLONE_INTO_CGROUP, args.cgroup = 1ULL << 31));
    ATTEMPT3((args.flags = CLONE_INTO_CGROUP, args.cgroup = 99));
    args.flags = CLONE_INTO_CGROUP;
    attempt3("into a group by the second version", 80);
    attempt3("first version", 64);
    attempt3("second version", 80);
    attempt3("too short", 63);
    attempt3("too long", 4097);
    memcpy(more, &args, sizeof args);
    errno = 0;
    more[sizeof more - 1] = 1;
    CALL(syscall(SYS_clone3, more, sizeof more));
    CALL(syscall(SYS_clone3, WILD, sizeof args));
}

static int word_in_child(int *shared, int value) {
    *shared = value;
    return 0;
}

/* Who sees a change that the child makes. */
static void sharing(void) {
    static const struct {
        const char *name;
        unsigned long flags;
    } kinds[] = {{"nothing", 0}, {"files", CLONE_FILES}, {"fs", CLONE_FS}, {"vm", CLONE_VM | CLONE_VFORK},
                 {"vm and sighand", CLONE_VM | CLONE_SIGHAND | CLONE_VFORK}};
    for (size_t i = 0; i < LENGTH(kinds); i++) {
        volatile int word = 0;
        struct sigaction action;
        int fd = open("/dev/null", O_RDONLY), status;
        umask(022);
        signal(SIGUSR1, SIG_DFL);
        fflush(stdout);
        long pid = raw_clone(kinds[i].flags | SIGCHLD, NULL, NULL, NULL, 0);
        if (pid == 0) {
            word_in_child((int *)&word, 1);
            syscall(SYS_close, fd);
            syscall(SYS_umask, 077);
            struct {
                void *handler;
                unsigned long flags;
                void *restorer;
                unsigned long mask;
            } ignore = {SIG_IGN, 0, NULL, 0};
            syscall(SYS_rt_sigaction, SIGUSR1, &ignore, NULL, 8);
            syscall(SYS_exit, 0);
        }
        wait(&status); /* with the memory shared, the number above may have been overwritten */
        sigaction(SIGUSR1, NULL, &action);
        printf("%s: word %d, descriptor %s, umask %o, %s\n", kinds[i].name, word,
               fcntl(fd, F_GETFD) < 0 ? "closed" : "open", umask(022),
               action.sa_handler == SIG_IGN ? "ignored" : "default");
        close(fd);
    }
    signal(SIGUSR1, SIG_DFL);
}

/* Where the numbers go. */
static void numbers(void) {
    int *words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;
    fflush(stdout);
    long pid = raw_clone(CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, NULL, &words[0], &words[1], 0);
    if (pid == 0) {
        _exit(words[0] == getpid() && words[1] == getpid());
    }
    waitpid(pid, &status, 0);
    printf("stored: %d, parent %d, child %d\n", status >> 8, words[0] == pid, words[1] == pid);
    fflush(stdout);
    pid = raw_clone(CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD, NULL, WILD, WILD, 0);
    if (pid == 0) {
        _exit(5);
    }
    waitpid(pid, &status, 0);
    printf("stored nowhere: %x\n", status);
    words[2] = 7;
    fflush(stdout);
    pid = raw_clone(CLONE_CHILD_CLEARTID | SIGCHLD, NULL, NULL, &words[2], 0);
    if (pid == 0) {
        _exit(0);
    }
    waitpid(pid, &status, 0);
    printf("not cleared for the last user of the memory: %d\n", words[2]);
    munmap(words, 4096);
}

/* A sibling: its parent is ours. */
static void siblings(void) {
    int ends[2], status;
    char byte = 0;
    CALL(pipe(ends) < 0);
    fflush(stdout);
    pid_t father = getpid(), son = fork();
    if (son == 0) {
        long pid = raw_clone(CLONE_PARENT | SIGUSR1, NULL, NULL, NULL, 0);
        if (pid == 0) {
            byte = getppid() == father ? 'f' : '?';
            _exit(write(ends[1], &byte, 1) != 1);
        }
        errno = 0;
        int found = waitpid(pid, &status, __WALL);
        _exit(found == -1 && errno == ECHILD ? 0 : 1);
    }
    CALL(read(ends[0], &byte, 1));
    printf("parent of the sibling: %c\n", byte);
    int first = 0, second = 0;
    pid_t one = wait(&first), two = wait(&second);
    printf("two children: %d %d, statuses %x\n", one > 0, two > 0, first | second);
    CALL(wait(NULL));
    close(ends[0]), close(ends[1]);
}

static void inherited(void) {
    int status;
    prctl(PR_SET_PDEATHSIG, SIGUSR1);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_NAME, "a name of more than fifteen");
    fflush(stdout);
    if (fork() == 0) {
        int signal = -1, reaper = -1;
        char name[17] = "";
        prctl(PR_GET_PDEATHSIG, &signal);
        prctl(PR_GET_CHILD_SUBREAPER, &reaper);
        prctl(PR_GET_NAME, name);
        printf("child: death signal %d, reaper %d, name %s\n", signal, reaper, name);
        fflush(stdout);
        _exit(0);
    }
    wait(&status);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    legacy();
    modern();
    sharing();
    numbers();
    siblings();
    inherited();
    return leave_scratch();
}
