"""Futexes against a model: no wake-up is lost and none is invented, whatever happens in whatever order."""

from typing import Any

from fakes.machine import FakeMachine
from fakes.threads import ARENA, Call, World
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.futex import FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS
from aionoah.process.futex import Waiter
from aionoah.process.futex_pi import Lock, lock_pi, try_lock_pi, unlock_pi
from aionoah.process.task import Task

KEYS = st.sampled_from("abc")
COUNTS = st.integers(0, 3)
BITS = st.integers(1, 7)


class Futexes(RuleBasedStateMachine):
    """The model has a list of sleepers for each key, in order; here are the names of threads."""

    @initialize()
    def start(self) -> None:
        self.machine = FakeMachine()
        self.world = World(self.machine)
        self.main = self.world.process()
        self.table = self.world.kernel.futexes
        self.queues: dict[str, list[tuple[Task, int]]] = {"a": [], "b": [], "c": []}
        self.calls: dict[Task, Call] = {}
        self.woken: set[Task] = set()

    @rule(key=KEYS, bits=BITS)
    def wait(self, key: str, bits: int) -> None:
        task = self.world.thread(self.main)
        self.calls[task] = Call(self.table.wait(Waiter(task, key, bits), None))
        self.queues[key].append((task, bits))

    @rule(key=KEYS, count=COUNTS, bits=BITS)
    def wake(self, key: str, count: int, bits: int) -> None:
        chosen = [sleeper for sleeper in self.queues[key] if sleeper[1] & bits][: max(count, 1)]
        assert self.table.wake(key, count, bits) == len(chosen)
        self._take(key, chosen)

    @rule(key=KEYS, new=KEYS, wake=COUNTS, move=COUNTS)
    def requeue(self, key: str, new: str, wake: int, move: int) -> None:
        there = self.queues[key]
        woken, moved = there[:wake], there[wake : wake + move]
        assert self.table.requeue(key, new, wake, move) == len(woken) + len(moved)
        self._take(key, woken)
        if key != new:
            self.queues[key] = [sleeper for sleeper in self.queues[key] if sleeper not in moved]
            self.queues[new] += moved

    def _take(self, key: str, chosen: list[tuple[Task, int]]) -> None:
        self.queues[key] = [sleeper for sleeper in self.queues[key] if sleeper not in chosen]
        self.woken |= {task for task, _ in chosen}

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), how=st.sampled_from(["run", "interrupt", "kill"]))
    def step(self, data: st.DataObject, how: str) -> None:
        """A thread runs, perhaps for no reason; or a signal comes, or its end."""
        task = data.draw(st.sampled_from(sorted(self.calls, key=lambda task: task.tid)))
        call = self.calls[task]
        if how == "kill":
            task.exit(0)
            call.kill()
        else:
            outcome = getattr(call, how)()
            expected = Errno.ERESTARTSYS if how == "interrupt" else None
            assert outcome == (0 if task in self.woken else expected)
        if how != "run" or task in self.woken:
            self._forget(task)

    def _forget(self, task: Task) -> None:
        del self.calls[task]
        self.woken.discard(task)
        for key, queue in self.queues.items():
            self.queues[key] = [sleeper for sleeper in queue if sleeper[0] is not task]

    @invariant()
    def they_agree(self) -> None:
        if not hasattr(self, "queues"):
            return
        for key, queue in self.queues.items():
            assert [waiter.task for waiter in self.table.waiters(key)] == [task for task, _ in queue]
        assert len(self.table) == sum(map(len, self.queues.values()))
        assert {task for task, call in self.calls.items() if call.is_woken} == self.woken

    def teardown(self) -> None:
        if hasattr(self, "world"):
            for call in self.calls.values():
                call.kill()
            self.world.close()
            self.machine.close()


class Locks(RuleBasedStateMachine):
    """A few threads and locks: every lock has one owner, and everybody gets a turn in order."""

    @initialize()
    def start(self) -> None:
        self.machine = FakeMachine()
        self.world = World(self.machine)
        self.main = self.world.process()
        self.threads = [self.world.thread(self.main) for _ in range(4)]
        self.owners: dict[int, Task | None] = {0: None, 1: None, 2: None}
        self.heirs: dict[int, list[Task]] = {0: [], 1: [], 2: []}
        self.calls: dict[Task, Call] = {}
        self.dead: set[int] = set()  # locks that a thread has taken with it

    def _lock(self, index: int) -> Lock:
        address = ARENA + 4 * index
        return Lock(self.main.memory, address, self.main.memory.futex_key(address, is_private=True))

    def _is_free(self, task: Task) -> bool:
        return task not in self.calls

    def _waits_for(self, task: Task) -> Task | None:
        for index, heirs in self.heirs.items():
            if task in heirs:
                return self.owners[index]
        return None

    def _expected(self, task: Task, index: int) -> Errno | None:
        """Why a thread cannot even wait for a lock."""
        if index in self.dead:
            return Errno.ESRCH
        owner = self.owners[index]
        if owner is task:
            return Errno.EDEADLK
        while owner is not None:
            owner = self._waits_for(owner)
            if owner is task:
                return Errno.EDEADLK
        return None

    @precondition(lambda self: any(map(self._is_free, self.threads)))
    @rule(data=st.data(), index=st.integers(0, 2))
    def lock(self, data: st.DataObject, index: int) -> None:
        task = data.draw(st.sampled_from([t for t in self.threads if self._is_free(t)]))
        expected = self._expected(task, index)
        call = Call(lock_pi(task, self._lock(index), None))
        if expected is not None:
            assert call.outcome is expected
        elif self.owners[index] is None:
            assert call.outcome == 0
            self.owners[index] = task
        else:
            assert call.outcome is None
            self.calls[task] = call
            self.heirs[index].append(task)

    @precondition(lambda self: any(map(self._is_free, self.threads)))
    @rule(data=st.data(), index=st.integers(0, 2))
    def try_lock(self, data: st.DataObject, index: int) -> None:
        task = data.draw(st.sampled_from([t for t in self.threads if self._is_free(t)]))
        outcome = self._outcome(try_lock_pi, task, self._lock(index))
        if index in self.dead:
            assert outcome is Errno.ESRCH
        elif self.owners[index] is None:
            assert outcome is None
            self.owners[index] = task
        else:
            assert outcome is (Errno.EDEADLK if self.owners[index] is task else Errno.EAGAIN)

    @precondition(lambda self: any(map(self._is_free, self.threads)))
    @rule(data=st.data(), index=st.integers(0, 2))
    def unlock(self, data: st.DataObject, index: int) -> None:
        task = data.draw(st.sampled_from([t for t in self.threads if self._is_free(t)]))
        outcome = self._outcome(unlock_pi, task, self.main.memory, ARENA + 4 * index, is_private=True)
        if self.owners[index] is not task:
            assert outcome is Errno.EPERM
        else:
            assert outcome is None
            self._inherit(index)

    def _inherit(self, index: int) -> None:
        heirs = self.heirs[index]
        self.owners[index] = heir = heirs.pop(0) if heirs else None
        if heir is not None:
            assert self.calls.pop(heir).run() == 0

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def interrupt(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from([t for t in self.threads if t in self.calls]))
        assert self.calls.pop(task).interrupt() is Errno.ERESTARTNOINTR
        self._leave(task)

    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(self.threads))
        self._leave(task)
        task.exit(0)
        if task in self.calls:
            self.calls.pop(task).kill()
        self.threads[self.threads.index(task)] = self.world.thread(self.main)
        for index, owner in self.owners.items():
            if owner is task and not self.heirs[index]:
                self.owners[index] = None
                self.dead.add(index)
            elif owner is task:
                self._inherit(index)

    def _leave(self, task: Task) -> None:
        for heirs in self.heirs.values():
            if task in heirs:
                heirs.remove(task)

    @rule(index=st.integers(0, 2))
    def repair(self, index: int) -> None:
        """What a program does with a lock that the dead have taken with them."""
        if index in self.dead:
            self.dead.discard(index)
            self.main.memory.write_word(ARENA + 4 * index, 0, 4)

    @staticmethod
    def _outcome(function: Any, *arguments: Any, **options: Any) -> Errno | None:
        try:
            function(*arguments, **options)
        except LinuxError as error:
            return error.errno
        return None

    @invariant()
    def words_tell_the_owner(self) -> None:
        if not hasattr(self, "owners"):
            return
        for index, owner in self.owners.items():
            word = self.main.memory.read_word(ARENA + 4 * index, 4)
            if index in self.dead:
                assert word & FUTEX_TID_MASK not in self.world.kernel.tasks
            else:
                assert word & FUTEX_TID_MASK == (owner.tid if owner else 0)
                assert owner or not word & (FUTEX_WAITERS | FUTEX_OWNER_DIED)
            assert word & FUTEX_WAITERS or not self.heirs[index]

    @invariant()
    def nobody_waits_without_an_owner(self) -> None:
        if hasattr(self, "owners"):
            assert all(self.owners[index] or not heirs for index, heirs in self.heirs.items())
            assert len(self.world.kernel.futexes) == len(self.calls)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            for call in self.calls.values():
                call.kill()
            self.world.close()
            self.machine.close()


TestFutexes = Futexes.TestCase
TestLocks = Locks.TestCase
TestFutexes.settings = TestLocks.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
