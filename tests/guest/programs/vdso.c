/* The vDSO as programs find it, beside the system calls that it saves: by its symbols, not by the C library's use
 * of them. A kernel need not have one (qemu's user mode has none for aarch64), so that only mistakes are printed. */
#include "report.h"

#include <elf.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

#if defined __x86_64__
#define PREFIX "__vdso_"
#define VERSION "LINUX_2.6"
#else
#define PREFIX "__kernel_"
#define VERSION "LINUX_2.6.39"
#endif

static int mistakes;

static void expect(int right, const char *what) {
    if (!right) printf("wrong: %s\n", what);
    mistakes += !right;
}

/* What a C library does: the symbol of that version, by way of DT_HASH. */
static void *find(const char *wanted) {
    const char *base = (const char *)getauxval(AT_SYSINFO_EHDR);
    if (!base) return NULL;
    const Elf64_Ehdr *head = (const void *)base;
    const Elf64_Phdr *segment = (const void *)(base + head->e_phoff);
    const Elf64_Dyn *dynamic = NULL;
    for (int i = 0; i < head->e_phnum; i++)
        if (segment[i].p_type == PT_DYNAMIC) dynamic = (const void *)(base + segment[i].p_vaddr);
    const Elf64_Word *hash = NULL;
    const Elf64_Sym *symbols = NULL;
    const Elf64_Half *versions = NULL;
    const char *strings = NULL, *definitions = NULL;
    for (; dynamic->d_tag != DT_NULL; dynamic++) {
        const char *at = base + dynamic->d_un.d_ptr;
        if (dynamic->d_tag == DT_HASH) hash = (const void *)at;
        if (dynamic->d_tag == DT_SYMTAB) symbols = (const void *)at;
        if (dynamic->d_tag == DT_STRTAB) strings = at;
        if (dynamic->d_tag == DT_VERSYM) versions = (const void *)at;
        if (dynamic->d_tag == DT_VERDEF) definitions = at;
        expect(dynamic->d_tag != DT_RELA && dynamic->d_tag != DT_REL, "no relocations");
    }
    for (Elf64_Word i = 1; i < hash[1]; i++) {
        if (strcmp(strings + symbols[i].st_name, wanted) || ELF64_ST_TYPE(symbols[i].st_info) != STT_FUNC) continue;
        const Elf64_Verdef *version = (const void *)definitions;
        while (version->vd_ndx != (versions[i] & 0x7fff)) version = (const void *)((const char *)version + version->vd_next);
        const Elf64_Verdaux *name = (const void *)((const char *)version + version->vd_aux);
        if (!strcmp(strings + name->vda_name, VERSION)) return (void *)(base + symbols[i].st_value);
    }
    printf("the vDSO has no %s of version %s\n", wanted, VERSION);
    mistakes++;
    return NULL;
}

static int64_t as_ns(struct timespec t) { return t.tv_sec * 1000000000 + t.tv_nsec; }

static int64_t ask_kernel(int clock) {
    struct timespec t;
    syscall(SYS_clock_gettime, clock, &t);
    return as_ns(t);
}

enum { TOLERANCE_NS = 2000 };

static void gettime(void) {
    int (*vdso)(clockid_t, struct timespec *) = find(PREFIX "clock_gettime");
    if (!vdso) return;
    static const int clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME, CLOCK_TAI};
    for (size_t i = 0; i < LENGTH(clocks); i++) {
        for (int round = 0; round < 200; round++) {
            struct timespec t;
            int64_t before = ask_kernel(clocks[i]);
            expect(vdso(clocks[i], &t) == 0, "clock_gettime succeeds");
            int64_t after = ask_kernel(clocks[i]);
            expect(before - TOLERANCE_NS <= as_ns(t) && as_ns(t) <= after + TOLERANCE_NS, "the kernel's time");
            expect(t.tv_nsec >= 0 && t.tv_nsec < 1000000000, "tv_nsec is normal");
        }
    }
    static const int coarse[][2] = {{CLOCK_REALTIME_COARSE, CLOCK_REALTIME}, {CLOCK_MONOTONIC_COARSE, CLOCK_MONOTONIC}};
    for (size_t i = 0; i < LENGTH(coarse); i++) {
        struct timespec t, fine;
        expect(!vdso(coarse[i][0], &t) && !vdso(coarse[i][1], &fine), "coarse clocks");
        expect(as_ns(t) <= as_ns(fine) && as_ns(fine) - as_ns(t) < 1000000000, "a coarse clock is late, but not very");
    }
    struct timespec t;
    expect(vdso(CLOCK_PROCESS_CPUTIME_ID, &t) == 0, "other clocks ask the kernel");
    expect(vdso(10, &t) == -EINVAL && vdso(31, &t) == -EINVAL && vdso(32, &t) == -EINVAL && vdso(64, &t) == -EINVAL,
           "EINVAL is returned, not put into errno");
    expect(vdso(-1, &t) == -EINVAL, "a clock of no descriptor");
}

static void getres(void) {
    int (*vdso)(clockid_t, struct timespec *) = find(PREFIX "clock_getres");
    if (!vdso) return;
    for (int clock = -1; clock < 70; clock++) {
        if (clock >= 16 && clock < 24) continue; /* CLOCK_AUX of Linux 6.17: its vDSO and system calls disagree */
        struct timespec t = {1, 1}, other = {1, 1};
        long result = syscall(SYS_clock_getres, clock, &other);
        expect(vdso(clock, &t) == (result ? -errno : 0), "clock_getres");
        expect(as_ns(t) == as_ns(other), "the kernel's resolution");
        expect(vdso(clock, NULL) == (result ? -EINVAL : 0), "clock_getres without a place");
    }
}

static void timeofday(void) {
    int (*vdso)(struct timeval *, struct timezone *) = find(PREFIX "gettimeofday");
    if (!vdso) return;
    struct timeval t;
    struct timezone zone = {77, 77};
    int64_t before = ask_kernel(CLOCK_REALTIME) / 1000;
    expect(vdso(&t, &zone) == 0 && vdso(&t, NULL) == 0 && vdso(NULL, NULL) == 0, "gettimeofday succeeds");
    int64_t after = ask_kernel(CLOCK_REALTIME) / 1000, now = t.tv_sec * 1000000 + t.tv_usec;
    expect(before - 2 <= now && now <= after + 2 && t.tv_usec < 1000000, "the kernel's time of day");
    expect(zone.tz_minuteswest == 0 && zone.tz_dsttime == 0, "time zone");
}

static void x86_only(void) {
#if defined __x86_64__
    long (*vdso_time)(long *) = find("__vdso_time");
    long (*vdso_getcpu)(unsigned *, unsigned *, void *) = find("__vdso_getcpu");
    if (!vdso_time || !vdso_getcpu) return;
    long now, before = ask_kernel(CLOCK_REALTIME) / 1000000000;
    expect(vdso_time(&now) >= before - 1 && vdso_time(NULL) >= now, "time");
    expect(now <= ask_kernel(CLOCK_REALTIME) / 1000000000, "time is not early");
    unsigned cpu = 999, node = 999;
    expect(!vdso_getcpu(&cpu, &node, NULL) && cpu < 999 && node < 999 && !vdso_getcpu(NULL, NULL, NULL), "getcpu");
#endif
}

int main(void) {
    gettime();
    getres();
    timeofday();
    x86_only();
    printf("%d mistakes\n", mistakes);
    return mistakes != 0;
}
