"""Declares to cffi what Python uses of the host's C; run by CMakeLists.txt of the hypervisor."""

from cffi import FFI

DIRECTORY = """
struct directory_part { uint64_t size; uint32_t count; int is_last; int has_special; };
int directory_read(int fd, uint64_t first, uint8_t *out, uint64_t room, uint32_t *ends,
                   const uint64_t *hidden, uint32_t hidden_count, struct directory_part *part);
"""

ffibuilder = FFI()
ffibuilder.cdef(DIRECTORY)
ffibuilder.set_source("aionoah.host._native", '#include "directory.h"\n')
