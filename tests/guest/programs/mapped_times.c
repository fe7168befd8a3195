/* When a file in memory has changed that is written through a mapping: at the first write to each page (mmap(2), tmpfs(5)). */
#include "report.h"

#include <sys/mman.h>
#include <time.h>

#define PAGE 65536 /* as large as any kernel's pages */

static const struct timespec LONG_AGO[2] = {{1, 0}, {1, 0}};

static void show(const char *what, int fd) {
    struct stat status;
    fstat(fd, &status);
    printf("%s: %s%s\n", what, status.st_mtim.tv_sec > 1 ? "changed" : "as of long ago",
           status.st_ctim.tv_sec > 1 ? "" : ", but for its attributes");
}

int main(void) {
    int fd = memfd_create("file", 0);
    CALL(ftruncate(fd, 2 * PAGE));
    char *start = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CALL(futimens(fd, LONG_AGO));
    show("mapped", fd);
    start[0] = 1;
    show("written", fd);
    CALL(futimens(fd, LONG_AGO));
    show("set back", fd);
    start[1] = 1;
    show("written to the same page", fd);
    start[PAGE] = 1;
    show("written to another page", fd);
    CALL(msync(start, 2 * PAGE, MS_SYNC));
    CALL(futimens(fd, LONG_AGO));
    CALL(munmap(start, 2 * PAGE));
    show("not mapped any more", fd);
    CALL(fchmod(fd, 0600));
    show("its mode changed", fd);
    CALL(pwrite(fd, "x", 1, 0));
    show("written by a call", fd);
    return 0;
}
