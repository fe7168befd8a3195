"""`#!` lines: compared with the running kernel by executing scripts that name an interpreter of ours."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.errno import Errno, LinuxError
from aionoah.process.script import HEAD_SIZE, Interpreter, is_script, parse_script

CASES: list[tuple[bytes, Interpreter | None]] = [
    (b"#!/bin/sh\n", Interpreter(b"/bin/sh", None)),
    (b"#!/bin/sh", Interpreter(b"/bin/sh", None)),
    (b"#! \t/bin/sh \t\n", Interpreter(b"/bin/sh", None)),
    (b"#!/usr/bin/env python3 -u\nimport os", Interpreter(b"/usr/bin/env", b"python3 -u")),
    (b"#!/bin/echo\t-x\ty \t\n", Interpreter(b"/bin/echo", b"-x\ty")),
    (b"#!/bin/sh\r\n", Interpreter(b"/bin/sh\r", None)),
    (b"#!/bin/echo a\0b\n", Interpreter(b"/bin/echo", b"a")),
    (b"#!/bin/echo\0zzz\n", Interpreter(b"/bin/echo", None)),
    (b"#!", Interpreter(b"", None)),
    (b"#!   \t", Interpreter(b"", None)),
    (b"#!\n", None),
    (b"#!  \n", None),
    (b"#!" + b" " * 300, None),
    (b"#!/bin/echo" + b" " * 300, Interpreter(b"/bin/echo", None)),
    (b"#!/bin/echo " + b"a" * 300, Interpreter(b"/bin/echo", b"a" * 243)),
    (b"#!" + b"/" * 246 + b"bin/echo\n", None),  # the newline is the 257th byte
    (b"#!" + b"/" * 245 + b"bin/echo", Interpreter(b"/" * 245 + b"bin/echo", None)),
    (b"#!" + b"/" * 240 + b"bin/echo xyzabcdefg\n", Interpreter(b"/" * 240 + b"bin/echo", b"xyza")),
]


def parsed(head: bytes) -> Interpreter | None:
    try:
        return parse_script(head)
    except LinuxError as error:
        assert error.errno is Errno.ENOEXEC  # noqa: PT017 - both outcomes are fine
        return None


@pytest.mark.parametrize(("head", "expected"), CASES)
def test_first_lines(head: bytes, expected: Interpreter | None) -> None:
    assert is_script(head)
    assert parsed(head) == expected


def test_what_is_no_script() -> None:
    assert not is_script(b"#")
    assert not is_script(b" #!/bin/sh\n")


@given(st.binary(max_size=2 * HEAD_SIZE))
def test_anything_behind_the_marker(rest: bytes) -> None:
    found = parsed(b"#!" + rest)
    if found is not None:
        assert len(found.path) < HEAD_SIZE
        assert b"\0" not in found.path
        assert found.argument is None or not found.argument.startswith((b" ", b"\t"))


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that prints its arguments, each in brackets."""
    directory = tmp_path_factory.mktemp("echo")
    (directory / "e.c").write_text(
        '#include <stdio.h>\nint main(int c, char **v) { while (c--) printf("[%s]", *v++); return 0; }\n',
    )
    subprocess.run(["cc", "-o", directory / "e", directory / "e.c"], check=True)
    return directory / "e"


TAILS = [
    b"",
    b" ",
    b"\n",
    b" \n",
    b" a",
    b" a b \n",
    b"\ta\t\n",
    b" a\0b\n",
    b"\0a\n",
    b" " * 300,
    b" " + b"a" * 300,
]


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="needs the oracle")
@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("lead", [b"", b" ", b" \t "])
def test_the_kernel_reads_the_same(echo: Path, tmp_path: Path, lead: bytes, tail: bytes) -> None:
    script = tmp_path / "script"
    script.write_bytes(b"#!" + lead + bytes(echo) + tail)
    script.chmod(0o755)
    out = subprocess.run([script], capture_output=True, check=True).stdout
    found = parse_script(script.read_bytes())
    words = [found.path, *([] if found.argument is None else [found.argument]), bytes(script)]
    assert out == b"".join(b"[%s]" % word for word in words)
