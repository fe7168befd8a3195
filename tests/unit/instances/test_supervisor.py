"""The life of an instance, with programs that are told how to end, and a clock that jumps."""

import asyncio
import contextlib
import selectors
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Self

import pytest

from aionoah.hypervisor.errors import HypervisorError
from aionoah.instances import InstanceError
from aionoah.instances.spec import HealthCheck, Spec
from aionoah.instances.state import State
from aionoah.instances.supervisor import Launch, Outside, StartError, Supervisor
from aionoah.subprocess import InternalError


class JumpingLoop(asyncio.SelectorEventLoop):
    """Where there is nothing to do until some time, it is that time."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.now


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: JumpingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "nothing will ever happen"
        self._loop.now += max(timeout, 0)
        return super().select(0)


class Program:
    """Runs for some seconds, and ends with a status then; or on a signal."""

    def __init__(self, seconds: float, status: int | Exception, deaf_to: tuple[int, ...] = ()) -> None:
        self.seconds, self.status, self.deaf_to = seconds, status, deaf_to
        self.signals: list[tuple[float, int]] = []
        self.killed_by = asyncio.Event()

    def send_signal(self, number: int) -> None:
        self.signals.append((asyncio.get_running_loop().time(), number))
        if number not in self.deaf_to:
            self.status = -number
            self.killed_by.set()

    def kill(self, *, tree: bool = False) -> None:
        self.send_signal(9)

    async def wait(self) -> int:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.seconds):
                await self.killed_by.wait()
        if isinstance(self.status, Exception):
            raise self.status
        return self.status


class FakeLinux:
    def __init__(self, world: "World") -> None:
        self._world = world

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def create_subprocess_exec(self, *command: str, **options: Any) -> Program:
        await asyncio.sleep(self._world.opening_takes)
        world, now = self._world, asyncio.get_running_loop().time()
        if command == ("check",):
            world.checks.append(now)
            answer = world.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return Program(*answer)
        program = world.programs.pop(0)
        if isinstance(program, Exception):
            raise program
        world.starts.append(now)
        return program


class World(Outside):
    def __init__(self) -> None:
        self.programs: list[Program | Exception] = []
        self.answers: list[tuple[float, int] | Exception] = []  # after how many seconds, and which
        self.starts: list[float] = []
        self.checks: list[float] = []
        self.said: list[str] = []
        self.states: list[State] = []
        self.health: HealthCheck | None = None
        self.opening: Exception | None = None
        self.opening_takes = 0.0  # seconds

    def options(self) -> dict[str, Any]:
        return {}

    async def attend(self, process: Any) -> int:
        return int(await process.wait())

    def say(self, sentence: str) -> None:
        self.said.append(sentence)

    @contextlib.contextmanager
    def open(self) -> Iterator[Launch]:
        if self.opening is not None:
            raise self.opening

        async def prepare(_: object) -> dict[str, Any]:
            return {}

        linux: Any = FakeLinux(self)
        yield Launch(linux, ["server"], prepare, "TERM", self.health)

    def supervisor(self, spec: Spec) -> Supervisor:
        return Supervisor(spec, self.open, self, self.states.append, State("starting"))


def play(story: Callable[[World], Awaitable[None]]) -> World:
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:

        async def tell() -> World:
            world = World()
            await story(world)
            return world

        return runner.run(tell())


def test_a_program_that_ends(spec: Spec) -> None:
    async def story(world: World) -> None:
        world.programs = [Program(5, 3)]
        assert await world.supervisor(spec).run() == 3

    world = play(story)
    assert [each.status for each in world.states] == ["running"]
    assert world.said == []


def test_one_that_crashes_is_started_again_ever_later(spec: Spec) -> None:
    async def story(world: World) -> None:
        world.programs = [Program(1, 1), Program(1, -11), Program(1, 1), Program(20, 1), Program(1, 0)]
        assert await world.supervisor(spec._replace(restart="on-failure")).run() == 0

    world = play(story)
    assert world.starts == pytest.approx([0, 1.1, 2.3, 3.7, 23.8])
    assert [each.status for each in world.states] == ["running"] + ["restarting", "running"] * 4
    assert [each.exit_status for each in world.states[1::2]] == [1, 139, 1, 1]
    assert world.states[-1].restarts == 4
    assert world.said[1] == "the program has been killed by signal 11: starting it again in 0.2 s"


def test_it_is_given_up(spec: Spec) -> None:
    async def story(world: World) -> None:
        world.programs = [Program(1, 1), Program(1, 1), Program(1, 7)]
        assert await world.supervisor(spec._replace(restart="on-failure:2")).run() == 7

    assert play(story).said[2:] == ["the program has ended with status 7: it is given up"]


def test_a_bug_of_ours_is_a_failure_too(spec: Spec) -> None:
    async def story(world: World) -> None:
        world.programs = [Program(1, InternalError("aionoah failed")), Program(1, 0)]
        assert await world.supervisor(spec._replace(restart="on-failure")).run() == 0

    assert play(story).said == ["aionoah failed: starting it again in 0.1 s"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (FileNotFoundError(2, "server is not in PATH"), 127),
        (PermissionError(13, "server may not be executed"), 126),
    ],
)
def test_what_cannot_be_started_at_first(spec: Spec, error: OSError, status: int) -> None:
    async def story(world: World) -> None:
        world.programs = [error]
        with pytest.raises(StartError, match=r"server .* be|server is not") as caught:
            await world.supervisor(spec._replace(restart="always")).run()
        assert caught.value.status == status

    play(story)


@pytest.mark.parametrize("error", [HypervisorError("no KVM."), InstanceError("no KVM"), OSError(5, "no KVM")])
def test_an_instance_that_cannot_be_opened(spec: Spec, error: Exception) -> None:
    async def story(world: World) -> None:
        world.opening = error
        with pytest.raises(StartError, match=r"^no KVM$") as caught:
            await world.supervisor(spec).run()
        assert caught.value.status == 125

    play(story)


def test_what_cannot_be_started_later_is_tried_again(spec: Spec) -> None:
    async def story(world: World) -> None:
        world.programs = [Program(1, 1), FileNotFoundError(2, "it has gone"), Program(1, 0)]
        assert await world.supervisor(spec._replace(restart="on-failure")).run() == 0

    assert play(story).said[1] == "it has gone: starting it again in 0.2 s"


def test_a_stop_is_no_crash(spec: Spec) -> None:
    async def story(world: World) -> None:
        program = Program(1000, 0)
        world.programs = [program]
        supervisor = world.supervisor(spec._replace(restart="always"))
        asyncio.get_running_loop().call_later(5, lambda: supervisor.stop(10, by_user=True))
        assert await supervisor.run() == 143
        assert program.signals == [(5, 15)]

    world = play(story)
    assert [each.status for each in world.states] == ["running", "stopping"]
    assert world.states[-1].was_stopped


def test_what_does_not_stop_is_killed(spec: Spec) -> None:
    async def story(world: World) -> None:
        program = Program(1000, 0, deaf_to=(15,))
        world.programs = [program]
        supervisor = world.supervisor(spec)
        asyncio.get_running_loop().call_later(5, lambda: supervisor.stop(10, by_user=False))
        assert await supervisor.run() == 137
        assert program.signals == [(5, 15), (15, 9)]

    assert not play(story).states[-1].was_stopped


@pytest.mark.parametrize(("timeout", "end"), [(0, 3), (1, 3), (10, 12)])
def test_a_stop_before_the_program_runs(spec: Spec, timeout: float, end: float) -> None:
    """One that does not hear SIGTERM is killed all the same, though it was not there yet when its time was over."""

    async def story(world: World) -> None:
        world.opening_takes = 3
        program = Program(1000, 0, deaf_to=(15,))
        world.programs = [program]
        supervisor = world.supervisor(spec)
        asyncio.get_running_loop().call_later(2, lambda: supervisor.stop(timeout, by_user=True))
        assert await supervisor.run() == 137
        assert program.signals == [(3, 15), (end, 9)]

    assert [each.status for each in play(story).states][-2:] == ["running", "stopping"]


def test_a_stop_between_two_runs(spec: Spec) -> None:
    async def story(world: World) -> None:
        world.programs = [Program(1, 1)]
        supervisor = world.supervisor(spec._replace(restart="always"))
        asyncio.get_running_loop().call_later(1.05, lambda: supervisor.stop(10, by_user=True))
        assert await supervisor.run() == 1
        with pytest.raises(InstanceError, match="web is restarting: nothing runs in it now"):
            supervisor.send_signal(1)

    play(story)


def test_health_is_asked_for(spec: Spec) -> None:
    async def story(world: World) -> None:
        world.health = HealthCheck(["check"], interval=10, timeout=3, retries=2)
        world.answers = [(0, 0), (0, 1), (0, 0), (5, 0), (0, 1), (0, 0)]
        world.programs = [Program(63, 0)]
        assert await world.supervisor(spec).run() == 0

    world = play(story)
    assert world.checks == [1, 11, 21, 31, 44, 54]
    assert [each.health for each in world.states] == ["starting", "healthy", "unhealthy", "healthy"]


def test_a_check_that_cannot_be_started_is_an_answer(spec: Spec) -> None:
    async def story(world: World) -> None:
        world.health = HealthCheck(["check"], interval=10, retries=1)
        world.answers = [(0, 0), HypervisorError("there is no virtual machine left"), MemoryError(), (0, 0)]
        world.programs = [Program(35, 0)]
        assert await world.supervisor(spec).run() == 0

    assert [each.health for each in play(story).states] == ["starting", "healthy", "unhealthy", "healthy"]


def test_an_unhealthy_program_is_killed_if_so_wanted(spec: Spec) -> None:
    async def story(world: World) -> None:
        world.health = HealthCheck(["check"], interval=10, retries=2, on_failure="kill")
        world.answers = [(0, 0), (0, 1), (0, 1), (0, 0)]
        world.programs = [Program(1000, 0), Program(5, 0)]
        assert await world.supervisor(spec._replace(restart="on-failure")).run() == 0

    world = play(story)
    assert world.starts == pytest.approx([0, 21.1])
    assert [each.health for each in world.states] == [
        "starting",
        "healthy",
        "unhealthy",
        None,
        "starting",
        "healthy",
    ]
