/* ptrace(2) of threads: each is traced by itself, has its own stops, and its end is told to its tracer. */
#include "trace.h"

#include <pthread.h>
#include <semaphore.h>

static sem_t step;
static pid_t thread_ids[2];
static const char *self;

static void *waits(void *argument) {
    thread_ids[(long)argument] = (pid_t)syscall(SYS_gettid);
    sem_post(&step);
    for (;;) {
        pause();
    }
    return NULL;
}

static void *ends(void *argument) {
    (void)argument;
    syscall(SYS_exit, 3);
    return NULL;
}

static void threads_that_end(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, ends, NULL);
    pthread_join(thread, NULL);
    _exit(6);
}

static void of_threads(void) {
    puts("-- a thread that is made, and ends");
    pid_t pid = tracee(threads_that_end);
    TRACE(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXIT);
    TRACE(PTRACE_CONT, pid, 0, 0);
    pid_t thread = show_new(pid, "thread");
    show_siginfo(thread);
    TRACE(PTRACE_CONT, thread, 0, 0);
    show_wait(thread, __WALL);
    printf("  message %#lx\n", message(thread));
    show_wait(pid, WNOHANG);
    TRACE(PTRACE_CONT, thread, 0, 0);
    show_wait(thread, __WALL);
    TRACE(PTRACE_CONT, thread, 0, 0);
    TRACE(PTRACE_CONT, pid, 0, 0);
    show_wait(pid, 0);
    TRACE(PTRACE_CONT, pid, 0, 0);
    show_wait(-1, __WALL);
    show_wait(-1, __WALL);
}

static void two_threads(void) {
    pthread_t thread;
    sem_init(&step, 0, 0);
    for (long i = 0; i < 2; i++) {
        pthread_create(&thread, NULL, waits, (void *)i);
        sem_wait(&step);
    }
}

/* Two threads besides the main one, which says their numbers. */
static int numbers[2];

static void says_threads(void) {
    two_threads();
    if (write(numbers[1], thread_ids, sizeof thread_ids) != sizeof thread_ids) {
        _exit(1);
    }
    for (;;) {
        pause();
    }
}

static pid_t with_threads(pid_t *threads) {
    fflush(stdout);
    if (pipe(numbers)) {
        exit(2);
    }
    pid_t pid = fork();
    if (pid == 0) {
        says_threads();
    }
    if (read(numbers[0], threads, 2 * sizeof *threads) != (ssize_t)(2 * sizeof *threads)) {
        exit(2);
    }
    close(numbers[0]), close(numbers[1]);
    printf("%s with ", label(pid));
    printf("%s and ", label(threads[0]));
    printf("%s\n", label(threads[1]));
    return pid;
}

static void one_of_them(void) {
    puts("-- one thread of several");
    pid_t threads[2], pid = with_threads(threads);
    TRACE(PTRACE_ATTACH, threads[0], 0, 0);
    show_wait(threads[0], __WALL);
    show_wait(pid, WNOHANG);
    TRACE(PTRACE_CONT, threads[1], 0, 0);
    syscall(SYS_tgkill, pid, threads[1], SIGWINCH);
    syscall(SYS_tgkill, pid, threads[0], SIGWINCH);
    TRACE(PTRACE_CONT, threads[0], 0, 0);
    show_wait(threads[0], __WALL);
    TRACE(PTRACE_CONT, threads[0], 0, SIGSTOP);
    show_wait(threads[0], __WALL);
    show_wait(pid, WUNTRACED);
    kill(pid, SIGCONT);
    TRACE(PTRACE_CONT, threads[0], 0, 0);
    kill(pid, SIGKILL);
    show_wait(threads[0], __WALL);
    show_wait(pid, 0);
}

static void all_of_them(void) {
    puts("-- all threads, and a stop of them all");
    pid_t threads[2], pid = with_threads(threads), all[3] = {pid, threads[0], threads[1]};
    for (int i = 0; i < 3; i++) {
        TRACE(PTRACE_SEIZE, all[i], 0, 0);
    }
    kill(pid, SIGSTOP);
    pid_t first = 0;
    int status = 0;
    first = waitpid(-1, &status, __WALL);
    printf("one takes the signal: %d\n", WSTOPSIG(status));
    TRACE(PTRACE_CONT, first, 0, SIGSTOP);
    for (int i = 0; i < 3; i++) {
        show_wait(all[i], __WALL);
    }
    for (int i = 0; i < 3; i++) {
        TRACE(PTRACE_LISTEN, all[i], 0, 0);
    }
    kill(pid, SIGCONT);
    for (int i = 0; i < 3; i++) {
        show_wait(all[i], __WALL);
    }
    kill(pid, SIGKILL);
    show_wait(threads[1], __WALL);
    show_wait(pid, WNOHANG | WNOWAIT);
    show_wait(threads[0], __WALL);
    show_wait(pid, 0);
    show_wait(threads[1], __WALL);
}

static void *executes(void *argument) {
    (void)argument;
    execl(self, self, "end", NULL);
    return NULL;
}

static void execute_in_thread(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, executes, NULL);
    for (;;) {
        pause();
    }
}

static void exec_of_thread(void) {
    puts("-- a thread executes a program");
    pid_t pid = tracee(execute_in_thread);
    TRACE(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC);
    TRACE(PTRACE_CONT, pid, 0, 0);
    pid_t thread = show_new(pid, "thread");
    TRACE(PTRACE_CONT, pid, 0, 0);
    TRACE(PTRACE_CONT, thread, 0, 0);
    show_wait(-1, __WALL);
    printf("  it was %s\n", label((pid_t)message(pid)));
    TRACE(PTRACE_PEEKUSER, thread, 0, 0);
    TRACE(PTRACE_CONT, pid, 0, 0);
    show_wait(-1, __WALL);
    show_wait(-1, __WALL);
}

/* Requests are the tracing thread's alone; waiting is for every thread of its process. */
static pid_t traced_here;

static void *other_thread(void *argument) {
    (void)argument;
    TRACE(PTRACE_CONT, traced_here, 0, 0);
    show_wait(traced_here, __WALL | __WNOTHREAD | WNOHANG);
    show_wait(traced_here, __WALL);
    return NULL;
}

static void own_threads(void) {
    puts("-- threads of the tracer");
    pid_t threads[2], pid = with_threads(threads);
    pthread_t thread;
    TRACE(PTRACE_ATTACH, threads[0], 0, 0);
    traced_here = threads[0];
    pthread_create(&thread, NULL, other_thread, NULL);
    pthread_join(thread, NULL);
    kill(pid, SIGKILL);
    show_wait(threads[0], __WALL);
    show_wait(pid, 0);
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "end")) {
        _exit(9);
    }
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    self = argv[0];
    of_threads();
    one_of_them();
    all_of_them();
    exec_of_thread();
    own_threads();
    return 0;
}
