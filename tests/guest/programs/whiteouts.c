/* What RENAME_WHITEOUT leaves behind, and whose it is (rename(2)). */
#include "report.h"

#include <sys/sysmacros.h>

#ifndef RENAME_WHITEOUT
#define RENAME_WHITEOUT 4
#endif

static long move(const char *from, const char *to) {
    return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, RENAME_WHITEOUT);
}

static void show(const char *name) {
    struct stat status;
    CALL(lstat(name, &status));
    printf("  %o, device %u:%u, user %s, group %s\n", status.st_mode, major(status.st_rdev), minor(status.st_rdev),
           status.st_uid == geteuid() ? "ours" : "another", status.st_gid == getegid() ? "ours" : "another");
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    make_file("a", "text");
    CALL(move("a", "b"));
    show("a");
    show_file("b");
    CALL(move("missing", "c"));
    CALL(unlink("a"));
    if (geteuid() == 0) { /* somebody else moves root's file */
        CALL(chmod(".", 0777));
        CALL(setegid(1001));
        CALL(seteuid(1000));
        CALL(move("b", "c"));
        show("b");
        CALL(unlink("b"));
        CALL(rename("c", "b"));
        CALL(seteuid(0));
        CALL(chmod(".", 02777));
        CALL(seteuid(1000));
        CALL(move("b", "c"));
        show("b");
        CALL(unlink("b"));
        CALL(rename("c", "b"));
        CALL(seteuid(0));
    }
    CALL(unlink("b"));
    return leave_scratch();
}
