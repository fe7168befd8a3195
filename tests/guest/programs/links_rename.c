/* link, symlink, readlink, unlink, rename in all their variants. */
#include "report.h"

static const char *const NAMES[] = {"file", "other", "one", "two", "dir", "full", "full/entry", "link", "new"};

/* Which names are there, with type and number of links. */
static void list(void) {
    struct stat st;
    printf(" ");
    for (size_t i = 0; i < LENGTH(NAMES); i++) {
        if (lstat(NAMES[i], &st) == 0) {
            printf(" %s(%o,%lu)", NAMES[i], st.st_mode >> 12,
                   S_ISDIR(st.st_mode) ? 0ul : (unsigned long)st.st_nlink);
        }
    }
    printf("\n");
}

static void start_over(void) {
    static const char *const FILES[] = {"file", "other", "one", "two", "full/entry", "link", "new"};
    for (size_t i = 0; i < LENGTH(FILES); i++) {
        unlink(FILES[i]);
    }
    rmdir("dir"), rmdir("full"), rmdir("new"), rmdir("one");
}

static void populate(void) {
    start_over();
    make_file("file", "file's");
    make_file("other", "other's");
    mkdir("dir", 0755);
    mkdir("full", 0755);
    make_file("full/entry", "");
    if (symlink("file", "link") < 0) {
        perror("link");
    }
}

static void linking(void) {
    populate();
    int fd = CALL(open("file", O_RDONLY)), path = CALL(open("file", O_PATH));
    char magic[64];
    CALL(link("file", "one"));
    CALL(link("link", "two")); /* a second name of the symbolic link itself */
    list();
    CALL(unlink("two"));
    CALL(linkat(AT_FDCWD, "link", AT_FDCWD, "two", AT_SYMLINK_FOLLOW));
    list();
    CALL(link("file", "two"));
    CALL(link("missing", "new"));
    CALL(link("dir", "new"));
    CALL(link("file", "new/"));
    CALL(link("file", "missing/new"));
    CALL(link("file/", "new"));
    CALL(link("", "new"));
    CALL(link("file", ""));
    CALL(linkat(AT_FDCWD, "file", AT_FDCWD, "new", 1));
    CALL(linkat(99, "file", AT_FDCWD, "new", 0));
    CALL(linkat(AT_FDCWD, "file", 99, "new", 0));
    snprintf(magic, sizeof magic, "/proc/self/fd/%d", path);
    CALL(linkat(AT_FDCWD, magic, AT_FDCWD, "new", AT_SYMLINK_FOLLOW));
    CALL(unlink("new"));
    CALL(access("file", F_OK));
    CALL(linkat(fd, "", AT_FDCWD, "new", AT_EMPTY_PATH));
    list();
    CALL(unlink("file"));
    show_file("one");
    list();
    CALL(close(fd)), CALL(close(path));
}

static void symbolic(void) {
    char target[32];
    populate();
    CALL(symlink("anything at all", "one"));
    memset(target, '.', sizeof target);
    CALL(readlink("one", target, sizeof target));
    printf("%.20s\n", target);
    memset(target, '.', sizeof target);
    CALL(readlink("one", target, 3));
    printf("%.5s\n", target);
    CALL(syscall(SYS_readlinkat, AT_FDCWD, "one", target, 0));
    CALL(syscall(SYS_readlinkat, AT_FDCWD, "one", target, -1));
    CALL(readlink("file", target, sizeof target));
    CALL(readlink("dir", target, sizeof target));
    CALL(readlink("missing", target, sizeof target));
    CALL(readlink("", target, sizeof target));
    CALL(readlink("one/", target, sizeof target));
    int fd = CALL(open("one", O_PATH | O_NOFOLLOW));
    CALL(readlinkat(fd, "", target, sizeof target));
    CALL(close(fd));
    CALL(symlink("", "two"));
    CALL(symlink("x", ""));
    CALL(symlink("x", "file"));
    CALL(symlink("x", "two/"));
    CALL(symlink("x", "missing/two"));
    CALL(symlinkat("x", 99, "two"));
    list();
}

/* Opens it, at least once in many times: Linux goes on counting links when it begins a walk anew, because something has been
 * mounted anywhere meanwhile. */
static int opens(const char *name) {
    int fd = -1;
    for (int i = 0; i < 1000 && fd < 0; i++) {
        fd = open(name, O_RDONLY);
    }
    return fd < 0 ? -1 : close(fd);
}

static void chains(void) {
    char name[16], target[16];
    populate();
    for (int i = 0; i < 41; i++) {
        snprintf(name, sizeof name, "chain%d", i);
        snprintf(target, sizeof target, i == 0 ? "file" : "chain%d", i - 1);
        if (symlink(target, name) < 0) {
            perror(name);
        }
    }
    CALL(opens("chain38"));
    CALL(opens("chain39"));
    CALL(opens("chain40"));
    for (int i = 0; i < 41; i++) {
        snprintf(name, sizeof name, "chain%d", i);
        unlink(name);
    }
}

static void renaming(void) {
    populate();
    CALL(rename("file", "new"));
    list();
    CALL(rename("new", "other"));
    show_file("other");
    list();
    CALL(rename("other", "other"));
    CALL(rename("dir", "new"));
    CALL(rename("new", "full"));
    CALL(rename("full", "new")); /* onto an empty directory */
    list();
    CALL(rename("new", "full"));
    CALL(rename("other", "full"));
    CALL(rename("full", "other"));
    CALL(rename("full", "full/below"));
    CALL(rename("full", "full/entry/below"));
    CALL(rename("full/entry", "full"));
    CALL(rename("missing", "new"));
    CALL(rename("other", "missing/new"));
    CALL(rename("other/", "new"));
    CALL(rename("other", "new/"));
    CALL(rename("full/", "new/"));
    CALL(rename("new", "full"));
    CALL(rename(".", "new"));
    CALL(rename("other", "."));
    CALL(rename("full/..", "new"));
    CALL(rename("", "new"));
    CALL(rename("link", "new")); /* the link, not what it leads to */
    list();
    populate();
    CALL(link("file", "one"));
    CALL(rename("file", "one")); /* the same file: nothing happens */
    list();
}

static void renaming_with_flags(void) {
    populate();
    CALL(syscall(SYS_renameat2, AT_FDCWD, "file", AT_FDCWD, "other", RENAME_NOREPLACE));
    CALL(syscall(SYS_renameat2, AT_FDCWD, "file", AT_FDCWD, "new", RENAME_NOREPLACE));
    CALL(syscall(SYS_renameat2, AT_FDCWD, "new", AT_FDCWD, "full", RENAME_EXCHANGE));
    list();
    show_file("full");
    CALL(syscall(SYS_renameat2, AT_FDCWD, "new", AT_FDCWD, "full", RENAME_EXCHANGE));
    CALL(syscall(SYS_renameat2, AT_FDCWD, "new", AT_FDCWD, "missing", RENAME_EXCHANGE));
    CALL(syscall(SYS_renameat2, AT_FDCWD, "full", AT_FDCWD, "full/entry", RENAME_EXCHANGE));
    CALL(syscall(SYS_renameat2, AT_FDCWD, "new", AT_FDCWD, "one", RENAME_NOREPLACE | RENAME_EXCHANGE));
    CALL(syscall(SYS_renameat2, AT_FDCWD, "new", AT_FDCWD, "one", 64));
    CALL(renameat(99, "new", AT_FDCWD, "one"));
    CALL(renameat(AT_FDCWD, "new", 99, "one"));
    list();
}

/* A file is still there for whoever has it open, whatever happens to its name. */
static void open_files(void) {
    struct stat st;
    char path[PATH_MAX];
    populate();
    int fd = CALL(open("file", O_RDWR)), victim = CALL(open("other", O_RDONLY));
    CALL(rename("file", "other"));
    CALL(fstat(victim, &st));
    printf("%lu links\n", (unsigned long)st.st_nlink);
    CALL(fstat(fd, &st));
    printf("%lu links\n", (unsigned long)st.st_nlink);
    CALL(pread(victim, path, sizeof path, 0));
    CALL(close(fd)), CALL(close(victim));
    CALL(chdir("full"));
    CALL(rename("../full", "../new"));
    printf("%s\n", strrchr(getcwd(path, sizeof path), '/'));
    CALL(access("entry", F_OK));
    CALL(chdir(scratch));
    CALL(rename("new", "full"));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    linking();
    symbolic();
    chains();
    renaming();
    renaming_with_flags();
    open_files();
    start_over();
    return leave_scratch();
}
