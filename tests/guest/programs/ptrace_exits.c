/* ptrace(2): PTRACE_EVENT_EXIT, whatever a thread ends of. Each is waited for by its number, as threads end in any order. */
#include "trace.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>

static int numbers[2], commands[2];
static const char *self;
static pid_t threads[2];

/* What the program does next comes from its tracer: 'g' and 't' are for the main thread, the others for the second. */
static void obey(char command) {
    switch (command) {
    case 'g': case 'G': _exit(5);
    case 't': case 'T': syscall(SYS_exit, 6); break;
    case 'e': execl(self, self, "end", NULL); break;
    case 's': *(volatile int *)WILD = 1; break;
    case 'k': {
        struct sock_filter code[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgid, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_THREAD),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog filter = {LENGTH(code), code};
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
        break;
    }
    case 'p': syscall(SYS_getppid); break;
    case 'h': syscall(SYS_getpgid, 0); break;
    }
}

static void *second(void *argument) {
    (void)argument;
    threads[0] = (pid_t)syscall(SYS_gettid);
    if (write(numbers[1], threads, sizeof threads[0]) != sizeof threads[0]) _exit(1);
    for (;;) pause();
}

static void *third(void *argument) {
    (void)argument;
    threads[1] = (pid_t)syscall(SYS_gettid);
    if (write(numbers[1], threads + 1, sizeof threads[0]) != sizeof threads[0]) _exit(1);
    for (char command; read(commands[0], &command, 1) == 1;) obey(command);
    return NULL;
}

static void program(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, third, NULL);
    pthread_create(&thread, NULL, second, NULL);
    for (;;) pause();
}

static pid_t all[3];

/* A process of three threads, the first two in pause, the third one obeying; all seized. */
static void begin(const char *what) {
    printf("-- %s\n", what);
    fflush(stdout);
    if (pipe(numbers) || pipe(commands)) exit(2);
    all[0] = fork();
    if (!all[0]) program();
    pid_t found[2];
    for (int i = 0; i < 2; i++) if (read(numbers[0], &found[i], sizeof *found) != sizeof *found) exit(2);
    int is_first = found[0] < found[1]; /* the obeying one was made first */
    all[1] = found[is_first], all[2] = found[!is_first];
    for (int i = 0; i < 3; i++) {
        label(all[i]);
        trace(PTRACE_SEIZE, all[i], NULL, (void *)PTRACE_O_TRACEEXIT);
    }
}

static void command(const char *letters) {
    if (write(commands[1], letters, strlen(letters)) < 0) exit(2);
}

/* The stop at the end of a thread: with its message, and registers that can be read. */
static void ends(pid_t tid) {
    struct iovec registers = {(char[1024]){0}, 1024};
    show_wait(tid, __WALL);
    printf("  message %#lx\n", message(tid));
    TRACE(PTRACE_GETREGSET, tid, NT_PRSTATUS, &registers);
}

static void go_on(pid_t tid) { TRACE(PTRACE_CONT, tid, 0, 0); }

static void finish(void) {
    for (int i = 0; i < 2; i++) close(numbers[i]), close(commands[i]);
    memset(known, 0, sizeof known);
}

static void all_end(void) {
    for (int i = 0; i < 3; i++) ends(all[i]);
}

static void let_them_end(void) {
    for (int i = 0; i < 3; i++) go_on(all[i]);
    show_wait(all[1], __WALL);
    show_wait(all[2], __WALL);
    show_wait(all[0], __WALL);
    finish();
}

static void whole_process(const char *what, const char *letters, int signal) {
    begin(what);
    command(letters);
    if (signal) kill(all[0], signal);
    all_end();
    show_wait(all[0], WNOHANG);
    let_them_end();
}

static void of_a_signal(int signal) {
    begin("a signal that the tracer lets through");
    syscall(SYS_tgkill, all[0], all[1], signal);
    show_wait(all[1], __WALL);
    TRACE(PTRACE_CONT, all[1], 0, signal);
    all_end();
    let_them_end();
}

static void of_a_fault(void) {
    begin("a fault");
    command("s");
    show_wait(all[2], __WALL);
    TRACE(PTRACE_CONT, all[2], 0, SIGSEGV);
    all_end();
    let_them_end();
}

static void of_one_thread(const char *what, const char *letters) {
    begin(what);
    command(letters);
    ends(all[2]);
    show_wait(all[0], __WALL | WNOHANG);
    show_wait(all[1], __WALL | WNOHANG);
    go_on(all[2]);
    show_wait(all[2], __WALL);
    kill(all[0], SIGKILL);
    ends(all[0]);
    ends(all[1]);
    go_on(all[1]);
    go_on(all[0]);
    show_wait(all[1], __WALL);
    show_wait(all[0], __WALL);
    finish();
}

static void of_an_exec(void) {
    begin("another thread executes a program");
    command("e");
    ends(all[0]);
    ends(all[1]);
    show_wait(all[2], __WALL | WNOHANG);
    go_on(all[1]);
    show_wait(all[1], __WALL);
    go_on(all[0]);
    ends(all[0]); /* of the program, which has the number now */
    go_on(all[0]);
    show_wait(all[0], __WALL);
    show_wait(-1, __WALL);
    finish();
}

static void killed_in_stop(void) {
    begin("in a stop before, and killed in the stop at the end");
    TRACE(PTRACE_INTERRUPT, all[1], 0, 0);
    show_wait(all[1], __WALL);
    command("G");
    ends(all[1]);
    ends(all[2]);
    ends(all[0]);
    CALL(kill(all[0], SIGKILL)); /* they end anyway, when the tracer wants */
    CALL((int)syscall(SYS_tgkill, all[0], all[1], SIGKILL));
    show_wait(all[1], __WALL | WNOHANG);
    let_them_end();
}

static void killed_alone(void) {
    begin("one thread ends, and all are killed meanwhile");
    command("T");
    ends(all[2]);
    CALL(kill(all[0], SIGKILL));
    ends(all[0]);
    ends(all[1]);
    show_wait(all[2], __WALL);
    go_on(all[0]);
    go_on(all[1]);
    show_wait(all[1], __WALL);
    show_wait(all[0], __WALL);
    finish();
}

static void let_go(void) {
    begin("let go in the stop at the end");
    command("G");
    all_end();
    for (int i = 0; i < 3; i++) TRACE(PTRACE_DETACH, all[i], 0, 0);
    show_wait(all[0], 0);
    show_wait(-1, __WALL);
    finish();
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "end")) _exit(9);
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    self = argv[0];
    whole_process("exit_group of another thread", "G", 0);
    whole_process("SIGKILL", "", SIGKILL);
    whole_process("a filter that kills the process", "kp", 0);
    of_a_signal(SIGTERM);
    of_a_signal(SIGABRT);
    of_a_fault();
    of_one_thread("exit", "T");
    of_one_thread("a filter that kills the thread", "kh");
    of_an_exec();
    killed_in_stop();
    killed_alone();
    let_go();
    return 0;
}
