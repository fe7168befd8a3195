/* What execve makes of credentials: set-user-ID, set-group-ID, capabilities of files, and what limits them.
 * All but the last lines want root, natively and in the guest. */
#include "report.h"

#include <linux/capability.h>
#include <linux/securebits.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define ALL 0x1ffffffffffULL
#define BIT(capability) (1ULL << (capability))

typedef unsigned long long set_t;

static void get_sets(set_t sets[3]) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    syscall(SYS_capget, &header, data);
    sets[0] = data[0].permitted | (set_t)data[1].permitted << 32;
    sets[1] = data[0].effective | (set_t)data[1].effective << 32;
    sets[2] = data[0].inheritable | (set_t)data[1].inheritable << 32;
}

static void set_sets(set_t permitted, set_t effective, set_t inheritable) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{effective, permitted, inheritable},
                                             {effective >> 32, permitted >> 32, inheritable >> 32}};
    if (syscall(SYS_capset, &header, data) < 0) {
        printf("capset: %s\n", error_name(errno));
    }
}

/* What a container's root has, so that it is the same wherever the test runs. */
static void take_usual(void) {
    static const char usual[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_KILL, CAP_SETGID,
                                 CAP_SETUID, CAP_SETPCAP, CAP_NET_RAW, CAP_SYS_CHROOT, CAP_SETFCAP};
    set_t sets = 0;
    for (size_t i = 0; i < LENGTH(usual); i++) {
        sets |= BIT(usual[i]);
    }
    for (int i = 0; i <= 40; i++) {
        if (!(sets & BIT(i))) {
            prctl(PR_CAPBSET_DROP, i);
        }
    }
    set_sets(sets, sets, 0);
}

static int show(void) {
    uid_t uids[3];
    gid_t gids[3];
    set_t sets[3], ambient = 0;
    int signal = 0;
    getresuid(&uids[0], &uids[1], &uids[2]);
    getresgid(&gids[0], &gids[1], &gids[2]);
    get_sets(sets);
    for (int i = 0; i <= 40; i++) {
        ambient |= (set_t)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) << i;
    }
    prctl(PR_GET_PDEATHSIG, &signal);
    printf("  uid %d %d %d %d gid %d %d %d p %llx e %llx i %llx a %llx", uids[0], uids[1], uids[2], setfsuid(-1),
           gids[0], gids[1], gids[2], sets[0], sets[1], sets[2], ambient);
    printf(" secure %lu dumpable %d bits %x personality %x death %d\n", getauxval(AT_SECURE),
           prctl(PR_GET_DUMPABLE), prctl(PR_GET_SECUREBITS), personality(0xffffffff), signal);
    return fflush(stdout);
}

static void copy_self(const char *name, uid_t uid, gid_t gid, mode_t mode) {
    char buffer[1 << 16];
    int in = open("/proc/self/exe", O_RDONLY), out = open(name, O_CREAT | O_WRONLY, 0700);
    for (ssize_t count; (count = read(in, buffer, sizeof buffer)) > 0;) {
        if (write(out, buffer, count) != count) {
            exit(3);
        }
    }
    close(in), close(out);
    if (chown(name, uid, gid) < 0 || chmod(name, mode) < 0) {
        exit(4);
    }
}

static void give(const char *name, uint32_t magic, set_t permitted, set_t inheritable) {
    uint32_t value[6] = {magic, permitted, inheritable, permitted >> 32, inheritable >> 32, 0};
    size_t size = (magic & VFS_CAP_REVISION_MASK) == VFS_CAP_REVISION_3 ? 24 : 20;
    if (setxattr(name, "security.capability", value, size, 0) < 0) {
        printf("setxattr %s: %s\n", name, error_name(errno));
    }
}

static void be(uid_t uid) {
    if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0) {
        printf("cannot be %d\n", uid);
    }
}

static void user(void) { be(1000); }
static void member(void) { gid_t group = 50; be(0), setgroups(1, &group), setresgid(1000, 1000, 1000), setresuid(1000, 1000, 1000); }
static void root(void) {}
static void real_root(void) { CALL(setresuid(0, 1000, 1000)); }
static void effective_root(void) { CALL(setresuid(1000, 0, 0)); }
static void noroot(void) { CALL(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_KEEP_CAPS)); }
static void bounded(void) { CALL(prctl(PR_CAPBSET_DROP, CAP_NET_RAW)), CALL(prctl(PR_CAPBSET_DROP, CAP_CHOWN)), user(); }
static void bounded_root(void) { CALL(prctl(PR_CAPBSET_DROP, CAP_NET_RAW)); }
static void bound(void) { user(), CALL(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); }
static void bound_root(void) { CALL(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)), CALL(setresuid(0, 1000, 1000)); }
static void weak(void) { personality(ADDR_NO_RANDOMIZE | UNAME26), user(); }
static void dying(void) { user(), prctl(PR_SET_PDEATHSIG, SIGUSR1); }
static void keeping(void) {
    prctl(PR_SET_KEEPCAPS, 1), user();
    set_sets(BIT(CAP_NET_RAW) | BIT(CAP_CHOWN) | BIT(CAP_SETUID), BIT(CAP_NET_RAW), BIT(CAP_NET_RAW) | BIT(CAP_CHOWN));
}
static void ambient(void) {
    keeping(), CALL(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0));
}

static int sharer(void *unused) {
    (void)unused;
    pause();
    return 0;
}

static char stack[1 << 14] __attribute__((aligned(16)));

/* Somebody else could change the working directory while the program runs. */
static void sharing(void) { user(), OK(clone(sharer, stack + sizeof stack, CLONE_FS, NULL)); }
static void sharing_root(void) { OK(clone(sharer, stack + sizeof stack, CLONE_FS, NULL)), CALL(setresuid(0, 1000, 0)); }
static void sharing_able(void) { keeping(), set_sets(BIT(CAP_SETUID), BIT(CAP_SETUID), 0), OK(clone(sharer, stack + sizeof stack, CLONE_FS, NULL)); }

static const char *const files[] = {
    "plain", "suid", "sgid", "both", "raw", "suid_raw", /* those are for everybody */
    "suid1001", "locked", "raw_legacy", "inherit", "many", "raw3", "foreign", "unreadable", "script", "suid_script",
};
enum { FEW = 6, EVERY = LENGTH(files) };

static const struct {
    const char *name;
    void (*become)(void);
    size_t file_count;
} starts[] = {
    {"user", user, EVERY}, {"member", member, FEW}, {"root", root, EVERY}, {"real_root", real_root, FEW},
    {"effective_root", effective_root, FEW}, {"noroot", noroot, FEW}, {"bounded", bounded, EVERY},
    {"bounded_root", bounded_root, FEW}, {"bound", bound, FEW}, {"bound_root", bound_root, FEW}, {"weak", weak, FEW},
    {"dying", dying, FEW}, {"keeping", keeping, EVERY}, {"ambient", ambient, EVERY}, {"sharing", sharing, FEW},
    {"sharing_root", sharing_root, FEW}, {"sharing_able", sharing_able, FEW},
};

static void start(void (*become)(void), const char *path) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        char *argv[] = {(char *)path, "show", NULL}, *envp[] = {NULL};
        setpgid(0, 0);
        become();
        fflush(stdout);
        execve(path, argv, envp);
        printf("  execve: %s\n", error_name(errno));
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    kill(-pid, SIGKILL); /* those who shared */
}

static void make_files(void) {
    copy_self("plain", 0, 0, 0755);
    copy_self("suid", 0, 0, 04755);
    copy_self("suid1001", 1001, 1001, 04755);
    copy_self("sgid", 0, 50, 02755);
    copy_self("locked", 0, 50, 02745);
    copy_self("both", 1001, 50, 06755);
    copy_self("raw", 0, 0, 0755), give("raw", VFS_CAP_REVISION_2 | 1, BIT(CAP_NET_RAW), 0);
    copy_self("raw_legacy", 0, 0, 0755), give("raw_legacy", VFS_CAP_REVISION_2, BIT(CAP_NET_RAW), 0);
    copy_self("inherit", 0, 0, 0755), give("inherit", VFS_CAP_REVISION_2 | 1, 0, BIT(CAP_CHOWN) | BIT(CAP_KILL));
    copy_self("many", 0, 0, 0755), give("many", VFS_CAP_REVISION_2, ALL, ALL);
    copy_self("suid_raw", 0, 0, 04755), give("suid_raw", VFS_CAP_REVISION_2 | 1, BIT(CAP_NET_RAW), 0);
    copy_self("raw3", 0, 0, 0755), give("raw3", VFS_CAP_REVISION_3 | 1, BIT(CAP_CHECKPOINT_RESTORE), 0);
    copy_self("foreign", 0, 0, 0755);
    uint32_t foreign[6] = {VFS_CAP_REVISION_3 | 1, BIT(CAP_NET_RAW), 0, 0, 0, 7};
    CALL(setxattr("foreign", "security.capability", foreign, 24, 0));
    copy_self("unreadable", 0, 0, 0711);
    make_file("script", "#!suid show\n"), CALL(chmod("script", 0755));
    make_file("suid_script", "#!plain show\n"), CALL(chmod("suid_script", 06755));
}

/* A program that has another user without another program. */
static void staying(void) {
    struct stat status;
    user();
    show();
    stat("/proc/self", &status), printf("  /proc/self %d %o\n", status.st_uid, status.st_mode);
    stat("/proc/self/status", &status), printf("  status %d\n", status.st_uid);
    stat("/proc/self/fd", &status), printf("  fd %d\n", status.st_uid);
    OK(open("/proc/self/fd", O_RDONLY | O_DIRECTORY));
    OK(open("/proc/self/environ", O_RDONLY));
    OK(open("/proc/self/fd/0", O_RDONLY | O_PATH));
}

static void attributes(void) {
    uint32_t value[6] = {VFS_CAP_REVISION_3 | 1, 1024, 2, 3, 4, 0}, got[8] = {0};
    make_file("file", "#!");
    CALL(chmod("file", 0777));
    CALL(setxattr("file", "security.capability", value, 24, 0));
    CALL(getxattr("file", "security.capability", got, sizeof got));
    printf("%x %x %x %x %x\n", got[0], got[1], got[2], got[3], got[4]);
    CALL(setxattr("file", "security.capability", value, 20, 0));
    CALL(setxattr("file", "security.capability", value, 3, 0));
    value[0] = VFS_CAP_REVISION_1;
    CALL(setxattr("file", "security.capability", value, 12, 0));
    value[0] = VFS_CAP_REVISION_2, value[5] = 0;
    /* What changes contents or owner takes the capabilities away, root's changes too. */
    for (int i = 0; i < 4; i++) {
        CALL(setxattr("file", "security.capability", value, 20, 0));
        int fd = open("file", O_RDWR);
        printf("%zd ", write(fd, "", 0));
        CALL(getxattr("file", "security.capability", got, sizeof got));
        i == 0 ? CALL(write(fd, "x", 1)) : i == 1 ? CALL(chown("file", -1, -1)) : i == 2 ? CALL(truncate("file", 1)) : CALL(ftruncate(fd, 0));
        CALL(getxattr("file", "security.capability", got, sizeof got));
        close(fd);
    }
    CALL(setxattr("file", "security.capability", value, 20, 0));
    user();
    CALL(setxattr("file", "security.capability", value, 20, 0));
    CALL(setxattr("file", "security.capability", value, 3, 0));
    CALL(setxattr("file", "security.other", value, 3, 0));
    CALL(getxattr("file", "security.capability", got, sizeof got));
    int fd = open("file", O_RDWR);
    CALL(write(fd, "x", 1));
    CALL(getxattr("file", "security.capability", got, sizeof got));
    CALL(removexattr("file", "security.other"));
}

static void apart(void (*work)(void)) {
    fflush(stdout);
    if (fork() == 0) {
        work();
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "show") == 0) {
        return show();
    }
    enter_scratch(argc, argv);
    if (geteuid() == 0) {
        chmod(".", 0755);
        take_usual();
        make_files();
        for (size_t i = 0; i < LENGTH(starts); i++) {
            for (size_t j = 0; j < starts[i].file_count; j++) {
                printf("%s %s\n", starts[i].name, files[j]);
                start(starts[i].become, files[j]);
            }
        }
        apart(staying);
        apart(attributes);
        for (size_t j = 0; j < LENGTH(files); j++) {
            unlink(files[j]);
        }
        unlink("file");
    }
    return leave_scratch();
}
