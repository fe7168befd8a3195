/* Access control lists and dropped capabilities: what is stored, what the mode becomes, who may do what. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ACCESS "system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"
enum { USER_OBJ = 1, USER = 2, GROUP_OBJ = 4, GROUP = 8, MASK = 16, OTHER = 32 };

struct entry { uint16_t tag, perm; uint32_t id; };
struct list { uint32_t version; struct entry entries[8]; };

static const char *result(long value) { return value < 0 ? strerrorname_np(errno) : "0"; }

static int set(const char *path, const char *name, int count, const struct entry *entries) {
    struct list list = {.version = 2};
    memcpy(list.entries, entries, count * sizeof *entries);
    return setxattr(path, name, &list, 4 + count * sizeof *entries, 0);
}
#define ENTRIES(...) sizeof((struct entry[]){__VA_ARGS__}) / sizeof(struct entry), (struct entry[]){__VA_ARGS__}

static void show(const char *path) {
    struct stat status;
    stat(path, &status);
    struct list list;
    long size = getxattr(path, ACCESS, &list, sizeof list);
    printf("%s: %o, list: %s", path, status.st_mode, result(size));
    for (long i = 0; size >= 0 && i < (size - 4) / 8; i++)
        printf(" %d:%d:%d", list.entries[i].tag, list.entries[i].perm, list.entries[i].id);
    size = getxattr(path, DEFAULT, &list, sizeof list);
    printf(", default: %s", result(size));
    for (long i = 0; size >= 0 && i < (size - 4) / 8; i++)
        printf(" %d:%d:%d", list.entries[i].tag, list.entries[i].perm, list.entries[i].id);
    printf("\n");
}

static void as(int uid, int gid, const char *path) {
    fflush(stdout);
    if (fork() == 0) {
        if (syscall(SYS_setgroups, 0, NULL) || syscall(SYS_setresgid, gid, gid, gid) || syscall(SYS_setresuid, uid, uid, uid))
            printf("cannot become another user\n");
        printf("as %d:%d: read %s, ", uid, gid, result(open(path, O_RDONLY)));
        printf("write %s, ", result(open(path, O_WRONLY)));
        printf("set %s\n", result(set(path, ACCESS, ENTRIES({USER_OBJ, 6, -1}, {GROUP_OBJ, 6, -1}, {OTHER, 6, -1}))));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
}

static void without(int capability, const char *name) {
    fflush(stdout);
    if (fork() == 0) {
        struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
        struct __user_cap_data_struct data[2];
        syscall(SYS_capget, &header, data);
        data[0].effective &= ~(1u << capability);
        if (capability == CAP_DAC_OVERRIDE)
            data[0].effective &= ~(1u << CAP_DAC_READ_SEARCH);
        syscall(SYS_capset, &header, data);
        printf("without %s: open %s, ", name, result(open("secret", O_RDWR)));
        printf("chown %s, ", result(chown("mine", 7, 7)));
        printf("chmod %s, ", result(chmod("secret", 0)));
        printf("search %s, ", result(access("closed/x", F_OK)));
        printf("real %s\n", result(access("secret", R_OK)));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    chown("mine", 0, 0);
}

int main(void) {
    umask(022);
    chmod(".", 0755);
    close(open("file", O_CREAT | O_WRONLY, 0640));
    show("file");
    printf("mode only: %s\n", result(set("file", ACCESS, ENTRIES({USER_OBJ, 6, -1}, {GROUP_OBJ, 0, -1}, {OTHER, 0, -1}))));
    show("file");
    printf("named: %s\n", result(set("file", ACCESS, ENTRIES({USER_OBJ, 6, -1}, {USER, 6, 1001}, {GROUP_OBJ, 0, -1}, {GROUP, 4, 2002}, {MASK, 7, -1}, {OTHER, 0, -1}))));
    show("file");
    as(1001, 1, "file"), as(1002, 2002, "file"), as(1003, 3, "file");
    printf("chmod: %s\n", result(chmod("file", 0644)));
    show("file");
    as(1001, 1, "file");
    printf("no mask: %s\n", result(set("file", ACCESS, ENTRIES({USER_OBJ, 6, -1}, {USER, 6, 1001}, {GROUP_OBJ, 0, -1}, {OTHER, 0, -1}))));
    printf("bad order: %s\n", result(set("file", ACCESS, ENTRIES({OTHER, 6, -1}, {USER_OBJ, 6, -1}, {GROUP_OBJ, 0, -1}))));
    printf("bad size: %s\n", result(setxattr("file", ACCESS, "\2\0\0\0xx", 6, 0)));
    printf("bad version: %s\n", result(setxattr("file", ACCESS, "\1\0\0\0", 4, 0)));
    printf("default of a file: %s\n", result(set("file", DEFAULT, ENTRIES({USER_OBJ, 6, -1}, {GROUP_OBJ, 6, -1}, {OTHER, 6, -1}))));
    printf("other name: %s\n", result(setxattr("file", "system.other", "", 0, 0)));
    printf("remove: %s %s\n", result(removexattr("file", ACCESS)), result(removexattr("file", ACCESS)));
    show("file");
    symlink("file", "link");
    printf("of a link: %s\n", result(lsetxattr("link", ACCESS, "\2\0\0\0", 4, 0)));

    mkdir("dir", 0755);
    printf("default: %s\n", result(set("dir", DEFAULT, ENTRIES({USER_OBJ, 7, -1}, {USER, 7, 1001}, {GROUP_OBJ, 5, -1}, {MASK, 7, -1}, {OTHER, 0, -1}))));
    show("dir");
    close(open("dir/new", O_CREAT | O_WRONLY, 0666));
    mkdir("dir/sub", 0777);
    show("dir/new"), show("dir/sub");

    close(open("secret", O_CREAT | O_WRONLY, 0));
    close(open("mine", O_CREAT | O_WRONLY, 0600));
    chown("secret", 9, 9);
    mkdir("closed", 0700), close(open("closed/x", O_CREAT, 0600)), chown("closed", 9, 9);
    without(CAP_DAC_OVERRIDE, "DAC_OVERRIDE"), without(CAP_CHOWN, "CHOWN"), without(CAP_FOWNER, "FOWNER");
    return 0;
}
