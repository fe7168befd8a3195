"""Run a suite of CPython's own tests and note what becomes of each test, at once, for a suite may hang or die.

Usage: record.py NOTES [ARGUMENT OF python3 -m test]...

The Python under test runs this file, natively and as a guest, so it imports nothing of ours. NOTES gets a line of
JSON for each event: [what, test, text], `what` being start, ok, fail, error, skip, expected or unexpected.
"""

import json
import os
import sys
import traceback
from typing import Any
from unittest import TestCase

from test.libregrtest.main import main

try:
    from test.libregrtest import testresult
except ImportError:  # before 3.11.6
    from test.support import testresult

NOTES = sys.argv[1] if __name__ == "__main__" else ""
RUNNER = os.getpid()


def note(what: str, test: TestCase, text: str = "") -> None:
    """By a descriptor of its own, because tests close descriptors. Children that fall out of a test say nothing."""
    if os.getpid() != RUNNER:
        return
    name = test.id() if hasattr(test, "id") else str(test)
    fd = os.open(NOTES, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(fd, json.dumps([what, name, text]).encode() + b"\n")
    finally:
        os.close(fd)


def text_of(error: Any) -> str:
    return "".join(traceback.format_exception(*error))


class Recording(testresult.RegressionTestResult):  # type: ignore[misc]
    """The names of the methods are unittest's."""

    def startTest(self, test: TestCase) -> None:  # noqa: N802
        note("start", test)
        super().startTest(test)

    def addSuccess(self, test: TestCase) -> None:  # noqa: N802
        note("ok", test)
        super().addSuccess(test)

    def addError(self, test: TestCase, err: Any) -> None:  # noqa: N802
        note("error", test, text_of(err))
        super().addError(test, err)

    def addFailure(self, test: TestCase, err: Any) -> None:  # noqa: N802
        note("fail", test, text_of(err))
        super().addFailure(test, err)

    def addSubTest(self, test: TestCase, subtest: TestCase, err: Any) -> None:  # noqa: N802
        if err is not None:
            note("fail", test, f"{subtest}\n{text_of(err)}")
        super().addSubTest(test, subtest, err)

    def addSkip(self, test: TestCase, reason: str) -> None:  # noqa: N802
        note("skip", test, reason)
        super().addSkip(test, reason)

    def addExpectedFailure(self, test: TestCase, err: Any) -> None:  # noqa: N802
        note("expected", test)
        super().addExpectedFailure(test, err)

    def addUnexpectedSuccess(self, test: TestCase) -> None:  # noqa: N802
        note("unexpected", test)
        super().addUnexpectedSuccess(test)


if __name__ == "__main__":  # multiprocessing's children import this file too
    testresult.RegressionTestResult = Recording
    del sys.argv[1]
    main(tests=None)
