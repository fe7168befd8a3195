/* rseq(2): errors of registering, the CPU's number, counters by CPU that many threads raise at once without atomic
 * instructions, sequences that a signal interrupts, and broken ones. */
#include "report.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/time.h>
#include <sys/wait.h>

#if defined __x86_64__
#define SIGNATURE 0x53053053
#define SYS_RSEQ 334
#else
#define SIGNATURE 0xd428bc00
#define SYS_RSEQ 293
#endif

struct area {
    uint32_t cpu_id_start, cpu_id;
    uint64_t rseq_cs;
    uint32_t flags, node_id, mm_cid, padding;
} __attribute__((aligned(32)));

extern const ptrdiff_t __rseq_offset;
enum { SIZE = 32 }; /* of the area, as the C library registers it */

static struct area *area_of_libc(void) { return (struct area *)((char *)__builtin_thread_pointer() + __rseq_offset); }
static long rseq(void *area, unsigned size, int flags, unsigned signature) { return syscall(SYS_RSEQ, area, size, flags, signature); }

/* One more in the counter of CPU `cpu`; 0 if the sequence was interrupted, or is another CPU's. */
static int increment(struct area *area, uint32_t cpu, volatile uint64_t *counter) {
#if defined __x86_64__
    __asm__ goto(".pushsection __rseq_cs, \"aw\"\n.balign 32\n3: .long 0, 0\n.quad 1f, 2f - 1f, 4f\n.popsection\n"
                 "leaq 3b(%%rip), %%rax\nmovq %%rax, 8(%0)\n"
                 "1: cmpl %1, 4(%0)\njne 5f\n"
                 "movq (%2), %%rax\nincq %%rax\nmovq %%rax, (%2)\n"
                 "2: jmp 6f\n"
                 ".long 0x53053053\n4: jmp %l[aborted]\n"
                 "5: jmp %l[aborted]\n6:\n"
                 :: "r"(area), "r"(cpu), "r"(counter) : "rax", "cc", "memory" : aborted);
#else
    __asm__ goto(".pushsection __rseq_cs, \"aw\"\n.balign 32\n3: .long 0, 0\n.quad 1f, 2f - 1f, 4f\n.popsection\n"
                 "adrp x9, 3b\nadd x9, x9, :lo12:3b\nstr x9, [%0, #8]\n"
                 "1: ldr w9, [%0, #4]\ncmp w9, %w1\nb.ne 5f\n"
                 "ldr x9, [%2]\nadd x9, x9, #1\nstr x9, [%2]\n"
                 "2: b 6f\n"
                 ".inst 0xd428bc00\n4: b %l[aborted]\n"
                 "5: b %l[aborted]\n6:\n"
                 :: "r"(area), "r"(cpu), "r"(counter) : "x9", "cc", "memory" : aborted);
#endif
    return 1;
aborted:
    return 0;
}

/* A sequence without end, which only an interruption leaves. */
static void spin(struct area *area) {
#if defined __x86_64__
    __asm__ goto(".pushsection __rseq_cs, \"aw\"\n.balign 32\n3: .long 0, 0\n.quad 1f, 2f - 1f, 4f\n.popsection\n"
                 "leaq 3b(%%rip), %%rax\nmovq %%rax, 8(%0)\n1: jmp 1b\n2: ud2\n.long 0x53053053\n4: jmp %l[aborted]\n"
                 :: "r"(area) : "rax", "memory" : aborted);
#else
    __asm__ goto(".pushsection __rseq_cs, \"aw\"\n.balign 32\n3: .long 0, 0\n.quad 1f, 2f - 1f, 4f\n.popsection\n"
                 "adrp x9, 3b\nadd x9, x9, :lo12:3b\nstr x9, [%0, #8]\n1: b 1b\n2: udf #0\n.inst 0xd428bc00\n4: b %l[aborted]\n"
                 :: "r"(area) : "x9", "memory" : aborted);
#endif
aborted:;
}

enum { THREADS = 5, ROUNDS = 3000, CPUS = 1024 };
static struct { volatile uint64_t value, padding[7]; } counters[CPUS];
static int bad_numbers;

static void *count(void *unused) {
    struct area *area = area_of_libc();
    for (int done = 0; done < ROUNDS;) {
        uint32_t cpu = *(volatile uint32_t *)&area->cpu_id_start;
        if (cpu >= CPUS) __atomic_fetch_add(&bad_numbers, 1, __ATOMIC_RELAXED);
        else done += increment(area, cpu, &counters[cpu].value);
        if (done % 500 == 0) sched_yield();
    }
    return unused;
}

static void count_together(void) {
    pthread_t threads[THREADS];
    uint64_t sum = 0;
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, count, NULL);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < CPUS; i++) sum += counters[i].value;
    printf("counted %d, bad numbers %d\n", (int)sum, bad_numbers);
}

/* The first one may come before the sequence has begun. */
static const struct itimerval AGAIN_AND_AGAIN = {{0, 2000}, {0, 2000}};
static volatile sig_atomic_t signals;
static void on_signal(int number) {
    (void)number;
    signals++;
}

static void interrupt(void) {
    struct area *area = area_of_libc();
    signal(SIGALRM, on_signal);
    for (int i = 0; i < 3; i++) {
        int before = signals;
        setitimer(ITIMER_REAL, &AGAIN_AND_AGAIN, NULL);
        while (signals == before) spin(area);
        setitimer(ITIMER_REAL, &(struct itimerval){{0}}, NULL);
        printf("aborted, rseq_cs %d\n", area->rseq_cs != 0);
    }
}

static void break_it(const char *what, unsigned signature, struct area *area) {
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        struct area *old = area_of_libc();
        if (rseq(old, SIZE, 1, SIGNATURE)) _exit(1);
        if (rseq(area, 32, 0, signature)) _exit(2);
        signal(SIGALRM, on_signal);
        setitimer(ITIMER_REAL, &AGAIN_AND_AGAIN, NULL);
        spin(area);
        _exit(3);
    }
    int status;
    waitpid(pid, &status, 0);
    printf("%s: signal %d, status %d\n", what, WTERMSIG(status), WEXITSTATUS(status));
}

/* Both numbers, read while the thread stays on its CPU. */
static int numbers_agree(volatile struct area *area) {
    uint32_t start, id;
    do {
        start = area->cpu_id_start, id = area->cpu_id;
    } while (start != area->cpu_id_start);
    return id == start;
}

int main(void) {
    struct area *area = area_of_libc();
    static struct area other;
    unsigned size = SIZE, cpu, node;
    cpu_set_t one;
    printf("%d %d\n", size, numbers_agree(area));
    CALL(rseq(area, size, 0, SIGNATURE));
    CALL(rseq(area, size, 0, 1));
    CALL(rseq(&other, size, 0, SIGNATURE));
    CALL(rseq(area, 64, 0, SIGNATURE));
    CALL(rseq(area, size, 2, SIGNATURE));
    CALL(rseq(area, size, 3, SIGNATURE));
    CALL(rseq(area, size, 1, 1));
    CALL(rseq(&other, size, 1, SIGNATURE));
    CALL(rseq(area, 64, 1, SIGNATURE));
    CALL(rseq(area, size, 1, SIGNATURE));
    printf("unregistered: %d %x %x\n", (int)area->cpu_id_start, area->cpu_id, area->node_id);
    CALL(rseq(area, size, 1, SIGNATURE));
    CALL(rseq(&other, 16, 0, SIGNATURE));
    CALL(rseq((char *)&other + 8, 32, 0, SIGNATURE));
    CALL(rseq((void *)0xfffffffffffff000, 32, 0, SIGNATURE));
    CALL(rseq(area, size, 0, SIGNATURE));
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    CALL(sched_setaffinity(0, sizeof one, &one));
    CALL(syscall(SYS_getcpu, &cpu, &node, NULL));
    printf("%d %d %d %d %d\n", (int)cpu, (int)node, sched_getcpu(), (int)area->cpu_id, (int)area->cpu_id_start);
    memset(&one, 0xff, sizeof one);
    CALL(sched_setaffinity(0, sizeof one, &one));
    interrupt();
    count_together();
    break_it("wrong signature", 7, &other);
    break_it("unmapped area", SIGNATURE, (struct area *)0x10000);
    return 0;
}
