/* Core dumps as programs see them: the wait status, the file and what is in it (core(5)). */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/procfs.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../asleep.h"

#define NT_SIGINFO_ 0x53494749
#define NT_FILE_ 0x46494c45

static char marker[64] = "in the data segment";
static struct {
    char *heap, *dontdump, *anon_shared, *memfd, *file_shared, *file_private, *file_changed, *closed, *untouched;
    pid_t threads[3];
} *shared; /* the child tells where it has put things */

static void limit(rlim_t soft) {
    struct rlimit both = {soft, RLIM_INFINITY};
    if (setrlimit(RLIMIT_CORE, &both)) perror("setrlimit");
}

/* -- reading a core ------------------------------------------------------------------------------------ */

static char *core;
static size_t core_size;

static int load(const char *name) {
    int fd = open(name, O_RDONLY);
    if (fd < 0) return 0;
    core_size = lseek(fd, 0, SEEK_END);
    core = mmap(NULL, core_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    return core != MAP_FAILED && core_size >= sizeof(Elf64_Ehdr);
}

static Elf64_Phdr *segments(void) { return (Elf64_Phdr *)(core + ((Elf64_Ehdr *)core)->e_phoff); }
static int segment_count(void) { return ((Elf64_Ehdr *)core)->e_phnum; }

/* The bytes of an address in the dump; NULL if they are not there. */
static char *dumped(void *address) {
    uint64_t at = (uint64_t)address;
    for (int i = 0; i < segment_count(); i++) {
        Elf64_Phdr *s = segments() + i;
        if (s->p_type == PT_LOAD && s->p_vaddr <= at && at < s->p_vaddr + s->p_filesz) return core + s->p_offset + (at - s->p_vaddr);
    }
    return NULL;
}

static void show(const char *name, char *address) {
    char *found = dumped(address);
    printf("%s: %.20s\n", name, !found ? "not there" : *found ? found : "zeros");
}

/* The nth note of a type: its contents. */
static char *note(uint32_t type, int nth, uint32_t *size) {
    Elf64_Phdr *s = segments();
    for (char *at = core + s->p_offset, *end = at + s->p_filesz; at < end;) {
        Elf64_Nhdr *n = (Elf64_Nhdr *)at;
        char *contents = at + sizeof *n + ((n->n_namesz + 3) & ~3);
        if (n->n_type == type && !nth--) {
            if (size) *size = n->n_descsz;
            return contents;
        }
        at = contents + ((n->n_descsz + 3) & ~3);
    }
    return NULL;
}

static void list_notes(void) {
    Elf64_Phdr *s = segments();
    for (char *at = core + s->p_offset, *end = at + s->p_filesz; at < end;) {
        Elf64_Nhdr *n = (Elf64_Nhdr *)at;
        char *name = at + sizeof *n;
        if (!strcmp(name, "CORE")) {
            int is_fixed = n->n_type == NT_PRPSINFO || n->n_type == NT_SIGINFO_;
            printf(" %x/%d", n->n_type, is_fixed ? (int)n->n_descsz : n->n_type == NT_PRSTATUS && n->n_descsz == sizeof(struct elf_prstatus));
        }
        at = name + ((n->n_namesz + 3) & ~3) + ((n->n_descsz + 3) & ~3);
    }
    printf("\n");
}

/* -- dying ---------------------------------------------------------------------------------------------- */

/* Let a child die, say how it did, and give its number. */
static pid_t die(const char *what, void (*how)(void)) {
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        how();
        _exit(7);
    }
    siginfo_t info;
    int status = 0;
    waitid(P_PID, child, &info, WEXITED | WNOWAIT);
    waitpid(child, &status, 0);
    printf("%s: status %#x dumped %d code %d %d", what, status, !!WCOREDUMP(status), info.si_code, info.si_status);
    struct stat st;
    if (lstat("core", &st)) printf(", no file\n");
    else if (S_ISREG(st.st_mode)) printf(", mode %o own %d links %d %s\n", st.st_mode, st.st_uid == geteuid() && st.st_gid == getegid(), (int)st.st_nlink, st.st_size ? "full" : "empty");
    else printf(", type %o\n", st.st_mode & S_IFMT);
    return child;
}

static void crash(void) { *(volatile int *)16 = 1; }
static void abort_(void) { abort(); }
static void die_by_kill(void) { kill(getpid(), SIGKILL); }
static void quit(void) { raise(SIGQUIT); }
static void terminate(void) { raise(SIGTERM); }
static void not_dumpable(void) { prctl(PR_SET_DUMPABLE, 0); crash(); }
static void dumpable_again(void) { prctl(PR_SET_DUMPABLE, 0); prctl(PR_SET_DUMPABLE, 1); crash(); }
static void too_small(void) { limit(4095); crash(); }
static void smallest(void) { limit(4096); crash(); }
static void masked(void) { umask(0400); crash(); }
static void elsewhere(void) { if (chdir("/proc/self")) perror("chdir"); crash(); }

static void forbidden_call(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {4, code};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) perror("seccomp");
    signal(SIGSYS, SIG_IGN);
    syscall(SYS_getppid);
}

static char *map(int prot, int flags, int fd, const char *text) {
    char *place = mmap(NULL, 3 * 4096, prot | PROT_WRITE, flags, fd, 0);
    if (text) strcpy(place, text);
    if (!(prot & PROT_WRITE)) mprotect(place, 3 * 4096, prot);
    return place;
}

static void put_things(void) {
    int fd = open("mapped", O_RDWR | O_CREAT, 0644), nameless = memfd_create("nameless", 0);
    if (write(fd, "in the file", 11) != 11 || ftruncate(fd, 3 * 4096) || ftruncate(nameless, 3 * 4096)) perror("file");
    shared->heap = strcpy(malloc(64), "on the heap");
    shared->dontdump = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, "not to be dumped");
    madvise(shared->dontdump, 3 * 4096, MADV_DONTDUMP);
    shared->anon_shared = map(PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, "shared");
    shared->memfd = map(PROT_READ | PROT_WRITE, MAP_SHARED, nameless, "without a name");
    shared->file_shared = map(PROT_READ | PROT_WRITE, MAP_SHARED, fd, NULL);
    shared->file_private = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    shared->file_changed = map(PROT_READ, MAP_PRIVATE, fd, "changed");
    shared->closed = map(PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, "behind no right");
    shared->untouched = mmap(NULL, 3 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    strcpy(marker, "changed in the data");
}

static void things(void) { put_things(); crash(); }

static void filtered(void) {
    int fd = open("/proc/self/coredump_filter", O_WRONLY);
    if (write(fd, "0xc", 3) != 3) perror("coredump_filter");
    put_things();
    crash();
}

static void show_things(void) {
    show("data", marker);
    show("heap", shared->heap);
    show("dontdump", shared->dontdump);
    show("shared", shared->anon_shared);
    show("memfd", shared->memfd);
    show("shared file", shared->file_shared);
    show("private file", shared->file_private);
    show("changed file", shared->file_changed);
    show("no rights", shared->closed);
    show("never touched", shared->untouched);
}

static int never[2];

static void *sleeper(void *number) {
    char letter;
    shared->threads[(long)number] = syscall(SYS_gettid);
    return (void *)read(never[0], &letter, 1);
}

static void *crasher(void *_) {
    shared->threads[2] = syscall(SYS_gettid);
    crash();
    return _;
}

static void with_threads(void) {
    pthread_t thread;
    if (pipe(never)) perror("pipe");
    for (long i = 0; i < 2; i++) {
        pthread_create(&thread, NULL, sleeper, (void *)i);
        while (!*(volatile pid_t *)&shared->threads[i]) sched_yield();
        until_asleep(shared->threads[i]);
    }
    prctl(PR_SET_NAME, "many threads");
    pthread_create(&thread, NULL, crasher, NULL);
    pthread_join(thread, NULL);
}

static void show_threads(pid_t child) {
    int count = 0, known = 0;
    struct elf_prstatus *status;
    for (; (status = (void *)note(NT_PRSTATUS, count, NULL)); count++) {
        known += status->pr_pid == child || status->pr_pid == shared->threads[0] || status->pr_pid == shared->threads[1];
        if (!count) printf("first is the crasher: %d, signal %d %d, fpu %d\n", status->pr_pid == shared->threads[2], status->pr_cursig, status->pr_info.si_signo, status->pr_fpvalid);
    }
    printf("%d threads, %d of them others\n", count, known);
    struct elf_prpsinfo *info = (void *)note(NT_PRPSINFO, 0, NULL);
    printf("name %s, arguments %d, %c, pid %d, parent %d, user %d\n", info->pr_fname, !!strstr(info->pr_psargs, "core_dumps"), info->pr_sname, info->pr_pid == child, info->pr_ppid == getpid(), info->pr_uid == getuid());
    siginfo_t *siginfo = (void *)note(NT_SIGINFO_, 0, NULL);
    printf("siginfo %d %d %p\n", siginfo->si_signo, siginfo->si_code, siginfo->si_addr);
    uint64_t *vector = (void *)note(NT_AUXV, 0, NULL), entry = 0;
    for (; *vector; vector += 2) if (*vector == AT_PAGESZ) entry = vector[1];
    printf("page size %d\n", (int)entry);
    uint32_t size;
    uint64_t *files = (void *)note(NT_FILE_, 0, &size);
    char *names = (char *)(files + 2 + 3 * files[0]);
    int has_program = 0;
    for (uint64_t i = 0; i < files[0]; i++, names += strlen(names) + 1)
        has_program |= files[2 + 3 * i] <= (uint64_t)show && (uint64_t)show < files[3 + 3 * i] && strstr(names, "core_dumps");
    printf("files: unit %d, program %d, whole %d\n", (int)files[1], has_program, names == (char *)files + size);
}

/* -- the filter ----------------------------------------------------------------------------------------- */

static void show_filter(const char *who) {
    char text[20] = "";
    int fd = open("/proc/self/coredump_filter", O_RDONLY);
    if (read(fd, text, 19) < 0) perror("read");
    close(fd);
    printf("%s has %s", who, text);
    fflush(stdout);
}

static void try_filter(char *program) {
    show_filter("at first");
    int fd = open("/proc/self/coredump_filter", O_WRONLY);
    printf("%d", (int)write(fd, "0x7f\n", 5));
    printf(" %d", (int)write(fd, "rubbish", 7));
    printf(" %d\n", errno);
    show_filter("then");
    if (!fork()) {
        show_filter("child");
        execl(program, program, "filter", NULL);
    }
    wait(NULL);
    printf("%d\n", (int)pwrite(fd, "51", 2, 0));
    close(fd);
    show_filter("again");
}

/* -- what hinders ---------------------------------------------------------------------------------------- */

static void in_the_way(void) {
    int fd = open("victim", O_RDWR | O_CREAT, 0666);
    struct stat st;
    if (write(fd, "precious", 8) != 8 || symlink("victim", "core")) perror("victim");
    die("over a symbolic link", crash);
    unlink("core");
    if (link("victim", "core")) perror("link");
    die("over another name", crash);
    unlink("core");
    fstat(fd, &st);
    printf("victim: %d bytes\n", (int)st.st_size);
    if (mkfifo("core", 0666)) perror("mkfifo");
    die("over a pipe", crash);
    unlink("core");
    if (mkdir("core", 0777)) perror("mkdir");
    die("over a directory", crash);
    rmdir("core");
    unlink("victim");
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "filter")) {
        show_filter("program");
        return 0;
    }
    char place[] = "cores-XXXXXX", program[4096] = "";
    if (readlink("/proc/self/exe", program, sizeof program - 1) < 0 || !mkdtemp(place) || chdir(place)) perror(place);
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    limit(0);
    die("limit 0", crash);
    limit(RLIM_INFINITY);
    die("crash", crash);
    if (load("core")) {
        Elf64_Ehdr *head = (Elf64_Ehdr *)core;
        printf("type %d, header %d %d, first segment %d, notes", head->e_type, head->e_ehsize, head->e_phentsize, segments()->p_type);
        list_notes();
        show("data", marker);
    }
    unlink("core");
    die("abort", abort_); unlink("core");
    die("kill", die_by_kill);
    die("quit", quit); unlink("core");
    die("terminate", terminate);
    die("forbidden call", forbidden_call); unlink("core");
    die("not dumpable", not_dumpable);
    die("dumpable again", dumpable_again); unlink("core");
    die("limit 4095", too_small);
    die("limit 4096", smallest);
    struct stat st;
    stat("core", &st);
    printf("at most 4096: %d\n", st.st_size <= 4096);
    unlink("core");
    die("masked", masked); unlink("core");
    die("nowhere to write", elsewhere);
    die("things", things);
    if (load("core")) show_things();
    unlink("mapped"); unlink("core");
    die("other things", filtered);
    if (load("core")) show_things();
    unlink("mapped"); unlink("core");
    pid_t child = die("threads", with_threads);
    if (load("core")) show_threads(child);
    unlink("core");
    in_the_way();
    try_filter(program);
    if (chdir("..") || rmdir(place)) perror("at the end");
}
