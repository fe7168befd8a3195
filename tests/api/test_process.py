"""wait, signals, pid and returncode of a Process."""

import asyncio
import grp
import pwd
import signal

import pytest
from api.conftest import Programs

import aionoah
from aionoah import PIPE


async def started(linux: aionoah.Linux, path: str) -> aionoah.Process:
    """A program that has said its first line."""
    process = await linux.create_subprocess_exec(path, stdout=PIPE)
    assert process.stdout is not None
    await process.stdout.readline()
    return process


@pytest.mark.parametrize(
    ("code", "status"), [("0", 0), ("7", 7), ("255", 255), ("0x100000103", 3), ("-1", 255)]
)
async def test_exit_status(linux: aionoah.Linux, program: Programs, code: str, status: int) -> None:
    process = await linux.create_subprocess_exec(program("exit_code"), code)
    assert process.pid > 0
    assert await process.wait() == process.returncode == status
    assert await process.wait() == status, "again is the same"


async def test_the_only_thread_that_ends_ends_the_process(linux: aionoah.Linux, program: Programs) -> None:
    done = await linux.run([program("exit_code"), "6", "thread"])
    assert done.returncode == 6


async def test_returncode_is_none_until_the_end(linux: aionoah.Linux) -> None:
    process = await linux.create_subprocess_exec("cat", stdin=PIPE)
    assert process.returncode is None
    assert "running" in repr(process)
    assert process.stdin is not None
    process.stdin.close()
    assert await process.wait() == 0
    assert "returncode=0" in repr(process)


async def test_pids_differ_and_are_the_guests(linux: aionoah.Linux) -> None:
    process = await linux.create_subprocess_exec("sh", "-c", "echo $$", stdout=PIPE)
    other = await linux.create_subprocess_exec("true")
    out, _ = await process.communicate()
    assert out == b"%d\n" % process.pid
    assert other.pid != process.pid
    await other.wait()


@pytest.mark.parametrize("name", ["spin", "signals"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP + 0])
async def test_kill_ends_everything(linux: aionoah.Linux, program: Programs, name: str, number: int) -> None:
    process = await started(linux, program(name))
    process.send_signal(number)  # SIGSTOP changes nothing about SIGKILL
    process.kill()
    assert await process.wait() == -signal.SIGKILL


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGALRM, signal.SIGRTMIN + 3],
)
async def test_a_signal_ends_a_program_that_does_not_handle_it(
    linux: aionoah.Linux, program: Programs, number: int
) -> None:
    process = await started(linux, program("spin"))
    process.send_signal(number)
    assert await process.wait() == -number


async def test_terminate(linux: aionoah.Linux) -> None:
    process = await linux.create_subprocess_exec("sleep", "1000")
    process.terminate()
    assert await process.wait() == -signal.SIGTERM


async def test_a_handler_gets_every_signal_by_its_number(linux: aionoah.Linux, program: Programs) -> None:
    process = await started(linux, program("signals"))
    assert process.stdout is not None
    for number in (signal.SIGUSR1, signal.SIGINT, signal.SIGWINCH, signal.SIGCHLD, signal.SIGRTMIN + 1):
        process.send_signal(number)
        assert await process.stdout.readline() == b"signal %d\n" % number
    process.terminate()
    assert await process.stdout.readline() == b"signal 15\n"
    assert await process.wait() == 7


async def test_ignored_signals_change_nothing(linux: aionoah.Linux) -> None:
    process = await linux.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
    for number in (signal.SIGCHLD, signal.SIGWINCH, signal.SIGURG, signal.SIGCONT):
        process.send_signal(number)
    out, _ = await process.communicate(b"unmoved")
    assert (out, process.returncode) == (b"unmoved", 0)


async def test_signals_after_the_end_are_nothing(linux: aionoah.Linux) -> None:
    process = await linux.create_subprocess_exec("true")
    await process.wait()
    process.kill()
    process.terminate()
    process.send_signal(signal.SIGINT)
    assert process.returncode == 0


@pytest.mark.parametrize("number", [-1, 65, 1000])
async def test_no_signal(linux: aionoah.Linux, number: int) -> None:
    process = await linux.create_subprocess_exec("true")
    with pytest.raises(ValueError, match=str(number)):
        process.send_signal(number)
    assert await process.wait() == 0


async def test_many_may_wait_and_one_may_give_up(linux: aionoah.Linux, program: Programs) -> None:
    process = await started(linux, program("spin"))
    waiters = [asyncio.create_task(process.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    waiters[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiters[0]
    assert process.returncode is None, "a cancelled waiter leaves the process alone"
    process.kill()
    assert await asyncio.gather(*waiters[1:]) == [-9, -9]


async def test_communicate_may_be_given_up_and_the_process_goes_on(linux: aionoah.Linux) -> None:
    process = await linux.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
    talk = asyncio.create_task(process.communicate())
    await asyncio.sleep(0)
    talk.cancel()
    with pytest.raises(asyncio.CancelledError):
        await talk
    process.kill()
    assert await process.wait() == -9


async def test_environment_and_directory(linux: aionoah.Linux) -> None:
    done = await linux.run(["env"], env={"A": "1", "PATH": "/bin:/usr/bin", "ÄÖ": "ü"}, stdout=PIPE)
    assert sorted(done.stdout.decode().splitlines()) == ["A=1", "PATH=/bin:/usr/bin", "ÄÖ=ü"]
    done = await linux.run(["pwd"], cwd="/usr/share", env={}, stdout=PIPE)
    assert done.stdout == b"/usr/share\n"


async def test_the_applications_own_environment_and_directory(
    linux: aionoah.Linux, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIONOAH_TEST", "there")
    monkeypatch.chdir("/usr/lib")
    done = await linux.run(["sh", "-c", "echo $AIONOAH_TEST; pwd"], stdout=PIPE)
    assert done.stdout == b"there\n/usr/lib\n"


async def test_a_directory_that_the_guest_lacks_is_not_needed(
    linux: aionoah.Linux, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    gone = tmp_path_factory.mktemp("gone")
    monkeypatch.chdir(gone)  # below /tmp, which is another one in the guest
    assert (await linux.run(["pwd"], env={}, stdout=PIPE)).stdout == b"/\n"
    gone.rmdir()
    assert (await linux.run(["/bin/pwd"], env={}, stdout=PIPE)).stdout == b"/\n"


async def test_user_and_group(linux: aionoah.Linux) -> None:
    done = await linux.run(["sh", "-c", "id -u; id -g; id -G"], user=1234, group=99, stdout=PIPE)
    assert done.stdout == b"1234\n99\n99\n"


async def test_a_program_runs_as_somebody_with_a_name(linux: aionoah.Linux) -> None:
    nobody, games = pwd.getpwnam("nobody"), grp.getgrnam("games")
    done = await linux.run(
        ["sh", "-c", "id -u; id -g; id -G"],
        user="nobody",
        group="games",
        extra_groups=["games", 7],
        stdout=PIPE,
    )
    assert done.stdout.decode().split() == [
        str(nobody.pw_uid),
        *[str(games.gr_gid)] * 2,
        "7",
    ]
    with pytest.raises(ValueError, match="the guest has no user nosuch"):
        await linux.run(["true"], user="nosuch")


async def test_another_user_has_no_privileges(linux: aionoah.Linux) -> None:
    done = await linux.run(["cat", "/etc/shadow"], user=1234, group=1234, capture_output=True)
    assert done.returncode == 1
    assert b"Permission denied" in done.stderr


async def test_arguments_arrive_as_they_are(linux: aionoah.Linux) -> None:
    words = ["", "-n", "--", "two words", "ü", "$HOME", "*"]
    done = await linux.run(["printf", "%s\\n", *words], stdout=PIPE)
    assert done.stdout.decode().splitlines() == words
    done = await linux.run([b"/usr/bin/printf", b"%s", b"\xff\xfe"], stdout=PIPE)
    assert done.stdout == b"\xff\xfe"
