"""Signal frames: what a handler finds on the real kernel is what our structures say."""

import struct
from collections.abc import Callable

import pytest

from aionoah.abi import aarch64, x86_64
from aionoah.abi.architecture import Architecture
from aionoah.abi.siginfo import SI, SigInfoKill, SigInfoQueue
from aionoah.abi.signal import SIG, SS

# Writes the addresses of siginfo and ucontext, the stack pointer of the interrupted code (roughly), the
# FPU context's address and size, then the memory around the frame.
PROGRAM = r"""
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

static char stack[65536] __attribute__((aligned(4096)));

static void handler(int signo, siginfo_t *info, void *context) {
    char *first = (char *)info < (char *)context ? (char *)info : (char *)context - 8;
    uint64_t head[4] = {(uint64_t)first, (uint64_t)info, (uint64_t)context, (uint64_t)stack};
    write(1, head, sizeof head);
    write(1, first, stack + sizeof stack - first);
}

int main(void) {
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&alternate, 0);
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaddset(&action.sa_mask, SIGUSR2);
    sigaction(SIGUSR1, &action, 0);
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_SETMASK, &blocked, 0);
    sigqueue(getpid(), SIGUSR1, (union sigval){.sival_ptr = (void *)0x1122334455667788});
    return 0;
}
"""


class Frame:
    def __init__(self, output: bytes) -> None:
        self.start, self.info, self.context, self.stack = struct.unpack_from("<4Q", output)
        self.data = output[32:]

    def at(self, address: int, count: int) -> bytes:
        return self.data[address - self.start :][:count]


@pytest.fixture
def frame(run_c: Callable[[str], bytes]) -> Frame:
    return Frame(run_c(PROGRAM))


@pytest.mark.parametrize("architecture", ["x86_64"], indirect=True)
def test_x86_64_frame(frame: Frame) -> None:
    read = x86_64.RtSigFrame.unpack(frame.data)
    assert (frame.context - frame.start, frame.info - frame.start) == (8, 8 + x86_64.UContext.SIZE)
    assert (frame.start + 8) % 16 == 0
    context = read.uc.uc_mcontext
    assert (context.cs, context.ss) == (x86_64.USER_CS, x86_64.USER_SS)
    assert context.eflags & x86_64.EFLAGS.IF
    assert read.uc.uc_flags & x86_64.UC.SIGCONTEXT_SS
    assert read.uc.uc_flags & x86_64.UC.STRICT_RESTORE_SS
    assert read.uc.uc_stack.ss_sp == frame.stack
    assert read.uc.uc_stack.ss_size == 65536
    assert read.uc.uc_stack.ss_flags & ~SS.ONSTACK == 0
    assert read.uc.uc_sigmask == 1 << (SIG.TERM - 1)
    check_info(read.info)
    assert read.info == frame.at(frame.info, 128)


@pytest.mark.parametrize("architecture", ["x86_64"], indirect=True)
def test_x86_64_fpu_context(frame: Frame) -> None:
    address = x86_64.RtSigFrame.unpack(frame.data).uc.uc_mcontext.fpstate
    assert address % x86_64.XSAVE_ALIGNMENT == 0
    state = x86_64.FpState.unpack(frame.at(address, x86_64.FXSAVE_SIZE))
    assert (state.cwd, state.mxcsr) == (0x37F, 0x1F80)
    software = state.sw_reserved
    assert software == x86_64.FpxSwBytes.unpack(
        frame.at(address + x86_64.SW_RESERVED_OFFSET, x86_64.FpxSwBytes.SIZE)
    )
    assert software.magic1 == x86_64.FP_XSTATE_MAGIC1
    assert software.extended_size == software.xstate_size + x86_64.FP_XSTATE_MAGIC2_SIZE
    magic2 = frame.at(address + software.xstate_size, x86_64.FP_XSTATE_MAGIC2_SIZE)
    assert int.from_bytes(magic2, "little") == x86_64.FP_XSTATE_MAGIC2
    header = x86_64.XsaveHeader.unpack(frame.at(address + x86_64.FXSAVE_SIZE, x86_64.XsaveHeader.SIZE))
    assert header.xfeatures & ~software.xfeatures == 0


@pytest.mark.parametrize("architecture", ["aarch64"], indirect=True)
def test_aarch64_frame(frame: Frame) -> None:
    read = aarch64.RtSigFrame.unpack(frame.data)
    assert (frame.info, frame.context) == (frame.start, frame.start + 128)
    assert frame.start % 16 == 0
    assert read.uc.uc_stack.ss_sp == frame.stack
    assert read.uc.uc_sigmask == 1 << (SIG.TERM - 1)
    registers = struct.unpack("<31Q", read.uc.uc_mcontext.regs)
    assert frame.stack > registers[aarch64.FP] or registers[aarch64.FP] > frame.stack + 65536
    assert read.uc.uc_mcontext.pc % 4 == 0
    assert read.uc.uc_mcontext.pstate & ~(aarch64.USER_PSTATE | 0xFFF) == 0
    check_info(read.info)


@pytest.mark.parametrize("architecture", ["aarch64"], indirect=True)
def test_aarch64_records(frame: Frame) -> None:
    reserved = aarch64.RtSigFrame.unpack(frame.data).uc.uc_mcontext.reserved
    assert len(reserved) == aarch64.RESERVED_SIZE
    records, position = {}, 0
    while (head := aarch64.ContextHeader.unpack(reserved, position)).magic:
        records[head.magic] = position
        position += head.size
    assert head.size == 0
    state = aarch64.FpsimdContext.unpack(reserved, records[aarch64.FPSIMD_MAGIC])
    assert state.head.size == aarch64.FpsimdContext.SIZE
    assert len(state.vregs) == 32 * 16


def check_info(data: bytes) -> None:
    info = SigInfoQueue.unpack(data)
    assert (info.si_signo, info.si_errno, info.si_code) == (SIG.USR1, 0, SI.QUEUE)
    assert info.si_value == 0x1122334455667788
    assert info.si_pid == SigInfoKill.unpack(data).si_pid > 0


def test_frames_fit_the_smallest_stack(architecture: Architecture) -> None:
    frames = {"x86_64": x86_64.RtSigFrame, "aarch64": aarch64.RtSigFrame}
    assert architecture.minimum_signal_stack >= frames[architecture.name].SIZE
