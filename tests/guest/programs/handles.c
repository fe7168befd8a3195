/* File handles: on a file system that has none, and on one that has. */
#include "report.h"

#include <sys/syscall.h>

static struct file_handle *named(const char *name, int bytes, int flags) {
    static int mount;
    struct file_handle *handle = calloc(1, sizeof *handle + 256);
    handle->handle_bytes = bytes;
    CALL(name_to_handle_at(AT_FDCWD, name, handle, &mount, flags));
    return handle;
}

static int same(const struct file_handle *a, const struct file_handle *b) {
    return a->handle_bytes == b->handle_bytes && a->handle_type == b->handle_type &&
           !memcmp(a->f_handle, b->f_handle, a->handle_bytes);
}

static void read_by(int mount, struct file_handle *handle) {
    char text[32] = "";
    int fd = CALL(open_by_handle_at(mount, handle, O_RDONLY));
    if (fd >= 0) {
        CALL(read(fd, text, sizeof text - 1));
        printf("%s\n", text);
        CALL(close(fd));
    }
}

static void of_files(void) {
    make_file("file", "contents");
    CALL(link("file", "other name"));
    CALL(symlink("file", "link"));
    CALL(mkdir("dir", 0755));
    struct file_handle *file = named("file", 128, 0), *dir = named("dir", 128, 0), *link = named("link", 128, 0);
    printf("%d %d %d %d\n", same(file, named("other name", 128, 0)), same(file, dir), same(file, link),
           same(file, named("link", 128, AT_SYMLINK_FOLLOW)));
    printf("same for identification: %d\n", same(file, named("file", 128, 0x200)));
    struct file_handle *small = named("file", 1, 0);
    printf("needs %d, invalid %d\n", small->handle_bytes == file->handle_bytes, small->handle_type == 0xff);
    named("file", 129, 0);
    int here = CALL(open(".", O_RDONLY | O_DIRECTORY)), only_path = CALL(open(".", O_PATH));
    if (getuid()) {
        CALL(open_by_handle_at(here, file, O_RDONLY));
        return;
    }
    read_by(here, file);
    read_by(AT_FDCWD, file);
    CALL(open_by_handle_at(only_path, file, O_RDONLY));
    CALL(open_by_handle_at(here, link, O_RDONLY));
    CALL(open_by_handle_at(here, dir, O_RDWR));
    int fd = CALL(open_by_handle_at(here, dir, O_RDONLY | O_DIRECTORY));
    CALL(close(fd));
    CALL(unlink("other name"));
    CALL(rename("file", "dir/moved"));
    read_by(here, file);
    CALL(unlink("dir/moved"));
    CALL(open_by_handle_at(here, file, O_RDONLY));
    CALL(rmdir("dir"));
    CALL(open_by_handle_at(here, dir, O_RDONLY));
}

static int by_handle(int mount, struct file_handle *handle) {
    return open_by_handle_at(mount, handle, O_RDONLY);
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    of_files();
    struct file_handle *handle = calloc(1, sizeof *handle + 256);
    int mount;
    handle->handle_bytes = 128;
    CALL(name_to_handle_at(AT_FDCWD, "/proc/self/status", handle, &mount, 0));
    CALL(name_to_handle_at(AT_FDCWD, "/proc/self/status", handle, &mount, 0x4000));
    CALL(name_to_handle_at(AT_FDCWD, "/no such file", handle, &mount, 0));
    CALL(name_to_handle_at(AT_FDCWD, "", handle, &mount, 0));
    CALL(name_to_handle_at(99, "x", handle, &mount, 0));
    handle->handle_bytes = 0;
    CALL(by_handle(AT_FDCWD, handle));
    handle->handle_bytes = 200;
    CALL(by_handle(AT_FDCWD, handle));
    CALL(by_handle(AT_FDCWD, (void *)8));
    handle->handle_bytes = 8;
    CALL(by_handle(99, handle));
    if (getuid() == 0) {
        CALL(setuid(1000));
    }
    CALL(by_handle(AT_FDCWD, handle));
    return 0;
}
