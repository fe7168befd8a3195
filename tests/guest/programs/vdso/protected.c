/* Nobody but the kernel writes to the vDSO and its data: by no store, call or change of rights. */
#include "../report.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

static sigjmp_buf out;

static void on_fault(int signal) { siglongjmp(out, signal); }

static int stores(char *at) {
    struct sigaction action = {.sa_handler = on_fault};
    sigaction(SIGSEGV, &action, NULL);
    if (sigsetjmp(out, 1)) return 0;
    *(volatile char *)at = 1;
    return 1;
}

static char *find(const char *name) {
    static char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    char *found = NULL;
    while (!found && fgets(line, sizeof line, maps))
        if (strstr(line, name)) found = (char *)strtoul(line, NULL, 16);
    fclose(maps);
    return found;
}

int main(void) {
    char *vvar = find("[vvar]"), *vdso = find("[vdso]");
    int zeros = open("/dev/zero", O_RDONLY);
    if (!vvar || !vdso) return 2;
    printf("a store to [vvar] %s, to [vdso] %s\n", stores(vvar) ? "works" : "faults", stores(vdso) ? "works" : "faults");
    CALL(read(zeros, vvar, 8));
    CALL(read(zeros, vdso, 8));
    CALL(mprotect(vvar, 4096, PROT_READ | PROT_WRITE));
    CALL(mprotect(vvar, 4096, PROT_READ));
    printf("a store to [vvar] %s\n", stores(vvar) ? "works" : "faults");
    return 0;
}
