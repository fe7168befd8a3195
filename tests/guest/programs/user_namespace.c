/* User name spaces: ids that are called otherwise, whom the maps let whom become, and what capabilities reach. */
#include "report.h"
#include "turns.h"

#include <grp.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>

enum { OUTER = 4000 };
static int to_child[2], to_parent[2];
static char child_name[16];

/* As an ordinary user, in a child; `other` is what the one who has made it does meanwhile. */
static void in_child(const char *title, void (*act)(void), void (*other)(void)) {
    printf("-- %s\n", title);
    fflush(stdout);
    pipe(to_child), pipe(to_parent);
    pid_t pid = fork();
    if (pid == 0) {
        close(to_child[1]), close(to_parent[0]);
        if (other == NULL && (setgroups(0, NULL) < 0 || setresgid(OUTER, OUTER, OUTER) < 0 || setresuid(OUTER, OUTER, OUTER) < 0)) {
            finish();
        }
        prctl(PR_SET_DUMPABLE, 1);
        act();
        finish();
    }
    close(to_child[0]), close(to_parent[1]);
    snprintf(child_name, sizeof child_name, "%d", pid);
    if (other != NULL) {
        other();
    }
    close(to_child[1]), close(to_parent[0]);
    waitpid(pid, NULL, 0);
}

static long fill(const char *process, const char *name, const char *text) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/%s", process, name);
    int fd = open(path, O_WRONLY);
    long done = fd < 0 ? fd : write(fd, text, strlen(text));
    int error = errno;
    close(fd);
    errno = error;
    return done;
}

static void show(const char *process, const char *name) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/%s", process, name);
    show_file(path);
}

static void who(void) {
    gid_t groups[8];
    uid_t real, effective, saved;
    getresuid(&real, &effective, &saved);
    printf("users %u %u %u %u, groups %u %u", getuid(), real, effective, saved, getgid(), getegid());
    int count = getgroups(8, groups);
    for (int i = 0; i < count; i++) {
        printf(" and %u", groups[i]);
    }
    FILE *file = fopen("/proc/self/status", "r");
    char line[128];
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "Uid", 3) == 0 || strncmp(line, "CapEff", 6) == 0) {
            line[strcspn(line, "\n")] = 0;
            printf("; %s", line);
        }
    }
    fclose(file);
    printf("\n");
}

static void owner_of(const char *path) {
    struct stat facts;
    struct statx more;
    if (stat(path, &facts) < 0 || statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &more) < 0) {
        printf("%s: %s\n", path, error_name(errno));
    } else {
        printf("%s: %u %u %u %u\n", path, facts.st_uid, facts.st_gid, more.stx_uid, more.stx_gid);
    }
}

static void show_owner(const char *kind) {
    char path[64];
    unsigned uid = 77;
    snprintf(path, sizeof path, "/proc/self/ns/%s", kind);
    int fd = open(path, O_RDONLY);
    printf("%s\n", kind);
    int owner = ioctl(fd, NS_GET_USERNS);
    CALL(owner < 0 ? owner : 0);
    CALL(ioctl(fd, NS_GET_NSTYPE));
    OK(ioctl(fd, NS_GET_PARENT));
    CALL(ioctl(fd, NS_GET_OWNER_UID, &uid));
    if (owner >= 0) {
        CALL(fcntl(owner, F_GETFD));
        CALL(ioctl(owner, NS_GET_NSTYPE));
        CALL(ioctl(owner, NS_GET_OWNER_UID, &uid));
    }
    printf("%u\n", uid);
    close(fd), close(owner);
}

static void owners(void) {
    show_owner("user"), show_owner("uts"), show_owner("pid");
    unshare(CLONE_NEWUSER | CLONE_NEWUTS);
    show_owner("user"), show_owner("uts"), show_owner("mnt");
}

static void without_names(void) {
    CALL(unshare(CLONE_NEWUSER));
    who();
    owner_of("/"), owner_of("own");
    show("self", "uid_map"), show("self", "setgroups");
    CALL(setuid(0)), CALL(setresuid(-1, -1, -1)), CALL(setgid(OUTER)), CALL(setgroups(0, NULL));
    CALL(unshare(CLONE_NEWUSER)); /* nobody can */
    CALL(chown("own", -1, -1)), CALL(chown("own", 0, 0)), CALL(chown("own", OUTER, -1));
    CALL(fill("self", "gid_map", "0 4000 1"));
    CALL(fill("self", "setgroups", "perhaps"));
    CALL(fill("self", "uid_map", "0 0 1"));
    CALL(fill("self", "uid_map", "0 4000 2"));
    CALL(fill("self", "uid_map", "0 4000"));
    CALL(fill("self", "uid_map", "0 4000 0"));
    CALL(fill("self", "uid_map", "0 4000 1\n0 4001 1\n"));
    CALL(fill("self", "uid_map", "5 4000 1\n"));
    CALL(fill("self", "uid_map", "0 4000 1"));
    CALL(fill("self", "setgroups", "deny"));
    CALL(fill("self", "setgroups", "allow"));
    CALL(fill("self", "gid_map", "6 4000 1"));
    CALL(fill("self", "setgroups", "deny"));
    who();
    show("self", "uid_map"), show("self", "gid_map"), show("self", "projid_map"), show("self", "setgroups");
    owner_of("own");
    CALL(setuid(0)), CALL(setuid(5)), CALL(setgid(6)), CALL(setresgid(6, -1, 7));
    who();
}

static void become_root(void) {
    char map[32];
    unshare(CLONE_NEWUSER);
    fill("self", "setgroups", "deny");
    snprintf(map, sizeof map, "0 %d 1", OUTER);
    fill("self", "uid_map", map), fill("self", "gid_map", map);
}

static void root_of_files(void) {
    become_root();
    who();
    OK(open("own", O_WRONLY));
    CALL(chmod("own", 0));
    OK(open("own", O_WRONLY)); /* by its capability */
    OK(open("closed", O_RDONLY)); /* not over the file of another */
    CALL(chown("closed", 0, 0)), CALL(chmod("closed", 0777)), CALL(unlink("closed"));
    CALL(chown("own", 0, 0)), CALL(chown("own", 1, -1));
    CALL(mknod("null", S_IFCHR | 0666, 1 << 8 | 3));
    CALL(mkdir("dir", 0700)), owner_of("dir");
    CALL(access("own", R_OK | W_OK)), CALL(access("closed", R_OK));
    CALL(chroot(".")), CALL(chdir("/"));
    owner_of("/dir");
    CALL(unshare(CLONE_NEWUSER)); /* who sees only a part of the tree may not */
    CALL(rmdir("/dir"));
}

static void root_of_others(void) {
    become_root();
    CALL(sethostname("x", 1));
    CALL(mount("t", "place", "tmpfs", 0, NULL));
    CALL(kill(getppid(), 0));
    CALL(setpriority(0, 0, -1));
    OK(getpriority(PRIO_USER, 0));
    CALL(getpriority(PRIO_USER, OUTER)); /* nobody is called so */
    CALL(unshare(CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNS));
    CALL(sethostname("mine", 4));
    struct utsname names;
    uname(&names);
    printf("%s\n", names.nodename);
    CALL(mount("t", "place", "tmpfs", 0, "uid=0,mode=700"));
    owner_of("place");
    CALL(mount("t", "place", "tmpfs", 0, "uid=1"));
    CALL(mount("p", "place", "proc", 0, NULL));
    CALL(mount("p", "place", "sysfs", 0, NULL));
    make_file("place/file", "x");
    owner_of("place/file");
    CALL(umount2("place", 0));
    CALL(umount2("locked", 0)); /* it hides something */
    CALL(umount2("locked", MNT_DETACH));
    CALL(mount(NULL, "locked", NULL, MS_REMOUNT | MS_BIND, NULL));
    CALL(mount(NULL, "locked", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
    CALL(mount(NULL, "locked", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID, NULL));
    CALL(mount(NULL, "locked", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC, NULL));
    CALL(mount(NULL, "locked", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOATIME, NULL));
    CALL(mount("locked", "place", NULL, MS_MOVE, NULL));
    CALL(mount(".", "place", NULL, MS_BIND, NULL)); /* it would show what is hidden */
    CALL(mount(".", "place", NULL, MS_BIND | MS_REC, NULL));
    CALL(umount2("place/locked", 0));
    CALL(umount2("place", MNT_DETACH));
    CALL(mount("locked", "place", NULL, MS_BIND, NULL));
    CALL(mount(NULL, "place", NULL, MS_REMOUNT | MS_BIND, NULL));
    CALL(umount2("place", 0));
}

static void executed(void) {
    become_root();
    CALL(setns(open("/proc/self/ns/user", O_RDONLY), 0)); /* one's own */
    fflush(stdout);
    if (fork() == 0) {
        execl("/proc/self/exe", "user_namespace", "who", NULL);
    }
    wait(NULL);
    if (fork() == 0) { /* one more inside */
        CALL(unshare(CLONE_NEWUSER));
        CALL(fill("self", "uid_map", "7 1 1"));
        CALL(fill("self", "uid_map", "7 0 1"));
        who();
        show("self", "uid_map");
        fflush(stdout);
        execl("/proc/self/exe", "user_namespace", "who", NULL);
    }
    wait(NULL);
    if (fork() == 0) {
        int ends[2];
        struct ucred peer = {0};
        socklen_t size = sizeof peer;
        siginfo_t info;
        socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
        CALL(getsockopt(ends[0], SOL_SOCKET, SO_PEERCRED, &peer, &size));
        printf("peer %u %u\n", peer.uid, peer.gid);
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            _exit(3);
        }
        CALL(waitid(P_PID, pid, &info, WEXITED));
        printf("child of %u\n", info.si_uid);
        sigset_t set;
        sigemptyset(&set), sigaddset(&set, SIGUSR1), sigprocmask(SIG_BLOCK, &set, NULL);
        kill(getpid(), SIGUSR1);
        CALL(sigwaitinfo(&set, &info));
        printf("sent by %u\n", info.si_uid);
        finish();
    }
    wait(NULL);
}

/* -- whoever may give others names ------------------------------------------------------------------------ */

static void given(void) {
    setgroups(2, (gid_t[]){OUTER + 1, 77});
    setresgid(OUTER, OUTER, OUTER), setresuid(OUTER, OUTER, OUTER);
    prctl(PR_SET_DUMPABLE, 1);
    CALL(unshare(CLONE_NEWUSER));
    tell(to_parent), hear(to_child);
    show("self", "uid_map"), show("self", "gid_map");
    who();
    CALL(setgroups(2, (gid_t[]){3, 1}));
    CALL(setgroups(1, (gid_t[]){50}));
    CALL(setresuid(2, 2, 0));
    who();
    CALL(setresuid(0, 0, 0));
    CALL(setresuid(50, 50, 50));
    CALL(setfsuid(9));
    CALL(setfsuid(50));
    CALL(setfsuid(-1));
    make_file("given", "x"), owner_of("given");
    CALL(chown("given", 8, 9)), owner_of("given");
    tell(to_parent), hear(to_child);
    CALL(unlink("given"));
}

static void giving(void) {
    hear(to_parent);
    CALL(fill(child_name, "setgroups", "allow"));
    CALL(fill(child_name, "uid_map", "0 4000 10\n20 0 1\n"));
    CALL(fill(child_name, "gid_map", "0 4000 10"));
    CALL(fill(child_name, "gid_map", "0 4000 10"));
    tell(to_child), hear(to_parent);
    owner_of("given");
    char path[64];
    snprintf(path, sizeof path, "/proc/%s", child_name);
    CALL(chdir(path));
    show_file("uid_map"); /* as it is called outside */
    tell(to_child);
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "who") == 0) {
        who();
        finish();
    }
    setpriority(PRIO_PROCESS, 0, 0); /* whoever starts it may be nice */
    enter_scratch(argc, argv);
    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0) {
        printf("not root\n");
        return leave_scratch();
    }
    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    mount("t", scratch, "tmpfs", 0, "mode=755");
    chdir(scratch), chmod(".", 0777);
    mkdir("place", 0777), mkdir("locked", 0755);
    make_file("own", "x"), chown("own", OUTER, OUTER);
    make_file("closed", "x"), chmod("closed", 0600);
    mount("t", "locked", "tmpfs", MS_RDONLY | MS_NOSUID, NULL);
    in_child("without names", without_names, NULL);
    in_child("owners", owners, NULL);
    in_child("root of files", root_of_files, NULL);
    in_child("root of others", root_of_others, NULL);
    in_child("executed", executed, NULL);
    in_child("given names", given, giving);
    chdir("/"), umount2(scratch, MNT_DETACH);
    return leave_scratch();
}
