"""The life of an instance: its program is started, watched, asked to stop, and started again as its policy says."""

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from aionoah.hypervisor.errors import HypervisorError
from aionoah.instances import InstanceError
from aionoah.instances.health import Health
from aionoah.instances.policy import Policy, Restarts
from aionoah.instances.signals import parse_signal
from aionoah.instances.spec import HealthCheck, Spec
from aionoah.instances.state import State
from aionoah.statuses import FAILED, status_of, status_of_refusal
from aionoah.subprocess import DEVNULL, InternalError

if TYPE_CHECKING:
    from aionoah.linux import Linux
    from aionoah.subprocess import Process

_EAGER: Final = 1.0  # seconds between health checks at most, until the first success


class StartError(InstanceError):
    """The program cannot be started."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


class Launch(NamedTuple):
    """An instance that is about to start. `prepare` gives the options of create_subprocess_exec that all programs
    in it share; OSError with a sentence.
    """

    linux: "Linux"  # not entered yet
    command: Sequence[str]
    prepare: "Callable[[Linux], Awaitable[dict[str, Any]]]"
    stop_signal: str = "TERM"
    health: HealthCheck | None = None


class Outside(Protocol):
    """What is at the other end of the program's standard streams."""

    def options(self) -> dict[str, Any]:
        """For create_subprocess_exec."""

    async def attend(self, process: "Process") -> int:
        """Be there until the program has ended; its `returncode`."""

    def say(self, sentence: str) -> None:
        """Tell the user."""


class Running(NamedTuple):
    linux: "Linux"
    process: "Process"
    options: dict[str, Any]
    stop_signal: int


class Supervisor:
    """`changed` hears of each new state."""

    def __init__(
        self,
        spec: Spec,
        open_launch: Callable[[], AbstractContextManager[Launch]],
        outside: Outside,
        changed: Callable[[State], None],
        state: State,
    ) -> None:
        self.state = state
        self.running: Running | None = None
        self._spec = spec
        self._open_launch = open_launch
        self._outside = outside
        self._changed = changed
        self._stop_asked = asyncio.Event()
        self._patience_ends = math.inf  # by the loop's clock: whatever runs then is killed

    async def run(self) -> int:
        """Until the program has ended for good: its status as shells have it. StartError if it never started."""
        restarts = Restarts(Policy.parse(self._spec.restart))
        clock = asyncio.get_running_loop().time
        while True:
            begun = clock()
            status, why = await self._run_once(is_first=not restarts.count)
            delay = restarts.delay_after(status, clock() - begun)
            if delay is None or self._stop_asked.is_set():
                if restarts.count and status and not self._stop_asked.is_set():
                    self._outside.say(f"{why}: it is given up")
                break
            self._outside.say(f"{why}: starting it again in {delay:.3g} s")
            self._change(status="restarting", restarts=restarts.count, exit_status=status, health=None)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._stop_asked.wait()
            if self._stop_asked.is_set():
                break
        return status

    def stop(self, timeout: float, *, by_user: bool) -> None:
        """Ask the program to end, and kill it after `timeout` seconds. Again: perhaps sooner."""
        self._stop_asked.set()
        status = "stopping" if self.running is not None else self.state.status
        self._change(status=status, was_stopped=by_user or self.state.was_stopped)
        if self.running is not None:
            self.running.process.send_signal(self.running.stop_signal)
        loop = asyncio.get_running_loop()
        self._patience_ends = min(self._patience_ends, loop.time() + timeout)
        loop.call_later(timeout, self._kill)

    def send_signal(self, number: int) -> None:
        """InstanceError if nothing runs."""
        self.checked_running().process.send_signal(number)

    def checked_running(self) -> Running:
        if self.running is None:
            raise InstanceError(f"{self._spec.name} is {self.state.status}: nothing runs in it now")
        return self.running

    def _kill(self) -> None:
        if self.running is not None:
            self.running.process.kill()

    # -- one run ------------------------------------------------------------------------------------------

    async def _run_once(self, *, is_first: bool) -> tuple[int, str]:
        """The program's status, and a sentence on its end."""
        try:
            status = await self._launch_and_attend()
        except StartError as error:
            if is_first:
                raise
            return error.status, str(error)
        except InternalError as error:
            return FAILED, str(error)
        if status < 0:
            return status_of(status), f"the program has been killed by signal {-status}"
        return status, f"the program has ended with status {status}"

    async def _launch_and_attend(self) -> int:
        try:
            with self._open_launch() as launch:
                async with launch.linux as linux:
                    return await self._attend(launch, linux)
        except (HypervisorError, MemoryError, OSError) as error:
            raise StartError(sentence_of(error), FAILED) from None
        except InstanceError as error:
            raise error if isinstance(error, StartError) else StartError(str(error), FAILED) from None

    async def _attend(self, launch: Launch, linux: "Linux") -> int:
        options = await launch.prepare(linux)
        try:
            process = await linux.create_subprocess_exec(
                *launch.command, **(options | self._outside.options())
            )
        except OSError as error:
            raise StartError(sentence_of(error), status_of_refusal(error)) from None
        self.running = Running(linux, process, options, parse_signal(launch.stop_signal))
        checking = None
        if launch.health is not None:
            checking = asyncio.create_task(self._watch(launch.health))
        self._change(status="running", error="", health=None if checking is None else "starting")
        if self._stop_asked.is_set():  # meanwhile
            self._change(status="stopping")
            process.send_signal(self.running.stop_signal)
            if asyncio.get_running_loop().time() >= self._patience_ends:
                self._kill()
        try:
            return await self._outside.attend(process)
        finally:
            self.running = None
            if checking is not None:
                checking.cancel()

    def _change(self, **fields: Any) -> None:  # noqa: ANN401 - State's
        new = self.state._replace(**fields)
        if new.status != self.state.status:
            new = new._replace(since=time.time())
        if new != self.state:
            self.state = new
            self._changed(new)

    # -- health -------------------------------------------------------------------------------------------

    async def _watch(self, check: HealthCheck) -> None:
        """Ask until the program has ended."""
        health = Health(check)
        clock = asyncio.get_running_loop().time
        begun = clock()
        while self.running is not None:
            is_eager = health.status == "starting"
            await asyncio.sleep(min(check.interval, _EAGER) if is_eager else check.interval)
            is_well = await self._ask(check)
            if health.answered(clock() - begun, is_well=is_well):
                self._change(health=health.status)
                self._outside.say(f"the program is {health.status}")
                if health.status == "unhealthy" and check.on_failure == "kill":
                    self._kill()

    async def _ask(self, check: HealthCheck) -> bool:
        running = self.running
        if running is None:
            return False
        streams = {"stdin": DEVNULL, "stdout": DEVNULL, "stderr": DEVNULL}
        try:
            process = await running.linux.create_subprocess_exec(
                *check.command, **(running.options | streams)
            )
        except (HypervisorError, MemoryError, OSError):
            return False
        try:
            async with asyncio.timeout(check.timeout):
                return await process.wait() == 0
        except (TimeoutError, InternalError):
            return False
        finally:
            process.kill(tree=True)  # what it waits for, too


def sentence_of(error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return said.rstrip(".")
