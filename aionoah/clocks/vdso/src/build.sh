#!/bin/sh
# Builds the vDSO of both architectures, here or in the directory given. The same compiler makes the same bytes.
# Needs gcc for each (Debian: gcc-x86-64-linux-gnu and gcc-aarch64-linux-gnu). Commit what it makes.
set -eu
src=$(cd "$(dirname "$0")" && pwd)
out=${1:-$src/..}

build() { # architecture, entry, compiler's own flags
    architecture=$1 entry=$2
    shift 2
    "$architecture-linux-gnu-gcc" -O2 -std=gnu11 -Wall -Wextra -Werror -ffreestanding -fPIC -fvisibility=hidden \
        -fno-builtin -fno-stack-protector -fno-jump-tables -fasynchronous-unwind-tables -mgeneral-regs-only "$@" \
        -I"$src/../../../hypervisor/native" -nostdlib -shared -Wl,--script="$src/vdso.lds" \
        -Wl,--version-script="$src/$architecture.map" -Wl,--soname=linux-vdso.so.1 -Wl,--hash-style=both \
        -Wl,--build-id=none -Wl,--eh-frame-hdr -Wl,--no-undefined -Wl,-Bsymbolic -Wl,-z,max-page-size=4096 \
        -Wl,-z,noexecstack -Wl,--entry="$entry" -Wl,--strip-all -o "$out/$architecture.vdso" "$src/vdso.c"
    chmod 644 "$out/$architecture.vdso"
    if [ "$out" = "$src/.." ]; then
        for tool in gcc ld; do "$architecture-linux-gnu-$tool" --version | head -n 1; done | paste -sd , | sed 's/,/, /' >>"$src/versions"
    fi
}

if [ "$out" = "$src/.." ]; then : >"$src/versions"; fi # which compilers made what is kept
build x86_64 0 -mtune=generic
# The ELF header's entry is where signal handlers return to.
build aarch64 __kernel_rt_sigreturn
