/* How long what is written may live: F_SET_RW_HINT (fcntl(2)). */
#include "report.h"

#include <sys/mman.h>
#include <sys/socket.h>

#ifndef F_GET_RW_HINT
#define F_GET_RW_HINT 1035
#define F_SET_RW_HINT 1036
#define F_GET_FILE_RW_HINT 1037
#define F_SET_FILE_RW_HINT 1038
#endif

static void try_all(const char *name, int fd) {
    uint64_t hint = 0;
    printf("-- %s\n", name);
    CALL(fcntl(fd, F_SET_RW_HINT, &hint));
    for (uint64_t wanted = 0; wanted < 7; wanted++) {
        hint = wanted;
        CALL(fcntl(fd, F_SET_RW_HINT, &hint));
        hint = 99;
        CALL(fcntl(fd, F_GET_RW_HINT, &hint));
        printf("%lu\n", (unsigned long)hint);
    }
    hint = 1ull << 32 | 1;
    CALL(fcntl(fd, F_SET_RW_HINT, &hint));
    CALL(fcntl(fd, F_SET_RW_HINT, WILD));
    CALL(fcntl(fd, F_GET_RW_HINT, WILD));
}

static void show_kept(const char *name) {
    uint64_t hint = 99;
    int fd = open(name, O_RDONLY);
    CALL(fcntl(fd, F_GET_RW_HINT, &hint));
    printf("%lu\n", (unsigned long)hint);
    close(fd);
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    int pair[2], file = open("file", O_RDWR | O_CREAT, 0600);
    try_all("file", file);
    show_kept("file");
    try_all("directory", open(".", O_RDONLY));
    try_all("path", open("file", O_PATH));
    try_all("memory", memfd_create("memory", 0));
    CALL(pipe(pair));
    try_all("pipe", pair[0]);
    CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    try_all("socket", pair[0]);
    if (geteuid() == 0) {
        uint64_t hint = 2;
        CALL(fcntl(file, F_SET_RW_HINT, &hint));
        CALL(seteuid(1000));
        CALL(fcntl(file, F_SET_RW_HINT, &hint));
        CALL(fcntl(file, F_SET_RW_HINT, WILD));
        CALL(fcntl(file, F_GET_RW_HINT, &hint));
        CALL(seteuid(0));
    }
    CALL(unlink("file"));
    return leave_scratch();
}
