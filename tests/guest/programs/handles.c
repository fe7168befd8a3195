/* File handles, on a file system that has none: what is told first. */
#include "report.h"

#include <sys/syscall.h>

static int by_handle(int mount, struct file_handle *handle) {
    return open_by_handle_at(mount, handle, O_RDONLY);
}

int main(void) {
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
