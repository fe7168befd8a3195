/* A file that is cut short under its mappings: SIGBUS with the address, for reads, writes and system calls. */
#include "../report.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

static sigjmp_buf back;
static volatile sig_atomic_t code;
static void *volatile address;

static void on_bus(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    code = info->si_code;
    address = info->si_addr;
    siglongjmp(back, 1);
}

static void touch(volatile char *page, const char *what, int write) {
    if (sigsetjmp(back, 1)) {
        printf("%s: SIGBUS, code %s, address %s\n", what, code == BUS_ADRERR ? "BUS_ADRERR" : "?", address == page ? "right" : "wrong");
        return;
    }
    if (write) *page = 1;
    printf("%s: %d\n", what, *page);
}

int main(int argc, char **argv) {
    struct sigaction action = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &action, NULL);
    if (argc > 1 && chdir(argv[1])) return 1;
    int fd = CALL(open("file", O_RDWR | O_CREAT | O_TRUNC, 0600));
    CALL(ftruncate(fd, 3 * 4096 + 100));
    char *shared = mmap(NULL, 5 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *private = mmap(NULL, 5 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    touch(shared + 4096, "shared, inside", 1);
    touch(shared + 3 * 4096 + 200, "shared, behind the end in the last page", 1);
    touch(shared + 4 * 4096, "shared, a page behind the end", 0);
    touch(private + 4 * 4096, "private, a page behind the end", 1);
    touch(private + 4096, "private, inside", 0);
    CALL(ftruncate(fd, 4096));
    touch(shared + 4096, "shared, cut off", 0);
    touch(private + 2 * 4096, "private, cut off", 0);
    touch(private, "private, still there", 0);
    CALL(write(1, shared + 2 * 4096, 10));
    CALL(read(fd, shared + 2 * 4096, 10));
    CALL(ftruncate(fd, 3 * 4096));
    touch(shared + 4096, "shared, back again", 0);
    touch(private + 2 * 4096, "private, back again", 1);
    CALL(close(fd));
    CALL(unlink("file"));
    return 0;
}
