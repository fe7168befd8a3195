"""The same operations on a pipe of ours and on one of the host's, chosen by hypothesis, with the same results."""

import array
import fcntl
import os
import select
import termios
from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.fs.file import WouldBlock
from aionoah.fs.pipe import PipeEnd, open_pipe
from aionoah.memory.buffer import KernelBuffer

F_SETPIPE_SZ, F_GETPIPE_SZ = 1031, 1032
SIZES = st.one_of(
    st.integers(0, 20),
    st.sampled_from([4095, 4096, 4097, 8192, 65535, 65536, 65537, 100000]),
    st.integers(0, 20000),
)

Result = int | bytes | str


def of_host(call: Callable[[], int | bytes]) -> Result:
    try:
        return call()
    except OSError as error:
        return Errno(error.errno or 0).name


def of_ours(call: Callable[[], int | bytes]) -> Result:
    try:
        return call()
    except WouldBlock:
        return "EAGAIN"
    except LinuxError as error:
        return error.errno.name


def pattern(start: int, length: int) -> bytes:
    """Bytes that tell where in the stream they come from."""
    return bytes((start + index) * 31 % 251 for index in range(length))


class SamePipes(RuleBasedStateMachine):
    @initialize(direct=st.booleans())
    def start(self, *, direct: bool) -> None:
        self.ours: dict[str, PipeEnd] = {}
        self.theirs: dict[str, int] = {}
        self.written = 0
        self.ours["r"], self.ours["w"] = open_pipe(O.NONBLOCK | (O.DIRECT if direct else 0))
        self.theirs["r"], self.theirs["w"] = os.pipe2(os.O_NONBLOCK | (os.O_DIRECT if direct else 0))

    def teardown(self) -> None:
        for fd in getattr(self, "theirs", {}).values():
            os.close(fd)

    @precondition(lambda self: "w" in self.theirs)
    @rule(length=SIZES)
    def write(self, length: int) -> None:
        data = pattern(self.written, length)
        expected = of_host(lambda: os.write(self.theirs["w"], data))
        assert of_ours(lambda: self.ours["w"].write_nowait(KernelBuffer(data))) == expected
        if isinstance(expected, int):
            self.written += expected

    @precondition(lambda self: "r" in self.theirs)
    @rule(length=SIZES)
    def read(self, length: int) -> None:
        memory = bytearray(length)

        def ours() -> bytes:
            return bytes(memory[: self.ours["r"].read_nowait(KernelBuffer(memory))])

        expected = of_host(lambda: os.read(self.theirs["r"], length))
        assert of_ours(ours) == expected

    @precondition(lambda self: "w" in self.theirs)
    @rule(direct=st.booleans())
    def change_mode(self, *, direct: bool) -> None:
        status = os.O_NONBLOCK | (os.O_DIRECT if direct else 0)
        fcntl.fcntl(self.theirs["w"], fcntl.F_SETFL, status)
        self.ours["w"].flags = O(O.WRONLY | O.NONBLOCK | (O.DIRECT if direct else 0))

    @precondition(lambda self: self.theirs)
    @rule(size=st.one_of(st.sampled_from([0, 1, 4096, 4097, 8192, 65536, 1 << 20]), st.integers(0, 1 << 20)))
    def resize(self, size: int) -> None:
        end = next(iter(self.theirs))
        expected = of_host(lambda: fcntl.fcntl(self.theirs[end], F_SETPIPE_SZ, size))
        found = of_ours(lambda: self.ours[end].pipe.set_capacity(size, may_exceed_limit=True))
        assert found == expected

    @precondition(lambda self: len(self.theirs) == 2)
    @rule(end=st.sampled_from("rw"), really=st.integers(0, 9))
    def close(self, end: str, really: int) -> None:
        if really == 0:  # rarely, or there is little to see
            os.close(self.theirs.pop(end))
            self.ours.pop(end).drop()

    @precondition(lambda self: len(self.theirs) == 1)
    @rule()
    def open_again(self) -> None:
        """Through /proc/self/fd, as an inode that can be opened."""
        ((end, fd),) = self.theirs.items()
        other = "w" if end == "r" else "r"
        mode = os.O_WRONLY if other == "w" else os.O_RDONLY
        self.theirs[other] = os.open(f"/proc/self/fd/{fd}", mode | os.O_NONBLOCK)
        flags = O((O.WRONLY if other == "w" else O.RDONLY) | O.NONBLOCK)
        opened = self.ours[end].inode.open(flags, None)  # type: ignore[arg-type]
        assert isinstance(opened, PipeEnd)
        self.ours[other] = opened

    @invariant()
    def same_state(self) -> None:
        for end, fd in getattr(self, "theirs", {}).items():
            ours = self.ours[end]
            poller = select.poll()
            poller.register(fd, 0x7FFF)
            events = dict(poller.poll(0)).get(fd, 0)
            assert ours.poll() == events, end
            waiting = array.array("i", [0])
            fcntl.ioctl(fd, termios.FIONREAD, waiting)
            assert ours.available() == waiting[0]
            assert ours.pipe.capacity == fcntl.fcntl(fd, F_GETPIPE_SZ)


TestSamePipes = SamePipes.TestCase
TestSamePipes.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
