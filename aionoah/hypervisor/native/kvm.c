/* A VM for each address space, a vCPU for each running guest thread, and no kernel inside.
 *
 * The top 2 MiB of the lower half hold the machine's own pages: GDT, IDT, one page that SYSCALL enters,
 * one page of exception stubs, and for each vCPU a page with its TSS and exception stack. A SYSCALL
 * executes `out`, an exception the `out` of its vector; each is one exit. Every stub is a single
 * instruction before its exit, so a kick that lands inside can be told from the instruction pointer alone.
 *
 * On hardware SYSCALL enters ring 0. Some KVM implementations in software stay in ring 3 instead; then the
 * entry page is open to user code, whose `out` needs the TSS's I/O bitmap. Which of the two it is, is found
 * by running one SYSCALL when the machine is opened.
 */
#define _GNU_SOURCE
#include "kvm.h"
#include "clock_page.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { PORT_SYSCALL = 0x10, PORT_VECTOR = 0x20, N_VECTORS = 32, STUB_SIZE = 16 };
enum { GDT_PAGE, IDT_PAGE, ENTRY_PAGE, STUB_PAGE, N_COMMON, FIRST_VCPU_PAGE = N_COMMON };
enum { KERNEL_CS = 0x10, USER_DS = 0x2b, USER_CS = 0x33, TSS_SELECTOR = 0x40 }; /* Linux's own */
enum { MAX_VCPUS = 500 };
enum { TSS_RSP0 = 4, TSS_IO_BASE = 102, TSS_SIZE = 104, TSS_WITH_BITMAP = TSS_SIZE + 65 };
enum { RAX, RBX, RCX, RDX, RSI, RDI, RSP, RBP, R8, R9, R10, R11, RIP = 16, RFLAGS = 17 };

#define ENTRY (KERNEL_BASE + ENTRY_PAGE * PAGE_SIZE)
#define ENTRY_SYSRET (ENTRY + 2)
#define STUBS (KERNEL_BASE + STUB_PAGE * PAGE_SIZE)
#define STUB_IRET (STUBS + N_VECTORS * STUB_SIZE)
#define CHUNK_SHIFT 14 /* frames of a memory slot: 64 MiB */
#define RFLAGS_FIXED 0x202ull
#define RFLAGS_USER 0x254dd5ull /* what user code may choose: arithmetic flags, TF, DF, NT, RF, AC, ID */
#define SYSCALL_MASK 0x47700ull /* Linux's MSR_SYSCALL_MASK: TF, IF, DF, IOPL, NT, AC */

enum { MSR_STAR = 0xc0000081u, MSR_LSTAR, MSR_CSTAR, MSR_FMASK, MSR_FS_BASE = 0xc0000100u, MSR_GS_BASE };

struct kvm_machine {
    struct frames *frames;
    struct clocks *clocks; /* NULL if guests cannot tell the time by themselves */
    uint64_t common; /* first of the N_COMMON frames that all VMs share */
    uint64_t xcr0;
    size_t run_size;
    int kvm, max_vcpus, syscall_ring;
    struct {
        struct kvm_cpuid2 head;
        struct kvm_cpuid_entry2 entries[256];
    } cpuid;
};

struct kvm_space {
    struct space tables; /* first: `cover` gets this address */
    struct kvm_machine *machine;
    uint64_t *covered; /* a bit for each chunk of frames that the VM has as a slot */
    struct kvm_vcpu *vcpus; /* all of them, idle ones too: KVM cannot take one away from a VM */
    int n_vcpus, vm;
};

struct kvm_vcpu {
    uint64_t registers[N_REGISTERS]; /* of user mode, whatever the vCPU is doing */
    struct kvm_vcpu *next;
    struct kvm_space *space;
    struct kvm_run *run;
    uint8_t *page; /* TSS and exception stack, in the host */
    uint64_t page_address, fault_address;
    unsigned vector, error_code;
    int fd, index, error;
    int in_kernel; /* the vCPU is in ring 0 and user mode must be entered through IRETQ or SYSRETQ */
    int is_open, is_running, is_kicked;
    pthread_t thread;
};

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
    gdt[USER_DS / 8 - 1] = 0x00cffb000000ffffull; /* 32-bit user code: its place only, SYSRET counts from it */
    gdt[USER_DS / 8] = 0x00cff3000000ffffull;
    gdt[USER_CS / 8] = 0x00affb000000ffffull;
    memset(entry, 0xcc, PAGE_SIZE);
    memcpy(entry, (const uint8_t[]){0xe6, PORT_SYSCALL, 0x48, 0x0f, 0x07}, 5); /* out; sysretq */
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

static void destroy_vcpu(struct kvm_vcpu *v);

static int map_common_pages(struct kvm_space *s) {
    for (int page = 0; page < N_COMMON; page++) {
        uint64_t bits = PTE_PRESENT | (page == ENTRY_PAGE || page == STUB_PAGE ? 0 : PTE_NO_EXECUTE);
        if (page == ENTRY_PAGE && s->machine->syscall_ring != 0) bits |= PTE_USER;
        if (space_map_raw(&s->tables, KERNEL_BASE + (uint64_t)page * PAGE_SIZE, s->machine->common + (uint64_t)page, bits))
            return -1;
    }
    return 0;
}

struct kvm_space *kvm_space_open(struct kvm_machine *m) {
    struct kvm_space *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->machine = m;
    s->vm = -1;
    s->covered = calloc((m->frames->count >> CHUNK_SHIFT) / 64 + 1, sizeof *s->covered);
    if (!s->covered || (s->vm = ioctl(m->kvm, KVM_CREATE_VM, 0)) < 0) goto fail;
    if (space_init(&s->tables, m->frames, cover)) goto fail;
    if (map_common_pages(s)) {
        space_fini(&s->tables);
        goto fail;
    }
    return s;
fail:;
    int error = errno;
    if (s->vm >= 0) close(s->vm);
    free(s->covered);
    free(s);
    errno = error;
    return NULL;
}

struct space *kvm_space_tables(struct kvm_space *s) { return &s->tables; }

void kvm_space_close(struct kvm_space *s) {
    for (struct kvm_vcpu *v = s->vcpus, *next; v; v = next) {
        next = v->next;
        destroy_vcpu(v);
    }
    close(s->vm);
    space_fini(&s->tables);
    free(s->covered);
    free(s);
}

/* ---- a vCPU ------------------------------------------------------------------------------------------- */

static void write_tss(struct kvm_vcpu *v) {
    int bitmap = v->space->machine->syscall_ring != 0;
    uint64_t stack = v->page_address + PAGE_SIZE;
    memcpy(v->page + TSS_RSP0, &stack, 8);
    uint16_t base = bitmap ? TSS_SIZE : 0xffff;
    memcpy(v->page + TSS_IO_BASE, &base, 2);
    memset(v->page + TSS_SIZE, 0, 64);
    v->page[TSS_SIZE + 64] = 0xff; /* the CPU reads one byte more */
}

static int set_system_registers(struct kvm_vcpu *v) {
    struct kvm_sregs s;
    if (ioctl(v->fd, KVM_GET_SREGS, &s)) return -1;
    struct kvm_segment none = {.unusable = 1};
    s.cr0 = 0x80050033;                     /* PG AM WP NE ET MP PE */
    s.cr3 = v->space->tables.root << PAGE_SHIFT;
    s.cr4 = 0x20 | 0x200 | 0x400 | 1 << 16; /* PAE OSFXSR OSXMMEXCPT FSGSBASE */
    if (v->space->machine->xcr0) s.cr4 |= 1 << 18;
    s.efer = 0xd01;                         /* NXE LMA LME SCE */
    s.gdt.base = KERNEL_BASE + GDT_PAGE * PAGE_SIZE;
    s.gdt.limit = TSS_SELECTOR + 15;
    s.idt.base = KERNEL_BASE + IDT_PAGE * PAGE_SIZE;
    s.idt.limit = N_VECTORS * 16 - 1;
    s.cs = (struct kvm_segment){.limit = ~0u, .selector = USER_CS, .type = 11, .present = 1, .dpl = 3, .s = 1, .l = 1, .g = 1};
    s.ss = (struct kvm_segment){.limit = ~0u, .selector = USER_DS, .type = 3, .present = 1, .dpl = 3, .db = 1, .s = 1, .g = 1};
    s.ds = s.es = s.fs = s.gs = none;
    s.ldt = none;
    s.tr = (struct kvm_segment){.base = v->page_address,
                                .limit = v->space->machine->syscall_ring ? TSS_WITH_BITMAP - 1 : TSS_SIZE - 1,
                                .selector = TSS_SELECTOR,
                                .type = 11,
                                .present = 1};
    return ioctl(v->fd, KVM_SET_SREGS, &s);
}

static int set_msr(struct kvm_vcpu *v, uint32_t index, uint64_t value) {
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entry;
    } m = {.head.nmsrs = 1, .entry = {.index = index, .data = value}};
    return ioctl(v->fd, KVM_SET_MSRS, &m) == 1 ? 0 : -1;
}

int kvm_vcpu_reset_fpu(struct kvm_vcpu *v) {
    static const uint16_t initial_fcw = 0x37f;
    static const uint32_t initial_mxcsr = 0x1f80;
    uint8_t image[XSAVE_SIZE] = {0};
    memcpy(image, &initial_fcw, sizeof initial_fcw);
    memcpy(image + 24, &initial_mxcsr, sizeof initial_mxcsr);
    return ioctl(v->fd, KVM_SET_XSAVE, image);
}

/* The state of a thread that has not run yet; for a used vCPU as for a new one. */
static int reset(struct kvm_vcpu *v) {
    memset(v->registers, 0, sizeof v->registers);
    v->registers[RFLAGS] = RFLAGS_FIXED;
    v->in_kernel = v->is_kicked = 0;
    v->thread = pthread_self();
    sigset_t kick; /* taken only inside KVM_RUN; elsewhere `immediate_exit` stands for it */
    sigemptyset(&kick);
    sigaddset(&kick, SIGURG);
    pthread_sigmask(SIG_BLOCK, &kick, NULL);
    return set_system_registers(v) || set_msr(v, MSR_FS_BASE, 0) || set_msr(v, MSR_GS_BASE, 0) || kvm_vcpu_reset_fpu(v);
}

/* The guest's time-stamp counter is to be the host's; an older KVM does not know the attribute. */
static void share_counter(struct kvm_vcpu *v) {
    static const uint64_t offset = 0;
    struct kvm_device_attr a = {.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uint64_t)&offset};
    ioctl(v->fd, KVM_SET_DEVICE_ATTR, &a);
}

static int configure(struct kvm_vcpu *v) {
    struct kvm_machine *m = v->space->machine;
    struct {
        struct kvm_signal_mask head;
        uint8_t set[8];
    } mask = {.head.len = 8};
    memset(mask.set, 0xff, sizeof mask.set);
    mask.set[(SIGURG - 1) / 8] &= (uint8_t)~(1u << ((SIGURG - 1) % 8));
    struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs[0] = {.xcr = 0, .value = m->xcr0}};
    v->run->kvm_valid_regs = KVM_SYNC_X86_REGS;
    write_tss(v);
    if (ioctl(v->fd, KVM_SET_CPUID2, &m->cpuid) || reset(v) || ioctl(v->fd, KVM_SET_SIGNAL_MASK, &mask)) return -1;
    if (m->xcr0 && ioctl(v->fd, KVM_SET_XCRS, &xcrs)) return -1;
    share_counter(v);
    return set_msr(v, MSR_STAR, (uint64_t)KERNEL_CS << 32 | (uint64_t)(USER_CS - 16) << 48) || set_msr(v, MSR_LSTAR, ENTRY)
           || set_msr(v, MSR_FMASK, SYSCALL_MASK);
}

static int map_own_page(struct kvm_vcpu *v) {
    struct frames *f = v->space->machine->frames;
    uint64_t frame = frames_allocate(f, 1);
    if (!frame) return -1;
    v->page = f->base + (frame << PAGE_SHIFT);
    v->page_address = KERNEL_BASE + (FIRST_VCPU_PAGE + (uint64_t)v->index) * PAGE_SIZE;
    int failed = space_map_raw(&v->space->tables, v->page_address, frame, PTE_PRESENT | PTE_WRITE | PTE_NO_EXECUTE);
    frames_drop(f, frame, 1); /* the page tables hold it now, or nobody does */
    return failed;
}

static void destroy_vcpu(struct kvm_vcpu *v) {
    if (v->run != MAP_FAILED) munmap(v->run, v->space->machine->run_size);
    if (v->fd >= 0) close(v->fd);
    free(v);
}

static struct kvm_vcpu *create_vcpu(struct kvm_space *s) {
    struct kvm_vcpu *v = calloc(1, sizeof *v);
    if (!v) return NULL;
    v->space = s;
    v->fd = -1;
    v->run = MAP_FAILED;
    v->index = s->n_vcpus;
    errno = ENOSPC;
    if (v->index >= s->machine->max_vcpus || map_own_page(v)) goto fail;
    if ((v->fd = ioctl(s->vm, KVM_CREATE_VCPU, v->index)) < 0) goto fail;
    s->n_vcpus++; /* the index is gone for good */
    v->run = mmap(NULL, s->machine->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
    if (v->run == MAP_FAILED || configure(v)) goto fail;
    v->next = s->vcpus;
    return s->vcpus = v;
fail:;
    int error = errno;
    destroy_vcpu(v);
    errno = error;
    return NULL;
}

struct kvm_vcpu *kvm_vcpu_open(struct kvm_space *s) {
    struct kvm_vcpu *v = s->vcpus;
    while (v && v->is_open) v = v->next;
    if (v ? reset(v) : !(v = create_vcpu(s))) return NULL;
    v->is_open = 1;
    return v;
}

void kvm_vcpu_close(struct kvm_vcpu *v) { v->is_open = 0; }

uint64_t *kvm_vcpu_registers(struct kvm_vcpu *v) { return v->registers; }

/* ---- entering and leaving ----------------------------------------------------------------------------- */

static void enter(struct kvm_vcpu *v) {
    uint64_t *user = v->registers, *now = (uint64_t *)&v->run->s.regs.regs;
    user[RFLAGS] = (user[RFLAGS] & RFLAGS_USER) | RFLAGS_FIXED;
    memcpy(now, user, sizeof v->registers);
    v->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
    if (!v->in_kernel) return;
    if (v->in_kernel == PORT_SYSCALL && user[RCX] == user[RIP] && user[R11] == user[RFLAGS]) {
        now[RIP] = ENTRY_SYSRET;
        now[RFLAGS] = 2;
        return;
    }
    uint64_t frame[] = {user[RIP], USER_CS, user[RFLAGS], user[RSP], USER_DS};
    memcpy(v->page + PAGE_SIZE - sizeof frame, frame, sizeof frame);
    now[RSP] = v->page_address + PAGE_SIZE - sizeof frame;
    now[RIP] = STUB_IRET;
    now[RFLAGS] = 2;
}

static int exception(struct kvm_vcpu *v, unsigned vector) {
    static const uint32_t with_error_code = 1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 17 | 1u << 21;
    const uint64_t *now = (uint64_t *)&v->run->s.regs.regs;
    uint64_t frame[6] = {0};
    int has_code = with_error_code >> vector & 1;
    size_t size = has_code ? 48 : 40;
    memcpy(has_code ? frame : frame + 1, v->page + PAGE_SIZE - size, size);
    memcpy(v->registers, now, sizeof v->registers);
    v->in_kernel = PORT_VECTOR;
    v->registers[RIP] = frame[1];
    v->registers[RFLAGS] = frame[3];
    v->registers[RSP] = frame[4];
    v->vector = vector;
    v->error_code = (unsigned)frame[0];
    if (now[RSP] != v->page_address + PAGE_SIZE - size || (frame[2] & 3) != 3) return EXIT_BROKEN; /* not from user mode */
    if (vector != 14) return EXIT_EXCEPTION;
    struct kvm_sregs s;
    if (ioctl(v->fd, KVM_GET_SREGS, &s)) return EXIT_BROKEN;
    v->fault_address = s.cr2;
    return EXIT_PAGE_FAULT;
}

static int protection_fault(struct kvm_vcpu *v) {
    v->vector = 13;
    v->error_code = 0;
    return EXIT_EXCEPTION;
}

static int system_call(struct kvm_vcpu *v) {
    memcpy(v->registers, &v->run->s.regs.regs, sizeof v->registers);
    v->in_kernel = v->space->machine->syscall_ring == 0 ? PORT_SYSCALL : 0;
    v->registers[RIP] = v->registers[RCX];
    v->registers[RFLAGS] = (v->registers[R11] & RFLAGS_USER) | RFLAGS_FIXED; /* R11 may be forged */
    return EXIT_SYSCALL;
}

/* User code has used a port itself, which the I/O bitmap allows on some hosts. KVM is in the middle of the
 * instruction: it must end before the registers can be set.
 */
static int foreign_port_access(struct kvm_vcpu *v) {
    memcpy(v->registers, &v->run->s.regs.regs, sizeof v->registers);
    v->in_kernel = 0;
    __atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST); /* kvm_vcpu_run clears it */
    ioctl(v->fd, KVM_RUN, 0);
    return protection_fault(v);
}

/* An `out`: ours or the program's own, only the place tells. */
static int port_access(struct kvm_vcpu *v) {
    uint64_t rip = v->run->s.regs.regs.rip; /* at the instruction, or already behind it */
    unsigned port = v->run->io.port;
    if (port == PORT_SYSCALL && (rip == ENTRY || rip == ENTRY + 2)) return system_call(v);
    if (port >= PORT_VECTOR && port < PORT_VECTOR + N_VECTORS) {
        uint64_t stub = STUBS + (port - PORT_VECTOR) * STUB_SIZE;
        if (rip == stub || rip == stub + 2) return exception(v, port - PORT_VECTOR);
    }
    return foreign_port_access(v);
}

/* KVM_RUN was interrupted, possibly between a SYSCALL or an exception and its exit. */
static int interrupted(struct kvm_vcpu *v) {
    uint64_t rip = v->run->s.regs.regs.rip;
    if (rip == ENTRY) return system_call(v);
    if (rip >= STUBS && rip < STUB_IRET && (rip - STUBS) % STUB_SIZE == 0) return exception(v, (unsigned)(rip - STUBS) / STUB_SIZE);
    if (rip == ENTRY_SYSRET || rip == STUB_IRET) return 0; /* not yet left: v->registers still say what is to be */
    memcpy(v->registers, &v->run->s.regs.regs, sizeof v->registers);
    v->in_kernel = 0;
    return 0;
}

static void drain_kick_signals(void) {
    sigset_t kick;
    sigemptyset(&kick);
    sigaddset(&kick, SIGURG);
    while (sigtimedwait(&kick, NULL, &(struct timespec){0}) > 0) {}
}

/* No kick is lost: one that comes before the exchange is taken here; a later one sets immediate_exit after
 * it was cleared, and either KVM_RUN sees that on entry or is_running makes the kicker send a signal. */
int kvm_vcpu_run(struct kvm_vcpu *v) {
    struct clocks *clocks = v->space->machine->clocks;
    if (v->registers[RIP] >= KERNEL_BASE) return protection_fault(v); /* not canonical, or ours */
    if (clocks) clocks_refresh(clocks);
    for (;;) {
        __atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
        if (__atomic_exchange_n(&v->is_kicked, 0, __ATOMIC_SEQ_CST)) return EXIT_KICKED;
        enter(v);
        __atomic_store_n(&v->is_running, 1, __ATOMIC_SEQ_CST);
        int failed = ioctl(v->fd, KVM_RUN, 0);
        v->error = failed ? errno : 0;
        __atomic_store_n(&v->is_running, 0, __ATOMIC_SEQ_CST);
        if (!failed) return v->run->exit_reason == KVM_EXIT_IO ? port_access(v) : EXIT_BROKEN;
        if (v->error == EINTR) drain_kick_signals();
        int kind = v->error == EINTR || v->error == EAGAIN || v->error == EFAULT ? interrupted(v) : EXIT_BROKEN;
        if (kind) return kind;
        if (v->error == EFAULT) return EXIT_HOST_FAULT;
    }
}

void kvm_vcpu_kick(struct kvm_vcpu *v) {
    __atomic_store_n(&v->is_kicked, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&v->is_running, __ATOMIC_SEQ_CST)) pthread_kill(v->thread, SIGURG);
}

uint64_t kvm_vcpu_fault_address(const struct kvm_vcpu *v) { return v->fault_address; }
unsigned kvm_vcpu_vector(const struct kvm_vcpu *v) { return v->vector; }
unsigned kvm_vcpu_error_code(const struct kvm_vcpu *v) { return v->error_code; }

int kvm_vcpu_reason(const struct kvm_vcpu *v, int *error, unsigned *suberror) {
    *error = v->error;
    *suberror = v->run->exit_reason == KVM_EXIT_INTERNAL_ERROR ? v->run->internal.suberror : 0;
    return (int)v->run->exit_reason;
}

int kvm_vcpu_get_tls(struct kvm_vcpu *v, int gs, uint64_t *value) {
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entry;
    } m = {.head.nmsrs = 1, .entry.index = gs ? MSR_GS_BASE : MSR_FS_BASE};
    if (ioctl(v->fd, KVM_GET_MSRS, &m) != 1) return -1;
    *value = m.entry.data;
    return 0;
}

int kvm_vcpu_set_tls(struct kvm_vcpu *v, int gs, uint64_t value) { return set_msr(v, gs ? MSR_GS_BASE : MSR_FS_BASE, value); }

int kvm_vcpu_get_fpu(struct kvm_vcpu *v, uint8_t *image) { return ioctl(v->fd, KVM_GET_XSAVE, image); }

int kvm_vcpu_set_fpu(struct kvm_vcpu *v, const uint8_t *image) { return ioctl(v->fd, KVM_SET_XSAVE, image); }

/* ---- the machine -------------------------------------------------------------------------------------- */

/* What can only be found out by running something; the answers are the same for every machine of this host. */
static struct {
    int syscall_ring;     /* -1: not known yet */
    int has_host_counter; /* RDTSC shows what it shows here */
} host = {-1, 0};

/* Run RDTSC and SYSCALL, and look at what came of them. */
static void try_out(struct kvm_vcpu *v) {
    struct kvm_sregs sregs;
    uint64_t before = clocks_counter();
    if (kvm_vcpu_run(v) != EXIT_SYSCALL || ioctl(v->fd, KVM_GET_SREGS, &sregs)) return;
    uint64_t counter = (uint32_t)v->registers[RAX] | v->registers[RDX] << 32;
    host.has_host_counter = clocks_counter_is_steady() && counter - before < clocks_counter() - before;
    host.syscall_ring = sregs.cs.selector & 3;
}

static void explore_host(struct kvm_machine *m) {
    if (host.syscall_ring >= 0) return;
    m->syscall_ring = 3; /* pages and ports open, so that either answer gets out */
    sigset_t before;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    struct kvm_space *s = kvm_space_open(m);
    struct kvm_vcpu *v = s ? kvm_vcpu_open(s) : NULL;
    uint64_t frame = v ? frames_allocate(m->frames, 1) : 0;
    if (frame && !space_map(&s->tables, 0x10000, frame, 1, SPACE_READ | SPACE_EXECUTE, 0)) {
        memcpy(m->frames->base + (frame << PAGE_SHIFT), (const uint8_t[]){0x0f, 0x31, 0x0f, 0x05}, 4);
        v->registers[RIP] = 0x10000;
        try_out(v);
    }
    if (frame) frames_drop(m->frames, frame, 1);
    if (s) kvm_space_close(s);
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
    m->clocks = clocks_open((struct clock_page *)(m->frames->base + (frame << PAGE_SHIFT)));
    return m->clocks ? 0 : -1;
}

void kvm_machine_close(struct kvm_machine *m) {
    if (m->clocks) clocks_close(m->clocks);
    if (m->common) frames_drop(m->frames, m->common, N_COMMON);
    if (m->kvm >= 0) close(m->kvm);
    free(m);
}

int kvm_machine_max_vcpus(const struct kvm_machine *m) { return m->max_vcpus; }
int kvm_machine_syscall_ring(const struct kvm_machine *m) { return m->syscall_ring; }
