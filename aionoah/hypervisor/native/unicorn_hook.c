/* Unicorn as a CPU without page tables of its own: its TLB is filled from ours, and only while the
 * thread holds the machine's baton.
 *
 * One baton, because Unicorn translates a guest's atomic instructions to plain loads and stores: two
 * engines on one memory would break every lock. So vCPUs take turns, in time slices counted in basic
 * blocks, and a change of page tables is simply a turn of its own: nobody runs meanwhile, and whoever
 * comes next drops its stale translations first.
 *
 * A kick is a flag that a hook reads before every basic block, chained ones included. uc_emu_stop from
 * another thread would be lost if it came before uc_emu_start resets its own request; ours cannot be,
 * because the flag is cleared by the return of KICKED alone. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* MAP_ANONYMOUS under -std=c11 */
#endif
#include "unicorn_hook.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

/* From unicorn.h; they are part of its ABI. */
enum {
    UC_OK = 0,
    UC_INSN_INVALID = 10,
    UC_MEM_WRITE = 17,
    UC_MEM_FETCH = 18,
    UC_HOOK_INTR = 1 << 0,
    UC_HOOK_INSN = 1 << 1,
    UC_HOOK_BLOCK = 1 << 3,
    UC_HOOK_TLB_FILL = 1 << 17,
};
#define UC_CTL_WRITE(type) ((int)((uint32_t)(type) | 1u << 30))
enum { UC_CTL_TB_FLUSH = 10, UC_CTL_TLB_FLUSH = 11 };

typedef int emu_start(void *uc, uint64_t begin, uint64_t until, uint64_t timeout, size_t count);
typedef int emu_stop(void *uc);
typedef int hook_add(void *uc, size_t *handle, int type, void *callback, void *data, uint64_t begin, uint64_t end, ...);
typedef int ctl(void *uc, int control, ...);
typedef int reg_batch(void *uc, int *ids, void **values, int count);

struct tlb_entry {
    uint64_t physical;
    int rights;
};

/* Of ExitKind in protocols.py. */
enum { NOTHING, SYSCALL, PAGE_FAULT, EXCEPTION, KICKED, HOST_FAULT, BROKEN };

enum { SLICE = 20000 }; /* basic blocks: about a millisecond */

static void take_turn(struct unicorn_machine *m) {
    pthread_mutex_lock(&m->mutex);
    uint64_t ticket = m->next_ticket++;
    if (ticket != m->now_serving) {
        atomic_fetch_add(&m->waiting, 1);
        while (ticket != m->now_serving) pthread_cond_wait(&m->turn, &m->mutex);
        atomic_fetch_sub(&m->waiting, 1);
    }
    pthread_mutex_unlock(&m->mutex);
}

static void end_turn(struct unicorn_machine *m) {
    pthread_mutex_lock(&m->mutex);
    m->now_serving++;
    pthread_cond_broadcast(&m->turn);
    pthread_mutex_unlock(&m->mutex);
}

void unicorn_seize(struct unicorn_machine *m) {
    atomic_fetch_add(&m->urgent, 1);
    take_turn(m);
    atomic_fetch_sub(&m->urgent, 1);
}

void unicorn_release(struct unicorn_machine *m) { end_turn(m); }

/* A mapped file may shrink when its pages are in an engine's TLB already. The host then sends SIGBUS to the
 * thread in the middle of translated code. A page of zeros goes to that place, the guest stops at the end of
 * its basic block, and the kernel hears of a host fault; that the page has left its file for good is the
 * price. Every other SIGBUS is passed on. */
static _Thread_local struct unicorn_vcpu *running;
static struct sigaction previous_action;

static void pass_on(int signal, siginfo_t *info, void *context) {
    if (previous_action.sa_flags & SA_SIGINFO) {
        previous_action.sa_sigaction(signal, info, context);
    } else if (previous_action.sa_handler == SIG_DFL || previous_action.sa_handler == SIG_IGN) {
        sigaction(signal, &previous_action, NULL); /* the access is made again, and takes its course */
    } else {
        previous_action.sa_handler(signal);
    }
}

static void on_bus_error(int signal, siginfo_t *info, void *context) {
    int error = errno;
    const struct frames *f = running ? running->space->machine->frames : NULL;
    uint64_t offset = f ? (uint64_t)((uint8_t *)info->si_addr - f->base) : 0;
    if (f && offset < f->count << PAGE_SHIFT
        && mmap(f->base + (offset & ~(PAGE_SIZE - 1)), PAGE_SIZE, PROT_READ | PROT_WRITE,
                MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
        running->lost_frame = offset >> PAGE_SHIFT;
    else
        pass_on(signal, info, context);
    errno = error;
}

static void catch_bus_errors(void) {
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGBUS, &action, &previous_action);
}

struct unicorn_machine *unicorn_machine_open(struct frames *frames, const struct unicorn_api *api,
                                             const struct unicorn_architecture *architecture) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct unicorn_machine *m = calloc(1, sizeof *m);
    if (!m) return NULL;
    pthread_once(&once, catch_bus_errors);
    m->frames = frames;
    m->api = *api;
    m->architecture = *architecture;
    pthread_mutex_init(&m->mutex, NULL);
    pthread_cond_init(&m->turn, NULL);
    return m;
}

void unicorn_machine_close(struct unicorn_machine *m) {
    pthread_cond_destroy(&m->turn);
    pthread_mutex_destroy(&m->mutex);
    free(m);
}

struct unicorn_space *unicorn_space_open(struct unicorn_machine *m) {
    struct unicorn_space *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->machine = m;
    s->rights_generation = s->code_generation = 1;
    if (space_init(&s->tables, m->frames, NULL)) {
        free(s);
        return NULL;
    }
    return s;
}

struct space *unicorn_space_tables(struct unicorn_space *s) { return &s->tables; }

void unicorn_space_close(struct unicorn_space *s) {
    space_fini(&s->tables);
    free(s);
}

void unicorn_space_changed(struct unicorn_space *s, int loses_rights, int prot) {
    s->rights_generation += loses_rights != 0;
    /* What was translated from these frames may have been something else, long ago. */
    s->code_generation += (prot & SPACE_EXECUTE) != 0;
    if (prot & SPACE_EXECUTE && prot & SPACE_WRITE) s->has_writable_code = 1;
}

static uint64_t entry_of(const struct space *s, uint64_t address) {
    uint64_t entry = s->root << PAGE_SHIFT;
    for (int level = 3; level >= 0; level--) {
        const uint64_t *table = (const uint64_t *)(s->frames->base + (entry & PTE_FRAME));
        entry = table[(address >> (PAGE_SHIFT + 9 * level)) & 511];
        if (!(entry & PTE_PRESENT)) return 0;
    }
    return entry;
}

/* A page of a file mapping may lie behind the file's end, where the host has nothing to read. Of a write the host is
 * told first: it takes down when a file was changed only if nobody has read the page before. */
static int host_has(const struct frames *f, uint64_t physical, int wanted) {
    uint8_t byte;
    if (wanted == SPACE_WRITE) frames_populate(f->base + physical, PAGE_SIZE);
    return frames_copy(&byte, f->base + physical, 1) == 0;
}

/* The first address under a table where a frame is mapped; ~0 if there is none. */
static uint64_t find_frame(const struct space *s, uint64_t table, int level, uint64_t frame) {
    const uint64_t *entries = (const uint64_t *)(s->frames->base + (table << PAGE_SHIFT));
    for (uint64_t i = 0; i < 512; i++) {
        uint64_t below = (entries[i] & PTE_FRAME) >> PAGE_SHIFT, found = level ? ~0ull : 0;
        if (!(entries[i] & PTE_PRESENT) || (!level && below != frame)) continue;
        if (level) found = find_frame(s, below, level - 1, frame);
        if (found != ~0ull) return found | i << (PAGE_SHIFT + 9 * level);
    }
    return ~0ull;
}

static void stop(struct unicorn_vcpu *v) { ((emu_stop *)v->space->machine->api.emu_stop)(v->engine); }

static bool on_fill(void *uc, uint64_t address, int type, struct tlb_entry *out, void *data) {
    struct unicorn_vcpu *v = data;
    const struct unicorn_machine *m = v->space->machine;
    if (v->set_up_frame) {
        *out = (struct tlb_entry){v->set_up_frame << PAGE_SHIFT, SPACE_READ | SPACE_WRITE | SPACE_EXECUTE};
        return true;
    }
    int wanted = type == UC_MEM_WRITE ? SPACE_WRITE : type == UC_MEM_FETCH ? SPACE_EXECUTE : SPACE_READ;
    uint64_t at = address & m->architecture.address_mask;
    uint64_t entry = at < m->architecture.end ? entry_of(&v->space->tables, at) : 0;
    int rights = !entry ? 0
                        : SPACE_READ | (entry & PTE_WRITE ? SPACE_WRITE : 0)
                              | (entry & PTE_NO_EXECUTE ? 0 : SPACE_EXECUTE);
    v->is_host_fault = 0;
    if (rights & wanted && !v->is_over) {
        *out = (struct tlb_entry){entry & PTE_FRAME, rights};
        if (!(entry & PTE_FILE) || host_has(m->frames, entry & PTE_FRAME, wanted)) return true;
        v->is_host_fault = 1;
    }
    v->has_missed = 1;
    v->fault_address = address;
    v->fault_access = wanted;
    return false;
}

static void on_block(void *uc, uint64_t address, uint32_t size, void *data) {
    struct unicorn_vcpu *v = data;
    struct unicorn_machine *m = v->space->machine;
    int slice_ends = ++v->blocks > SLICE && atomic_load_explicit(&m->waiting, memory_order_relaxed);
    if (slice_ends || v->lost_frame || atomic_load_explicit(&v->kicked, memory_order_relaxed)
        || atomic_load_explicit(&m->urgent, memory_order_relaxed))
        stop(v);
}

static void on_syscall(void *uc, void *data) {
    struct unicorn_vcpu *v = data;
    v->exit = SYSCALL;
    stop(v);
}

static void on_interrupt(void *uc, uint32_t number, void *data) {
    struct unicorn_vcpu *v = data;
    const struct unicorn_architecture *a = &v->space->machine->architecture;
    if (v->exit == SYSCALL) return; /* the trap of a step over SYSCALL: while the kernel works the flag does not count */
    v->exit = !a->syscall_instruction && number == a->syscall_interrupt ? SYSCALL : EXCEPTION;
    v->vector = number;
    stop(v);
}

/* Unicorn lets everybody use ports, and goes on to the end of the basic block after this hook. So keep the
 * registers as they are before the instruction, and let the first access to memory after it end the block. */
static void forbid(struct unicorn_vcpu *v) {
    const struct unicorn_machine *m = v->space->machine;
    if (v->is_over) return;
    v->is_over = 1;
    v->exit = EXCEPTION;
    v->vector = m->architecture.protection;
    ((reg_batch *)m->api.reg_read_batch)(v->engine, (int *)m->architecture.ids, v->values, m->architecture.registers);
    ((ctl *)m->api.ctl)(v->engine, UC_CTL_WRITE(UC_CTL_TLB_FLUSH));
    stop(v);
}

static uint32_t on_port_input(void *uc, uint32_t port, int size, void *data) {
    forbid(data);
    return 0;
}

static void on_port_output(void *uc, uint32_t port, int size, uint32_t value, void *data) { forbid(data); }

static void on_sysenter(void *uc, void *data) { forbid(data); }

static int add_hooks(struct unicorn_vcpu *v) {
    hook_add *add = (hook_add *)v->space->machine->api.hook_add;
    int instruction = v->space->machine->architecture.syscall_instruction;
    const int *forbidden = v->space->machine->architecture.forbidden;
    void *forbidding[3] = {(void *)on_port_input, (void *)on_port_output, (void *)on_sysenter};
    size_t handle;
    for (int i = 0; i < 3; i++)
        if (forbidden[i] && add(v->engine, &handle, UC_HOOK_INSN, forbidding[i], v, 1, 0, forbidden[i])) return -1;
    return add(v->engine, &handle, UC_HOOK_TLB_FILL, (void *)on_fill, v, 1, 0)
           || add(v->engine, &handle, UC_HOOK_BLOCK, (void *)on_block, v, 1, 0)
           || add(v->engine, &handle, UC_HOOK_INTR, (void *)on_interrupt, v, 1, 0)
           || (instruction && add(v->engine, &handle, UC_HOOK_INSN, (void *)on_syscall, v, 1, 0, instruction));
}

struct unicorn_vcpu *unicorn_vcpu_open(struct unicorn_space *s, void *engine) {
    struct unicorn_vcpu *v = calloc(1, sizeof *v);
    if (!v) return NULL;
    v->space = s;
    v->engine = engine;
    for (int i = 0; i < UNICORN_REGISTERS; i++) v->values[i] = &v->registers[i];
    if (add_hooks(v)) {
        free(v);
        return NULL;
    }
    s->vcpus++;
    return v;
}

void unicorn_vcpu_close(struct unicorn_vcpu *v) {
    v->space->vcpus--;
    free(v);
}

static int start(struct unicorn_vcpu *v, uint64_t begin) {
    v->exit = NOTHING;
    v->has_missed = v->is_host_fault = v->is_over = 0;
    v->blocks = 0;
    return ((emu_start *)v->space->machine->api.emu_start)(v->engine, begin, ~0ull, 0, 0);
}

static void flush(struct unicorn_vcpu *v) {
    ctl *control = (ctl *)v->space->machine->api.ctl;
    control(v->engine, UC_CTL_WRITE(UC_CTL_TB_FLUSH));
    control(v->engine, UC_CTL_WRITE(UC_CTL_TLB_FLUSH));
}

/* Leave behind what the page tables no longer say. */
static void refresh(struct unicorn_vcpu *v) {
    struct unicorn_space *s = v->space;
    ctl *control = (ctl *)s->machine->api.ctl;
    if (v->code_seen != s->code_generation || (s->has_writable_code && s->vcpus > 1))
        control(v->engine, UC_CTL_WRITE(UC_CTL_TB_FLUSH));
    if (v->rights_seen != s->rights_generation) control(v->engine, UC_CTL_WRITE(UC_CTL_TLB_FLUSH));
    v->code_seen = s->code_generation;
    v->rights_seen = s->rights_generation;
}

int unicorn_vcpu_set_up(struct unicorn_vcpu *v, uint64_t begin, uint64_t frame) {
    v->set_up_frame = frame;
    v->error = start(v, begin);
    v->set_up_frame = 0;
    flush(v);
    return v->error;
}

void unicorn_vcpu_calibrate(struct unicorn_vcpu *v) {
    static const uint64_t probes[2] = {0x5ac396e17d28, 0x3c5a69871eb4};
    enum { WORDS = 1024 }; /* an engine is several times larger */
    const uint64_t *words = v->engine;
    unsigned char found[WORDS] = {0};
    size_t candidates = 0, offset = 0;
    for (int i = 0; i < 2; i++) {
        start(v, probes[i]);
        for (size_t w = 0; w < WORDS; w++) found[w] += words[w] == probes[i];
    }
    for (size_t w = 0; w < WORDS; w++)
        if (found[w] == 2) candidates++, offset = w * sizeof *words;
    v->space->machine->address_offset = candidates == 1 ? offset : 0;
}

static void enter(struct unicorn_vcpu *v) {
    struct unicorn_machine *m = v->space->machine;
    struct unicorn_architecture *a = &m->architecture;
    refresh(v);
    v->registers[a->flags] = (v->registers[a->flags] & a->flags_mask) | a->flags_set;
    ((reg_batch *)m->api.reg_write_batch)(v->engine, a->ids, v->values, a->registers);
    running = v;
    v->error = start(v, v->registers[a->pc]);
    running = NULL;
    if (!v->is_over) ((reg_batch *)m->api.reg_read_batch)(v->engine, a->ids, v->values, a->registers);
}

/* The hook sees the page of a refused address only; the rest of it is in the engine. */
static void complete_address(struct unicorn_vcpu *v) {
    const struct unicorn_machine *m = v->space->machine;
    if (m->address_offset) {
        uint64_t exact = *(const uint64_t *)((const char *)v->engine + m->address_offset);
        if (exact - v->fault_address < PAGE_SIZE) v->fault_address = exact;
    }
    v->fault_address &= m->architecture.address_mask;
}

static int syscall_exit(struct unicorn_vcpu *v) {
    const struct unicorn_architecture *a = &v->space->machine->architecture;
    if (a->saved_pc) v->registers[a->saved_pc] = v->registers[a->pc];
    if (a->saved_flags) v->registers[a->saved_flags] = v->registers[a->flags];
    return SYSCALL;
}

static int exception_exit(struct unicorn_vcpu *v) {
    const struct unicorn_machine *m = v->space->machine;
    uint64_t at = v->registers[m->architecture.pc] - sizeof v->code / 2;
    for (size_t i = 0; i < sizeof v->code; i++, at++) {
        uint64_t entry = at < m->architecture.end ? entry_of(&v->space->tables, at) : 0;
        const uint8_t *byte = m->frames->base + (entry & PTE_FRAME) + (at & (PAGE_SIZE - 1));
        v->code[i] = 0;
        if (entry) frames_copy(&v->code[i], byte, 1); /* the host may have no page there */
    }
    return EXCEPTION;
}

/* Why the engine came back, or NOTHING if it shall go on. */
static int reason(struct unicorn_vcpu *v) {
    if (v->exit) return v->exit == SYSCALL ? syscall_exit(v) : exception_exit(v);
    if (v->error == UC_OK) return NOTHING; /* we stopped it, or the CPU waits for an interrupt (WFI) */
    if (v->error == UC_INSN_INVALID) {
        v->vector = v->space->machine->architecture.illegal_instruction;
        return exception_exit(v);
    }
    if (!v->has_missed) return BROKEN;
    complete_address(v);
    return v->is_host_fault ? HOST_FAULT : PAGE_FAULT;
}

int unicorn_vcpu_run(struct unicorn_vcpu *v) {
    struct unicorn_machine *m = v->space->machine;
    for (int exit = NOTHING;;) {
        take_turn(m);
        if (atomic_exchange(&v->kicked, 0)) {
            exit = KICKED;
        } else if (v->lost_frame) {
            v->fault_address = find_frame(&v->space->tables, v->space->tables.root, 3, v->lost_frame);
            v->fault_access = SPACE_READ;
            v->lost_frame = 0;
            exit = HOST_FAULT;
        } else {
            enter(v);
            exit = reason(v);
        }
        end_turn(m);
        if (exit) return exit;
    }
}

void unicorn_vcpu_kick(struct unicorn_vcpu *v) { atomic_store(&v->kicked, 1); }
