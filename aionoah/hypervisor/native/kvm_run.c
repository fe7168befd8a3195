/* Entering user code and finding out why it has left. */
#define _GNU_SOURCE
#include "kvm_internal.h"

#include "clock_page.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>

/* Where KVM works in software, a SYSCALL that it interprets, as it does behind an instruction that it has to, enters
 * ring 0 nevertheless. There the system registers come with every exit.
 */
static int is_in_ring_0(const struct kvm_vcpu *v) {
    return (v->run->kvm_valid_regs & KVM_SYNC_X86_SREGS) && !(v->run->s.regs.sregs.cs.selector & 3);
}

static void enter(struct kvm_vcpu *v) {
    uint64_t *user = v->registers, *now = (uint64_t *)&v->run->s.regs.regs;
    user[RFLAGS] = (user[RFLAGS] & RFLAGS_USER) | RFLAGS_FIXED;
    if (is_in_ring_0(v) && !v->in_kernel) v->in_kernel = PORT_VECTOR;
    /* A kick may have come with an exception that is on its way to its stub: setting registers would make KVM forget it. */
    if (!v->in_kernel && !memcmp(now, user, sizeof v->registers)) return;
    memcpy(now, user, sizeof v->registers);
    v->run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
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

static int system_call(struct kvm_vcpu *v) {
    memcpy(v->registers, &v->run->s.regs.regs, sizeof v->registers);
    v->in_kernel = v->space->machine->syscall_ring == 0 ? PORT_SYSCALL : 0;
    v->registers[RIP] = v->registers[RCX];
    v->registers[RFLAGS] = (v->registers[R11] & RFLAGS_USER) | RFLAGS_FIXED; /* R11 may be forged */
    return EXIT_SYSCALL;
}

enum { YIELDS = 16 }; /* of which one is told of */
enum { FETCHED_BY_USER = 0x14 }; /* error code of a page fault */

static int protection_fault(struct kvm_vcpu *v) {
    v->vector = 13;
    v->error_code = 0;
    return EXIT_EXCEPTION;
}

/* No program may be at an address of ours, or at one that is none: there is nothing to be run. */
static int out_of_bounds(struct kvm_vcpu *v) {
    int64_t address = (int64_t)v->registers[RIP];
    if (address << 16 >> 16 != address) return protection_fault(v);
    v->fault_address = v->registers[RIP];
    v->error_code = FETCHED_BY_USER;
    return EXIT_PAGE_FAULT;
}

/* It is on the way to a call, or back from one: 0 if it is back. */
static int mailbox_call(struct kvm_vcpu *v) {
    int what = kvm_mailbox_resolve(v);
    v->run->kvm_dirty_regs |= KVM_SYNC_X86_REGS; /* they are not what KVM has, though `enter` may find them so */
    if (what == MAIL_ENTER || what < 0) {
        memcpy(v->registers, &v->run->s.regs.regs, sizeof v->registers);
        v->in_kernel = 0;
        return what < 0 ? protection_fault(v) : 0;
    }
    int kind = system_call(v);
    return what == MAIL_ANSWERED ? 0 : what == MAIL_TAKEN ? EXIT_SERVED_SYSCALL : kind;
}

/* A step, or the program has jumped there: it makes the call. */
static int exception_in_call(struct kvm_vcpu *v, uint64_t rip, uint64_t rsp) {
    v->run->s.regs.regs.rip = rip;
    v->run->s.regs.regs.rsp = rsp;
    int kind = mailbox_call(v);
    v->in_kernel = PORT_VECTOR;
    return kind;
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
    if (kvm_mailbox_has(v, frame[1])) return exception_in_call(v, frame[1], frame[4]);
    if (vector != 14) return EXIT_EXCEPTION;
    const struct kvm_sregs *system = kvm_vcpu_system(v);
    if (!system) return EXIT_BROKEN;
    v->fault_address = system->cr2;
    return EXIT_PAGE_FAULT;
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
    if (port == PORT_SYSCALL && kvm_mailbox_is_exit(v, rip)) return mailbox_call(v);
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
    if (kvm_mailbox_has(v, rip)) return mailbox_call(v);
    if (rip >= STUBS && rip < STUB_IRET && (rip - STUBS) % STUB_SIZE == 0) return exception(v, (unsigned)(rip - STUBS) / STUB_SIZE);
    if (rip == ENTRY_SYSRET || rip == STUB_IRET) return 0; /* not yet left: v->registers still say what is to be */
    memcpy(v->registers, &v->run->s.regs.regs, sizeof v->registers);
    v->in_kernel = 0;
    return 0;
}

/* What a thread has spent in the guest. Asking for its CPU time costs a system call, so that a short stay, in
 * which the host will not have taken the CPU away, is measured by the clock on the wall; a long one by what the
 * thread has used since it was last asked, less the short stays, and turns in the kernel, since then. */
enum { SHORT_NS = 100000 };

static void ask_cpu_time(struct kvm_vcpu *v) {
    v->cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID);
    v->short_ns = 0;
}

static int run_timed(struct kvm_vcpu *v) {
    uint64_t start = now_ns(CLOCK_MONOTONIC), away = start - v->left_ns;
    v->stay[SERVED_NS] = 0;
    if (away < SHORT_NS) v->short_ns += away;
    else ask_cpu_time(v);
    __atomic_store_n(&v->stay[ENTERED_NS], start, __ATOMIC_RELAXED);
    int failed = ioctl(v->fd, KVM_RUN, 0);
    int error = errno;
    v->left_ns = now_ns(CLOCK_MONOTONIC);
    uint64_t stay = v->left_ns - start;
    if (stay < SHORT_NS && away < SHORT_NS) v->haste++;
    else if (v->haste > 0) v->haste = 0;
    if (stay < SHORT_NS) {
        v->short_ns += stay;
    } else {
        uint64_t before = v->cpu_ns + v->short_ns;
        ask_cpu_time(v);
        uint64_t most = v->cpu_ns > before ? v->cpu_ns - before : 0;
        if (stay > most) stay = most;
    }
    uint64_t served = __atomic_load_n(&v->stay[SERVED_NS], __ATOMIC_RELAXED);
    stay -= served < stay ? served : stay;
    __atomic_store_n(&v->stay[ENTERED_NS], 0, __ATOMIC_RELAXED);
    __atomic_store_n(&v->stay[USER_NS], v->stay[USER_NS] + stay, __ATOMIC_RELAXED);
    errno = error;
    return failed;
}

const uint64_t *kvm_vcpu_stay(const struct kvm_vcpu *v) { return v->stay; }

static void drain_kick_signals(void) {
    sigset_t kick;
    sigemptyset(&kick);
    sigaddset(&kick, SIGURG);
    while (sigtimedwait(&kick, NULL, &(struct timespec){0}) > 0) {}
}

/* The call that lets others go first: a thread that spins makes hundreds of them before it sleeps, and to answer them
 * is to do as it says. Now and then one goes to who knows what waits for this thread's turn. */
static int gives_way(struct kvm_vcpu *v, int yield_call) {
    if (yield_call < 0 || (uint32_t)v->registers[RAX] != (uint32_t)yield_call || ++v->n_yields % YIELDS == 0) return 0;
    v->registers[RAX] = 0;
    sched_yield();
    return 1;
}

/* No kick is lost: one that comes before the exchange is taken here; a later one sets immediate_exit after
 * it was cleared, and either KVM_RUN sees that on entry or is_running makes the kicker send a signal. */
static int run_until_exit(struct kvm_vcpu *v, int yield_call) {
    struct clocks *clocks = v->space->machine->clocks;
    if (kvm_vcpu_prepare_fpu(v)) return EXIT_BROKEN;
    if (clocks) clocks_refresh(clocks);
    for (;;) {
        if (v->registers[RIP] >= KERNEL_BASE) return out_of_bounds(v);
        __atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
        if (__atomic_exchange_n(&v->is_kicked, 0, __ATOMIC_SEQ_CST)) return EXIT_KICKED;
        enter(v);
        __atomic_store_n(&v->is_running, 1, __ATOMIC_SEQ_CST);
        int failed = run_timed(v);
        v->error = failed ? errno : 0;
        __atomic_store_n(&v->is_running, 0, __ATOMIC_SEQ_CST);
        if (!failed) {
            int kind = v->run->exit_reason == KVM_EXIT_IO ? port_access(v) : EXIT_BROKEN;
            if (kind == EXIT_SYSCALL && gives_way(v, yield_call)) continue;
            if (kind == EXIT_SYSCALL && kvm_vcpu_wants_server(v)) return EXIT_BUSY_SYSCALL;
            if (kind) return kind;
            continue;
        }
        if (v->error == EINTR) drain_kick_signals();
        int kind = v->error == EINTR || v->error == EAGAIN || v->error == EFAULT ? interrupted(v) : EXIT_BROKEN;
        if (kind) return kind;
        if (v->error == EFAULT) return EXIT_HOST_FAULT;
    }
}

int kvm_vcpu_run(struct kvm_vcpu *v, int yield_call) {
    kvm_doorway_go_out(v);
    int kind = run_until_exit(v, yield_call);
    kvm_doorway_come_in(v);
    return kind;
}

void kvm_vcpu_rest(struct kvm_vcpu *v) { kvm_doorway_leave(v); }

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

