"""Declares to cffi what Python uses of the C core; run by CMakeLists.txt."""

import platform
import sys

from cffi import FFI

FRAMES = """
struct frames { uint8_t *base; uint64_t count; uint64_t limit; uint64_t in_use; ...; };
struct frames *frames_open(uint64_t count, uint64_t limit);
void frames_close(struct frames *f);
uint64_t frames_allocate(struct frames *f, uint64_t count);
uint64_t frames_allocate_file(struct frames *f, int fd, uint64_t offset, uint64_t count, int shared, int writable);
void frames_hold(struct frames *f, uint64_t first, uint64_t count);
void frames_drop(struct frames *f, uint64_t first, uint64_t count);
void frames_discard(struct frames *f, uint64_t first, uint64_t count);
int frames_copy(void *to, const void *from, size_t length);
"""

SPACE = """
struct space;
struct extent { uint64_t start, end, frame; int prot, is_file; };
int space_map(struct space *s, uint64_t address, uint64_t first, uint64_t count, int prot, int is_file);
void space_unmap(struct space *s, uint64_t address, uint64_t count);
void space_protect(struct space *s, uint64_t address, uint64_t count, int prot);
int space_move(struct space *s, uint64_t from, uint64_t to, uint64_t count);
int space_extent(struct space *s, uint64_t address, struct extent *out);
void space_resident(struct space *s, uint64_t address, uint64_t count, uint8_t *out);
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
struct kvm_space *kvm_space_open(struct kvm_machine *m);
struct space *kvm_space_tables(struct kvm_space *s);
void kvm_space_close(struct kvm_space *s);
struct kvm_vcpu *kvm_vcpu_open(struct kvm_space *s);
void kvm_vcpu_close(struct kvm_vcpu *v);
uint64_t *kvm_vcpu_registers(struct kvm_vcpu *v);
int kvm_vcpu_run(struct kvm_vcpu *v);
void kvm_vcpu_kick(struct kvm_vcpu *v);
uint64_t kvm_vcpu_fault_address(const struct kvm_vcpu *v);
unsigned kvm_vcpu_vector(const struct kvm_vcpu *v);
unsigned kvm_vcpu_error_code(const struct kvm_vcpu *v);
int kvm_vcpu_reason(const struct kvm_vcpu *v, int *error, unsigned *suberror);
int kvm_vcpu_get_tls(struct kvm_vcpu *v, int gs, uint64_t *value);
int kvm_vcpu_set_tls(struct kvm_vcpu *v, int gs, uint64_t value);
int kvm_vcpu_get_fpu(struct kvm_vcpu *v, uint8_t *image);
int kvm_vcpu_set_fpu(struct kvm_vcpu *v, const uint8_t *image);
"""

ffibuilder = FFI()
headers = ["frames.h", "space.h"]
ffibuilder.cdef(FRAMES + SPACE)
if sys.platform == "linux" and platform.machine() in {"x86_64", "AMD64"}:
    ffibuilder.cdef(KVM)
    headers.append("kvm.h")
ffibuilder.set_source("aionoah.hypervisor._native", "".join(f'#include "{name}"\n' for name in headers))
