"""Declares to cffi what Python uses of the C core; run by CMakeLists.txt."""

import platform
import sys

from cffi import FFI

FRAMES = """
struct frames { uint8_t *base; uint64_t count; uint64_t limit; uint64_t in_use; uint64_t invalidations, borders; ...; };
extern uint64_t frames_most_borders;
struct frames *frames_open(uint64_t count, uint64_t limit);
void frames_close(struct frames *f);
uint64_t frames_allocate(struct frames *f, uint64_t count);
uint64_t frames_allocate_file(struct frames *f, int fd, uint64_t offset, uint64_t count, int shared, int writable);
void frames_hold(struct frames *f, uint64_t first, uint64_t count);
void frames_drop(struct frames *f, uint64_t first, uint64_t count);
void frames_discard(struct frames *f, uint64_t first, uint64_t count);
void frames_populate(void *at, size_t length);
int frames_copy(void *to, const void *from, size_t length);
int64_t frames_load(const uint32_t *word, int is_file);
int64_t frames_compare_exchange(uint32_t *word, uint32_t expected, uint32_t desired, int is_file);
"""

SPACE = """
struct space { uint64_t mapped, most_mapped; ...; };
struct extent { uint64_t start, end, frame; int prot, is_file; };
int space_map(struct space *s, uint64_t address, uint64_t first, uint64_t count, int prot, int is_file);
void space_unmap(struct space *s, uint64_t address, uint64_t count);
void space_protect(struct space *s, uint64_t address, uint64_t count, int prot, int exclusive);
int space_fork(struct space *s, struct space *child, uint64_t address, uint64_t count, int share);
int space_unshare(struct space *s, uint64_t address, uint64_t count, int prot);
int space_move(struct space *s, uint64_t from, uint64_t to, uint64_t count);
int space_extent(struct space *s, uint64_t address, struct extent *out);
void space_resident(struct space *s, uint64_t address, uint64_t count, uint8_t *out);
uint64_t space_next(struct space *s, uint64_t address, uint64_t end);
"""

KVM = """
#define KERNEL_BASE ...
#define XSAVE_SIZE ...
struct kvm_machine;
struct kvm_space;
struct kvm_vcpu;
struct kvm_machine *kvm_machine_open(struct frames *frames);
void kvm_machine_close(struct kvm_machine *m);
int kvm_machine_max_vcpus(const struct kvm_machine *m);
int kvm_machine_syscall_ring(const struct kvm_machine *m);
int kvm_machine_keep_clocks(struct kvm_machine *m, uint64_t frame);
uint32_t kvm_machine_features(const struct kvm_machine *m);
uint64_t kvm_machine_xcr0(const struct kvm_machine *m);
uint32_t kvm_machine_xsave_size(const struct kvm_machine *m);
struct kvm_space *kvm_space_prepare(struct kvm_machine *m);
int kvm_space_open(struct kvm_space *s);
struct space *kvm_space_tables(struct kvm_space *s);
void kvm_space_retire(struct kvm_space *s);
void kvm_space_free(struct kvm_space *s);
int kvm_space_reserve(struct kvm_space *s, int wanted);
struct kvm_vcpu *kvm_vcpu_open(struct kvm_space *s);
void kvm_vcpu_close(struct kvm_vcpu *v);
uint64_t *kvm_vcpu_registers(struct kvm_vcpu *v);
int kvm_vcpu_run(struct kvm_vcpu *v, int yield_call);
void kvm_vcpu_kick(struct kvm_vcpu *v);
void kvm_vcpu_rest(struct kvm_vcpu *v);
const int *kvm_doorway_spinners(void);
uint64_t kvm_vcpu_fault_address(const struct kvm_vcpu *v);
unsigned kvm_vcpu_vector(const struct kvm_vcpu *v);
unsigned kvm_vcpu_error_code(const struct kvm_vcpu *v);
int kvm_vcpu_reason(const struct kvm_vcpu *v, int *error, unsigned *suberror);
int kvm_vcpu_get_tls(struct kvm_vcpu *v, int gs, uint64_t *value);
int kvm_vcpu_set_tls(struct kvm_vcpu *v, int gs, uint64_t value);
int kvm_vcpu_get_fpu(struct kvm_vcpu *v, uint8_t *image);
int kvm_vcpu_set_fpu(struct kvm_vcpu *v, const uint8_t *image);
void kvm_vcpu_reset_fpu(struct kvm_vcpu *v);
int kvm_vcpu_set_cpu_number(struct kvm_vcpu *v, unsigned cpu);
const uint64_t *kvm_vcpu_stay(const struct kvm_vcpu *v);
int kvm_machine_barrier(void);
int kvm_machine_open_mailboxes(struct kvm_machine *m);
int kvm_vcpu_join(struct kvm_vcpu *v);
void kvm_vcpu_leave(struct kvm_vcpu *v);
uint64_t *kvm_vcpu_mailbox(struct kvm_vcpu *v);
int kvm_machine_next_call(struct kvm_machine *m, int last);
void kvm_machine_end_calls(struct kvm_machine *m);
struct kvm_loan;
void kvm_machine_set_lent_calls(struct kvm_machine *m, const int *numbers);
struct kvm_loan *kvm_loan_begin(int fd, int may_read, int may_write, int64_t position);
int64_t kvm_loan_end(struct kvm_loan *l);
void kvm_loans_forget(void);
void kvm_vcpu_take_moved(struct kvm_vcpu *v, uint64_t *moved);
void kvm_vcpu_lend(struct kvm_vcpu *v, int number, struct kvm_loan *l);
"""

UNICORN = """
struct unicorn_api {
    void *emu_start; void *emu_stop; void *hook_add; void *ctl; void *reg_read_batch; void *reg_write_batch;
};
struct unicorn_architecture {
    int registers; int ids[34]; int pc; int flags; uint64_t flags_mask; uint64_t flags_set;
    uint64_t address_mask; uint64_t end; int syscall_instruction; unsigned syscall_interrupt;
    unsigned illegal_instruction; int saved_pc; int saved_flags;
    int forbidden[3]; unsigned protection;
};
struct unicorn_machine { size_t address_offset; ...; };
struct unicorn_space;
struct unicorn_vcpu {
    uint64_t registers[34]; uint64_t fault_address; int fault_access; unsigned vector; int error;
    uint8_t code[8]; ...;
};
struct unicorn_machine *unicorn_machine_open(struct frames *frames, const struct unicorn_api *api,
                                             const struct unicorn_architecture *architecture);
void unicorn_machine_close(struct unicorn_machine *m);
void unicorn_seize(struct unicorn_machine *m);
void unicorn_release(struct unicorn_machine *m);
struct unicorn_space *unicorn_space_open(struct unicorn_machine *m);
struct space *unicorn_space_tables(struct unicorn_space *s);
void unicorn_space_close(struct unicorn_space *s);
void unicorn_space_changed(struct unicorn_space *s, int loses_rights, int prot);
struct unicorn_vcpu *unicorn_vcpu_open(struct unicorn_space *s, void *engine);
void unicorn_vcpu_close(struct unicorn_vcpu *v);
int unicorn_vcpu_set_up(struct unicorn_vcpu *v, uint64_t begin, uint64_t frame);
void unicorn_vcpu_calibrate(struct unicorn_vcpu *v);
int unicorn_vcpu_run(struct unicorn_vcpu *v);
void unicorn_vcpu_kick(struct unicorn_vcpu *v);
"""

ffibuilder = FFI()
headers = ["frames.h", "space.h", "unicorn_hook.h"]
ffibuilder.cdef(FRAMES + SPACE + UNICORN)
if sys.platform == "linux" and platform.machine() in {"x86_64", "AMD64"}:
    ffibuilder.cdef(KVM)
    headers.append("kvm.h")
ffibuilder.set_source("aionoah.hypervisor._native", "".join(f'#include "{name}"\n' for name in headers))
