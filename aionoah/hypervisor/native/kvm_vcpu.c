/* A vCPU: made once, given to one guest thread after the other. */
#define _GNU_SOURCE
#include "kvm_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static void write_tss(struct kvm_vcpu *v) {
    int bitmap = v->space->machine->syscall_ring != 0;
    uint64_t stack = v->page_address + PAGE_SIZE;
    memcpy(v->page + TSS_RSP0, &stack, 8);
    uint16_t base = bitmap ? TSS_SIZE : 0xffff;
    memcpy(v->page + TSS_IO_BASE, &base, 2);
    memset(v->page + TSS_SIZE, 0, 64);
    v->page[TSS_SIZE + 64] = 0xff; /* the CPU reads one byte more */
}

struct kvm_sregs *kvm_vcpu_system(struct kvm_vcpu *v) {
    struct kvm_sregs *s = &v->run->s.regs.sregs;
    int is_known = (v->run->kvm_valid_regs | v->run->kvm_dirty_regs) & KVM_SYNC_X86_SREGS;
    return is_known || !ioctl(v->fd, KVM_GET_SREGS, s) ? s : NULL;
}

void kvm_vcpu_change_system(struct kvm_vcpu *v) { v->run->kvm_dirty_regs |= KVM_SYNC_X86_SREGS; /* KVM clears it */ }

static void reset_system_registers(struct kvm_vcpu *v) {
    struct kvm_sregs s = v->initial;
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
    v->run->s.regs.sregs = s;
    kvm_vcpu_change_system(v);
}

static int set_msr(struct kvm_vcpu *v, uint32_t index, uint64_t value) {
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entry;
    } m = {.head.nmsrs = 1, .entry = {.index = index, .data = value}};
    return ioctl(v->fd, KVM_SET_MSRS, &m) == 1 ? 0 : -1;
}

void kvm_vcpu_reset_fpu(struct kvm_vcpu *v) { v->wants_clean_fpu = 1; }

int kvm_vcpu_prepare_fpu(struct kvm_vcpu *v) {
    static const uint16_t initial_fcw = 0x37f;
    static const uint32_t initial_mxcsr = 0x1f80;
    if (!v->wants_clean_fpu) return 0;
    uint8_t image[XSAVE_SIZE] = {0};
    memcpy(image, &initial_fcw, sizeof initial_fcw);
    memcpy(image + 24, &initial_mxcsr, sizeof initial_mxcsr);
    return kvm_vcpu_set_fpu(v, image);
}

/* The state of a thread that has not run yet; for a used vCPU as for a new one. */
static void reset(struct kvm_vcpu *v) {
    memset(v->registers, 0, sizeof v->registers);
    v->registers[RFLAGS] = RFLAGS_FIXED;
    v->in_kernel = v->is_kicked = v->haste = 0;
    v->n_served = 0;
    if (v->mailbox) v->mailbox[MAILBOX_STATE / 8] = MAIL_NONE; /* its last thread may have died without taking note of its last call */
    memset(v->borrowed, 0, sizeof v->borrowed);
    memset(v->moved, 0, sizeof v->moved);
    v->setback = 1;
    v->stay[USER_NS] = v->stay[ENTERED_NS] = v->stay[SERVED_NS] = v->left_ns = 0;
    v->thread = pthread_self();
    sigset_t kick; /* taken only inside KVM_RUN; elsewhere `immediate_exit` stands for it */
    sigemptyset(&kick);
    sigaddset(&kick, SIGURG);
    pthread_sigmask(SIG_BLOCK, &kick, NULL);
    reset_system_registers(v);
    kvm_vcpu_reset_fpu(v);
}

int kvm_vcpu_set_entry(struct kvm_vcpu *v, uint64_t entry) {
    return set_msr(v, MSR_LSTAR, entry) || set_msr(v, MSR_FMASK, 0);
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
    v->run->kvm_valid_regs = KVM_SYNC_X86_REGS | (m->syscall_ring == 0 ? 0 : KVM_SYNC_X86_SREGS);
    if (ioctl(v->fd, KVM_GET_SREGS, &v->initial) || ioctl(v->fd, KVM_SET_CPUID2, &m->cpuid) || ioctl(v->fd, KVM_SET_SIGNAL_MASK, &mask)) return -1;
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
    if (failed) v->page = NULL;
    else write_tss(v);
    frames_drop(f, frame, 1); /* the page tables hold it now, or nobody does */
    return failed;
}

void kvm_vcpu_destroy(struct kvm_vcpu *v) {
    if (v->run != MAP_FAILED) munmap(v->run, v->space->machine->run_size);
    if (v->fd >= 0) close(v->fd);
    free(v);
}

struct kvm_vcpu *kvm_vcpu_create(struct kvm_space *s) {
    struct kvm_vcpu *v = calloc(1, sizeof *v);
    if (!v) return NULL;
    v->space = s;
    v->fd = -1;
    v->slot = -1;
    v->entry = ENTRY;
    v->run = MAP_FAILED;
    v->index = s->n_vcpus;
    errno = ENOSPC;
    if (v->index >= s->machine->max_vcpus) goto fail;
    if ((v->fd = ioctl(s->vm, KVM_CREATE_VCPU, v->index)) < 0) goto fail;
    s->n_vcpus++; /* the index is gone for good */
    v->run = mmap(NULL, s->machine->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
    if (v->run == MAP_FAILED || configure(v)) goto fail;
    v->next = s->vcpus;
    return s->vcpus = v;
fail:;
    int error = errno;
    kvm_vcpu_destroy(v);
    errno = error;
    return NULL;
}

int kvm_space_reserve(struct kvm_space *s, int wanted) {
    for (struct kvm_vcpu *v = s->vcpus; v && wanted > 0; v = v->next) {
        if (v->is_open) continue;
        if (!v->page && map_own_page(v)) return -1;
        wanted--;
    }
    for (; wanted > 0; wanted--) {
        struct kvm_vcpu *v = kvm_vcpu_create(s);
        if (!v || map_own_page(v)) return -1;
    }
    return 0;
}

struct kvm_vcpu *kvm_vcpu_open(struct kvm_space *s) {
    struct kvm_vcpu *v = s->vcpus;
    while (v && v->is_open) v = v->next;
    if (!v && !(v = kvm_vcpu_create(s))) return NULL;
    if (!v->page && map_own_page(v)) return NULL;
    reset(v);
    v->is_open = 1;
    return v;
}

void kvm_vcpu_close(struct kvm_vcpu *v) {
    if (v->mailbox) kvm_vcpu_leave(v);
    kvm_doorway_leave(v);
    v->is_open = 0;
}

uint64_t *kvm_vcpu_registers(struct kvm_vcpu *v) { return v->registers; }

static struct kvm_segment *segment(struct kvm_sregs *s, int gs) { return gs ? &s->gs : &s->fs; }

int kvm_vcpu_get_tls(struct kvm_vcpu *v, int gs, uint64_t *value) {
    struct kvm_sregs *s = kvm_vcpu_system(v);
    if (!s) return -1;
    *value = segment(s, gs)->base;
    return 0;
}

int kvm_vcpu_set_tls(struct kvm_vcpu *v, int gs, uint64_t value) {
    struct kvm_sregs *s = (int64_t)(value << 16) >> 16 == (int64_t)value ? kvm_vcpu_system(v) : NULL;
    if (!s) return -1;
    segment(s, gs)->base = value;
    kvm_vcpu_change_system(v);
    return 0;
}

int kvm_vcpu_get_fpu(struct kvm_vcpu *v, uint8_t *image) {
    return kvm_vcpu_prepare_fpu(v) ? -1 : ioctl(v->fd, KVM_GET_XSAVE, image);
}

int kvm_vcpu_set_fpu(struct kvm_vcpu *v, const uint8_t *image) {
    if (ioctl(v->fd, KVM_SET_XSAVE, image)) return -1;
    v->wants_clean_fpu = 0;
    return 0;
}

int kvm_vcpu_set_cpu_number(struct kvm_vcpu *v, unsigned cpu) {
    if (v->cpu_number == cpu) return 0;
    if (set_msr(v, MSR_TSC_AUX, cpu)) return -1;
    v->cpu_number = cpu;
    return 0;
}
