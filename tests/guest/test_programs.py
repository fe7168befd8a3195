"""Every program of programs/ prints the same on the real kernel and in aionoah, on each backend."""

import subprocess
from pathlib import Path

import pytest
from harness.guest import (
    AARCH64,
    DYNAMIC,
    PROGRAMS,
    STATIC,
    UNICORN,
    Compiler,
    Target,
    need_backend,
    run_in_guest,
    run_natively,
)

SOURCES = sorted(path.stem for path in PROGRAMS.glob("*.c"))


@pytest.mark.guest
@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize("target", [STATIC, DYNAMIC, UNICORN, AARCH64], ids=lambda target: target.name)
@pytest.mark.parametrize("source", SOURCES)
async def test_prints_the_same(
    source: str, target: Target, compile_program: Compiler, tmp_path: Path
) -> None:
    need_backend(target)
    binary, oracle = compile_program(source, target), compile_program(source, target.native)
    natively, in_guest = tmp_path / "native" / "work", tmp_path / "guest" / "work"
    natively.mkdir(parents=True)
    in_guest.mkdir(parents=True)
    expected = run_natively([oracle, natively], natively)
    actual = await run_in_guest(target, [binary, in_guest], in_guest)
    assert actual.output.replace(str(in_guest), str(natively)) == expected.output
    assert actual == expected._replace(output=actual.output)


@pytest.mark.guest
@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize("source", ["inet_tcp", "inet_udp", "socket_options", "tcp_states"])
async def test_a_loopback_of_its_own_is_like_a_new_network_namespaces(
    source: str, compile_program: Compiler, tmp_path: Path
) -> None:
    """The oracle needs one in which the loopback is up, which not everybody may have."""
    need_backend(STATIC)
    namespace = ["unshare", "--net", "--map-root-user"]
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespace for the oracle")
    binary = compile_program(source, STATIC)
    script = 'ip link set lo up && exec "$@"'
    expected = run_natively([*namespace, "sh", "-c", script, "sh", binary, tmp_path], tmp_path)
    actual = await run_in_guest(STATIC, [binary, tmp_path], tmp_path, network="loopback")
    assert actual.output == expected.output
