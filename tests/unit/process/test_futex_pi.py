"""Locks with priority inheritance: words, owners and heirs."""

import pytest
from fakes.expect import fails
from fakes.threads import ARENA, Call, World

from aionoah.abi.errno import Errno
from aionoah.abi.futex import FUTEX_OWNER_DIED, FUTEX_WAITERS
from aionoah.abi.mman import PROT
from aionoah.process.futex import Deadline, FutexTable, Waiter
from aionoah.process.futex_pi import Lock, lock_pi, requeue_pi, try_lock_pi, unlock_pi, wait_requeue_pi
from aionoah.process.task import Task

LOCK = ARENA
OTHER = ARENA + 64
CONDITION = ARENA + 128
NOBODY = 0x3FFF_FFF0
WAITERS, DIED = FUTEX_WAITERS, FUTEX_OWNER_DIED


def word(task: Task, address: int = LOCK) -> int:
    return task.memory.read_word(address, 4)


def put(task: Task, value: int, address: int = LOCK) -> None:
    task.memory.write_word(address, value, 4)


def key(task: Task, address: int = LOCK) -> object:
    return task.memory.futex_key(address, is_private=True)


def seen_by(task: Task, address: int = LOCK) -> Lock:
    return Lock(task.memory, address, key(task, address))  # type: ignore[arg-type] - a key is hashable


def take(task: Task, address: int = LOCK, deadline: Deadline | None = None) -> Call:
    return Call(lock_pi(task, seen_by(task, address), deadline))


def release(task: Task, address: int = LOCK) -> None:
    unlock_pi(task, task.memory, address, is_private=True)


class TestFreeLocks:
    @pytest.mark.parametrize(("before", "kept"), [(0, 0), (WAITERS, 0), (DIED, DIED), (DIED | WAITERS, DIED)])
    def test_taking(self, before: int, kept: int, main: Task) -> None:
        put(main, before)
        assert take(main).outcome == 0
        assert word(main) == main.tid | kept
        release(main)
        assert word(main) == 0

    def test_trying(self, main: Task) -> None:
        try_lock_pi(main, seen_by(main))
        assert word(main) == main.tid
        fails(Errno.EDEADLK, try_lock_pi, main, seen_by(main))

    def test_not_ones_own(self, world: World, main: Task) -> None:
        fails(Errno.EPERM, release, main)
        put(main, world.thread(main).tid)
        fails(Errno.EPERM, release, main)

    def test_of_somebody_who_does_not_exist(self, main: Task) -> None:
        put(main, NOBODY)
        assert take(main).outcome is Errno.ESRCH
        fails(Errno.ESRCH, try_lock_pi, main, seen_by(main))
        assert word(main) == NOBODY | WAITERS

    def test_in_memory_that_may_only_be_read(self, main: Task) -> None:
        main.memory.mprotect(ARENA, 0x1000, PROT.READ)
        assert take(main).outcome is Errno.EFAULT

    def test_a_plain_waiter_is_there(self, world: World, main: Task, table: FutexTable) -> None:
        plain = Call(table.wait(Waiter(world.thread(main), key(main)), None))  # type: ignore[arg-type]
        assert take(main).outcome is Errno.EINVAL
        put(main, main.tid)
        fails(Errno.EINVAL, release, main)
        plain.kill()


class TestHeldLocks:
    def test_one_after_another(self, world: World, main: Task) -> None:
        heirs = [world.thread(main) for _ in range(3)]
        assert take(main).outcome == 0
        calls = [take(heir) for heir in heirs]
        assert word(main) == main.tid | WAITERS
        for owner, heir, call in zip([main, *heirs], heirs, calls, strict=False):
            assert call.outcome is None
            release(owner)
            assert word(main) == heir.tid | WAITERS
            assert call.run() == 0
        release(heirs[-1])
        assert word(main) == 0

    def test_real_time_heirs_come_first(self, world: World, main: Task) -> None:
        plain, urgent = world.thread(main), world.thread(main, priority=5)
        take(main)
        calls = [take(plain), take(urgent)]
        release(main)
        assert word(main) == urgent.tid | WAITERS
        assert calls[1].run() == 0
        release(urgent)
        assert calls[0].run() == 0

    def test_trying_marks_the_word(self, world: World, main: Task) -> None:
        take(main)
        fails(Errno.EAGAIN, try_lock_pi, world.thread(main), seen_by(main))
        assert word(main) == main.tid | WAITERS

    def test_timeout(self, world: World, main: Task, table: FutexTable) -> None:
        take(main)
        assert take(world.thread(main), deadline=Deadline(1)).outcome is Errno.ETIMEDOUT
        assert len(table) == 0
        assert table.owned_by(main) == []
        release(main)
        assert word(main) == 0

    def test_a_signal_has_the_call_made_again(self, world: World, main: Task) -> None:
        take(main)
        heir = world.thread(main)
        call = take(heir)
        assert call.interrupt() is Errno.ERESTARTNOINTR
        release(main)
        assert word(main) == 0

    def test_a_lock_that_has_been_given_is_kept(self, world: World, main: Task) -> None:
        heir = world.thread(main)
        take(main)
        call = take(heir)
        release(main)
        assert call.interrupt() == 0
        assert word(main) == heir.tid | WAITERS

    def test_deadlock(self, world: World, main: Task) -> None:
        other = world.thread(main)
        take(main)
        take(other, OTHER)
        call = take(other)
        assert take(main, OTHER).outcome is Errno.EDEADLK
        release(main)
        assert call.run() == 0

    @pytest.mark.parametrize("value", [0, NOBODY, WAITERS, NOBODY | WAITERS | DIED])
    def test_a_word_that_has_been_spoilt(self, value: int, world: World, main: Task) -> None:
        take(main)
        call = take(world.thread(main))
        right = word(main)
        put(main, value)
        assert take(world.thread(main)).outcome is Errno.EINVAL
        fails(Errno.EPERM, release, main)
        put(main, right)
        release(main)
        assert call.run() == 0

    def test_an_owner_whom_the_kernel_does_not_know(self, world: World, main: Task) -> None:
        take(main)
        thief = world.thread(main)
        call = take(world.thread(main))
        put(main, thief.tid | WAITERS)
        fails(Errno.EINVAL, release, thief)
        put(main, main.tid)
        release(main)
        assert call.run() == 0

    def test_a_dead_owners_word_without_number(self, world: World, main: Task) -> None:
        """Somebody has inherited the lock and is about to say so: wait like the others."""
        take(main)
        calls = [take(world.thread(main))]
        put(main, DIED | WAITERS)
        calls.append(take(world.thread(main)))
        assert calls[1].outcome is None
        for call in calls:
            call.kill()


class Meddling:
    """The memory of a task whose other threads change the word right before it is exchanged."""

    def __init__(self, task: Task, *values: int) -> None:
        self.memory = task.memory
        self.values = list(values)

    def __getattr__(self, name: str) -> object:
        return getattr(self.memory, name)

    def compare_exchange(self, address: int, expected: int, new: int) -> int:
        if self.values:
            self.memory.write_word(address, self.values.pop(0), 4)
        return self.memory.compare_exchange(address, expected, new)


class TestRaces:
    """Between reading a word and changing it, a program may have changed it itself."""

    def test_taken_at_the_last_moment(self, world: World, main: Task) -> None:
        owner = world.thread(main)
        lock = Lock(Meddling(main, owner.tid), LOCK, key(main))  # type: ignore[arg-type]
        call = Call(lock_pi(main, lock, None))
        assert call.outcome is None
        assert word(main) == owner.tid | WAITERS
        call.kill()

    def test_freed_at_the_last_moment(self, world: World, main: Task) -> None:
        put(main, world.thread(main).tid)
        lock = Lock(Meddling(main, 0), LOCK, key(main))  # type: ignore[arg-type]
        assert Call(lock_pi(main, lock, None)).outcome == 0
        assert word(main) == main.tid

    def test_unlocking_what_changes(self, main: Task) -> None:
        take(main)
        memory = Meddling(main, main.tid | WAITERS)
        with pytest.raises(Exception, match="EAGAIN"):
            unlock_pi(main, memory, LOCK, is_private=True)  # type: ignore[arg-type]

    def test_unlocking_while_the_first_waiter_marks_the_word(self, world: World, main: Task) -> None:
        take(main)
        heir = world.thread(main)
        call = take(heir)
        put(main, main.tid)
        unlock_pi(main, Meddling(main, main.tid | WAITERS), LOCK, is_private=True)  # type: ignore[arg-type]
        assert word(main) == heir.tid | WAITERS
        assert call.run() == 0

    def test_unlocking_what_is_spoilt(self, world: World, main: Task) -> None:
        take(main)
        call = take(world.thread(main))
        with pytest.raises(Exception, match="EINVAL"):
            unlock_pi(main, Meddling(main, NOBODY), LOCK, is_private=True)  # type: ignore[arg-type]
        call.kill()


class TestDeath:
    def test_the_first_heir_gets_the_lock(self, world: World, main: Task) -> None:
        owner, heirs = world.thread(main), [world.thread(main) for _ in range(2)]
        take(owner)
        calls = [take(heir) for heir in heirs]
        owner.exit(0)
        assert word(main) == heirs[0].tid | WAITERS | DIED
        assert calls[0].run() == 0
        assert calls[1].outcome is None
        release(heirs[0])
        assert word(main) == heirs[1].tid | WAITERS
        assert calls[1].run() == 0

    def test_all_locks(self, world: World, main: Task) -> None:
        owner, one, two = (world.thread(main) for _ in range(3))
        take(owner)
        take(owner, OTHER)
        calls = [take(one), take(two, OTHER)]
        owner.exit(0)
        assert [call.run() for call in calls] == [0, 0]
        assert (word(main), word(main, OTHER)) == (one.tid | WAITERS | DIED, two.tid | WAITERS | DIED)

    def test_nobody_waits(self, world: World, main: Task) -> None:
        owner = world.thread(main)
        take(owner)
        owner.exit(0)
        assert word(main) == owner.tid
        assert take(main).outcome is Errno.ESRCH

    def test_an_heir_that_dies_before_it_runs(self, world: World, main: Task) -> None:
        heirs = [world.thread(main) for _ in range(2)]
        take(main)
        calls = [take(heir) for heir in heirs]
        release(main)
        heirs[0].exit(0)
        calls[0].kill()
        assert word(main) == heirs[1].tid | WAITERS | DIED
        assert calls[1].run() == 0

    def test_a_waiter_that_dies(self, world: World, main: Task, table: FutexTable) -> None:
        heir = world.thread(main)
        take(main)
        call = take(heir)
        heir.exit(0)
        assert table.owned_by(main) == []
        release(main)
        assert word(main) == 0
        call.kill()

    def test_an_heir_whose_memory_is_gone(self, world: World, main: Task) -> None:
        """Of two processes with one word, the one that has unmapped it cannot be told."""
        owner, heir = world.thread(main), world.thread(main)
        take(owner)
        calls = [take(heir), take(main)]
        poor = world.fork(main)
        next(iter(poor.kernel.futexes.waiters(key(main)))).task = poor  # type: ignore[arg-type]
        poor.memory.munmap(ARENA, 0x1000)
        owner.exit(0)
        assert calls[0].run() is Errno.EFAULT
        assert calls[1].run() == 0
        assert word(main) == main.tid | WAITERS | DIED


class TestConditions:
    """WAIT_REQUEUE_PI and CMP_REQUEUE_PI."""

    @staticmethod
    def sleep(task: Task, address: int = LOCK, deadline: Deadline | None = None) -> Call:
        return Call(wait_requeue_pi(task, key(task, CONDITION), seen_by(task, address), deadline))  # type: ignore[arg-type]

    @staticmethod
    def requeue(task: Task, count: int, address: int = LOCK) -> int:
        return requeue_pi(task, key(task, CONDITION), seen_by(task, address), count)  # type: ignore[arg-type]

    def test_nobody_waits(self, main: Task) -> None:
        assert self.requeue(main, 5) == 0
        assert word(main) == 0

    @pytest.mark.parametrize(("count", "moved"), [(0, 1), (1, 2), (9, 3)])
    def test_a_free_lock(self, count: int, moved: int, world: World, main: Task) -> None:
        tasks = [world.thread(main) for _ in range(3)]
        calls = [self.sleep(task) for task in tasks]
        assert self.requeue(main, count) == moved
        assert word(main) == tasks[0].tid | (WAITERS if count else 0)
        assert calls[0].run() == 0
        for owner, heir, call in zip(tasks, tasks[1:moved], calls[1:moved], strict=False):
            release(owner)
            assert word(main) == heir.tid | WAITERS
            assert call.run() == 0
        for call in calls[moved:]:
            assert call.interrupt() is Errno.ERESTARTNOINTR

    @pytest.mark.parametrize(("count", "moved"), [(0, 1), (1, 2)])
    def test_a_held_lock(self, count: int, moved: int, world: World, main: Task) -> None:
        tasks = [world.thread(main) for _ in range(3)]
        take(main)
        calls = [self.sleep(task) for task in tasks]
        assert self.requeue(main, count) == moved
        assert word(main) == main.tid | WAITERS
        release(main)
        assert calls[0].run() == 0
        assert word(main) == tasks[0].tid | WAITERS
        for call in calls[1:]:
            call.kill()

    def test_wrong_partners(self, world: World, main: Task, table: FutexTable) -> None:
        call = self.sleep(world.thread(main))
        fails(Errno.EINVAL, self.requeue, main, 1, OTHER)
        fails(Errno.EINVAL, self.requeue, main, 1, CONDITION)
        fails(Errno.EINVAL, table.wake, key(main, CONDITION), 1)
        fails(Errno.EINVAL, table.requeue, key(main, CONDITION), "x", 1, 1)
        assert self.sleep(main, CONDITION).outcome is Errno.EINVAL
        assert (call.outcome, call.is_woken) == (None, False)
        call.kill()

    def test_plain_waiters_are_not_moved(self, world: World, main: Task, table: FutexTable) -> None:
        calls = [
            self.sleep(world.thread(main)),
            Call(table.wait(Waiter(world.thread(main), key(main, CONDITION)), None)),  # type: ignore[arg-type]
        ]
        fails(Errno.EINVAL, self.requeue, main, 5)
        assert [call.is_woken for call in calls] == [True, False]
        assert calls[0].run() == 0
        calls[1].kill()

    def test_who_has_the_lock_cannot_wait_for_it(self, world: World, main: Task) -> None:
        task = world.thread(main)
        call = self.sleep(task)
        put(main, task.tid)
        fails(Errno.EDEADLK, self.requeue, main, 0)
        assert call.outcome is None
        call.kill()

    def test_deadlock(self, world: World, main: Task) -> None:
        """The second one has what the first one wants."""
        first, second = world.thread(main), world.thread(main)
        take(second, OTHER)
        take(main)
        calls = [self.sleep(second), take(main, OTHER)]
        fails(Errno.EDEADLK, self.requeue, first, 0)
        for call in calls:
            call.kill()

    def test_deadlines(self, world: World, main: Task, table: FutexTable) -> None:
        assert self.sleep(main, deadline=Deadline(1)).outcome is Errno.ETIMEDOUT
        take(main)
        deadline = Deadline.after(10**12)
        call = self.sleep(world.thread(main), deadline=deadline)
        assert self.requeue(main, 0) == 1
        deadline.time_ns = 1
        assert call.run() is Errno.ETIMEDOUT
        assert len(table) == 0

    def test_a_signal_after_requeueing(self, world: World, main: Task) -> None:
        """The condition has changed: to wait for it again would be wrong."""
        take(main)
        call = self.sleep(world.thread(main))
        assert self.requeue(main, 0) == 1
        assert call.interrupt() is Errno.EAGAIN
