/* Calls without exits, where SYSCALL stays in ring 3 and leaving the guest takes 25 us.
 *
 * A vCPU with a mailbox enters another page at SYSCALL. Its code, which goes on in ring 3 only and touches no flag, posts
 * the call in the mailbox behind it and spins until a thread of the host has answered. Who does not look soon
 * enough, or wants the vCPU to leave, finds it at the same `out` as without a mailbox.
 *
 * The program can write to its mailboxes. It gains nothing: what stands there is taken for a call of its own, and
 * nothing of the host's is believed from it.
 */
#define _GNU_SOURCE
#include "kvm_internal.h"

#include "clock_page.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { HASTE = 8 };                                             /* quick calls that make a thread worth serving */
enum { LEAST_SETBACK = 4, MOST_SETBACK = 256, WORTHWHILE = 4 }; /* more of them if nobody has looked; served calls that pay for that */
enum { IDLE_NS = 100000, TURNS = 64 }; /* of a server without calls; turns between two looks at the clock */

/* RCX and R11 are free after a SYSCALL, all else is the program's. The mailbox is the page behind the code's. */
#define STRING_(x) #x
#define STRING(x) STRING_(x)
#define FIELD(offset) "mailbox_code+4096+" STRING(offset) "(%rip)"
#define SHOW(register, number) "  mov " register ", " FIELD(MAILBOX_REGISTERS+8*number) "\n"
#define LOAD(register, number) "  mov " FIELD(MAILBOX_REGISTERS+8*number) ", " register "\n"
asm(".pushsection .rodata\n"
    ".balign 64\n"
    "mailbox_code:\n"
    "  mov %rcx, " FIELD(MAILBOX_RCX) "\n"
    "  mov %r11, " FIELD(MAILBOX_R11) "\n"
    "mailbox_saved:\n"
    "  mov %cs, %ecx\n"
    "  lea -" STRING(USER_CS) "(%rcx), %ecx\n"
    "  jrcxz 0f\n"
    "  jmp 4f\n" /* a SYSCALL that was interpreted: with privilege, the way back is another one */
    "0: mov " FIELD(MAILBOX_IS_SERVED) ", %ecx\n"
    "  jrcxz 4f\n"
    "  mov %rax, " FIELD(MAILBOX_WORDS) "\n"
    "  mov %rdi, " FIELD(MAILBOX_WORDS+8) "\n"
    "  mov %rsi, " FIELD(MAILBOX_WORDS+16) "\n"
    "  mov %rdx, " FIELD(MAILBOX_WORDS+24) "\n"
    "  mov %r10, " FIELD(MAILBOX_WORDS+32) "\n"
    "  mov %r8, " FIELD(MAILBOX_WORDS+40) "\n"
    "  mov %r9, " FIELD(MAILBOX_WORDS+48) "\n"
    SHOW("%rsp", 6)
    "  movl $" STRING(MAIL_POSTED) ", " FIELD(MAILBOX_STATE) "\n"
    "mailbox_waiting:\n"
    "  mov $" STRING(MAILBOX_PATIENCE) ", %r11d\n"
    "1: pause\n"
    "  mov " FIELD(MAILBOX_STATE) ", %ecx\n"
    "  lea -" STRING(MAIL_ANSWERED) "(%rcx), %ecx\n"
    "  jrcxz mailbox_answered\n"
    "  lea -1(%rcx), %ecx\n"
    "  jrcxz 1b\n" /* MAIL_TAKEN: somebody is at it */
    "  lea -1(%rcx), %ecx\n"
    "  jrcxz 4f\n" /* MAIL_REFUSED */
    "  lea -1(%rcx), %ecx\n"
    "  jrcxz 2f\n" /* MAIL_SHOW */
    "  lea -2(%rcx), %ecx\n"
    "  jrcxz 3f\n" /* MAIL_ENTER */
    "  lea -1(%r11), %r11d\n"
    "  mov %r11d, %ecx\n"
    "  jrcxz 4f\n"
    "  jmp 1b\n"
    "2: jmp mailbox_showing\n" /* JRCXZ does not reach so far */
    "3: jmp mailbox_entering\n"
    "4: mov " FIELD(MAILBOX_R11) ", %r11\n"
    "  mov " FIELD(MAILBOX_RCX) ", %rcx\n"
    "mailbox_exit:\n"
    "  out %al, $" STRING(PORT_SYSCALL) "\n"
    "  int3\n" /* what is behind the `out` is to be nothing else's place */
    "mailbox_answered:\n"
    "  movl $" STRING(MAIL_NONE) ", " FIELD(MAILBOX_STATE) "\n"
    "  mov " FIELD(MAILBOX_RESULT) ", %rax\n"
    "  mov " FIELD(MAILBOX_R11) ", %r11\n"
    "  mov " FIELD(MAILBOX_RCX) ", %rcx\n"
    "  jmp *%rcx\n"
    "mailbox_showing:\n" /* all that the program has, but for the result; RAX and RDX are in the call's words, too */
    SHOW("%rbx", 1) SHOW("%rdx", 3) SHOW("%rsi", 4) SHOW("%rdi", 5) SHOW("%rbp", 7) SHOW("%r8", 8) SHOW("%r9", 9)
    SHOW("%r10", 10) SHOW("%r12", 12) SHOW("%r13", 13) SHOW("%r14", 14) SHOW("%r15", 15)
    "  mov " FIELD(MAILBOX_RCX) ", %rax\n"
    SHOW("%rax", 2)
    "  mov " FIELD(MAILBOX_R11) ", %rax\n"
    SHOW("%rax", 11)
    "  mov $-1, %eax\n"
    "  mov $-1, %edx\n"
    "  xsave64 " FIELD(MAILBOX_FPU) "\n"
    "  mov " FIELD(MAILBOX_WORDS+24) ", %rdx\n"
    "  mov " FIELD(MAILBOX_WORDS) ", %rax\n"
    "  movl $" STRING(MAIL_SHOWN) ", " FIELD(MAILBOX_STATE) "\n"
    "  jmp mailbox_waiting\n"
    "mailbox_entering:\n"
    "  movl $" STRING(MAIL_NONE) ", " FIELD(MAILBOX_STATE) "\n"
    "  mov $-1, %eax\n"
    "  mov $-1, %edx\n"
    "  xrstor64 " FIELD(MAILBOX_FPU) "\n"
    "  lea " FIELD(MAILBOX_REGISTERS+8*17) ", %rsp\n"
    "  popfq\n"
    LOAD("%rax", 0) LOAD("%rbx", 1) LOAD("%rcx", 2) LOAD("%rdx", 3) LOAD("%rsi", 4) LOAD("%rdi", 5) LOAD("%rsp", 6)
    LOAD("%rbp", 7) LOAD("%r8", 8) LOAD("%r9", 9) LOAD("%r10", 10) LOAD("%r11", 11) LOAD("%r12", 12) LOAD("%r13", 13)
    LOAD("%r14", 14) LOAD("%r15", 15)
    "  jmp *" FIELD(MAILBOX_REGISTERS+8*16) "\n"
    "mailbox_end:\n"
    ".popsection\n");
extern const uint8_t mailbox_code[], mailbox_saved[], mailbox_exit[], mailbox_answered[], mailbox_showing[], mailbox_entering[], mailbox_end[];

static int has_room(const struct kvm_space *s) { return s->n_mailboxes < N_MAILBOXES; }

/* The code and a mailbox of its own for a vCPU, from now on. On the vCPU's thread. */
static int open_mailbox(struct kvm_vcpu *v) {
    struct kvm_space *s = v->space;
    struct frames *f = s->machine->frames;
    uint64_t code = MAILBOXES + (uint64_t)s->n_mailboxes * 2 * PAGE_SIZE;
    uint64_t frame = has_room(s) ? frames_allocate(f, 1) : 0;
    if (!frame) return -1;
    s->n_mailboxes++; /* its place is gone for good, whatever happens */
    int failed = space_map_raw(&s->tables, code, s->machine->common + MAILBOX_CODE_PAGE, PTE_PRESENT | PTE_USER)
                 || space_map_raw(&s->tables, code + PAGE_SIZE, frame, PTE_PRESENT | PTE_USER | PTE_WRITE | PTE_NO_EXECUTE)
                 || kvm_vcpu_set_entry(v, code);
    frames_drop(f, frame, 1); /* the page tables hold it now, or nobody does */
    if (failed) return -1;
    v->entry = code;
    v->mailbox = (uint64_t *)(f->base + (frame << PAGE_SHIFT));
    return 0;
}

uint64_t *kvm_vcpu_mailbox(struct kvm_vcpu *v) { return v->mailbox; }

static uint32_t *state(const struct kvm_vcpu *v) { return (uint32_t *)(v->mailbox + MAILBOX_STATE / 8); }

static int change_state(const struct kvm_vcpu *v, uint32_t from, uint32_t to) {
    return __atomic_compare_exchange_n(state(v), &from, to, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static void set_served(const struct kvm_vcpu *v, uint32_t is_served) {
    __atomic_store_n((uint32_t *)(v->mailbox + MAILBOX_IS_SERVED / 8), is_served, __ATOMIC_SEQ_CST);
}

/* ---- a vCPU that has left ------------------------------------------------------------------------------- */

int kvm_mailbox_has(const struct kvm_vcpu *v, uint64_t rip) {
    return v->mailbox && rip - v->entry < (uint64_t)(mailbox_end - mailbox_code);
}

int kvm_mailbox_is_exit(const struct kvm_vcpu *v, uint64_t rip) {
    uint64_t at = rip - v->entry - (uint64_t)(mailbox_exit - mailbox_code);
    return v->mailbox && (at == 0 || at == 2);
}

static void dismiss(struct kvm_server *s, struct kvm_vcpu *v) {
    set_served(v, 0);
    s->vcpus[v->slot] = NULL;
    v->slot = -1;
}

/* Nobody has looked into the mailbox for longer than it takes to leave: the host has no CPU to spare. */
static void give_up(struct kvm_vcpu *v) {
    struct kvm_server *s = &v->space->machine->server;
    pthread_mutex_lock(&s->mutex);
    if (v->slot >= 0) dismiss(s, v);
    unsigned served = v->n_served;
    v->n_served = 0;
    pthread_mutex_unlock(&s->mutex);
    if (served >= WORTHWHILE) v->setback = LEAST_SETBACK;
    else if (v->setback < MOST_SETBACK) v->setback *= 2;
    v->haste = -v->setback;
}

/* A call that is being made is not made again, and uses the memory. */
static void await_loan(const struct kvm_vcpu *v) {
    while (__atomic_load_n(&v->is_in_loan, __ATOMIC_SEQ_CST)) __builtin_ia32_pause();
}

/* The registers that it is to go on with, of which it has some. Not 0 for a state that no FPU can have. */
static int restore(struct kvm_vcpu *v) {
    uint8_t image[XSAVE_SIZE] = {0}; /* once, for it may change */
    memcpy(image, (uint8_t *)v->mailbox + MAILBOX_FPU, PAGE_SIZE - MAILBOX_FPU);
    memcpy(&v->run->s.regs.regs, v->mailbox + MAILBOX_REGISTERS / 8, sizeof v->registers);
    __atomic_store_n(state(v), MAIL_NONE, __ATOMIC_SEQ_CST);
    return kvm_vcpu_set_fpu(v, image);
}

/* What has become of the call that the vCPU is about to make, or has posted. */
int kvm_mailbox_resolve(struct kvm_vcpu *v) {
    uint64_t *now = (uint64_t *)&v->run->s.regs.regs, at = now[RIP] - v->entry;
    if (at >= (uint64_t)(mailbox_entering - mailbox_code)) return restore(v) ? -1 : MAIL_ENTER;
    if (at >= (uint64_t)(mailbox_showing - mailbox_code)) {
        now[RAX] = v->mailbox[MAILBOX_WORDS / 8];
        now[RDX] = v->mailbox[MAILBOX_WORDS / 8 + 3];
    }
    if (at >= (uint64_t)(mailbox_saved - mailbox_code)) {
        now[RCX] = v->mailbox[MAILBOX_RCX / 8];
        now[R11] = v->mailbox[MAILBOX_R11 / 8];
    }
    if (at >= (uint64_t)(mailbox_answered - mailbox_code) && at < (uint64_t)(mailbox_showing - mailbox_code)) {
        now[RAX] = v->mailbox[MAILBOX_RESULT / 8];
        now[RIP] = now[RCX];
        __atomic_store_n(state(v), MAIL_NONE, __ATOMIC_SEQ_CST); /* or the next call, if nobody serves it, would find this answer */
        return MAIL_ANSWERED;
    }
    if (change_state(v, MAIL_POSTED, MAIL_NONE)) {
        give_up(v);
        return MAIL_NONE;
    }
    await_loan(v);
    return __atomic_load_n(state(v), __ATOMIC_SEQ_CST) == MAIL_NONE ? MAIL_NONE : MAIL_TAKEN;
}

/* ---- the server: one thread of the host for all mailboxes of a machine ------------------------------------- */

/* Whoever spins for a call takes a CPU that a guest may want. */
static int is_crowded(void) { return kvm_doorway_guests() >= kvm_n_cpus(); }

/* Asked before `come_in`: it still counts as one that runs. */
int kvm_vcpu_wants_server(const struct kvm_vcpu *v) {
    if (v->haste < HASTE || v->slot >= 0 || !v->space->machine->server.is_open) return 0;
    return (v->mailbox || has_room(v->space)) && !is_crowded();
}

/* The slot, of which the server may have dismissed it again already. */
int kvm_vcpu_join(struct kvm_vcpu *v) {
    struct kvm_server *s = &v->space->machine->server;
    if (!v->mailbox && open_mailbox(v)) return -1;
    pthread_mutex_lock(&s->mutex);
    int slot = v->slot;
    for (int free = 0; slot < 0 && free < N_SERVED; free++) {
        if (s->vcpus[free]) continue;
        s->vcpus[free] = v;
        v->slot = slot = free;
        __atomic_store_n(state(v), MAIL_NONE, __ATOMIC_SEQ_CST);
        set_served(v, 1);
    }
    pthread_mutex_unlock(&s->mutex);
    if (slot >= 0 && __atomic_exchange_n(&s->bell, 1, __ATOMIC_SEQ_CST) == 0) syscall(SYS_futex, &s->bell, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    return slot;
}

void kvm_vcpu_leave(struct kvm_vcpu *v) {
    struct kvm_server *s = &v->space->machine->server;
    pthread_mutex_lock(&s->mutex);
    if (v->slot >= 0) dismiss(s, v);
    pthread_mutex_unlock(&s->mutex);
    await_loan(v);
}

/* The first call that somebody has posted, or registers that are shown: its slot, or -1. `taker` may have the call made by
 * kvm_loans.c, and is not closed while `is_in_loan`; NULL for registers. */
static int take(struct kvm_server *s, struct kvm_vcpu **taker) {
    int found = -1;
    pthread_mutex_lock(&s->mutex);
    for (int slot = 0; slot < N_SERVED && found < 0; slot++) {
        struct kvm_vcpu *v = s->vcpus[slot];
        uint32_t what = v ? __atomic_load_n(state(v), __ATOMIC_ACQUIRE) : MAIL_NONE;
        if (what == MAIL_SHOWN && change_state(v, MAIL_SHOWN, MAIL_TAKEN)) found = slot, *taker = NULL;
        if (what != MAIL_POSTED) continue;
        __atomic_store_n(&v->is_in_loan, 1, __ATOMIC_SEQ_CST);
        if (change_state(v, MAIL_POSTED, MAIL_TAKEN)) found = slot, *taker = v;
        else __atomic_store_n(&v->is_in_loan, 0, __ATOMIC_SEQ_CST);
    }
    pthread_mutex_unlock(&s->mutex);
    return found;
}

static void sleep_until_joined(struct kvm_server *s) {
    pthread_mutex_lock(&s->mutex);
    for (int slot = 0; slot < N_SERVED; slot++)
        if (s->vcpus[slot]) dismiss(s, s->vcpus[slot]);
    __atomic_store_n(&s->bell, 0, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&s->mutex);
    while (!__atomic_load_n(&s->bell, __ATOMIC_SEQ_CST) && !__atomic_load_n(&s->is_over, __ATOMIC_SEQ_CST))
        syscall(SYS_futex, &s->bell, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

/* What a call has cost, which is not the program's own time. */
static void account(const struct kvm_server *s, struct kvm_vcpu *v, uint64_t now) {
    __atomic_fetch_add(&v->stay[SERVED_NS], now - s->taken_ns, __ATOMIC_RELAXED);
    v->n_served++;
}

static void account_slot(struct kvm_server *s, int slot, uint64_t now) {
    pthread_mutex_lock(&s->mutex);
    if (s->vcpus[slot]) account(s, s->vcpus[slot], now);
    pthread_mutex_unlock(&s->mutex);
}

/* Whether a call that has been taken is answered already; then `now` is when. */
static int answer(const struct kvm_server *s, struct kvm_vcpu *v, uint64_t *now) {
    uint64_t words[5], result; /* once, for they may change */
    memcpy(words, v->mailbox + MAILBOX_WORDS / 8, sizeof words);
    int is_answered = kvm_loans_answer(v, words, &result);
    if (is_answered) {
        v->mailbox[MAILBOX_RESULT / 8] = result;
        __atomic_store_n(state(v), MAIL_ANSWERED, __ATOMIC_SEQ_CST);
        account(s, v, *now = now_ns(CLOCK_MONOTONIC));
    }
    __atomic_store_n(&v->is_in_loan, 0, __ATOMIC_SEQ_CST);
    return is_answered;
}

int kvm_machine_next_call(struct kvm_machine *m, int last) {
    struct kvm_server *s = &m->server;
    uint64_t since = now_ns(CLOCK_MONOTONIC);
    kvm_doorway_leave(s);
    if (last >= 0) account_slot(s, last, since);
    for (unsigned turn = 1;; turn++) {
        struct kvm_vcpu *taker;
        int slot = take(s, &taker);
        if (slot >= 0) {
            s->taken_ns = now_ns(CLOCK_MONOTONIC);
            if (taker && answer(s, taker, &since)) {
                turn = 0;
                continue;
            }
            kvm_doorway_wait(s);
            return slot;
        }
        if (__atomic_load_n(&s->is_over, __ATOMIC_SEQ_CST)) return -1;
        __builtin_ia32_pause();
        if (turn % TURNS) continue;
        if (m->clocks) clocks_refresh(m->clocks);
        if (now_ns(CLOCK_MONOTONIC) - since < IDLE_NS && !is_crowded()) continue;
        sleep_until_joined(s);
        since = now_ns(CLOCK_MONOTONIC);
    }
}

void kvm_machine_end_calls(struct kvm_machine *m) {
    __atomic_store_n(&m->server.is_over, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&m->server.bell, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &m->server.bell, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

int kvm_machine_open_mailboxes(struct kvm_machine *m) {
    m->server.is_open = m->syscall_ring != 0 && kvm_n_cpus() > 1;
    return m->server.is_open;
}

void kvm_mailbox_write_code(uint8_t *page) { memcpy(page, mailbox_code, (size_t)(mailbox_end - mailbox_code)); }
