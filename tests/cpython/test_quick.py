"""Some of CPython's own suites end the same natively and as guests; `make test-cpython` runs all that should."""

import os
from pathlib import Path

import pytest
from cpython.compare import Suites, compare, has_tests, run_both
from harness.guest import DYNAMIC, need_backend

LIMIT_S = 240
SUITES = Suites()


@pytest.mark.guest
@pytest.mark.parametrize("suite", SUITES.quick)
def test_is_the_same(suite: str, tmp_path: Path) -> None:
    need_backend(DYNAMIC)
    if not has_tests():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("libpython3.N-testsuite is not installed")
    native, guest = run_both(SUITES, suite, tmp_path, LIMIT_S)
    assert native, (tmp_path / "native" / f"{suite}.log").read_text()
    unexpected = [difference for difference in compare(SUITES, native, guest) if not difference.cause]
    assert not unexpected, (tmp_path / "guest" / f"{suite}.log").read_text()
