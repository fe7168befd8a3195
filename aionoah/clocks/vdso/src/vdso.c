/* The kernel's own code in every program (vdso(7)): tells the time from the clock page right before it, and the CPU.
 *
 * It runs in the program, on any stack, with any registers: no libc, no data of its own, no relocations. What it
 * cannot answer it asks the kernel, as if the program had made the system call.
 */
#include "clock_page.h"

#include <stddef.h>

#define NS_PER_S 1000000000u
#define TICK_NS 4000000u /* of the coarse clocks: clocks/clock.py */
#define EXPORT __attribute__((visibility("default")))

enum { PROCESS_CPUTIME = 2, THREAD_CPUTIME = 3, REALTIME_COARSE = 5, MONOTONIC_COARSE = 6 };
enum { EVERY_CLOCK = 1 << CLOCK_PAGE_REALTIME | 1 << CLOCK_PAGE_MONOTONIC | 1 << CLOCK_PAGE_RAW | 1 << CLOCK_PAGE_BOOTTIME | 1 << CLOCK_PAGE_TAI };
enum { COARSE_CLOCKS = 1 << REALTIME_COARSE | 1 << MONOTONIC_COARSE };
enum { TRIES = 200 }; /* the writer may have lost its CPU */

struct timespec {
    int64_t tv_sec, tv_nsec;
};
struct timeval {
    int64_t tv_sec, tv_usec;
};
struct timezone {
    int32_t tz_minuteswest, tz_dsttime;
};

extern const volatile struct clock_page clock_page __attribute__((visibility("hidden"))); /* placed by vdso.lds */

/* ---- what differs between processors ------------------------------------------------------------------ */

#if defined __x86_64__

enum { SYS_clock_gettime = 228, SYS_clock_getres = 229, SYS_gettimeofday = 96, SYS_time = 201, SYS_getcpu = 309 };

static inline long ask_kernel(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "0"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

/* LFENCE keeps RDTSC from being executed ahead of the loads before it. */
static inline uint64_t counter(void) {
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high)::"memory");
    return low | (uint64_t)high << 32;
}

/* Zero, but known only once `value` is: what is loaded by it is loaded later. */
static inline uint64_t zero_after(uint64_t value) {
    __asm__ volatile("and $0, %0" : "+r"(value)::"cc", "memory");
    return value;
}

static inline void relax(void) { __asm__ volatile("pause"); }

static inline uint32_t tsc_aux(void) {
    uint32_t low, high, aux;
    __asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(aux));
    return aux;
}

#elif defined __aarch64__

enum { SYS_clock_gettime = 113, SYS_clock_getres = 114, SYS_gettimeofday = 169 };

static inline long ask_kernel(long number, long a, long b, long c) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
}

static inline uint64_t counter(void) {
    uint64_t value;
    __asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(value)::"memory");
    return value;
}

static inline uint64_t zero_after(uint64_t value) {
    __asm__ volatile("eor %0, %0, %0" : "+r"(value)::"memory");
    return value;
}

static inline void relax(void) { __asm__ volatile("yield"); }

#endif

/* ---- reading the page ---------------------------------------------------------------------------------- */

static inline uint32_t sequence_after(uint64_t nothing) {
    const volatile char *at = (const volatile char *)&clock_page.sequence + nothing;
    return __atomic_load_n((const volatile uint32_t *)at, __ATOMIC_ACQUIRE);
}

/* Nanoseconds of a clock that the page has. 0 if it is too old, or does not say. */
static inline int read_clock(unsigned clock, uint64_t *ns) {
    const volatile struct clock_page *p = &clock_page;
    for (int i = 0; i < TRIES; i++) {
        uint32_t sequence = sequence_after(0);
        uint64_t window = p->window, start = p->start, base = p->base_ns[clock];
        uint64_t scale = clock == CLOCK_PAGE_RAW ? p->raw_scale : p->scale;
        if (window == 0) return 0; /* the counter may not even be ours to read */
        uint64_t now = counter();
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (__builtin_expect(sequence_after(zero_after(now)) == sequence && !(sequence & 1), 1)) {
            *ns = base + ((now - start) * scale >> 32);
            return now - start < window;
        }
        relax();
    }
    return 0;
}

static inline void split(uint64_t ns, struct timespec *t) {
    t->tv_sec = (int64_t)(ns / NS_PER_S);
    t->tv_nsec = (int64_t)(ns % NS_PER_S);
}

/* ---- what programs call -------------------------------------------------------------------------------- */

static inline int get_time(int clock, struct timespec *t) {
    uint64_t ns;
    unsigned bit = (unsigned)clock < 32 ? 1u << clock : 0;
    if (bit & EVERY_CLOCK) {
        if (read_clock((unsigned)clock, &ns)) {
            split(ns, t);
            return 0;
        }
    } else if (bit & COARSE_CLOCKS) {
        if (read_clock(clock == REALTIME_COARSE ? CLOCK_PAGE_REALTIME : CLOCK_PAGE_MONOTONIC, &ns)) {
            split(ns / TICK_NS * TICK_NS, t);
            return 0;
        }
    }
    return (int)ask_kernel(SYS_clock_gettime, clock, (long)t, 0);
}

static inline int get_resolution(int clock, struct timespec *t) {
    unsigned bit = (unsigned)clock < 32 ? 1u << clock : 0;
    if (!(bit & (EVERY_CLOCK | COARSE_CLOCKS))) return (int)ask_kernel(SYS_clock_getres, clock, (long)t, 0);
    if (t) *t = (struct timespec){0, bit & COARSE_CLOCKS ? TICK_NS : 1};
    return 0;
}

static inline int get_time_of_day(struct timeval *t, struct timezone *zone) {
    uint64_t ns;
    if (t) {
        if (!read_clock(CLOCK_PAGE_REALTIME, &ns)) return (int)ask_kernel(SYS_gettimeofday, (long)t, (long)zone, 0);
        t->tv_sec = (int64_t)(ns / NS_PER_S);
        t->tv_usec = (int64_t)(ns % NS_PER_S / 1000);
    }
    if (zone) *zone = (struct timezone){0, 0};
    return 0;
}

#if defined __x86_64__

EXPORT int __vdso_clock_gettime(int clock, struct timespec *t) { return get_time(clock, t); }
EXPORT int __vdso_clock_getres(int clock, struct timespec *t) { return get_resolution(clock, t); }
EXPORT int __vdso_gettimeofday(struct timeval *t, struct timezone *zone) { return get_time_of_day(t, zone); }

EXPORT int64_t __vdso_time(int64_t *t) {
    uint64_t ns;
    if (!read_clock(CLOCK_PAGE_REALTIME, &ns)) return ask_kernel(SYS_time, (long)t, 0, 0);
    if (t) *t = (int64_t)(ns / NS_PER_S);
    return (int64_t)(ns / NS_PER_S);
}

EXPORT long __vdso_getcpu(unsigned *cpu, unsigned *node, void *unused) {
    if (!clock_page.has_cpu) return ask_kernel(SYS_getcpu, (long)cpu, (long)node, (long)unused);
    uint32_t here = tsc_aux();
    if (cpu) *cpu = here & 0xfff;
    if (node) *node = here >> 12;
    return 0;
}

/* Linux's has these names too. */
#define ALIAS(name, of) EXPORT __typeof__(of) name __attribute__((weak, alias(#of)))
ALIAS(clock_gettime, __vdso_clock_gettime);
ALIAS(clock_getres, __vdso_clock_getres);
ALIAS(gettimeofday, __vdso_gettimeofday);
ALIAS(time, __vdso_time);
ALIAS(getcpu, __vdso_getcpu);

#elif defined __aarch64__

EXPORT int __kernel_clock_gettime(int clock, struct timespec *t) { return get_time(clock, t); }
EXPORT int __kernel_clock_getres(int clock, struct timespec *t) { return get_resolution(clock, t); }
EXPORT int __kernel_gettimeofday(struct timeval *t, struct timezone *zone) { return get_time_of_day(t, zone); }

/* Where signal handlers return to that bring no trampoline of their own. Unwinders know the two instructions by
 * sight, or follow the rules: the handler's frame record, which x29 points to, has the interrupted x29 and x30.
 * They look at the instruction before the return address, so there has to be one. */
__asm__(".pushsection .text.__kernel_rt_sigreturn, \"ax\", %progbits\n"
        "    .cfi_startproc\n"
        "    .cfi_signal_frame\n"
        "    .cfi_def_cfa x29, 0\n"
        "    .cfi_offset x29, 0\n"
        "    .cfi_offset x30, 8\n"
        "    nop\n"
        "    .globl __kernel_rt_sigreturn\n"
        "    .type __kernel_rt_sigreturn, %function\n"
        "__kernel_rt_sigreturn:\n"
        "    mov x8, #139\n"
        "    svc #0\n"
        "    .size __kernel_rt_sigreturn, . - __kernel_rt_sigreturn\n"
        "    .cfi_endproc\n"
        ".popsection\n");

#endif
