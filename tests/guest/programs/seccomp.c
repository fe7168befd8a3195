/* seccomp(2): which calls a program lets itself make, and what becomes of the others. */
#include "report.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define SAY(what) BPF_STMT(BPF_RET | BPF_K, what)
#define IF(number, what) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), SAY(what)

static int set(unsigned flags, struct sock_filter *code, unsigned short length) {
    struct sock_fprog program = {length, code};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

#define SET(...)                                                   \
    ({                                                             \
        struct sock_filter code[] = {__VA_ARGS__};                 \
        set(0, code, LENGTH(code));                                \
    })

/* Run something in a child, and tell how that ended. */
static void in_child(const char *what, void (*act)(void)) {
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        act();
        fflush(stdout);
        _exit(7);
    }
    waitpid(pid, &status, 0);
    printf("%s: %s %d\n", what, WIFEXITED(status) ? "exit" : "signal", WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

static void refused(void) {
    struct sock_filter allow[] = {SAY(SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {1, allow};
    int action = SECCOMP_RET_ERRNO;
    CALL(syscall(SYS_seccomp, 99, 0, NULL));
    CALL(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, NULL));
    CALL(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, &program));
    CALL(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 1 << 20, &program));
    CALL(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, WILD));
    CALL(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
    CALL(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 1, &action));
    CALL(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, WILD));
    CALL((action = 0x1234567, syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action)));
    CALL(prctl(PR_SET_SECCOMP, 0, 0, 0, 0));
    CALL(prctl(PR_SET_SECCOMP, 9, 0, 0, 0));
    CALL(set(0, allow, 0));
    CALL(set(0, (void *)WILD, 1));
    CALL(SET(LOAD(nr)));
    CALL(SET(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), SAY(0)));
    CALL(SET(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), SAY(0)));
    CALL(SET(BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), SAY(0)));
    CALL(SET(BPF_STMT(BPF_LD | BPF_W | BPF_IND, 0), SAY(0)));
    CALL(SET(BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, 3), SAY(0)));
    CALL(SET(BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), SAY(0)));
    CALL(SET(BPF_STMT(BPF_LD | BPF_MEM, 3), SAY(0)));
    CALL(prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
}

static void without_rights(void) {
    int status;
    fflush(stdout);
    if (fork() == 0) {
        if (getuid() == 0 && setuid(1)) {
            _exit(1);
        }
        CALL(SET(SAY(SECCOMP_RET_ALLOW)));
        fflush(stdout);
        _exit(0);
    }
    wait(&status);
}

static void errors(void) {
    char line[256];
    FILE *file;
    CALL(SET(LOAD(nr), IF(SYS_getpgid, SECCOMP_RET_ERRNO | 5), IF(SYS_getsid, SECCOMP_RET_ERRNO | 0xFFFF), IF(SYS_flock, SECCOMP_RET_ERRNO),
             SAY(SECCOMP_RET_ALLOW)));
    CALL(syscall(SYS_getpgid, 0));
    printf("%ld ", syscall(SYS_getsid, 0));
    printf("%d\n", errno);
    CALL(syscall(SYS_flock, 99, 99));
    /* by an argument; both halves of it */
    CALL(SET(LOAD(nr), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_dup, 0, 4), LOAD(args[0]), BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 50, 1, 0),
             SAY(SECCOMP_RET_ALLOW), SAY(SECCOMP_RET_ERRNO | 9), SAY(SECCOMP_RET_ALLOW)));
    CALL(syscall(SYS_dup, 60));
    OK(syscall(SYS_dup, 1));
    CALL(syscall(SYS_dup, 51));
    CALL(SET(LOAD(nr), IF(SYS_getpgid, SECCOMP_RET_ERRNO | 1), SAY(SECCOMP_RET_ALLOW))); /* the newest of equals */
    CALL(syscall(SYS_getpgid, 0));
    CALL(SET(LOAD(nr), IF(SYS_getpgid, SECCOMP_RET_TRACE), IF(SYS_getsid, SECCOMP_RET_ALLOW), SAY(SECCOMP_RET_ALLOW)));
    CALL(syscall(SYS_getpgid, 0)); /* an error is stronger than a tracer */
    CALL(SET(LOAD(nr), IF(SYS_sync, SECCOMP_RET_TRACE), SAY(SECCOMP_RET_LOG)));
    CALL(syscall(SYS_sync));
    CALL(prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
    CALL(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, NULL));
    file = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "Seccomp", 7) == 0 || strncmp(line, "NoNewPrivs", 10) == 0) {
            printf("%s", line);
        }
    }
    fclose(file);
    fflush(stdout);
    if (fork() == 0) {
        CALL(syscall(SYS_getpgid, 0));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    execl("/proc/self/exe", "seccomp", "again", NULL);
}

static void kills(void) {
    SET(LOAD(nr), IF(SYS_sync, SECCOMP_RET_KILL_PROCESS), SAY(SECCOMP_RET_ALLOW));
    syscall(SYS_sync);
}

static void kills_by_unknown(void) {
    SET(LOAD(nr), IF(SYS_sync, 0x12340000), SAY(SECCOMP_RET_ALLOW));
    signal(SIGSYS, SIG_IGN);
    syscall(SYS_sync);
}

static void kills_by_division(void) {
    SET(LOAD(nr), BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0), SAY(SECCOMP_RET_ALLOW));
    syscall(SYS_sync);
}

static sem_t ready, filtered;
static pid_t doomed;

static void *sleeper(void *unused) {
    sem_post(&ready);
    sem_wait(&filtered);
    CALL(syscall(SYS_getpgid, 0));
    return unused;
}

static void *dies(void *unused) {
    doomed = gettid();
    SET(LOAD(nr), IF(SYS_sync, SECCOMP_RET_KILL_THREAD), SAY(SECCOMP_RET_ALLOW));
    syscall(SYS_sync);
    puts("not reached");
    return unused;
}

static void kills_thread(void) {
    pthread_t id;
    pthread_create(&id, NULL, dies, NULL);
    pthread_join(id, NULL);
    puts("the process goes on");
}

static void all_threads(void) {
    pthread_t id;
    struct sock_filter code[] = {LOAD(nr), IF(SYS_getpgid, SECCOMP_RET_ERRNO | 7), SAY(SECCOMP_RET_ALLOW)};
    sem_init(&ready, 0, 0), sem_init(&filtered, 0, 0);
    pthread_create(&id, NULL, sleeper, NULL);
    sem_wait(&ready);
    CALL(set(SECCOMP_FILTER_FLAG_TSYNC, code, LENGTH(code)));
    sem_post(&filtered);
    pthread_join(id, NULL);
}

static void *diverges(void *unused) {
    SET(SAY(SECCOMP_RET_ALLOW));
    doomed = gettid();
    sem_post(&ready);
    sem_wait(&filtered);
    return unused;
}

static void threads_differ(void) {
    pthread_t id;
    struct sock_filter code[] = {SAY(SECCOMP_RET_ALLOW)};
    sem_init(&ready, 0, 0), sem_init(&filtered, 0, 0);
    pthread_create(&id, NULL, diverges, NULL);
    sem_wait(&ready);
    printf("%d\n", set(SECCOMP_FILTER_FLAG_TSYNC, code, 1) == doomed);
    CALL(set(SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH, code, 1) == -1 && errno == ESRCH);
    sem_post(&filtered);
    pthread_join(id, NULL);
}

static volatile sig_atomic_t caught;

static void on_sigsys(int signal, siginfo_t *info, void *context) {
    (void)context;
    caught = signal == SIGSYS && info->si_code == 1 /* SYS_SECCOMP */ && info->si_errno == 77 && info->si_syscall == SYS_sync;
}

static void traps(void) {
    struct sigaction action = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};
    sigset_t all;
    sigaction(SIGSYS, &action, NULL);
    SET(LOAD(nr), IF(SYS_sync, SECCOMP_RET_TRAP | 77), SAY(SECCOMP_RET_ALLOW));
    syscall(SYS_sync);
    printf("caught: %d\n", caught);
    fflush(stdout);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    syscall(SYS_sync);
    puts("not reached");
}

static void strict(void) {
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    if (write(1, "strict\n", 7) == 7) {
        syscall(SYS_exit, 3);
    }
}

static void strict_killed(void) {
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    syscall(SYS_getpid);
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "again") == 0) {
        CALL(syscall(SYS_getpgid, 0));
        return 0;
    }
    enter_scratch(argc, argv);
    without_rights();
    in_child("refused", refused);
    in_child("errors", errors);
    in_child("kills", kills);
    in_child("an unknown action", kills_by_unknown);
    in_child("a division by nothing", kills_by_division);
    in_child("kills a thread", kills_thread);
    in_child("all threads", all_threads);
    in_child("threads differ", threads_differ);
    in_child("traps", traps);
    in_child("strict", strict);
    in_child("strict, killed", strict_killed);
    return leave_scratch();
}
