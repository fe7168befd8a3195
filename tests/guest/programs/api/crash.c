/* Die of one's own instructions, in the way that the argument names. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile long zero;

static void illegal(void)
{
#ifdef __x86_64__
    __asm__ volatile("ud2");
#else
    __asm__ volatile("udf #0");
#endif
}

static void wild_jump(void)
{
    ((void (*)(void))(uintptr_t)0x123456789000)();
}

static void kernel_jump(void) /* not an address that a program can have */
{
    ((void (*)(void))(uintptr_t)0xffff800000001000)();
}

static void run_data(void)
{
    void *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(page, 0x90, 4096);
    ((void (*)(void))page)();
}

__attribute__((noinline)) static int recurse(volatile char *above)
{
    volatile char room[4096];
    room[0] = above[0] + 1;
    return recurse(room) + room[0];
}

static void stack_overflow(void)
{
    volatile char start = 0;
    exit(recurse(&start));
}

static void null_write(void)
{
    *(volatile int *)(uintptr_t)zero = 1;
}

static void wild_write(void)
{
    *(volatile int *)(uintptr_t)0x123456789000 = 1;
}

static void noncanonical_write(void)
{
    *(volatile int *)(uintptr_t)0x9999999999999999 = 1;
}

static void code_write(void)
{
    *(volatile char *)(uintptr_t)&code_write = 1;
}

static void divide(void)
{
    zero = 7 / zero;
}

static void breakpoint(void)
{
#ifdef __x86_64__
    __asm__ volatile("int3");
#else
    __asm__ volatile("brk #0");
#endif
}

static void privileged(void)
{
#ifdef __x86_64__
    __asm__ volatile("hlt");
#endif
}

static const struct {
    const char *name;
    void (*run)(void);
} ways[] = {
    {"illegal", illegal},       {"wild_jump", wild_jump},   {"kernel_jump", kernel_jump},
    {"run_data", run_data},     {"abort", abort},           {"stack_overflow", stack_overflow},
    {"null_write", null_write}, {"wild_write", wild_write}, {"noncanonical_write", noncanonical_write},
    {"code_write", code_write}, {"divide", divide},         {"breakpoint", breakpoint},
    {"privileged", privileged},
};

int main(int argc, char **argv)
{
    for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++)
        if (argc == 2 && strcmp(argv[1], ways[i].name) == 0)
            ways[i].run();
    puts("alive");
    return 99;
}
