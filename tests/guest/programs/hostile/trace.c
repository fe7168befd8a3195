/* Tracers and tracees that do to each other whatever they can. Arguments: seed, first and last step. */
#include "hostile.h"

#include <pthread.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

static const long requests[] = {
    1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15, 17, 24, 30, 31, 32, 33,
    0x4200, 0x4201, 0x4202, 0x4203, 0x4204, 0x4205, 0x4207, 0x4208, 0x4209, 0x420a, 0x420b, 0x420c, 0x420d, 0x420e, 0x420f, 0x4210,
};
static const long resuming[] = {7, 9, 24, 24, 31, 32, 0x4208};
static unsigned char memory[1 << 14];
static pid_t team[6];

static uint64_t argument(void)
{
    static const uint64_t some[] = {0, 1, 2, 8, 64, 65, 128, 0x202, 0x402, 1ul << 47, ~0ul, 1ul << 63};
    switch (below(6)) {
    case 0:
        return number();
    case 1:
        return number() >> below(64);
    case 2:
        return (uint64_t)memory + below(sizeof memory);
    case 3:
        return (uint64_t)(memory + below(64) * 8);
    case 4:
        return below(1000);
    default:
        return PICK(some);
    }
}

static void wild_vector(void)
{
    struct iovec *vector = (void *)memory;
    vector->iov_base = below(4) ? memory + 64 : (void *)number();
    vector->iov_len = below(3) ? below(4096) & ~7ul : number() >> below(64);
}

static void *thread(void *nothing)
{
    for (int i = 0; i < 20; i++) {
        sched_yield();
        if (!below(8))
            syscall(SYS_exit, 1);
    }
    return nothing;
}

/* What a tracee does, so that there is something to stop at. */
static void live(uint64_t seed)
{
    pthread_t one;
    begin_step(seed, (uint64_t)getpid());
    for (int i = 0; i < 40; i++) {
        switch (below(9)) {
        case 0:
            if (pthread_create(&one, NULL, thread, NULL) == 0)
                pthread_detach(one);
            break;
        case 1:
            if (fork() == 0)
                _exit(1);
            break;
        case 2:
            if (vfork() == 0)
                _exit(2);
            break;
        case 3:
            kill(PICK(team), below(64));
            break;
        case 4:
            raise(below(2) ? SIGSTOP : SIGCONT);
            break;
        case 5:
            wait4(-1, NULL, WNOHANG | __WALL, NULL);
            break;
        case 6:
            usleep(below(2000));
            break;
        case 7:
            syscall(SYS_ptrace, 0, 0, 0, 0);
            break;
        default:
            __asm__ volatile("int3");
        }
    }
}

static void torment(uint64_t seed)
{
    begin_step(seed, (uint64_t)getpid());
    for (int i = 0; i < 400; i++) {
        pid_t pid = PICK(team);
        switch (below(8)) {
        case 0:
            syscall(SYS_ptrace, below(2) ? 16 : 0x4206, pid, 0, below(3) ? below(256) : number());
            break;
        case 1:
        case 2:
            waitpid(-1, NULL, WNOHANG | __WALL | (below(2) ? WUNTRACED | WCONTINUED : 0));
            break;
        case 3:
            syscall(SYS_ptrace, PICK(resuming), pid, 0, below(2) ? 0 : below(66));
            break;
        case 4: {
            struct user_regs_struct now;
            if (syscall(SYS_ptrace, 12, pid, 0, &now) == 0) {
                ((uint64_t *)&now)[below(27)] = argument();
                syscall(SYS_ptrace, 13, pid, 0, &now);
            }
            break;
        }
        default:
            fill_randomly(memory, 256);
            wild_vector();
            syscall(SYS_ptrace, PICK(requests), pid, below(3) ? argument() : 1 + below(2) * 0x201, argument());
        }
    }
    kill(PICK(team), SIGKILL);
}

static void step(uint64_t seed)
{
    for (unsigned i = 0; i < LENGTH(team); i++) {
        team[i] = fork();
        if (team[i] == 0) {
            alarm(5);
            signal(SIGALRM, SIG_DFL);
            for (unsigned other = i; other < LENGTH(team); other++)
                team[other] = team[0] ? team[0] : getpid();
            if (i % 2)
                torment(seed + i);
            else
                live(seed + i);
            _exit(0);
        }
    }
    usleep(150000);
    for (unsigned i = 0; i < LENGTH(team); i++)
        kill(team[i], SIGKILL);
    while (waitpid(-1, NULL, __WALL) > 0)
        ;
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1, first = argc > 2 ? strtoull(argv[2], NULL, 0) : 0;
    uint64_t last = argc > 3 ? strtoull(argv[3], NULL, 0) : 10;
    for (uint64_t i = first; i < last; i++) {
        if (argc > 4)
            printf("step %lu\n", i), fflush(stdout);
        begin_step(seed, i);
        step(number());
    }
    printf("survived\n");
    return 0;
}
