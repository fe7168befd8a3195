/* Memory that is filled at once: MAP_POPULATE, MADV_POPULATE_*, mlock, and what of a file a private mapping keeps. */
#include "report.h"

#include <sys/mman.h>

#define PAGES 4
#define LENGTH_OF_ALL (PAGES * 4096)

static char *shared;

static void show(const char *what, char *private) {
    for (int page = 0; page < PAGES; page++) {
        shared[page * 4096] = 'n';
    }
    printf("%s:", what);
    for (int page = 0; page < PAGES; page++) {
        printf(" %c", private[page * 4096]);
        shared[page * 4096] = 'o';
    }
    puts("");
    munmap(private, LENGTH_OF_ALL);
}

static char *map(int fd, int prot, int flags) {
    return mmap(NULL, LENGTH_OF_ALL, prot, MAP_PRIVATE | flags, fd, 0);
}

static void try_file(int fd) {
    const int both = PROT_READ | PROT_WRITE;
    char *private;
    CALL(ftruncate(fd, LENGTH_OF_ALL));
    shared = mmap(NULL, LENGTH_OF_ALL, both, MAP_SHARED, fd, 0);
    memset(shared, 'o', LENGTH_OF_ALL);
    show("populated", map(fd, both, MAP_POPULATE));
    show("without a right to write", map(fd, PROT_READ, MAP_POPULATE));
    private = map(fd, both, 0);
    CALL(madvise(private + 4096, 4096, MADV_POPULATE_WRITE));
    CALL(madvise(private + 8192, 4096, MADV_POPULATE_READ));
    show("advised", private);
    private = map(fd, both, 0);
    CALL(mlock(private + 8192, 4096));
    show("locked", private);
    private = map(fd, both, 0);
    CALL(mlock2(private, 4096, MLOCK_ONFAULT));
    private[4096] = 'p';
    show("locked on fault, and written", private);
    private = map(fd, PROT_READ, 0);
    CALL(madvise(private, 4096, MADV_POPULATE_WRITE));
    CALL(madvise(private, LENGTH_OF_ALL * 2, MADV_POPULATE_READ));
    show("only to be read", private);
    munmap(shared, LENGTH_OF_ALL);
    close(fd);
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    try_file(open("file", O_RDWR | O_CREAT, 0600));
    try_file(memfd_create("memory", 0));
    unlink("file");
    return leave_scratch();
}
