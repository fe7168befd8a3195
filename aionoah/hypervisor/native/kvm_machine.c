/* A VM for each address space, a vCPU for each running guest thread, and no kernel inside.
 *
 * The top 2 MiB of the lower half hold the machine's own pages: GDT, IDT, one page that SYSCALL enters,
 * one page of exception stubs, and for each vCPU a page with its TSS and exception stack. A SYSCALL
 * executes `out`, an exception the `out` of its vector; each is one exit. Every stub is a single
 * instruction before its exit, so a kick that lands inside can be told from the instruction pointer alone.
 *
 * On hardware SYSCALL enters ring 0. Some KVM implementations in software stay in ring 3 instead; then the
 * entry page is open to user code, whose `out` needs the TSS's I/O bitmap. Which of the two it is, is found
 * by running one SYSCALL when the machine is opened. There busy vCPUs enter at another page, which has more
 * instructions, and a mailbox behind it: kvm_mailbox.c.
 */
#define _GNU_SOURCE
#include "kvm_internal.h"

#include "clock_page.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- the machine's pages ------------------------------------------------------------------------------ */

static uint8_t *common_page(struct kvm_machine *m, int page) {
    return m->frames->base + ((m->common + (uint64_t)page) << PAGE_SHIFT);
}

static void write_common_pages(struct kvm_machine *m) {
    uint64_t *gdt = (uint64_t *)common_page(m, GDT_PAGE);
    uint64_t *idt = (uint64_t *)common_page(m, IDT_PAGE);
    uint8_t *entry = common_page(m, ENTRY_PAGE), *stubs = common_page(m, STUB_PAGE);
    gdt[KERNEL_CS / 8] = 0x00af9b000000ffffull;
    gdt[KERNEL_CS / 8 + 1] = 0x00cf93000000ffffull;
    gdt[USER_DS / 8 - 1] = 0x00cff3000000ffffull; /* SYSRET counts from it; no code: SYSCALL of 32-bit code goes elsewhere */
    gdt[USER_DS / 8] = 0x00cff3000000ffffull;
    gdt[USER_CS / 8] = 0x00affb000000ffffull;
    memset(entry, 0xcc, PAGE_SIZE);
    memcpy(entry, (const uint8_t[]){0xe6, PORT_SYSCALL, 0x48, 0x0f, 0x07}, 5); /* out; sysretq */
    memset(common_page(m, MAILBOX_CODE_PAGE), 0xcc, PAGE_SIZE);
    kvm_mailbox_write_code(common_page(m, MAILBOX_CODE_PAGE)); /* mapped for vCPUs that have a mailbox */
    memset(stubs, 0xcc, PAGE_SIZE);
    for (unsigned vector = 0; vector < N_VECTORS; vector++) {
        uint64_t at = STUBS + vector * STUB_SIZE;
        uint64_t dpl = vector == 3 || vector == 4 ? 3 : 0; /* INT3 and INTO are user instructions */
        memcpy(stubs + vector * STUB_SIZE, (const uint8_t[]){0xe6, (uint8_t)(PORT_VECTOR + vector)}, 2);
        idt[2 * vector] = (at & 0xffff) | (uint64_t)KERNEL_CS << 16 | (0x8e | dpl << 5) << 40 | (at >> 16 & 0xffff) << 48;
        idt[2 * vector + 1] = at >> 32;
    }
    memcpy(stubs + (STUB_IRET - STUBS), (const uint8_t[]){0x48, 0xcf}, 2);
}

/* Give the VM the slots for these frames. */
static int cover(struct space *tables, uint64_t first, uint64_t count) {
    struct kvm_space *s = (struct kvm_space *)tables;
    for (uint64_t chunk = first >> CHUNK_SHIFT; chunk <= (first + count - 1) >> CHUNK_SHIFT; chunk++) {
        if (s->covered[chunk / 64] >> (chunk % 64) & 1) continue;
        uint64_t address = chunk << (CHUNK_SHIFT + PAGE_SHIFT);
        struct kvm_userspace_memory_region region = {.slot = (uint32_t)chunk,
                                                     .guest_phys_addr = address,
                                                     .memory_size = PAGE_SIZE << CHUNK_SHIFT,
                                                     .userspace_addr = (uint64_t)tables->frames->base + address};
        if (ioctl(s->vm, KVM_SET_USER_MEMORY_REGION, &region)) return -1;
        s->covered[chunk / 64] |= 1ull << (chunk % 64);
    }
    return 0;
}

static int map_common_pages(struct kvm_space *s) {
    for (int page = 0; page < MAILBOX_CODE_PAGE; page++) {
        uint64_t bits = PTE_PRESENT | (page == ENTRY_PAGE || page == STUB_PAGE ? 0 : PTE_NO_EXECUTE);
        if (page == ENTRY_PAGE && s->machine->syscall_ring != 0) bits |= PTE_USER;
        if (space_map_raw(&s->tables, KERNEL_BASE + (uint64_t)page * PAGE_SIZE, s->machine->common + (uint64_t)page, bits))
            return -1;
    }
    return 0;
}

struct kvm_space *kvm_space_prepare(struct kvm_machine *m) {
    struct kvm_space *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->machine = m;
    s->vm = -1;
    s->tables.frames = m->frames;
    s->covered = calloc((m->frames->count >> CHUNK_SHIFT) / 64 + 1, sizeof *s->covered);
    /* Every space uses the lowest frames, and has at least one vCPU. */
    if (s->covered && (s->vm = ioctl(m->kvm, KVM_CREATE_VM, 0)) >= 0 && !cover(&s->tables, 0, 1) && kvm_vcpu_create(s)) return s;
    int error = errno;
    kvm_space_free(s);
    errno = error;
    return NULL;
}

int kvm_space_open(struct kvm_space *s) {
    if (space_init(&s->tables, s->machine->frames, cover)) return -1;
    if (!map_common_pages(s)) return 0;
    int error = errno;
    space_fini(&s->tables);
    errno = error;
    return -1;
}

struct space *kvm_space_tables(struct kvm_space *s) { return &s->tables; }

void kvm_space_retire(struct kvm_space *s) { space_fini(&s->tables); }

void kvm_space_free(struct kvm_space *s) {
    for (struct kvm_vcpu *v = s->vcpus, *next; v; v = next) {
        next = v->next;
        kvm_vcpu_destroy(v);
    }
    if (s->vm >= 0) close(s->vm);
    free(s->covered);
    free(s);
}

/* ---- the machine -------------------------------------------------------------------------------------- */

/* What can only be found out by running something; the answers are the same for every machine of this host. */
static struct {
    int syscall_ring;     /* -1: not known yet */
    int has_host_counter; /* RDTSC shows what it shows here */
    int has_cpu_number;   /* RDTSCP shows what kvm_vcpu_set_cpu_number says */
} host = {-1, 0, 0};

static const uint8_t trial[] = {
    0x0f, 0x31,                   /* rdtsc */
    0x0f, 0x05,                   /* syscall */
    0x0f, 0x01, 0xf9, 0x89, 0xcb, /* rdtscp; mov %ecx, %ebx */
    0x0f, 0x05,
};

/* Run RDTSC, RDTSCP and SYSCALL, and look at what came of them. */
static void try_out(struct kvm_vcpu *v) {
    struct kvm_sregs sregs;
    uint64_t before = clocks_counter();
    if (kvm_vcpu_run(v, -1) != EXIT_SYSCALL || ioctl(v->fd, KVM_GET_SREGS, &sregs)) return;
    uint64_t counter = (uint32_t)v->registers[RAX] | v->registers[RDX] << 32;
    host.has_host_counter = clocks_counter_is_steady() && counter - before < clocks_counter() - before;
    host.syscall_ring = sregs.cs.selector & 3;
    v->space->machine->syscall_ring = host.syscall_ring; /* the way back in depends on it */
    enum { CPU = 77 };
    host.has_cpu_number = !kvm_vcpu_set_cpu_number(v, CPU) && kvm_vcpu_run(v, -1) == EXIT_SYSCALL && v->registers[RBX] == CPU;
}

static void explore_host(struct kvm_machine *m) {
    if (host.syscall_ring >= 0) return;
    m->syscall_ring = 3; /* pages and ports open, so that either answer gets out */
    sigset_t before;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    struct kvm_space *s = kvm_space_prepare(m);
    int is_open = s && !kvm_space_open(s);
    struct kvm_vcpu *v = is_open ? kvm_vcpu_open(s) : NULL;
    uint64_t frame = v ? frames_allocate(m->frames, 1) : 0;
    if (frame && !space_map(&s->tables, 0x10000, frame, 1, SPACE_READ | SPACE_EXECUTE, 0)) {
        memcpy(m->frames->base + (frame << PAGE_SHIFT), trial, sizeof trial);
        v->registers[RIP] = 0x10000;
        try_out(v);
    }
    if (frame) frames_drop(m->frames, frame, 1);
    if (is_open) kvm_space_retire(s);
    if (s) kvm_space_free(s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static const struct kvm_cpuid_entry2 *cpuid(const struct kvm_machine *m, uint32_t leaf, uint32_t index) {
    for (unsigned i = 0; i < m->cpuid.head.nent; i++) {
        const struct kvm_cpuid_entry2 *e = &m->cpuid.entries[i];
        if (e->function == leaf && e->index == index) return e;
    }
    return NULL;
}

static uint64_t supported_xcr0(struct kvm_machine *m) {
    const struct kvm_cpuid_entry2 *e = cpuid(m, 0xd, 0);
    /* x87, SSE, AVX, AVX-512, PKRU: the image has room for these, and AMX would need the host's permission. */
    return e ? (e->eax | (uint64_t)e->edx << 32) & 0x2e7 : 0;
}

uint32_t kvm_machine_xsave_size(const struct kvm_machine *m) {
    uint32_t size = 512 + 64; /* the legacy area and the header */
    for (uint32_t feature = 2; feature < 63; feature++) {
        const struct kvm_cpuid_entry2 *e = m->xcr0 >> feature & 1 ? cpuid(m, 0xd, feature) : NULL;
        if (e && e->ebx + e->eax > size) size = e->ebx + e->eax;
    }
    return size;
}

uint32_t kvm_machine_features(const struct kvm_machine *m) {
    const struct kvm_cpuid_entry2 *e = cpuid(m, 1, 0);
    return e ? e->edx : 0;
}

uint64_t kvm_machine_xcr0(const struct kvm_machine *m) { return m->xcr0; }

static int has_all(int kvm) {
    return ioctl(kvm, KVM_GET_API_VERSION, 0) == KVM_API_VERSION && ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_IMMEDIATE_EXIT) > 0
           && (ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS) & KVM_SYNC_X86_REGS) && ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE) > 0;
}

struct kvm_machine *kvm_machine_open(struct frames *frames) {
    struct kvm_machine *m = calloc(1, sizeof *m);
    if (!m) return NULL;
    m->frames = frames;
    pthread_mutex_init(&m->server.mutex, NULL);
    m->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (m->kvm < 0) goto fail;
    errno = ENOSYS;
    if (!has_all(m->kvm)) goto fail;
    m->run_size = (size_t)ioctl(m->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    m->max_vcpus = ioctl(m->kvm, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
    if (m->max_vcpus > MAX_VCPUS) m->max_vcpus = MAX_VCPUS;
    m->cpuid.head.nent = 256;
    if (ioctl(m->kvm, KVM_GET_SUPPORTED_CPUID, &m->cpuid)) goto fail;
    m->xcr0 = supported_xcr0(m);
    m->common = frames_allocate(frames, N_COMMON);
    if (!m->common) goto fail;
    write_common_pages(m);
    explore_host(m);
    m->syscall_ring = host.syscall_ring;
    if (m->syscall_ring >= 0) return m;
    if (!errno) errno = ENOSYS;
fail:;
    int error = errno;
    kvm_machine_close(m);
    errno = error;
    return NULL;
}

int kvm_machine_keep_clocks(struct kvm_machine *m, uint64_t frame) {
    if (!host.has_host_counter || m->clocks) return -1;
    struct clock_page *page = (struct clock_page *)(m->frames->base + (frame << PAGE_SHIFT));
    page->has_cpu = (uint32_t)host.has_cpu_number;
    m->clocks = clocks_open(page);
    if (!m->clocks) return -1;
    frames_guard(m->frames, frame, clocks_mutex(m->clocks));
    return 0;
}

/* The host interrupts every CPU that runs a thread of this process, be it in its guest. */
int kvm_machine_barrier(void) {
    static int is_registered;
    if (!is_registered && syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0)) return -1;
    is_registered = 1;
    return (int)syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
}

void kvm_machine_close(struct kvm_machine *m) {
    frames_guard(m->frames, 0, NULL);
    if (m->clocks) clocks_close(m->clocks);
    if (m->common) frames_drop(m->frames, m->common, N_COMMON);
    if (m->kvm >= 0) close(m->kvm);
    pthread_mutex_destroy(&m->server.mutex);
    free(m);
}

int kvm_machine_max_vcpus(const struct kvm_machine *m) { return m->max_vcpus; }
int kvm_machine_syscall_ring(const struct kvm_machine *m) { return m->syscall_ring; }
