/* Linux's KVM as a hypervisor for x86-64 user-mode programs without a kernel. */
#ifndef AIONOAH_KVM_H
#define AIONOAH_KVM_H

#include "space.h"

/* Why vcpu_run returned: ExitKind of protocols.py. */
enum { EXIT_SYSCALL = 1, EXIT_PAGE_FAULT, EXIT_EXCEPTION, EXIT_KICKED, EXIT_HOST_FAULT, EXIT_BROKEN, EXIT_BUSY_SYSCALL, EXIT_SERVED_SYSCALL };

/* User addresses end here; above are the pages of the machine itself. PVM allows the lower half only. */
#define KERNEL_BASE 0x7fffffe00000ull
#define KERNEL_END 0x800000000000ull

enum { N_REGISTERS = 18 }; /* in the order of struct kvm_regs */

struct kvm_machine;
struct kvm_space;
struct kvm_vcpu;

/* NULL with errno: ENOENT, EACCES for /dev/kvm; ENOSYS if it lacks something we need. */
struct kvm_machine *kvm_machine_open(struct frames *frames);
void kvm_machine_close(struct kvm_machine *m);
int kvm_machine_max_vcpus(const struct kvm_machine *m);
/* Where SYSCALL takes the CPU: 0 on hardware, 3 on KVM implementations without it. */
int kvm_machine_syscall_ring(const struct kvm_machine *m);

/* Keep the page of a frame telling guests the time (clock_page.h), from now on until the machine is closed.
 * -1 if their counter is not the host's, or not a steady one; then the page is not touched. */
int kvm_machine_keep_clocks(struct kvm_machine *m, uint64_t frame);

/* CPUID(1).EDX as guests see it, and what XCR0 and the XSAVE image of a vCPU are. */
uint32_t kvm_machine_features(const struct kvm_machine *m);
uint64_t kvm_machine_xcr0(const struct kvm_machine *m);
uint32_t kvm_machine_xsave_size(const struct kvm_machine *m);

/* Every vCPU of this process that runs executes a full barrier, and a serialising instruction, before this
 * returns. -1 with errno if the host's kernel cannot have it so. */
int kvm_machine_barrier(void);

/* Most of a space is KVM's own and takes it long: `prepare` makes that, and needs no lock. `open` adds the page tables:
 * 0, or -1 with errno, and then the space can only be freed. */
struct kvm_space *kvm_space_prepare(struct kvm_machine *m);
int kvm_space_open(struct kvm_space *s);
struct space *kvm_space_tables(struct kvm_space *s);
/* In the same way: give the frames back, and free the rest, which needs no lock. No vCPU of the space may run any
 * more. */
void kvm_space_retire(struct kvm_space *s);
void kvm_space_free(struct kvm_space *s);

/* Have so many vCPUs idle, for others to open. -1 with errno if KVM has no more. */
int kvm_space_reserve(struct kvm_space *s, int wanted);
struct kvm_vcpu *kvm_vcpu_open(struct kvm_space *s);
void kvm_vcpu_close(struct kvm_vcpu *v);
uint64_t *kvm_vcpu_registers(struct kvm_vcpu *v);
/* `yield_call`: the number of a call that may be answered by letting others go first; -1 if none may be. */
int kvm_vcpu_run(struct kvm_vcpu *v, int yield_call);
void kvm_vcpu_kick(struct kvm_vcpu *v);
void kvm_vcpu_rest(struct kvm_vcpu *v); /* its thread is about to sleep */
const int *kvm_doorway_spinners(void); /* how many threads have left their guests and are about to return */
uint64_t kvm_vcpu_fault_address(const struct kvm_vcpu *v);
unsigned kvm_vcpu_vector(const struct kvm_vcpu *v);
unsigned kvm_vcpu_error_code(const struct kvm_vcpu *v);
int kvm_vcpu_reason(const struct kvm_vcpu *v, int *error, unsigned *suberror);
int kvm_vcpu_get_tls(struct kvm_vcpu *v, int gs, uint64_t *value);
int kvm_vcpu_set_tls(struct kvm_vcpu *v, int gs, uint64_t value);
/* The XSAVE image in its standard form. */
enum { XSAVE_SIZE = 4096 };
int kvm_vcpu_get_fpu(struct kvm_vcpu *v, uint8_t *image);
int kvm_vcpu_set_fpu(struct kvm_vcpu *v, const uint8_t *image);
void kvm_vcpu_reset_fpu(struct kvm_vcpu *v); /* before it runs again */
/* What RDPID and RDTSCP tell. -1 if the host's KVM cannot; then nothing has changed. */
int kvm_vcpu_set_cpu_number(struct kvm_vcpu *v, unsigned cpu);
/* CPU time in the guest since the vCPU was opened, without the present stay; when that began by CLOCK_MONOTONIC,
 * 0 if there is none; and for how much of it calls were being served. From any thread.
 */
const uint64_t *kvm_vcpu_stay(const struct kvm_vcpu *v);


/* Calls without exits (kvm_mailbox.c), as in protocols.py. Not 0 if they are worth it. `join`: a slot, or -1 if there is
 * none. `next_call`: the slot, or -1 at the end; so is `last`. */
int kvm_machine_open_mailboxes(struct kvm_machine *m);
int kvm_vcpu_join(struct kvm_vcpu *v);
void kvm_vcpu_leave(struct kvm_vcpu *v);
uint64_t *kvm_vcpu_mailbox(struct kvm_vcpu *v);
int kvm_machine_next_call(struct kvm_machine *m, int last);
void kvm_machine_end_calls(struct kvm_machine *m);

/* Files that the server reads and writes by itself (kvm_loans.c): for the calls with these numbers, in this order read,
 * write, pread64, pwrite64, lseek. `begin` gives NULL if there is no memory; `end`, the position; after `forget` no vCPU has any. */
struct kvm_loan;
void kvm_machine_set_lent_calls(struct kvm_machine *m, const int *numbers);
struct kvm_loan *kvm_loan_begin(int fd, int may_read, int may_write, int64_t position);
int64_t kvm_loan_end(struct kvm_loan *l);
void kvm_loans_forget(void);
/* What such calls have moved since this was last asked: reads, their bytes, writes, and theirs. */
void kvm_vcpu_take_moved(struct kvm_vcpu *v, uint64_t *moved);
void kvm_vcpu_lend(struct kvm_vcpu *v, int number, struct kvm_loan *l);

#endif
