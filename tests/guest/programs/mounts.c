/* mount, umount2, pivot_root: results and errors, in a directory of ours and, natively, a mount name space of ours. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static const char *name_of(int error) { return error ? strerrorname_np(error) : "0"; }
#define SHOW(call) printf("%s: %s\n", #call, name_of((call) < 0 ? errno : 0))

static void flags_of(const char *path) {
    struct statvfs found;
    statvfs(path, &found);
    printf("%s:%s%s%s%s\n", path, found.f_flag & ST_RDONLY ? " ro" : "", found.f_flag & ST_NOSUID ? " nosuid" : "",
           found.f_flag & ST_NODEV ? " nodev" : "", found.f_flag & ST_NOEXEC ? " noexec" : "");
}

int main(void) {
    unshare(CLONE_NEWNS);
    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    mkdir("a", 0755), mkdir("b", 0755), mkdir("c", 0755);
    close(open("file", O_CREAT | O_WRONLY, 0644));
    SHOW(mount("none", "a", "tmpfs", 0, "size=1m,mode=700"));
    SHOW(mount("none", "a", "tmpfs", 0, "nonsense=1"));
    SHOW(mount("none", "a", "nosuchfs", 0, NULL));
    SHOW(mount("none", "missing", "tmpfs", 0, NULL));
    SHOW(mount("none", "file", "tmpfs", 0, NULL));
    SHOW(mount("none", "a", NULL, 0, NULL));
    SHOW(mount("missing", "b", NULL, MS_BIND, NULL));
    SHOW(mount(NULL, "b", NULL, MS_BIND, NULL));
    SHOW(mount("file", "b", NULL, MS_BIND, NULL));
    SHOW(mount("a", "file", NULL, MS_BIND, NULL));
    struct stat status;
    stat("a", &status);
    printf("mode of a: %o\n", status.st_mode & 07777);
    SHOW(mkdir("a/sub", 0755));
    SHOW(mount("none", "a/sub", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
    flags_of("a"), flags_of("a/sub");
    SHOW(mkdir("a/sub/x", 0755));
    SHOW(mount(NULL, "a/sub", NULL, MS_REMOUNT | MS_NOEXEC, NULL));
    flags_of("a/sub");
    SHOW(mkdir("a/sub/x", 0755));
    SHOW(mount(NULL, "a/sub/x", NULL, MS_REMOUNT, NULL));
    SHOW(umount2("a", 0));
    SHOW(umount2("a/sub/x", 0));
    SHOW(umount2("b", 0));
    SHOW(umount2("missing", 0));
    SHOW(umount2("a", 64));

    int fd = open("a/sub/code", O_CREAT | O_RDWR, 0755);
    SHOW(ftruncate(fd, 4096));
    printf("executable mapping: %s\n", mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED ? name_of(errno) : "0");
    SHOW(execl("a/sub/code", "code", NULL));
    SHOW(umount2("a/sub", 0));
    close(fd);
    SHOW(mount("a", "b", NULL, MS_BIND, NULL));
    SHOW(access("b/sub", F_OK));
    SHOW(access("b/sub/x", F_OK));
    SHOW(mount("a", "c", NULL, MS_BIND | MS_REC, NULL));
    SHOW(access("c/sub/x", F_OK));
    SHOW(mount(NULL, "b", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
    SHOW(mkdir("b/y", 0755));
    SHOW(mkdir("a/y", 0755));
    SHOW(access("b/y", F_OK));
    SHOW(rename("a/y", "c/y"));
    SHOW(link("file", "a/file"));
    SHOW(mount("b", "a/y", NULL, MS_MOVE, NULL));
    SHOW(access("a/y/y", F_OK));
    SHOW(mount("a", "a/y", NULL, MS_MOVE, NULL));
    SHOW(mount("a/sub/x", "b", NULL, MS_MOVE, NULL));
    SHOW(mount(NULL, "a", NULL, MS_SHARED | MS_PRIVATE, NULL));
    SHOW(mount(NULL, "a", NULL, MS_PRIVATE, NULL));
    SHOW(mount(NULL, "a/sub/x", NULL, MS_PRIVATE, NULL));
    SHOW(mount(NULL, "a", NULL, MS_UNBINDABLE, NULL));
    SHOW(mount("a", "b", NULL, MS_BIND, NULL));

    SHOW(umount2("a/y", MNT_EXPIRE | MNT_DETACH));
    SHOW(umount2("a/y", MNT_EXPIRE));
    SHOW(umount2("a/y", MNT_EXPIRE));
    SHOW(chdir("c/sub"));
    SHOW(umount2("../sub", 0));
    SHOW(umount2("../../c", MNT_DETACH));
    SHOW(access("x", F_OK));
    SHOW(mkdir("z", 0755));
    SHOW(chdir("/"));
    SHOW(umount2("/proc/self", 0));
    SHOW(syscall(SYS_pivot_root, "/missing", "/"));
    SHOW(syscall(SYS_pivot_root, "/", "/"));
    return 0;
}
