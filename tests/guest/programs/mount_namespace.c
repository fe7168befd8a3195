/* Name spaces of mounts: what is copied, what propagates, who joins, and what keeps one. Everything is below a tmpfs of ours,
 * in a name space of ours. */
#include "report.h"
#include "turns.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/wait.h>

static char top[PATH_MAX + 8];
static int to_child[2], to_parent[2];

static int compare_lines(const void *one, const void *other) { return strcmp(one, other); }

/* The mounts below a path as a process has them: where, flags, and of which groups, numbered as they come up. The numbers that the
 * kernel has for groups are given to others, of any process, once they are free: they mean nothing later on. */
static void show_mounts(const char *process, const char *below) {
    static char lines[64][512], line[1024], place[512], root[512], options[256], groups[256];
    static char seen[64][8];
    int group_count = 0, count = 0, id, parent, taken;
    unsigned major, minor;
    snprintf(place, sizeof place, "/proc/%s/mountinfo", process);
    FILE *file = fopen(place, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        sscanf(line, "%d %d %u:%u %511s %511s %255s %n", &id, &parent, &major, &minor, root, place, options, &taken);
        if (strncmp(place, below, strlen(below)) != 0) {
            continue;
        }
        groups[0] = 0;
        for (char *word = strtok(line + taken, " "); word != NULL && strcmp(word, "-") != 0; word = strtok(NULL, " ")) {
            char *number = strchr(word, ':');
            int at = 0;
            if (number != NULL) {
                *number++ = 0;
                while (at < group_count && strcmp(seen[at], number) != 0) {
                    at++;
                }
                if (at == group_count) {
                    snprintf(seen[group_count++], sizeof seen[0], "%s", number);
                }
            }
            snprintf(groups + strlen(groups), sizeof groups - strlen(groups), number ? " %s:%d" : " %s", word, at);
        }
        snprintf(lines[count++], sizeof lines[0], "  .%.200s %.50s%.200s", place + strlen(below), options, groups);
    }
    if (file != NULL) {
        fclose(file);
    }
    qsort(lines, count, sizeof lines[0], compare_lines);
    for (int i = 0; i < count; i++) {
        puts(lines[i]);
    }
}

static const char *working_directory(void) {
    static char path[PATH_MAX];
    const char *found = getcwd(path, sizeof path);
    if (found == NULL) {
        return error_name(errno);
    }
    return strncmp(found, top, strlen(top)) == 0 ? found + strlen(top) : found;
}

static void show_link(const char *process, const char *name) {
    char path[64], target[PATH_MAX] = "";
    snprintf(path, sizeof path, "/proc/%s/%s", process, name);
    if (readlink(path, target, sizeof target - 1) < 0) {
        printf("%s: %s\n", name, error_name(errno));
        return;
    }
    printf("%s: %s\n", name, strncmp(target, top, strlen(top)) == 0 ? target + strlen(top) : target);
}

static ino_t number(const char *process) {
    char path[64];
    struct stat facts;
    snprintf(path, sizeof path, "/proc/%s/ns/mnt", process);
    return stat(path, &facts) < 0 ? 0 : facts.st_ino;
}

static int mount_tmpfs(const char *path) { return mount("t", path, "tmpfs", 0, "mode=755"); }

static char child_name[16];

/* Run a part in a child; with `other`, that part meanwhile in ourselves, in turns by tell and hear. */
static void in_child(const char *title, void (*act)(void), void (*other)(void)) {
    printf("-- %s\n", title);
    fflush(stdout);
    pipe(to_child), pipe(to_parent);
    pid_t pid = fork();
    if (pid == 0) {
        close(to_child[1]), close(to_parent[0]);
        act();
        finish();
    }
    close(to_child[0]), close(to_parent[1]);
    snprintf(child_name, sizeof child_name, "%d", pid);
    if (other != NULL) {
        other();
    }
    close(to_child[1]);
    waitpid(pid, NULL, 0);
    close(to_parent[0]);
}

static long raw_clone(unsigned long flags) {
    fflush(stdout);
    return syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
}

/* -- what is copied ------------------------------------------------------------------------------------------ */

static void copied(void) {
    chdir("dir/sub");
    ino_t before = number("self");
    CALL(unshare(CLONE_NEWNS));
    printf("%s; in %s\n", number("self") == before ? "the same" : "another", working_directory());
    show_mounts("self", top);
    CALL(mount_tmpfs(".."));
    CALL(access("../sub", F_OK)); /* below what covers it */
    make_file("here", "of the tmpfs below");
    CALL(chdir("../../dir"));
    CALL(access("sub", F_OK));
    CALL(umount2(top, 0));
    CALL(mount(NULL, top, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
    CALL(mkdir("../new", 0755));
    show_mounts("self", top);
    tell(to_parent), hear(to_child);
    CALL(access("../late", F_OK));
    CALL(umount2(top, MNT_DETACH));
    CALL(access("../late", F_OK));
    CALL(access(top, F_OK));
    CALL(access("/proc/self/mountinfo", F_OK));
    show_mounts("self", top);
}

static void while_copied(void) {
    hear(to_parent);
    show_mounts("self", top);
    CALL(access("dir/sub/here", F_OK));
    CALL(mkdir("new", 0755));
    CALL(mkdir("late", 0755));
    CALL(mount_tmpfs("late"));
    printf("of the other:\n");
    show_mounts(child_name, top);
    show_link(child_name, "cwd");
    show_link(child_name, "root");
    char path[64];
    struct stat one, two;
    snprintf(path, sizeof path, "/proc/%s/cwd", child_name);
    CALL(stat(path, &one)), stat("dir", &two);
    printf("%s\n", one.st_dev == two.st_dev ? "the same" : "another");
    CALL(mount_tmpfs(path)); /* not ours */
    CALL(mount(path, "new", NULL, MS_BIND, NULL));
    CALL(umount2(path, MNT_DETACH));
    CALL(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND, NULL));
    tell(to_child);
}

/* -- what propagates ----------------------------------------------------------------------------------------- */

static void peer(void) {
    CALL(unshare(CLONE_NEWNS));
    CALL(mount_tmpfs("shared/child"));
    show_mounts("self", top);
    tell(to_parent), hear(to_child);
    show_mounts("self", top);
    CALL(umount2("shared/parent", 0));
    CALL(mount(NULL, "shared", NULL, MS_SLAVE, NULL));
    CALL(mount_tmpfs("shared/own"));
    tell(to_parent), hear(to_child);
    show_mounts("self", top);
    CALL(mount(NULL, "shared", NULL, MS_SHARED, NULL));
    CALL(mkdir("shared/later", 0755));
    tell(to_parent), hear(to_child);
    show_mounts("self", top);
}

static void while_peer(void) {
    hear(to_parent);
    show_mounts("self", top);
    CALL(umount2("shared/child", 0));
    CALL(mount_tmpfs("shared/parent"));
    mkdir("shared/parent/in", 0755);
    CALL(mount_tmpfs("shared/parent/in"));
    CALL(umount2("shared/parent/in", 0));
    tell(to_child), hear(to_parent);
    show_mounts("self", top);
    CALL(mount_tmpfs("shared/parent"));
    CALL(mount_tmpfs("shared/own"));
    tell(to_child), hear(to_parent);
    CALL(umount2("shared/own", 0));
    CALL(mount_tmpfs("shared/later"));
    mkdir("shared/later/deep", 0755);
    CALL(mount_tmpfs("shared/later/deep"));
    tell(to_child);
}

static void of_nobody_left(void) {
    show_mounts("self", top); /* the group has no other members any more */
    CALL(umount2("shared/later", MNT_DETACH));
    CALL(umount2("shared/parent", 0));
    show_mounts("self", top);
}

/* -- joining ------------------------------------------------------------------------------------------------- */

static int descriptor = -1;

static void owner(void) {
    unshare(CLONE_NEWNS);
    CALL(mount_tmpfs("dir"));
    make_file("dir/file", "kept");
    tell(to_parent), hear(to_child);
}

static void take_descriptor(void) {
    char path[64];
    hear(to_parent);
    snprintf(path, sizeof path, "/proc/%s/ns/mnt", child_name);
    descriptor = open(path, O_RDONLY);
    CALL(access("dir/file", F_OK));
}

static void joiner(void) {
    char file[PATH_MAX + 32];
    snprintf(file, sizeof file, "%s/dir/file", top);
    int first = open("/proc/self/ns/mnt", O_RDONLY), here = open(".", O_PATH);
    CALL(access(file, F_OK)); /* a way that is remembered */
    CALL(access(file, F_OK));
    CALL(setns(descriptor, CLONE_NEWUTS));
    CALL(setns(descriptor, CLONE_NEWNS));
    printf("in %s\n", working_directory());
    CALL(access(file, F_OK));
    CALL(access("dir", F_OK));
    CALL(fchdir(here));
    CALL(access("dir/file", F_OK)); /* of the first one */
    CALL(mount_tmpfs("dir"));
    long pid = raw_clone(CLONE_FS);
    if (pid == 0) {
        CALL(setns(first, 0));
        finish();
    }
    waitpid(pid, NULL, 0);
    CALL(setns(first, 0));
    CALL(access(file, F_OK));
    CALL(chroot(top));
    CALL(access("/dir/file", F_OK));
    CALL(setns(descriptor, 0));
    CALL(access("/dir/file", F_OK)); /* whoever joins is at the root of all */
    CALL(access(file, F_OK));
    CALL(setns(syscall(434, getppid(), 0), CLONE_NEWNS));
    CALL(access(file, F_OK));
}

/* -- files of name spaces ------------------------------------------------------------------------------------ */

static void keep_by_file(void) {
    char path[64], own[64];
    make_file("ns", "");
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    snprintf(own, sizeof own, "/proc/%d/ns/mnt", getpid());
    CALL(mount(own, "ns", NULL, MS_BIND, NULL)); /* it would keep itself */
    CALL(mount(path, "ns", NULL, MS_BIND, NULL));
    close(descriptor);
    make_file("shared/ns", "");
    CALL(mount("ns", "shared/ns", NULL, MS_BIND, NULL));
    fflush(stdout);
    if (fork() == 0) {
        char file[PATH_MAX + 32];
        snprintf(file, sizeof file, "%s/dir/file", top);
        CALL(setns(open("ns", O_RDONLY), CLONE_NEWNS));
        char text[5] = "";
        read(open(file, O_RDONLY), text, 4);
        printf("%s\n", text);
        finish();
    }
    wait(NULL);
    if (fork() == 0) {
        CALL(unshare(CLONE_NEWNS));
        show_mounts("self", top); /* without the file of another name space */
        CALL(mount("ns", "shared/ns", NULL, MS_BIND, NULL));
        finish();
    }
    wait(NULL);
    CALL(umount2("shared/ns", 0));
    CALL(umount2("ns", 0));
    CALL(unlink("shared/ns")), CALL(unlink("ns"));
}

/* -- another root -------------------------------------------------------------------------------------------- */

static void prepare_root(void) {
    CALL(unshare(CLONE_NEWNS));
    CALL(mount_tmpfs("dir"));
    mkdir("dir/old", 0755), mkdir("dir/proc", 0555), mkdir("dir/sub", 0755);
    make_file("dir/file", "new root");
    CALL(mount("/proc", "dir/proc", NULL, MS_BIND | MS_REC, NULL));
    CALL(mount(NULL, "dir/proc", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID, NULL));
}

static void pivot(void) {
    prepare_root();
    CALL(chdir("dir"));
    CALL(syscall(SYS_pivot_root, ".", "old"));
    printf("in %s\n", working_directory());
    show_file("/file");
    CALL(access("/old/proc/self", F_OK));
    CALL(umount2("/old", 0));
    CALL(umount2("/old", MNT_DETACH));
    show_mounts("self", "/proc"), show_mounts("self", "/old");
    CALL(chdir("/.."));
    printf("in %s\n", working_directory());
    CALL(rmdir("/old"));
    CALL(mount_tmpfs("/sub"));
    CALL(umount2("/sub", 0));
}

static void pivot_in_place(void) {
    prepare_root();
    CALL(chdir("dir"));
    CALL(syscall(SYS_pivot_root, ".", "."));
    show_file("/file");
    fflush(stdout);
    if (fork() == 0) {
        CALL(unshare(CLONE_NEWNS));
        CALL(umount2(".", MNT_DETACH));
        CALL(access("/file", F_OK));
        finish();
    }
    wait(NULL);
    CALL(umount2(".", MNT_DETACH));
    printf("in %s\n", working_directory());
    show_file("/file");
    show_mounts("self", "/proc");
    CALL(syscall(SYS_pivot_root, ".", "."));
    CALL(syscall(SYS_pivot_root, "/sub", "/sub"));
}

static void move_to_root(void) {
    prepare_root();
    CALL(chdir("dir"));
    CALL(mount(".", "/", NULL, MS_MOVE, NULL));
    CALL(access("/file", F_OK));
    CALL(chroot("."));
    show_file("/file");
    show_mounts("self", "/proc");
    CALL(unshare(CLONE_NEWNS));
    show_file("/file");
    show_mounts("self", "/proc");
    CALL(syscall(SYS_pivot_root, "/sub", "/sub"));
}

static void in_chroot(void) {
    prepare_root();
    CALL(chroot("dir"));
    CALL(chdir("/"));
    CALL(unshare(CLONE_NEWNS));
    show_file("/file");
    printf("in %s\n", working_directory());
    show_mounts("self", "/");
    CALL(syscall(SYS_pivot_root, "/sub", "/sub"));
    CALL(umount2("/", 0));
    CALL(mount(NULL, "/sub", NULL, MS_PRIVATE, NULL));
}

/* -- what happens to names that others see -------------------------------------------------------------------- */

static int renamed, moved;

static void beside(void) {
    unshare(CLONE_NEWNS);
    chdir("names/gone");
    mount_tmpfs("../covered"), mkdir("../covered/in", 0755), mount_tmpfs("../covered/in");
    mount_tmpfs("../carried"), mkdir("../carried/in", 0755);
    mount_tmpfs("../replaced"), mkdir("../replaced/in", 0755);
    mount_tmpfs("../one"), mkdir("../one/in", 0755);
    renamed = open("../renamed", O_PATH), moved = open("../moved/.", O_PATH);
    tell(to_parent), hear(to_child);
    printf("in %s\n", working_directory());
    CALL(mkdir("new", 0755));
    CALL(access("../covered", F_OK));
    CALL(mkdir("../covered", 0755));
    CALL(access("../covered/in", F_OK));
    CALL(access("../elsewhere/carried/in", F_OK)), CALL(access("../carried", F_OK));
    CALL(access("../replaced", F_OK)), CALL(access("../replaced/in", F_OK));
    CALL(access("../one/in", F_OK)), CALL(access("../other/in", F_OK));
    char name[32];
    snprintf(name, sizeof name, "fd/%d", renamed), show_link("self", name);
    snprintf(name, sizeof name, "fd/%d", moved), show_link("self", name);
    show_mounts("self", top);
}

static void renaming(void) {
    hear(to_parent);
    CALL(chdir("names"));
    CALL(rmdir("gone"));
    CALL(rmdir("covered"));
    CALL(rename("carried", "elsewhere/carried"));
    CALL(rename("moved", "elsewhere/moved"));
    CALL(rename("renamed", "again"));
    CALL(rename("empty", "replaced"));
    CALL(renameat2(AT_FDCWD, "one", AT_FDCWD, "other", RENAME_EXCHANGE));
    CALL(chdir(".."));
    tell(to_child);
}

static void bound_twice(void) {
    unshare(CLONE_NEWNS);
    CALL(chdir("names"));
    CALL(mount("elsewhere", "bound", NULL, MS_BIND, NULL));
    mkdir("elsewhere/here", 0755), mkdir("elsewhere/point", 0755);
    CALL(chdir("bound/here"));
    CALL(rmdir("../../elsewhere/here"));
    printf("in %s\n", working_directory());
    CALL(chdir("../.."));
    CALL(mount_tmpfs("bound/point"));
    CALL(rmdir("elsewhere/point"));
    CALL(rename("elsewhere/point", "elsewhere/other"));
    CALL(rename("elsewhere", "again/elsewhere"));
    CALL(access("bound/point", F_OK));
}

/* -- clone, rights ------------------------------------------------------------------------------------------- */

static void clones(void) {
    long pid = raw_clone(CLONE_NEWNS);
    if (pid == 0) {
        printf("in %s\n", working_directory());
        CALL(mount_tmpfs("dir"));
        CALL(mkdir("dir/only-here", 0755));
        finish();
    }
    waitpid(pid, NULL, 0);
    CALL(access("dir/only-here", F_OK));
    CALL(raw_clone(CLONE_NEWNS | CLONE_FS));
    pid = raw_clone(CLONE_FS);
    if (pid == 0) {
        CALL(unshare(CLONE_NEWNS)); /* and what is shared with it */
        CALL(chdir("dir"));
        finish();
    }
    waitpid(pid, NULL, 0);
    printf("in %s\n", working_directory());
}

static void of_removed_directory(void) {
    mkdir("gone", 0755), chdir("gone"), rmdir("../gone");
    CALL(unshare(CLONE_NEWNS));
    printf("in %s\n", working_directory());
    CALL(mkdir("x", 0755));
    CALL(chdir(".."));
    printf("in %s\n", working_directory());
}

static void of_nobody(void) {
    int own = open("/proc/self/ns/mnt", O_RDONLY);
    if (setresuid(65534, 65534, 65534) < 0) {
        _exit(1);
    }
    CALL(unshare(CLONE_NEWNS));
    CALL(raw_clone(CLONE_NEWNS));
    CALL(setns(own, 0));
    CALL(mount_tmpfs("dir"));
    CALL(umount2("dir", 0));
}

int main(int argc, char **argv) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    sched_setaffinity(0, sizeof one, &one); /* of each CPU, numbers ascend: an older name space may keep a younger one */
    enter_scratch(argc, argv);
    snprintf(top, sizeof top, "%s/top", scratch);
    mkdir("top", 0755);
    if (CALL(unshare(CLONE_NEWNS)) < 0) { /* not root's */
        rmdir("top");
        return leave_scratch();
    }
    CALL(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    CALL(mount_tmpfs("top"));
    chdir("top");
    mkdir("dir", 0755), mkdir("dir/sub", 0755), mkdir("shared", 0755);
    in_child("copied", copied, while_copied);
    umount2("late", 0);
    CALL(mount_tmpfs("shared"));
    mkdir("shared/child", 0755), mkdir("shared/parent", 0755), mkdir("shared/own", 0755);
    CALL(mount(NULL, "shared", NULL, MS_SHARED, NULL));
    in_child("propagation", peer, while_peer);
    of_nobody_left();
    in_child("joining", owner, take_descriptor);
    in_child("joined", joiner, NULL);
    in_child("files", keep_by_file, NULL);
    CALL(mount(NULL, "shared", NULL, MS_UNBINDABLE, NULL));
    in_child("pivot_root", pivot, NULL);
    in_child("pivot_root in place", pivot_in_place, NULL);
    in_child("moved to the root", move_to_root, NULL);
    in_child("chroot", in_chroot, NULL);
    CALL(mount(NULL, "shared", NULL, MS_PRIVATE, NULL)); /* whether a copy of an unbindable one is one depends on the version */
    for (const char **name = (const char *[]){"", "/gone", "/covered", "/carried", "/replaced", "/one", "/other", "/renamed",
                                              "/moved", "/empty", "/elsewhere", "/bound", NULL};
         *name != NULL; name++) {
        char path[32];
        snprintf(path, sizeof path, "names%s", *name), mkdir(path, 0755);
    }
    in_child("names", beside, renaming);
    in_child("bound twice", bound_twice, NULL);
    in_child("clone", clones, NULL);
    in_child("removed", of_removed_directory, NULL);
    in_child("nobody", of_nobody, NULL);
    printf("-- end\n");
    chdir("..");
    CALL(umount2("top", MNT_DETACH));
    CALL(rmdir("top"));
    return leave_scratch();
}
