/* Too much of everything, and threads that end each other. Arguments: seed, first and last step, "show" to tell each step;
 * or "again" for one who has been executed. */
#define PATIENCE 300
#include "hostile.h"

#include <dirent.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/uio.h>

static int show;
static char own[] = "/proc/self/exe";

/* -- files of the kernel -- */

static void try_file(const char *path)
{
    static char buffer[1 << 16];
    static const int modes[] = {O_RDONLY, O_WRONLY, O_RDWR};
    for (unsigned i = 0; i < LENGTH(modes); i++) {
        int fd = open(path, modes[i] | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
            continue;
        for (int turn = 0; turn < 3 && read(fd, buffer, 1 + below(sizeof buffer)) > 0; turn++)
            ;
        fill_randomly(buffer, 64);
        if (modes[i] != O_RDONLY && write(fd, buffer, below(64)) < 0)
            lseek(fd, (off_t)number(), SEEK_SET);
        pread(fd, buffer, 100, (off_t)(number() >> below(64)));
        pwrite(fd, buffer, 100, (off_t)(number() >> below(64)));
        lseek(fd, (off_t)(number() >> below(64)), (int)below(6));
        ftruncate(fd, 0);
        ioctl_wildly: syscall(SYS_ioctl, fd, 0x5400 + below(100), buffer);
        if (below(3))
            goto ioctl_wildly;
        mmap(0, PAGE, PROT_READ, MAP_SHARED, fd, 0);
        close(fd);
    }
    readlink(path, buffer, sizeof buffer);
    struct stat status;
    stat(path, &status);
}

static void read_tree(const char *path, int depth)
{
    DIR *directory = opendir(path);
    char below_it[600];
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(below_it, sizeof below_it, "%s/%s", path, entry->d_name);
        if (entry->d_type == DT_DIR && depth)
            read_tree(below_it, depth - 1);
        else if (strcmp(entry->d_name, "oom_score_adj") && strcmp(entry->d_name, "mem") && strcmp(entry->d_name, "stdout") && strcmp(entry->d_name, "1"))
            try_file(below_it);
    }
    if (directory)
        closedir(directory);
}

static void all_of_proc(void)
{
    read_tree("/proc", 1);
    read_tree("/proc/self", 3);
}

static void all_of_dev(void)
{
    read_tree("/dev", 2);
}

/* -- too many -- */

static void descriptors(void)
{
    struct rlimit many = {4096, 4096};
    setrlimit(RLIMIT_NOFILE, &many);
    int pair[2], fd;
    while (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pipe(pair) == 0)
        ;
    while ((fd = memfd_create("m", 0)) >= 0)
        write(fd, "x", 1);
    dup2(0, 4095);
    dup2(0, 4096);
    dup2(0, INT_MAX);
}

static void descriptors_on_their_way(void)
{
    int pair[2];
    char data = 0, control[CMSG_SPACE(sizeof(int) * 2)] = {0};
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    for (int i = 0; i < 50; i++) {
        struct iovec piece = {&data, 1};
        struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = (int)(below(2) ? SCM_RIGHTS : below(4));
        header->cmsg_len = below(2) ? CMSG_LEN(sizeof(int) * 2) : number() >> below(64);
        ((int *)CMSG_DATA(header))[0] = pair[below(2)]; /* itself: a circle that nobody can open any more */
        ((int *)CMSG_DATA(header))[1] = below(2) ? pair[below(2)] : (int)number();
        if (below(4) == 0)
            message.msg_controllen = number() >> below(64);
        sendmsg(pair[below(2)], &message, MSG_DONTWAIT);
    }
}

static void fork_bomb(void)
{
    for (int i = 0; i < 7; i++)
        if (fork() == 0 && below(3) == 0)
            _exit(0);
}

static void deep_directories(void)
{
    char name[256];
    memset(name, 'x', 255);
    name[255] = 0;
    chdir("/tmp");
    for (int i = 0; i < 60; i++) {
        mkdir(name, 0777);
        if (chdir(name) != 0)
            break;
        for (int c = 1; c < 256; c += 51) {
            char odd[3] = {(char)c, (char)(c + 7), 0};
            close(creat(odd, 0666));
        }
    }
    char path[8192];
    getcwd(path, sizeof path);
    read_tree(".", 1);
    read_tree("/proc/self/fd", 1);
}

/* -- programs -- */

static void huge_arguments(void)
{
    static char *arguments[100000], *none[] = {0};
    size_t length = 1ul << below(18);
    char *word = malloc(length + 1);
    memset(word, 'a', length);
    word[length] = 0;
    unsigned count = (unsigned)below(LENGTH(arguments) - 1);
    for (unsigned i = 0; i < count; i++)
        arguments[i] = word;
    arguments[count] = below(2) ? 0 : (char *)number();
    execve(own, arguments, none);
    execve(own, (char **)number(), none);
    execve(own, 0, 0);
}

static void scripts(void)
{
    char name[64], text[400] = "#!", self[64];
    snprintf(self, sizeof self, "/tmp/script-%d", (int)getpid());
    memset(text + 2, below(2) ? ' ' : 'x', 300);
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "%s-%d", self, i);
        int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0777);
        switch (below(5)) {
        case 0: dprintf(fd, "#!%s\n", name); break;
        case 1: write(fd, text, below(400)); break;
        case 2: dprintf(fd, "#!\n"); break;
        case 3: dprintf(fd, "#!%s", i ? self : own); break;
        default: dprintf(fd, "#! %s-%d  a b c \t\n", self, i - 1);
        }
        close(fd);
        if (fork() == 0) {
            execl(name, name, "again", (char *)0);
            _exit(1);
        }
    }
}

/* -- threads -- */

static void *torment(void *nothing)
{
    static uint32_t words[8];
    (void)nothing;
    random_state += (uint64_t)&nothing;
    for (int i = 0; i < 30; i++) {
        pthread_t another;
        int tid = getpid() + (int)below(12) - 2;
        switch (below(16)) {
        case 0: syscall(SYS_tgkill, getpid(), tid, below(3) ? SIGUSR1 : below(65)); break;
        case 1: syscall(SYS_exit, 0); break;
        case 2: if (below(12) == 0) syscall(SYS_exit_group, 3); break;
        case 3: if (below(6) == 0) execl(own, own, "again", (char *)0); break;
        case 4: if (fork() == 0) { if (below(2)) execl(own, own, "again", (char *)0); _exit(0); } break;
        case 5: if (vfork() == 0) _exit(0); break;
        case 6: if (pthread_create(&another, 0, torment, 0) == 0) pthread_detach(another); break;
        case 7: syscall(SYS_futex, words + below(8), below(13) | (below(2) ? 128 : 0), below(3), &(struct timespec){0, 1000000}, words + below(8), below(3)); break;
        case 8: syscall(SYS_futex, number(), below(13), below(3), &(struct timespec){0, 1000000}, number(), below(3)); break;
        case 9: mprotect((void *)((uint64_t)words & -PAGE), PAGE, PROT_READ | (below(4) ? PROT_WRITE : 0)); break;
        case 10: raise(SIGSTOP + (int)below(4)); kill(getpid(), SIGCONT); break;
        case 11: waitpid(-1, 0, below(2) ? WNOHANG : 0); break;
        case 12: syscall(SYS_set_robust_list, number(), 24); break;
        case 13: usleep(500); break;
        case 14: munmap(mmap(0, PAGE * 8, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), PAGE * 8); break;
        default: kill(getpid(), SIGUSR1);
        }
    }
    return 0;
}

static void handle(int signal)
{
    (void)signal;
    sched_yield();
}

static void threads(void)
{
    pthread_t thread;
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = handle, .sa_flags = below(2) ? SA_RESTART : SA_NODEFER}, 0);
    for (int i = 0; i < 5; i++)
        pthread_create(&thread, 0, torment, 0);
    torment(0);
}

static void nothing_to_set_up(void)
{
}

static const struct {
    const char *name;
    void (*run)(void);
} ways[] = {
    {"all_of_proc", all_of_proc}, {"threads", threads}, {"all_of_dev", all_of_dev}, {"descriptors", descriptors}, {"threads", threads},
    {"descriptors_on_their_way", descriptors_on_their_way}, {"fork_bomb", fork_bomb}, {"deep_directories", deep_directories},
    {"huge_arguments", huge_arguments}, {"scripts", scripts}, {"threads", threads},
};

static void step(uint64_t seed, uint64_t index)
{
    begin_step(seed, index);
    if (show)
        fprintf(stderr, "%lu: %s\n", index, ways[index % LENGTH(ways)].name);
    ways[index % LENGTH(ways)].run();
    _exit(0);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 0;
    show = argc > 4;
    survive(strtoul(argv[1], 0, 0), strtoul(argv[2], 0, 0), strtoul(argv[3], 0, 0), nothing_to_set_up, step);
    return 0;
}
