/* The C core by itself: what must hold on every KVM, hardware or software, without Python above it.
 *
 *   cc -O2 -Iaionoah/hypervisor/native -o core_test tests/svm/core_test.c \
 *      aionoah/hypervisor/native/{frames,space,kvm_machine,kvm_vcpu,kvm_run,kvm_mailbox,kvm_loans,kvm_doorway,clock_page}.c -lpthread
 *
 * Prints one line for each case, and the cost of an exit; the exit status is the number of failures.
 */
#define _GNU_SOURCE
#include "kvm.h"
#include "clock_page.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { RAX, RBX, RCX, RDX, RSI, RDI, RSP, RBP, R8, R9, R10, R11, RIP = 16, RFLAGS = 17 };
#define CODE 0x400000ull
#define DATA 0x500000ull
#define STACK 0x600000ull

static struct frames *frames;
static struct kvm_machine *machine;
static struct kvm_space *space;
static struct kvm_vcpu *vcpu;
static uint64_t *r, code, data;
static int failures;

static int run(struct kvm_vcpu *v) { return kvm_vcpu_run(v, -1); }

static void check(int ok, const char *what) {
    printf("%s %s\n", ok ? "ok  " : "FAIL", what);
    failures += !ok;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint8_t *host(uint64_t frame) { return frames->base + frame * PAGE_SIZE; }

/* A space with a page of code, one of data and one of stack, and a vCPU at the code. */
static void set_up(const void *program, size_t length) {
    space = kvm_space_prepare(machine);
    if (!space || kvm_space_open(space)) {
        perror("kvm_space_open");
        exit(99);
    }
    struct space *tables = kvm_space_tables(space);
    code = frames_allocate(frames, 1);
    data = frames_allocate(frames, 2);
    memcpy(host(code), program, length);
    space_map(tables, CODE, code, 1, SPACE_READ | SPACE_EXECUTE, 0);
    space_map(tables, DATA, data, 1, SPACE_READ | SPACE_WRITE, 0);
    space_map(tables, STACK, data + 1, 1, SPACE_READ | SPACE_WRITE, 0);
    vcpu = kvm_vcpu_open(space);
    if (!vcpu) {
        perror("kvm_vcpu_open");
        exit(99);
    }
    r = kvm_vcpu_registers(vcpu);
    r[RIP] = CODE;
    r[RSP] = STACK + 0xff0;
}

static void tear_down(void) {
    kvm_vcpu_close(vcpu);
    kvm_space_retire(space);
    kvm_space_free(space);
    frames_drop(frames, code, 1);
    frames_drop(frames, data, 2);
}

#define SET_UP(...) set_up((const uint8_t[]){__VA_ARGS__}, sizeof(const uint8_t[]){__VA_ARGS__})
#define SYSCALL 0x0f, 0x05

static void system_calls(void) {
    SET_UP(SYSCALL, SYSCALL);
    for (int i = 0; i < 16; i++)
        if (i != RSP) r[i] = 0x1111ull * (uint64_t)(i + 1);
    check(run(vcpu) == EXIT_SYSCALL, "SYSCALL leaves the guest");
    int kept = 1;
    for (int i = 0; i < 16; i++)
        if (i != RSP && i != RCX && i != R11) kept &= r[i] == 0x1111ull * (uint64_t)(i + 1);
    check(kept && r[RIP] == CODE + 2 && r[RCX] == CODE + 2 && r[RSP] == STACK + 0xff0, "registers as the guest left them");
    for (int i = 0; i < 16; i++) r[i] = i == RSP ? r[i] : 0x2222ull * (uint64_t)(i + 1);
    check(run(vcpu) == EXIT_SYSCALL && r[RBX] == 0x4444 && r[RIP] == CODE + 4, "and as the kernel set them");
    tear_down();
    /* mov %rcx,%rax; mov %r11,%rdx; syscall: a signal's return restores even what SYSCALL clobbers */
    SET_UP(SYSCALL, 0x48, 0x89, 0xc8, 0x4c, 0x89, 0xda, SYSCALL);
    run(vcpu);
    r[RCX] = 0xdead;
    r[R11] = 0xbeef;
    check(run(vcpu) == EXIT_SYSCALL && r[RAX] == 0xdead && r[RDX] == 0xbeef, "rcx and r11 can be restored");
    tear_down();
}

static void page_faults(void) {
    /* mov %rax,(%rdi); syscall */
    SET_UP(0x48, 0x89, 0x07, SYSCALL);
    struct space *tables = kvm_space_tables(space);
    r[RDI] = 0x700008;
    r[RAX] = 42;
    check(run(vcpu) == EXIT_PAGE_FAULT && kvm_vcpu_fault_address(vcpu) == 0x700008
              && (kvm_vcpu_error_code(vcpu) & 7) == 6 && r[RIP] == CODE,
          "a write to nothing is a page fault at the instruction");
    uint64_t frame = frames_allocate(frames, 1);
    space_map(tables, 0x700000, frame, 1, SPACE_READ | SPACE_WRITE, 0);
    check(run(vcpu) == EXIT_SYSCALL && *(uint64_t *)(host(frame) + 8) == 42, "which goes on when a page is there");
    space_protect(tables, 0x700000, 1, SPACE_READ, 0);
    r[RIP] = CODE;
    check(run(vcpu) == EXIT_PAGE_FAULT && (kvm_vcpu_error_code(vcpu) & 7) == 7, "rights taken away are gone at once");
    space_unmap(tables, 0x700000, 1);
    check(run(vcpu) == EXIT_PAGE_FAULT && (kvm_vcpu_error_code(vcpu) & 7) == 6, "so is a page");
    r[RIP] = DATA;
    check(run(vcpu) == EXIT_PAGE_FAULT && (kvm_vcpu_error_code(vcpu) & 16), "data cannot be executed");
    r[RIP] = CODE;
    r[RDI] = CODE;
    check(run(vcpu) == EXIT_PAGE_FAULT, "code cannot be written");
    frames_drop(frames, frame, 1);
    tear_down();
}

static int exception_of(const uint8_t *program, size_t length) {
    set_up(program, length);
    int kind = run(vcpu), vector = kind == EXIT_EXCEPTION ? (int)kvm_vcpu_vector(vcpu) : -kind;
    if (vector >= 0) { /* and the thread can go on after it */
        memcpy(host(code) + 0x100, (const uint8_t[]){SYSCALL}, 2);
        r[RIP] = CODE + 0x100;
        if (run(vcpu) != EXIT_SYSCALL) vector = -100;
    }
    tear_down();
    return vector;
}

#define EXCEPTION(...) exception_of((const uint8_t[]){__VA_ARGS__}, sizeof(const uint8_t[]){__VA_ARGS__})

static void exceptions(void) {
    check(EXCEPTION(0x0f, 0x0b) == 6, "UD2 is #UD");
    check(EXCEPTION(0xcc) == 3, "INT3 is #BP");
    check(EXCEPTION(0x31, 0xc9, 0xf7, 0xf1) == 0, "a division by zero is #DE");
    check(EXCEPTION(0xf4) == 13, "HLT is #GP");
    check(EXCEPTION(0xfa) == 13, "CLI is #GP");
    check(EXCEPTION(0x0f, 0x20, 0xd8) == 13, "reading CR3 is #GP");
    check(EXCEPTION(0x0f, 0x22, 0xd8) == 13, "writing CR3 is #GP");
    check(EXCEPTION(0x0f, 0x30) == 13, "WRMSR is #GP");
    check(EXCEPTION(0x0f, 0x32) == 13, "RDMSR is #GP");
    check(EXCEPTION(0x0f, 0x01, 0x17) == 13, "LGDT is #GP");
    /* KVM in software says #UD here */
    check(EXCEPTION(0xcd, 0x80) == 13 || EXCEPTION(0xcd, 0x80) == 6, "INT 0x80 is #GP");
    check(EXCEPTION(0xcd, 0x20) == 13 || EXCEPTION(0xcd, 0x20) == 6, "INT 0x20 is #GP");
    check(EXCEPTION(0xe6, 0x10) == 13, "OUT to our port is #GP elsewhere");
    check(EXCEPTION(0xe6, 0x2e) == 13, "OUT to a vector's port is #GP elsewhere");
    check(EXCEPTION(0xe4, 0x60) == 13, "IN is #GP");
    check(EXCEPTION(0x48, 0x0f, 0x07) == 13 || EXCEPTION(0x48, 0x0f, 0x07) == 6, "SYSRET is refused");
    check(EXCEPTION(0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x48, 0x8b, 0x00) == 13, "a non-canonical address is #GP");
}

/* User code may neither see nor enter the machine's own pages with profit. */
static void privilege(void) {
    for (uint64_t page = 0; page < 6; page++) {
        uint64_t address = KERNEL_BASE + page * PAGE_SIZE;
        SET_UP(0x48, 0x89, 0x07, SYSCALL); /* mov %rax,(%rdi) */
        r[RDI] = address + 0x800;
        int kind = run(vcpu);
        tear_down();
        char what[80];
        snprintf(what, sizeof what, "machine page %d cannot be written", (int)page);
        check(kind == EXIT_PAGE_FAULT || kind == EXIT_EXCEPTION, what);
    }
    /* jmp *%rdi into every byte of the entry page's code: it must leave as a system call or a fault */
    for (uint64_t offset = 0; offset < 8; offset++) {
        SET_UP(0xff, 0xe7);
        r[RDI] = KERNEL_BASE + 2 * PAGE_SIZE + offset;
        r[RCX] = 0xffffffff80000000ull; /* what SYSRET would return to */
        r[R11] = 0x3202;
        int kind = run(vcpu), again = kind;
        if (kind == EXIT_SYSCALL) again = run(vcpu); /* its return address is refused */
        char what[80];
        snprintf(what, sizeof what, "a jump to the entry page + %d gains nothing", (int)offset);
        check((again == EXIT_EXCEPTION || again == EXIT_PAGE_FAULT) && (r[RFLAGS] & 0x3000) == 0, what);
        tear_down();
    }
    SET_UP(0x9c, 0x58, SYSCALL); /* pushf; pop %rax */
    r[RFLAGS] = 0x3202;
    check(run(vcpu) == EXIT_SYSCALL && (r[RAX] & 0x3000) == 0, "IOPL cannot be had");
    tear_down();
}

static volatile int stop_kicking;

static void *kick_often(void *v) {
    while (!stop_kicking) {
        usleep(200);
        kvm_vcpu_kick(v);
    }
    return NULL;
}

static void kicks(void) {
    pthread_t thread;
    SET_UP(0xeb, 0xfe); /* jmp . */
    kvm_vcpu_kick(vcpu);
    check(run(vcpu) == EXIT_KICKED, "a kick before the entry is seen");
    stop_kicking = 0;
    pthread_create(&thread, NULL, kick_often, vcpu);
    int seen = 0;
    for (int i = 0; i < 300; i++) seen += run(vcpu) == EXIT_KICKED && r[RIP] == CODE;
    stop_kicking = 1;
    pthread_join(thread, NULL);
    check(seen == 300, "a spinning guest is kicked every time");
    tear_down();
    /* 1: syscall; inc %rbx; jmp 1b, under a rain of kicks: every call arrives, and only once */
    SET_UP(SYSCALL, 0x48, 0xff, 0xc3, 0xeb, 0xf9);
    stop_kicking = 0;
    pthread_create(&thread, NULL, kick_often, vcpu);
    uint64_t calls = 0;
    int sane = 1;
    while (calls < 20000 && sane) {
        int kind = run(vcpu);
        if (kind == EXIT_SYSCALL) sane = r[RBX] == calls++ && r[RIP] == CODE + 2;
        else sane = kind == EXIT_KICKED;
    }
    stop_kicking = 1;
    pthread_join(thread, NULL);
    check(sane, "kicks neither lose nor repeat a system call");
    tear_down();
    /* 1: ud2; and the same for exceptions */
    SET_UP(0x0f, 0x0b);
    stop_kicking = 0;
    pthread_create(&thread, NULL, kick_often, vcpu);
    for (int i = 0; i < 5000 && sane;) {
        int kind = run(vcpu);
        if (kind == EXIT_EXCEPTION) sane = kvm_vcpu_vector(vcpu) == 6 && r[RIP] == CODE && ++i;
        else sane = kind == EXIT_KICKED;
    }
    stop_kicking = 1;
    pthread_join(thread, NULL);
    check(sane, "nor an exception");
    tear_down();
}

static void state(void) {
    uint64_t value;
    /* movq %rax,%xmm0; mov %fs:0,%rbx; syscall; movq %xmm0,%rdx; syscall */
    SET_UP(0x66, 0x48, 0x0f, 0x6e, 0xc0, 0x64, 0x48, 0x8b, 0x1c, 0x25, 0, 0, 0, 0, SYSCALL, 0x66, 0x48, 0x0f, 0x7e, 0xc2, SYSCALL);
    *(uint64_t *)host(data) = 0x7157;
    check(!kvm_vcpu_set_tls(vcpu, 0, DATA) && !kvm_vcpu_get_tls(vcpu, 0, &value) && value == DATA, "FS base is kept");
    r[RAX] = 0xabcdef;
    check(run(vcpu) == EXIT_SYSCALL && r[RBX] == 0x7157, "and used");
    static uint8_t image[XSAVE_SIZE];
    check(!kvm_vcpu_get_fpu(vcpu, image) && *(uint64_t *)(image + 160) == 0xabcdef, "the FPU state can be read");
    *(uint64_t *)(image + 160) = 0x1234;
    check(!kvm_vcpu_set_fpu(vcpu, image) && run(vcpu) == EXIT_SYSCALL && r[RDX] == 0x1234, "and written");
    memset(image + 512, 0xff, 8);
    check(kvm_vcpu_set_fpu(vcpu, image) != 0, "nonsense is refused");
    tear_down();
}

static void reuse(void) {
    SET_UP(SYSCALL);
    run(vcpu);
    struct kvm_vcpu *before = vcpu;
    kvm_vcpu_close(vcpu);
    vcpu = kvm_vcpu_open(space);
    int clean = vcpu == before;
    for (int i = 0; i < 16; i++) clean &= r[i] == 0;
    check(clean, "a closed vCPU serves the next thread, clean");
    r[RIP] = CODE;
    check(run(vcpu) == EXIT_SYSCALL, "in user mode");
    tear_down();
}

static void cost(void) {
    double best = 1, start;
    SET_UP(SYSCALL, 0xeb, 0xfc);
    for (int batch = 0; batch < 40; batch++) {
        start = now();
        for (int i = 0; i < 500; i++) run(vcpu);
        if ((start = (now() - start) / 500) < best) best = start;
    }
    printf("exit and back: %.2f us\n", best * 1e6);
    tear_down();
}

/* Who leaves often asks for a mailbox where leaving is dear, and only there. */
static void mailboxes(void) {
    int is_served = kvm_machine_open_mailboxes(machine), busy = 0;
    SET_UP(SYSCALL, 0xeb, 0xfc);
    for (int i = 0; i < 500; i++) busy += run(vcpu) == EXIT_BUSY_SYSCALL;
    check(is_served == (busy > 0), "a busy vCPU says so where it can be served");
    tear_down();
}

/* RDTSC in several VMs: none may shift or scale the host's counter. */
static int counters_agree(void) {
    int agree = 1;
    for (int i = 0; i < 9; i++) {
        SET_UP(0x0f, 0x31, SYSCALL);
        uint64_t before = clocks_counter();
        agree &= run(vcpu) == EXIT_SYSCALL;
        uint64_t counter = (uint32_t)r[RAX] | r[RDX] << 32;
        agree &= counter - before <= clocks_counter() - before;
        tear_down();
    }
    return agree;
}

static void time_keeping(void) {
    check(counters_agree(), "RDTSC shows the host's counter");
    uint64_t frame = frames_allocate(frames, 1);
    const struct clock_page *page = (const struct clock_page *)host(frame);
    if (kvm_machine_keep_clocks(machine, frame)) {
        check(page->sequence == 0 && !clocks_counter_is_steady(), "only without a steady counter the clock page stays empty");
        return;
    }
    for (int i = 0; i < 3; i++) counters_agree();
    check(page->sequence > 0 && page->sequence % 2 == 0 && page->window > 0, "the clock page is kept");
    uint64_t age = clocks_counter() - page->start;
    double error = now() * 1e9 - (double)page->base_ns[CLOCK_PAGE_MONOTONIC] - (double)age * (double)page->scale / 4294967296.0;
    check(error > -1e5 && error < 1e5, "the clock page tells the time");
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    frames = frames_open(1 << 18, 1 << 16);
    machine = kvm_machine_open(frames);
    if (!machine) {
        perror("kvm_machine_open");
        return 99;
    }
    printf("SYSCALL leads to ring %d\n", kvm_machine_syscall_ring(machine));
    uint64_t before = frames->in_use;
    system_calls();
    page_faults();
    exceptions();
    privilege();
    kicks();
    state();
    reuse();
    cost();
    mailboxes();
    check(frames->in_use == before, "no frame is left");
    time_keeping(); /* until the machine is closed */
    kvm_machine_close(machine);
    frames_close(frames);
    printf("%d failures\n", failures);
    return failures;
}
