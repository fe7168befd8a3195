/* What the parts of the KVM backend share: kvm_machine.c, kvm_vcpu.c, kvm_run.c, kvm_mailbox.c, kvm_loans.c and kvm_doorway.c. */
#ifndef AIONOAH_KVM_INTERNAL_H
#define AIONOAH_KVM_INTERNAL_H

#include "kvm.h"

#include <linux/kvm.h>
#include <pthread.h>
#include <time.h>

#define PORT_SYSCALL 0x10 /* assembler code needs it */
enum { PORT_VECTOR = 0x20, N_VECTORS = 32, STUB_SIZE = 16 };
enum { GDT_PAGE, IDT_PAGE, ENTRY_PAGE, STUB_PAGE, MAILBOX_CODE_PAGE, N_COMMON, FIRST_VCPU_PAGE = N_COMMON };
#define USER_CS 0x33                                         /* assembler code needs it */
enum { KERNEL_CS = 0x10, USER_DS = 0x2b, TSS_SELECTOR = 0x40 }; /* Linux's own */
enum { MAX_VCPUS = 495, N_MAILBOXES = 6 }; /* of a space, which has 512 pages for all of this */
enum { TSS_RSP0 = 4, TSS_IO_BASE = 102, TSS_SIZE = 104, TSS_WITH_BITMAP = TSS_SIZE + 65 };
enum { RAX, RBX, RCX, RDX, RSI, RDI, RSP, RBP, R8, R9, R10, R11, RIP = 16, RFLAGS = 17 };

#define ENTRY (KERNEL_BASE + ENTRY_PAGE * PAGE_SIZE)
#define ENTRY_SYSRET (ENTRY + 2)
#define STUBS (KERNEL_BASE + STUB_PAGE * PAGE_SIZE)
#define MAILBOXES (KERNEL_BASE + (FIRST_VCPU_PAGE + MAX_VCPUS) * (uint64_t)PAGE_SIZE) /* code and mailbox, and so on */
#define STUB_IRET (STUBS + N_VECTORS * STUB_SIZE)
#define CHUNK_SHIFT 14 /* frames of a memory slot: 64 MiB */
#define RFLAGS_FIXED 0x202ull
#define RFLAGS_USER 0x254dd5ull /* what user code may choose: arithmetic flags, TF, DF, NT, RF, AC, ID */
#define SYSCALL_MASK 0x47700ull /* Linux's MSR_SYSCALL_MASK: TF, IF, DF, IOPL, NT, AC */

enum { MSR_STAR = 0xc0000081u, MSR_LSTAR, MSR_CSTAR, MSR_FMASK, MSR_FS_BASE = 0xc0000100u, MSR_GS_BASE, MSR_TSC_AUX = 0xc0000103u };

/* The mailbox of a vCPU: places of 64-bit words, and states. Python reads and writes it too (kvm.py). */
#define MAILBOX_STATE 0
#define MAILBOX_IS_SERVED 8
#define MAILBOX_RESULT 32
#define MAILBOX_WORDS 64
#define MAILBOX_REGISTERS 128 /* as in struct kvm_regs: RSP, RIP and RFLAGS come with each call, all others if they are to be shown */
#define MAILBOX_RCX 256       /* which SYSCALL makes RIP */
#define MAILBOX_R11 264       /* and this, RFLAGS */
#define MAILBOX_FPU 1024      /* up to the end of the page */
#define MAILBOX_PATIENCE 500 /* looks; as long as leaving takes */
#define MAIL_NONE 0
#define MAIL_POSTED 1
#define MAIL_ANSWERED 2
#define MAIL_TAKEN 3
#define MAIL_REFUSED 4
#define MAIL_SHOW 5  /* the other registers too, and the FPU's */
#define MAIL_SHOWN 6 /* there they are */
#define MAIL_ENTER 7 /* go on with these */
enum { N_SERVED = 8, N_LENT_CALLS = 5 };

struct kvm_server {
    pthread_mutex_t mutex; /* of `vcpus`, and of their slots */
    struct kvm_vcpu *vcpus[N_SERVED];
    uint64_t taken_ns;
    uint32_t bell; /* a futex: 0 while the server sleeps */
    int is_open, is_over; /* calls may be served; none will be any more */
};

struct kvm_machine {
    struct frames *frames;
    struct clocks *clocks; /* NULL if guests cannot tell the time by themselves */
    uint64_t common; /* first of the N_COMMON frames that all VMs share */
    uint64_t xcr0;
    size_t run_size;
    int kvm, max_vcpus, syscall_ring;
    struct kvm_server server;
    int lent_calls[N_LENT_CALLS]; /* the numbers of read, write, pread64, pwrite64, lseek */
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
    int n_vcpus, n_mailboxes, vm;
};

enum { USER_NS, ENTERED_NS, SERVED_NS };

enum { N_BORROWED = 4 };
struct kvm_borrowed {
    uint64_t generation; /* another one than the present: it is over */
    int number;          /* the guest's descriptor */
    struct kvm_loan *loan;
};

struct kvm_vcpu {
    uint64_t registers[N_REGISTERS]; /* of user mode, whatever the vCPU is doing */
    struct kvm_vcpu *next;
    struct kvm_space *space;
    struct kvm_run *run;
    uint8_t *page; /* TSS and exception stack, in the host */
    uint64_t page_address, fault_address;
    uint64_t stay[3]; /* see kvm_vcpu_stay */
    uint64_t entry;    /* what SYSCALL enters */
    uint64_t *mailbox; /* in the host; NULL if it has none */
    int slot;          /* of the server; -1 if its calls are not served */
    int haste;         /* quick calls since the last slow one */
    int setback;       /* of that after nobody has looked into the mailbox */
    unsigned n_served; /* calls since then */
    unsigned n_yields; /* kvm_run.c: gives_way */
    struct kvm_borrowed borrowed[N_BORROWED];
    uint64_t moved[4]; /* see kvm_vcpu_take_moved */
    int is_in_loan; /* a call of its is being made by kvm_loans.c */
    uint64_t left_ns, cpu_ns, short_ns; /* kvm_run.c: run_timed */
    struct kvm_sregs initial; /* as KVM made it */
    unsigned vector, error_code, cpu_number;
    int fd, index, error;
    int wants_clean_fpu; /* before it runs */
    int in_kernel; /* the vCPU is in ring 0 and user mode must be entered through IRETQ or SYSRETQ */
    int is_open, is_running, is_kicked;
    pthread_t thread;
};

/* Adds a vCPU to a space, without a page of its own; it gets one when it is first opened. NULL with errno. */
struct kvm_vcpu *kvm_vcpu_create(struct kvm_space *s);
void kvm_vcpu_destroy(struct kvm_vcpu *v);

/* The system registers, of the last exit, or as they will be when the vCPU is entered: `kvm_vcpu_change` says that they
 * have been written to. An ioctl of a vCPU costs a fifth of an exit where KVM works in software, but there the
 * registers come with every exit. NULL with errno.
 */
struct kvm_sregs *kvm_vcpu_system(struct kvm_vcpu *v);
void kvm_vcpu_change_system(struct kvm_vcpu *v);
int kvm_vcpu_prepare_fpu(struct kvm_vcpu *v);
int kvm_vcpu_set_entry(struct kvm_vcpu *v, uint64_t entry); /* in ring 3, with all flags */

/* kvm_mailbox.c: where a vCPU has been interrupted, or has left by its `out`. `resolve` puts the registers right and
 * tells what is to be done: MAIL_NONE, the call; MAIL_TAKEN, it may have been answered; MAIL_ANSWERED, nothing; MAIL_ENTER,
 * the same with other registers than a call leaves, or -1 if they are impossible. */
void kvm_mailbox_write_code(uint8_t *page);
int kvm_mailbox_has(const struct kvm_vcpu *v, uint64_t rip);
int kvm_mailbox_is_exit(const struct kvm_vcpu *v, uint64_t rip);
int kvm_mailbox_resolve(struct kvm_vcpu *v);
int kvm_vcpu_wants_server(const struct kvm_vcpu *v);

/* kvm_loans.c: whether the call could be made; number and arguments, of which the program sees the originals. */
int kvm_loans_answer(struct kvm_vcpu *v, const uint64_t *words, uint64_t *result);

/* kvm_doorway.c: `go_out` and `come_in` around a stay in the guest, `leave` and `wait` for who is in none; `guests` of
 * this process are in theirs. */
void kvm_doorway_go_out(const void *who);
void kvm_doorway_come_in(const void *who);
void kvm_doorway_wait(const void *who);
void kvm_doorway_leave(const void *who);
int kvm_doorway_guests(void);

int kvm_n_cpus(void); /* that this process may use */

static inline uint64_t now_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#endif
