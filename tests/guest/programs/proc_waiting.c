/* /proc/PID/wchan, syscall, stat and map_files: what others see of a process that sleeps, of its memory and what it has mapped. */
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

/* What /proc/PID/syscall says. */
static const char *describe(const char *call) {
    static char text[256];
    long number, arguments[6];
    unsigned long stack, place;
    int found = sscanf(call, "%ld %lx %lx %lx %lx %lx %lx %lx %lx", &number, &arguments[0], &arguments[1], &arguments[2], &arguments[3],
                       &arguments[4], &arguments[5], &stack, &place);
    if (found < 1) return call;
    snprintf(text, sizeof text, "%d words, %s; %s, %s\n", found,
             number == SYS_read && arguments[0] == fds[0] && arguments[1] == (long)&byte && arguments[2] == 1 ? "our read"
             : number == SYS_futex && arguments[0] == (long)&word && arguments[1] == FUTEX_WAIT ? "our futex"
             : number == SYS_wait4 ? "wait4"
             : number == SYS_nanosleep || number == SYS_clock_nanosleep ? "a nap" : "?",
             stack > (unsigned long)&found - 65536 && stack < (unsigned long)&found + 65536 ? "on the stack" : "?",
             place ? "in the program" : "?");
    return text;
}

/* Until it says what is expected: on its way a process may sleep for other things too. */
static void look(const char *what, void (*act)(void), const char *channel, const char *call) {
    char seen[128] = "", words[256] = "";
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        setpgid(0, 0);
        act();
        _exit(0);
    }
    setpgid(pid, pid);
    for (time_t end = time(NULL) + 150; time(NULL) < end && (strcmp(seen, channel) || strncmp(describe(words), call, strlen(call)));) {
        read_text(pid, "wchan", seen, sizeof seen);
        read_text(pid, "syscall", words, sizeof words);
        if (!strcmp(channel, "any")) strcpy(seen, channel); /* the name of a function that is not the same in all kernels */
    }
    printf("%s: %s, %s", what, seen, describe(words));
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

/* Addresses in /proc/PID/stat, by what is there. */
static void places(char **argv) {
    static int initialized = 1;
    char text[1024], *at = text;
    unsigned long fields[53];
    extern char **environ;
    read_text(getpid(), "stat", text, sizeof text);
    at = strrchr(text, ')') + 4;
    for (int i = 4; i <= 52; i++) fields[i] = strtoul(at, &at, 10);
    printf("code %d, data %d, heap %d, stack %d, arguments %d, environment %d\n",
           fields[26] <= (unsigned long)places && (unsigned long)places < fields[27],
           fields[45] <= (unsigned long)&initialized && (unsigned long)&initialized < fields[46], fields[46] <= fields[47],
           fields[28] > (unsigned long)text && fields[28] < fields[48], fields[48] == (unsigned long)argv[0] && fields[49] == fields[50],
           fields[50] == (unsigned long)environ[0] && fields[51] > fields[50]);
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    places(argv);
    if (pipe(fds)) return 1;
    look("sleeps", naps, "hrtimer_nanosleep", "9 words, a nap; on the stack, in the program");
    look("reads", reads, "any", "9 words, our read; on the stack, in the program");
    look("waits", waits, "any", "9 words, our futex; on the stack, in the program");
    look("waits for a child", waits_for_child, "do_wait", "9 words, wait4; on the stack, in the program");
    look("runs", spins, "0", "running");
    mapped(scratch);
    return leave_scratch();
}
