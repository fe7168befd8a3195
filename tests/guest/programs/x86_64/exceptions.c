/* Instructions that x86_64 refuses, and pointers that lead nowhere: signal, siginfo, and what the CPU said of it. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static char alternate[65536];

static void handler(int signal, siginfo_t *info, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    printf("signal %d code %d address %lx error %llx trap %lld cr2 %llx: ", signal, info->si_code,
           (long)info->si_addr, registers[REG_ERR], registers[REG_TRAPNO], registers[REG_CR2]);
    fflush(stdout);
    _exit(5);
}

#define DO(...) asm volatile(__VA_ARGS__ ::"r"(value) : "rax", "memory")

static void with_pointer(int how, uint64_t value) {
    switch (how) {
    case 0: DO("mov %0, %%rsp\n push %%rax"); break;
    case 1: DO("mov %0, %%rsp\n pop %%rax"); break;
    case 2: DO("mov %0, %%rsp\n mov 8(%%rsp), %%rax"); break;
    case 3: DO("mov %0, %%rbp\n mov (%%rbp), %%rax"); break;
    case 4: DO("mov (%0), %%rax"); break;
    case 5: DO("mov %%rax, (%0)"); break;
    case 6: DO("jmp *%0"); break;
    case 7: DO("mov %0, %%rsp\n ret"); break;
    case 8: DO("mov %0, %%rsp\n call 1f\n1:"); break;
    case 9: DO("mov %0, %%rsp\n mov $39, %%eax\n syscall\n push %%rax"); break;
    case 10: DO("mov %0, %%rsp\n int3"); break;
    case 11: DO("push %0\n ret"); break;
    case 12: DO("mov %0, %%rbp\n leave"); break;
    case 13: DO("lock incl (%0)"); break;
    case 14: DO("mov %0, %%ss"); break;
    case 15: DO("mov %0, %%rsp\n pushfq"); break;
    }
}

static void without(int how) {
    uint64_t value = 0;
    switch (how) {
    case 16: DO("hlt"); break;
    case 17: DO("cli"); break;
    case 18: DO("ud2"); break;
    case 19: DO("sti"); break;
    case 20: DO("mov %%cr0, %%rax"); break;
    case 21: DO("int $4"); break;
    case 22: DO("wrmsr"); break;
    case 23: DO("in $0x60, %%al"); break;
    case 24: DO("out %%al, $0x60"); break;
    case 25: DO("lgdt (%0)"); break;
    case 26: DO("clts"); break;
    case 27: DO("sysretq"); break;
    case 28: DO("swapgs"); break;
    case 29: DO("invlpg (%0)"); break;
    case 30: DO("int $0x21"); break;
    case 31: DO("int $0x0e"); break;
    case 32: DO("int $0"); break;
    case 33: DO("int $255"); break;
    }
}

int main(void) {
    static const uint64_t values[] = {
        0, 0x7ffffffff000, 0x7ffffffffffa, 0x800000000000, 0xdead000000000000, 0xffff800000000000, -1,
    };
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    sigaltstack(&stack, NULL);
    for (int signal = 1; signal < 32; signal++) {
        if (signal != SIGCHLD) {
            sigaction(signal, &action, NULL);
        }
    }
    for (int how = 0; how < 34; how++) {
        for (unsigned i = 0; i < (how < 16 ? sizeof values / sizeof *values : 1); i++) {
            int status;
            printf("%d %lx: ", how, values[i]);
            fflush(stdout);
            if (fork() == 0) {
                with_pointer(how, values[i]);
                without(how);
                _exit(4);
            }
            wait(&status);
            printf("%x\n", status);
        }
    }
}
