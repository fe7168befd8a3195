"""What the Unicorn backend must know of a guest architecture."""

from typing import Any, Protocol

from aionoah.hypervisor.protocols import GuestException


class GuestCpu(Protocol):
    """One architecture: how to bring an engine to user mode and how to read its state.

    Engines are `unicorn.Uc` objects.
    """

    architecture: str
    registers: tuple[str, ...]
    end: int  # first address that a program may not use
    hwcap: int  # as Machine has it
    fpu_features: int
    clean_fpu: bytes  # the state of a fresh thread
    impossible_address: GuestException  # what an address raises that is not even one

    def is_impossible(self, address: int) -> bool: ...

    def describe(self, target: Any) -> None:  # noqa: ANN401 - cffi
        """Fill in a struct unicorn_architecture."""
        ...

    def open_engine(self) -> Any:  # noqa: ANN401 - Unicorn's types differ between its versions
        """A new engine that has not run yet."""
        ...

    def user_mode_code(self) -> bytes:
        """What `enter_user_mode` runs."""
        ...

    def enter_user_mode(self, engine: Any, run: Any) -> None:  # noqa: ANN401 - see above
        """Leave the engine in user mode with a clean FPU. `run()` runs the code above, at address 0."""
        ...

    def exception(self, vector: int, registers: memoryview, code: bytes) -> GuestException | None:
        """The exception behind Unicorn's number; `code` is the 8 bytes that straddle the program counter.

        None if the instruction has been emulated, and the guest shall go on.
        """
        ...

    def get_tls(self, engine: Any) -> int: ...  # noqa: ANN401

    def set_tls(self, engine: Any, value: int) -> None: ...  # noqa: ANN401

    def get_gs_base(self, engine: Any) -> int:  # noqa: ANN401
        """The GS base; HypervisorError where there is none."""
        ...

    def set_gs_base(self, engine: Any, value: int) -> None: ...  # noqa: ANN401

    def get_fpu(self, engine: Any) -> bytes: ...  # noqa: ANN401

    def set_fpu(self, engine: Any, state: bytes) -> None: ...  # noqa: ANN401
