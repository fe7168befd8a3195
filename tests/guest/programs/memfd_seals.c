/* F_SEAL_WRITE and F_SEAL_FUTURE_WRITE of a memfd, and shared mappings of it. */
#include "report.h"

#include <sys/mman.h>

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    int fd = CALL(memfd_create("x", MFD_ALLOW_SEALING));
    CALL(ftruncate(fd, 4096));
    char *written = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CALL(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    CALL(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
    CALL(fcntl(fd, F_GET_SEALS));
    CALL(write(fd, "x", 1));
    *written = 1;
    OK((long)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    void *read_only = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    CALL(mprotect(read_only, 4096, PROT_READ | PROT_WRITE));
    munmap(written, 4096);
    CALL(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    OK((long)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
    CALL(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
    CALL(ftruncate(fd, 1));
    CALL(ftruncate(fd, 8192));
    CALL(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
    CALL(fallocate(fd, 0, 0, 8192));
    CALL(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    CALL(fcntl(fd, F_GET_SEALS));
    return 0;
}
