/* Extended attributes of the user name space. */
#include "report.h"

#include <sys/xattr.h>

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in the user name space, sorted; a security module may add others. */
static void list(const char *path) {
    char names[4096], *sorted[64];
    ssize_t size = listxattr(path, names, sizeof names);
    size_t count = 0;
    for (char *name = names; name < names + size; name += strlen(name) + 1) {
        if (strncmp(name, "user.", 5) == 0 && count < LENGTH(sorted)) {
            sorted[count++] = name;
        }
    }
    qsort(sorted, count, sizeof *sorted, by_name);
    printf("%s:", path);
    for (size_t i = 0; i < count; i++) {
        printf(" %s", sorted[i]);
    }
    printf("\n");
}

static void using(void) {
    char value[32];
    int fd = CALL(open("file", O_RDONLY));
    CALL(setxattr("file", "user.one", "value", 5, 0));
    CALL(setxattr("link", "user.two", "", 0, XATTR_CREATE));
    CALL(fsetxattr(fd, "user.three", "3\0three", 7, 0));
    CALL(setxattr("dir", "user.of a directory", "x", 1, 0));
    list("file"), list("link"), list("dir");
    CALL(getxattr("file", "user.one", value, sizeof value));
    CALL(getxattr("file", "user.one", value, 5));
    CALL(getxattr("file", "user.one", value, 4));
    CALL(getxattr("file", "user.one", NULL, 0));
    CALL(getxattr("link", "user.two", value, sizeof value));
    memset(value, '.', sizeof value);
    CALL(fgetxattr(fd, "user.three", value, sizeof value));
    printf("%d\n", memcmp(value, "3\0three.", 8));
    CALL(setxattr("file", "user.one", "new", 3, XATTR_CREATE));
    CALL(setxattr("file", "user.one", "new", 3, XATTR_REPLACE));
    CALL(setxattr("file", "user.missing", "new", 3, XATTR_REPLACE));
    CALL(getxattr("file", "user.one", value, sizeof value));
    CALL(removexattr("file", "user.one"));
    CALL(removexattr("file", "user.one"));
    CALL(getxattr("file", "user.one", value, sizeof value));
    CALL(fremovexattr(fd, "user.three"));
    list("file");
    CALL(close(fd));
}

static void refusing(void) {
    char value[32], longest[300] = "user.";
    memset(longest + 5, 'x', 250);
    CALL(setxattr("file", longest, "", 0, 0));
    CALL(getxattr("file", longest, value, sizeof value));
    longest[255] = 'x';
    CALL(setxattr("file", longest, "", 0, 0));
    CALL(getxattr("file", longest, value, sizeof value));
    CALL(setxattr("file", "", "x", 1, 0));
    CALL(setxattr("file", "user.", "x", 1, 0));
    CALL(setxattr("file", "without", "x", 1, 0));
    CALL(getxattr("file", "nowhere.at all", value, sizeof value));
    CALL(setxattr("file", "user.x", "x", 1, 64));
    CALL(syscall(SYS_setxattr, "file", "user.x", "x", 65537, 0));
    CALL(lsetxattr("link", "user.x", "x", 1, 0));
    CALL(lgetxattr("link", "user.x", value, sizeof value));
    CALL(setxattr("fifo", "user.x", "x", 1, 0));
    CALL(getxattr("fifo", "user.x", value, sizeof value));
    CALL(setxattr("missing", "user.x", "x", 1, 0));
    CALL(listxattr("missing", value, sizeof value));
    CALL(fgetxattr(99, "user.x", value, sizeof value));
    int path = CALL(open("file", O_PATH));
    CALL(fgetxattr(path, "user.x", value, sizeof value));
    CALL(close(path));
    CALL(setxattr("file", "user.x", WILD, 1, 0));
    CALL(setxattr("file", WILD, "x", 1, 0));
    CALL(setxattr(WILD, "user.x", "x", 1, 0));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    make_file("file", "");
    CALL(symlink("file", "link"));
    CALL(mkdir("dir", 0755));
    CALL(mkfifo("fifo", 0644));
    using();
    refusing();
    unlink("file"), unlink("link"), unlink("fifo"), rmdir("dir");
    return leave_scratch();
}
