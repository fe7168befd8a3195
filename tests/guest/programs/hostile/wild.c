/* Wild instructions, registers, mappings and frames. Arguments: seed, first and last step, "show" to tell each step. */
#include "hostile.h"

#include <asm/prctl.h>
#include <sched.h>
#include <ucontext.h>

#define REGISTERS 17 /* the general ones and the flags */

static int show;
static char *code; /* may be written and run */
static char *data;
static uint64_t registers[REGISTERS];
static uint64_t target;

static uint64_t word(void)
{
    static const uint64_t words[] = {
        0, 1, -1ul, 8, 0x400000, 0x123456789000, 0x7fffffffe000, 0x7fffffffefff, 0x7ffffffff000, 0x7fffffffffff, 0x800000000000,
        0xffff800000000000, 0xffffffffff600000, 1ul << 63, 0x9999999999999999, 0xffffffff80000000, 0xfee00000,
    };
    switch (below(6)) {
    case 0: return (uint64_t)code + below(PAGE);
    case 1: case 2: return (uint64_t)data + (below(4 * PAGE) & ~7ul);
    case 3: return number() >> below(64);
    case 4: return 0x7ffffffff000 - below(64) * PAGE + (below(2) ? 0 : below(PAGE));
    default: return PICK(words) + (below(3) ? 0 : below(64) - 32);
    }
}

/* -- instructions -- */

/* Load every register and go. Never comes back. */
__attribute__((noreturn)) static void go(uint64_t to, int with_stack)
{
    for (unsigned i = 0; i < REGISTERS; i++)
        registers[i] = word();
    if (!with_stack)
        registers[4] = (uint64_t)data + 2 * PAGE;
    registers[16] = below(2) ? 0x202 : (number() & 0x3f7fd7); /* trap, direction, nested task, alignment, …, not virtual */
    target = to;
    __asm__ volatile("mov %0, %%rsp\n"
                     "mov 128(%%rsp), %%rax\n push %%rax\n popfq\n" /* in front of the array: nothing that matters */
                     "pop %%rax\n pop %%rcx\n pop %%rdx\n pop %%rbx\n add $8, %%rsp\n pop %%rbp\n pop %%rsi\n pop %%rdi\n"
                     "pop %%r8\n pop %%r9\n pop %%r10\n pop %%r11\n pop %%r12\n pop %%r13\n pop %%r14\n pop %%r15\n"
                     "mov %1, %%rsp\n jmp *%2\n"
                     :
                     : "r"(registers), "m"(registers[4]), "m"(target)
                     : "memory");
    __builtin_unreachable();
}

static void wild_jump(void)
{
    go(word(), (int)below(2));
}

static void random_code(void)
{
    fill_randomly(code, PAGE);
    go((uint64_t)code, (int)below(2));
}

/* Instructions that are not for programs, or do odd things, with random ones behind them. */
static void odd_code(void)
{
    static const char *const odd[] = {
        "\xf4", "\x0f\x05", "\x0f\x34", "\x0f\x35", "\x48\x0f\x35", "\x48\x0f\x07", "\x0f\x07", "\xcf", "\x48\xcf", "\xcd\x80", "\xcd\x03", "\xcd\x0e", "\xcd\x08",
        "\xcd\xff", "\xcc", "\xf1", "\xce", "\xee", "\xef", "\x66\xef", "\xe6\x80", "\xe7\x10", "\x6e", "\xf3\x6e", "\xec", "\xed", "\xe4\x40", "\x6c", "\xfa", "\xfb",
        "\x0f\x30", "\x0f\x32", "\x0f\x33", "\x0f\x31", "\x0f\xa2", "\x0f\x01\xf9", "\x0f\x01\xd0", "\x0f\x01\xd1", "\x0f\x01\xc1", "\x0f\x01\xd9", "\x0f\x01\xf8",
        "\x0f\x22\xd8", "\x0f\x20\xd8", "\x0f\x22\xe0", "\x0f\x21\xf8", "\x0f\x23\xf8", "\x0f\x06", "\x0f\x08", "\x0f\x09", "\x0f\x01\x3f", "\x0f\x01\x17",
        "\x0f\x01\x1f", "\x0f\x00\x17", "\x0f\x00\x1f", "\x0f\x01\x37", "\x8e\xd8", "\x8e\xc0", "\x8e\xe0", "\x8e\xe8", "\x8e\xd0", "\xcb", "\x48\xcb", "\xff\x2f",
        "\x48\xff\x2f", "\xff\x1f", "\xf3\x48\x0f\xae\xd0", "\xf3\x48\x0f\xae\xd8", "\x0f\xae\x2f", "\x0f\xae\x0f", "\x0f\xae\x17", "\x0f\xae\x27", "\x0f\xc7\x1f",
        "\xdb\xe3", "\xd9\x2f", "\xdd\x27", "\x0f\x77", "\x9d", "\x9c", "\xc8\xff\xff\x1f", "\x0f\x0b", "\x0f\xb9\xc0", "\x0f\xff\xc0", "\xf3\xa4", "\xf3\xaa",
        "\xf0\x0f\xc7\xc8", "\x66\x0f\x38\x82\x07", "\x0f\x01\xfc", "\xf3\x0f\xc7\xf8", "\x0f\x18\x07", "\xc7\xf8\0\0\0\0", "\x0f\x01\xd5", "\x0f\x1a\x07",
    };
    static const unsigned char lengths[] = {1, 2, 3, 4, 5};
    fill_randomly(code, 64);
    for (unsigned i = 0, at = 0; i < 4; i++) {
        const char *one = PICK(odd);
        size_t length = strlen(one) ? strlen(one) : PICK(lengths);
        memcpy(code + at, one, length);
        at += (unsigned)length;
    }
    go((uint64_t)code, (int)below(2));
}

static void rewrite_itself(void)
{
    static const unsigned char body[] = {0xb8, 0, 0, 0, 0, 0xc3}; /* mov $0, %eax; ret */
    memcpy(code, body, sizeof body);
    for (uint32_t i = 0; i < 200; i++) {
        memcpy(code + 1, &i, sizeof i);
        __builtin___clear_cache(code, code + sizeof body);
        if (((uint32_t (*)(void))code)() != i) {
            printf("wrong: old code ran\n");
            fflush(stdout);
        }
    }
}

/* -- the stack, signals -- */

__attribute__((noinline)) static int recurse(volatile char *above)
{
    volatile char room[8192];
    room[0] = (char)(above[0] + 1);
    return recurse(room) + room[0];
}

static void ignore(int signal)
{
    (void)signal;
}

static void overflow(void)
{
    stack_t stack = {.ss_sp = (void *)word(), .ss_size = below(2) ? 8192 : number() >> below(64), .ss_flags = below(2) ? 0 : (int)number()};
    struct rlimit limit = {1 << 20, 1 << 20};
    volatile char start = 0;
    setrlimit(RLIMIT_STACK, &limit);
    sigaltstack(&stack, 0);
    sigaction(SIGSEGV, &(struct sigaction){.sa_handler = ignore, .sa_flags = (int)number() | SA_RESETHAND}, 0);
    recurse(&start);
}

static void forge(int signal, siginfo_t *info, void *context)
{
    ucontext_t *frame = context;
    unsigned char *bytes = context;
    (void)signal, (void)info;
    switch (below(6)) {
    case 0:
        for (unsigned i = 0; i < 23; i++)
            frame->uc_mcontext.gregs[i] = (greg_t)word();
        break;
    case 1:
        frame->uc_mcontext.gregs[below(23)] = (greg_t)word();
        break;
    case 2:
        frame->uc_mcontext.fpregs = (void *)word();
        break;
    case 3:
        fill_randomly(frame->uc_mcontext.fpregs, below(2) ? 512 : 2048);
        break;
    case 4:
        for (unsigned i = 0; i < 5; i++)
            ((unsigned char *)frame->uc_mcontext.fpregs)[below(1100)] = (unsigned char)number();
        break;
    default:
        for (unsigned i = 0; i < 10; i++)
            bytes[below(sizeof *frame)] = (unsigned char)number();
    }
}

static void forged_frame(void)
{
    sigaction(SIGUSR1, &(struct sigaction){.sa_sigaction = forge, .sa_flags = SA_SIGINFO}, 0);
    raise(SIGUSR1);
}

static void frame_from_nowhere(void)
{
    uint64_t at = word();
    if (below(2))
        fill_randomly(data, 4 * PAGE);
    __asm__ volatile("mov %0, %%rsp\n mov $15, %%eax\n syscall\n ud2" : : "r"(at) : "memory");
}

static void wild_handler(void)
{
    struct {
        uint64_t handler, flags, restorer, mask;
    } action = {word(), number(), word(), number()};
    stack_t stack = {.ss_sp = data, .ss_size = 8192};
    sigaltstack(&stack, 0);
    int chosen = (int)(1 + below(64));
    syscall(SYS_rt_sigaction, chosen, &action, 0, 8);
    raise(chosen);
    raise(chosen);
    if (below(2))
        *(volatile char *)word() = 1;
}

/* -- memory -- */

static void unmap_everything(void)
{
    uint64_t from = below(2) ? 0 : word() & -PAGE, length = below(2) ? 0x7ffffffff000 - from : number() & -PAGE;
    if (below(2))
        syscall(SYS_munmap, from, length);
    else
        syscall(SYS_mprotect, from, length, below(8));
    getpid();
    recurse(data);
}

static void remap_everything(void)
{
    extern char __executable_start, etext;
    uint64_t places[] = {(uint64_t)&__executable_start, (uint64_t)&places & -PAGE, (uint64_t)code, (uint64_t)data, word() & -PAGE};
    (void)etext;
    for (unsigned i = 0; i < 20; i++)
        syscall(SYS_mremap, PICK(places), below(8) * PAGE, below(16) * PAGE, below(8), PICK(places));
}

static void storm(void)
{
    static char *pieces[64];
    for (unsigned i = 0; i < 300; i++) {
        char **piece = &PICK(pieces);
        size_t length = (1 + below(64)) * PAGE;
        switch (*piece ? below(8) : 0) {
        case 0: {
            int flags = (below(2) ? MAP_PRIVATE : MAP_SHARED) | MAP_ANONYMOUS | (below(4) ? 0 : MAP_NORESERVE) | (below(8) ? 0 : MAP_GROWSDOWN);
            *piece = mmap((void *)(0x100000000000 + below(256) * PAGE), length, (int)below(8), flags | (below(2) ? MAP_FIXED : 0), -1, 0);
            if (*piece == MAP_FAILED)
                *piece = 0;
            break;
        }
        case 1: munmap(*piece, length); *piece = 0; break;
        case 2: mprotect(*piece, length, (int)below(8)); break;
        case 3: mremap(*piece, length, (1 + below(128)) * PAGE, MREMAP_MAYMOVE); break;
        case 4: madvise(*piece, length, (int)below(26)); break;
        case 5: syscall(SYS_read, -1, *piece, length); break;
        case 6: {
            int fd = open("/dev/urandom", O_RDONLY);
            if (read(fd, *piece, length) < 0)
                length = 0;
            close(fd);
            break;
        }
        default:
            if (fork() == 0)
                _exit(write(1, *piece, 0) != 0);
            while (wait(0) > 0)
                ;
        }
    }
}

static void wild_bases(void)
{
    arch_prctl_wild:
    syscall(SYS_arch_prctl, below(2) ? ARCH_SET_FS : ARCH_SET_GS, word());
    if (below(2))
        goto arch_prctl_wild;
    syscall(SYS_set_tid_address, word());
    syscall(SYS_set_robust_list, word(), 24);
    __asm__ volatile("mov %%fs:0, %%rax" : : : "rax");
}

static int clone_child(void *argument)
{
    (void)argument;
    syscall(SYS_exit, 0);
    return 0;
}

static void wild_clone(void)
{
    int flags = (int)(number() & number() & 0xffffff00u);
    clone(clone_child, data + 2 * PAGE, below(2) ? flags : (int)(flags & ~0x7e020000), 0, (void *)word(), (void *)word(), (void *)word());
    uint64_t args[11];
    for (unsigned i = 0; i < 11; i++)
        args[i] = below(2) ? 0 : word();
    args[0] = number() & number();
    if (syscall(SYS_clone3, args, 64 + 8 * below(4)) == 0)
        syscall(SYS_exit_group, 0);
}

static void set_up(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    code = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    data = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static const struct {
    const char *name;
    void (*run)(void);
} ways[] = {
    {"wild_jump", wild_jump}, {"random_code", random_code}, {"odd_code", odd_code}, {"rewrite_itself", rewrite_itself},
    {"overflow", overflow}, {"forged_frame", forged_frame}, {"frame_from_nowhere", frame_from_nowhere}, {"wild_handler", wild_handler},
    {"unmap_everything", unmap_everything}, {"remap_everything", remap_everything}, {"storm", storm}, {"wild_bases", wild_bases},
    {"wild_clone", wild_clone}, {"odd_code", odd_code},
};

static void step(uint64_t seed, uint64_t index)
{
    begin_step(seed, index);
    unsigned way = (unsigned)(index % LENGTH(ways));
    if (show)
        fprintf(stderr, "%lu: %s\n", index, ways[way].name);
    ways[way].run();
}

int main(int argc, char **argv)
{
    show = argc > 4;
    survive(strtoul(argv[1], 0, 0), strtoul(argv[2], 0, 0), strtoul(argv[3], 0, 0), set_up, step);
    return 0;
}
