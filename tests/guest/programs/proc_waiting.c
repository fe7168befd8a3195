/* /proc/PID/wchan, syscall and map_files: what others see of a process that sleeps, and of what it has mapped. */
#include "report.h"

#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

static int fds[2];
static char byte;
static int word;

static void naps(void) { nanosleep(&(struct timespec){1000, 0}, NULL); }
static void reads(void) { if (read(fds[0], &byte, 1)) _exit(1); }
static void waits(void) { syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL); }
static void spins(void) { for (;;) __asm__ volatile(""); }
static void waits_for_child(void) {
    if (!fork()) for (;;) pause();
    wait(NULL);
}

static int read_text(pid_t pid, const char *name, char *text, size_t size) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    int fd = open(path, O_RDONLY);
    ssize_t length = read(fd, text, size - 1);
    close(fd);
    text[length > 0 ? length : 0] = 0;
    return length >= 0;
}

static void wait_until(pid_t pid, char state) {
    char text[512];
    do read_text(pid, "stat", text, sizeof text);
    while (strrchr(text, ')') == NULL || strrchr(text, ')')[2] != state);
}

static void look(const char *what, void (*act)(void), char state) {
    char channel[128], call[256];
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        setpgid(0, 0);
        act();
        _exit(0);
    }
    setpgid(pid, pid);
    wait_until(pid, state);
    read_text(pid, "wchan", channel, sizeof channel);
    read_text(pid, "syscall", call, sizeof call);
    printf("%s: ", what);
    if (act != reads) printf("%s, ", channel); /* of a pipe: the name of a function that need not stay */
    long number, arguments[6];
    unsigned long stack, place;
    int found = sscanf(call, "%ld %lx %lx %lx %lx %lx %lx %lx %lx", &number, &arguments[0], &arguments[1], &arguments[2], &arguments[3],
                       &arguments[4], &arguments[5], &stack, &place);
    if (found < 1) printf("%s", call);
    else printf("%d words, %s; %s, %s\n", found,
                number == SYS_read && arguments[0] == fds[0] && arguments[1] == (long)&byte && arguments[2] == 1 ? "our read"
                : number == SYS_futex && arguments[0] == (long)&word && arguments[1] == FUTEX_WAIT ? "our futex"
                : number == SYS_wait4 ? "wait4"
                : number == SYS_nanosleep || number == SYS_clock_nanosleep ? "a nap" : "?",
                stack > (unsigned long)&found - 65536 && stack < (unsigned long)&found + 65536 ? "on the stack" : "?",
                place ? "in the program" : "?");
    kill(-pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void mapped(const char *directory) {
    char path[128], target[PATH_MAX] = "", expected[PATH_MAX];
    struct stat status;
    int fd = open("file", O_RDWR | O_CREAT, 0600);
    CALL(ftruncate(fd, 8192));
    char *at = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", (long)at, (long)at + 8192);
    OK(readlink(path, target, sizeof target - 1));
    snprintf(expected, sizeof expected, "%s/file", directory);
    printf("the file: %d\n", !strcmp(target, expected));
    CALL(lstat(path, &status));
    printf("mode %o size %ld\n", status.st_mode, (long)status.st_size);
    strcpy(at, "text");
    if (geteuid() == 0) {
        int again = open(path, O_RDONLY);
        CALL(read(again, target, 4));
        printf("%.4s\n", target);
        close(again);
    }
    CALL(mprotect(at, 4096, PROT_READ));
    CALL(lstat(path, &status));
    snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", (long)at, (long)at + 4096);
    CALL(lstat(path, &status));
    printf("mode %o\n", status.st_mode);
    CALL(munmap(at, 8192));
    CALL(lstat(path, &status));
    CALL(lstat("/proc/self/map_files", &status));
    printf("mode %o\n", status.st_mode);
    CALL(lstat("/proc/self/map_files/x", &status));
    CALL(lstat("/proc/self/task", &status));
    CALL(unlink("file"));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    if (pipe(fds)) return 1;
    look("sleeps", naps, 'S');
    look("reads", reads, 'S');
    look("waits", waits, 'S');
    look("waits for a child", waits_for_child, 'S');
    look("runs", spins, 'R');
    mapped(scratch);
    return leave_scratch();
}
