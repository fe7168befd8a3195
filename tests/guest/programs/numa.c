/* On which nodes memory is to be: set_mempolicy(2), mbind(2), get_mempolicy(2), migrate_pages(2), move_pages(2),
 * on a machine with one node. */
#include "report.h"

#include <linux/mempolicy.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { PAGE = 4096, WORDS = 32 };

static unsigned long mask[WORDS], zeros[WORDS], beyond[WORDS];
static char *area;

static long set_mempolicy(int mode, const unsigned long *nodes, unsigned long maxnode) {
    return syscall(SYS_set_mempolicy, mode, nodes, maxnode);
}

static long bind_range(void *start, unsigned long length, int mode, const unsigned long *nodes, unsigned flags) {
    return syscall(SYS_mbind, start, length, mode, nodes, nodes == NULL ? 0UL : 65UL, flags);
}

static long get_mempolicy(int *mode, unsigned long *nodes, unsigned long maxnode, void *address, unsigned long flags) {
    return syscall(SYS_get_mempolicy, mode, nodes, maxnode, address, flags);
}

static void show(void *address, unsigned long flags) {
    int mode = -1;
    unsigned long nodes[2] = {-1UL, -1UL};
    errno = 0;
    long result = get_mempolicy(&mode, nodes, 128, address, flags);
    printf("  %ld %s mode %x nodes %lx %lx\n", result, result ? error_name(errno) : "", mode, nodes[0], nodes[1]);
}

static void own_policy(void) {
    static const int modes[] = {
        MPOL_DEFAULT, MPOL_PREFERRED, MPOL_BIND, MPOL_INTERLEAVE, MPOL_LOCAL, MPOL_PREFERRED_MANY, 7, -1,
        MPOL_PREFERRED | MPOL_F_STATIC_NODES, MPOL_BIND | MPOL_F_RELATIVE_NODES, MPOL_LOCAL | MPOL_F_STATIC_NODES,
        MPOL_BIND | MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES, MPOL_BIND | 1 << 13, MPOL_INTERLEAVE | 1 << 13,
    };
    const unsigned long two[2] = {2, 0}, three[2] = {3, 0};
    show(NULL, 0);
    for (size_t i = 0; i < LENGTH(modes); i++) {
        printf("mode %x\n", modes[i]);
        CALL(set_mempolicy(modes[i], NULL, 0));
        CALL(set_mempolicy(modes[i], mask, 65));
        show(NULL, 0);
        show(NULL, MPOL_F_NODE);
        CALL(set_mempolicy(modes[i], two, 65));
        show(NULL, 0);
        CALL(set_mempolicy(modes[i], three, 65));
        show(NULL, 0);
    }
    CALL(set_mempolicy(MPOL_BIND, mask, 0));
    CALL(set_mempolicy(MPOL_BIND, mask, 1)); /* of no bits at all */
    CALL(set_mempolicy(MPOL_BIND, mask, 2));
    CALL(set_mempolicy(MPOL_BIND, mask, 1025));
    CALL(set_mempolicy(MPOL_BIND, mask, 32769));
    CALL(set_mempolicy(MPOL_BIND, mask, 32770));
    CALL(set_mempolicy(MPOL_BIND, beyond, 1024));
    CALL(set_mempolicy(MPOL_BIND, beyond, 1100));
    CALL(set_mempolicy(MPOL_BIND, WILD, 65));
    CALL(set_mempolicy(MPOL_DEFAULT, NULL, 65));
    CALL(set_mempolicy(MPOL_DEFAULT, zeros, 65));
}

static void asking(void) {
    int mode;
    unsigned long nodes[514];
    CALL(get_mempolicy(NULL, NULL, 0, NULL, 0));
    CALL(get_mempolicy(&mode, nodes, 0, NULL, 0));
    CALL(get_mempolicy(&mode, nodes, 1, NULL, 0));
    CALL(get_mempolicy(&mode, nodes, 32769, NULL, 0) == 0 ? 0 : -1);
    CALL(get_mempolicy(&mode, nodes, 32770, NULL, 0));
    CALL(get_mempolicy(&mode, nodes, 65, NULL, MPOL_F_MEMS_ALLOWED));
    printf("%lx\n", nodes[0]);
    CALL(get_mempolicy(&mode, nodes, 65, NULL, MPOL_F_MEMS_ALLOWED | MPOL_F_NODE));
    CALL(get_mempolicy(&mode, nodes, 65, area, MPOL_F_MEMS_ALLOWED));
    CALL(get_mempolicy(&mode, nodes, 65, NULL, 8));
    CALL(get_mempolicy(&mode, nodes, 65, area, 0));
    CALL(get_mempolicy(&mode, nodes, 65, NULL, MPOL_F_ADDR));
    CALL(get_mempolicy(&mode, nodes, 65, area, MPOL_F_ADDR | MPOL_F_NODE));
    printf("%d\n", mode);
    CALL(get_mempolicy(&mode, nodes, 65, area + 8 * PAGE, MPOL_F_ADDR | MPOL_F_NODE));
    CALL(get_mempolicy(WILD, nodes, 65, NULL, 0));
    CALL(get_mempolicy(&mode, WILD, 65, NULL, 0));
}

static int areas_between(char *low, char *high) {
    unsigned long start, end;
    char line[512];
    int count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps) != NULL) {
        sscanf(line, "%lx-%lx", &start, &end);
        count += end > (unsigned long)low && start < (unsigned long)high;
    }
    fclose(maps);
    return count;
}

static void binding(void) {
    char *middle = area + PAGE;
    CALL(bind_range(middle, PAGE, MPOL_BIND, mask, 0));
    show(area, MPOL_F_ADDR);
    show(middle, MPOL_F_ADDR);
    printf("%d areas\n", areas_between(area, area + 8 * PAGE));
    CALL(bind_range(area, 8 * PAGE, MPOL_BIND, mask, MPOL_MF_STRICT | MPOL_MF_MOVE));
    printf("%d areas\n", areas_between(area, area + 8 * PAGE));
    CALL(bind_range(area, PAGE + 1, MPOL_PREFERRED, NULL, 0));
    show(middle, MPOL_F_ADDR);
    CALL(syscall(SYS_set_mempolicy_home_node, area, 2 * PAGE, 0, 0));
    CALL(syscall(SYS_set_mempolicy_home_node, area + 4 * PAGE, 2 * PAGE, 0, 0));
    CALL(syscall(SYS_set_mempolicy_home_node, area + 4 * PAGE, 2 * PAGE, 1, 0));
    CALL(syscall(SYS_set_mempolicy_home_node, area + 4 * PAGE, 2 * PAGE, 0, 1));
    CALL(syscall(SYS_set_mempolicy_home_node, area + 4 * PAGE + 1, 2 * PAGE, 0, 0));
    CALL(syscall(SYS_set_mempolicy_home_node, area + 4 * PAGE, 0, 0, 0));
    CALL(bind_range(area, 8 * PAGE, MPOL_DEFAULT, NULL, MPOL_MF_STRICT));
    CALL(syscall(SYS_set_mempolicy_home_node, area, 2 * PAGE, 0, 0));
    show(middle, MPOL_F_ADDR);
    printf("%d areas\n", areas_between(area, area + 8 * PAGE));

    CALL(bind_range(area + 1, PAGE, MPOL_BIND, mask, 0));
    CALL(bind_range(area, 0, MPOL_BIND, NULL, 0));
    CALL(bind_range(area, PAGE, MPOL_BIND, NULL, 0));
    CALL(bind_range(area, -1UL, MPOL_BIND, mask, 0));
    CALL(bind_range(area, -2UL * PAGE, MPOL_BIND, mask, 0));
    CALL(bind_range(area, PAGE, MPOL_BIND, mask, 8));
    CALL(bind_range(area, PAGE, 9, mask, 0));
    CALL(bind_range(area, PAGE, MPOL_DEFAULT, mask, 0));
    CALL(bind_range(area + 7 * PAGE, 2 * PAGE, MPOL_BIND, mask, 0)); /* behind it is nothing */
    CALL(bind_range(area + 7 * PAGE, 2 * PAGE, MPOL_DEFAULT, NULL, 0));
    CALL(bind_range(area + 8 * PAGE, PAGE, MPOL_DEFAULT, NULL, 0));
    CALL(bind_range(area, PAGE, MPOL_BIND, WILD, 0));
}

static void heirs(void) {
    CALL(set_mempolicy(MPOL_PREFERRED, mask, 65));
    CALL(bind_range(area, PAGE, MPOL_INTERLEAVE, mask, 0));
    fflush(stdout);
    if (fork() == 0) {
        show(NULL, 0);
        show(area, MPOL_F_ADDR);
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    char *moved = mremap(area, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
    show(moved + PAGE, MPOL_F_ADDR);
    munmap(moved, 2 * PAGE);
    CALL(set_mempolicy(MPOL_DEFAULT, NULL, 0));
}

static long migrate(pid_t pid, unsigned long maxnode, const unsigned long *from, const unsigned long *to) {
    return syscall(SYS_migrate_pages, pid, maxnode, from, to);
}

static long move(pid_t pid, unsigned long count, void **pages, const int *nodes, int *status, int flags) {
    return syscall(SYS_move_pages, pid, count, pages, nodes, status, flags);
}

static void moving(void) {
    CALL(migrate(0, 65, mask, mask));
    CALL(migrate(getpid(), 65, zeros, mask));
    CALL(migrate(0, 65, mask, zeros));
    CALL(migrate(1 << 30, 65, mask, mask));
    CALL(migrate(0, 65, WILD, mask));
    CALL(migrate(0, 1100, mask, beyond));

    void *pages[] = {area + PAGE, area + 5 * PAGE + 7, area + 8 * PAGE, WILD};
    int status[4] = {9, 9, 9, 9}, nodes[4] = {0}, bad[4] = {0, 1, 0, 0}, worse[4] = {-1};
    CALL(move(0, 4, pages, NULL, status, 0));
    printf("%d %d %d %d\n", status[0], status[1], status[2], status[3]);
    CALL(move(getpid(), 2, pages, nodes, status, MPOL_MF_MOVE));
    printf("%d %d\n", status[0], status[1]);
    CALL(move(0, 2, pages, bad, status, MPOL_MF_MOVE));
    CALL(move(0, 2, pages, worse, status, MPOL_MF_MOVE));
    CALL(move(0, 0, pages, NULL, status, 0));
    CALL(move(0, 1, pages, NULL, status, MPOL_MF_STRICT));
    CALL(move(1 << 30, 1, pages, NULL, status, 0));
    CALL(move(0, 1, WILD, NULL, status, 0));
    CALL(move(0, 1, pages, NULL, WILD, 0));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    mask[0] = 1, beyond[16] = 1;
    area = mmap(NULL, 9 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(area + 8 * PAGE, PAGE);
    memset(area, 1, 8 * PAGE);
    own_policy();
    asking();
    binding();
    moving();
    heirs();
    return leave_scratch();
}
