"""Run CPython's own tests natively and as a guest, and compare what becomes of each test.

Usage: compare.py [--limit SECONDS] [--keep DIR] [--python PATH] [--user UID] [SUITE | GROUP]...

Without names all groups of suites.toml are run. It needs Debian's libpython3.N-testsuite, or another Python that has
its tests. Tests that differ are printed; those that suites.toml expects to differ count as equal, and the others make
the exit status 1, as does a suite of which nothing could be run natively.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, NamedTuple

PYTHON: Final = "/usr/bin/python3"  # Debian's
HERE: Final = Path(__file__).parent
DEFAULT_LIMIT_S: Final = 1200
_WRITABLE: Final = "/mnt"  # in the guest
RECORDER: Final = HERE / "record.py"
_MOST_HANGS: Final = 5  # in one suite, before it is given up
_STATUS_OF_LIMIT: Final = (124, 137, -9)  # timeout(1)'s; it dies of the signal that its child needed

Results = dict[str, tuple[str, str]]
"""By test: ok, fail, error, skip, expected, unexpected or hang; and why."""


class Difference(NamedTuple):
    """One test that ended otherwise in the guest, and the cause if it was expected."""

    test: str
    native: str
    guest: str
    why: str
    cause: str | None

    def __str__(self) -> str:
        told = self.cause or (self.why.strip().splitlines() or [""])[-1]
        return f"  {'expected' if self.cause else 'DIFFERS'}: {self.test}: {self.native}, guest {self.guest}: {told}"


class Suites:
    """What suites.toml says."""

    def __init__(self) -> None:
        with (HERE / "suites.toml").open("rb") as file:
            given: dict[str, Any] = tomllib.load(file)
        self.groups: dict[str, list[str]] = given["groups"]
        self.quick: list[str] = given["quick"]
        self.resources: dict[str, str] = given["resources"]
        self.left_out = [entry["tests"] for entry in given["left_out"]]
        self._expected: list[dict[str, str]] = given.get("difference", [])

    def choose(self, names: Sequence[str]) -> list[str]:
        """The suites of the names, which are those of suites or groups."""
        chosen = names or list(self.groups)
        return [suite for name in chosen for suite in self.groups.get(name, [name])]

    def arguments(self, suite: str, ignored: Iterable[str]) -> list[str]:
        """What python3 -m test is to be told."""
        resources = ["-u", self.resources[suite]] if suite in self.resources else []
        patterns = [word for pattern in (*self.left_out, *ignored) for word in ("-i", pattern)]
        return ["-v", *resources, *patterns, suite]

    def cause(self, test: str, native: str, guest: str) -> str | None:
        """Why a difference is expected, if it is."""
        for entry in self._expected:
            is_it = fnmatchcase(test, entry["tests"])
            if is_it and native in entry["native"].split() and guest in entry["guest"].split():
                return entry["cause"]
        return None


def read_notes(path: Path) -> Results:
    """What record.py has noted. A test fails with its first failure; one that has only begun hangs."""
    results: Results = {}
    lines = path.read_text().splitlines() if path.exists() else []
    for line in lines:
        what, test, text = json.loads(line)
        if what == "start":
            results[test] = ("hang", "")
        elif results.get(test, ("", ""))[0] not in {"fail", "error"}:
            results[test] = (what, text)
    return results


class Runner(NamedTuple):
    """The Python whose suites are run, and who runs them: the caller, or an ordinary user (only root may ask for one)."""

    python: str = PYTHON
    user: int | None = None

    def own(self, path: Path) -> None:
        if self.user is not None:
            os.chown(path, self.user, self.user)


DEBIAN: Final = Runner()


class Place:
    """A directory of the host in which suites are run, natively or, shown as /mnt, as a guest."""

    def __init__(self, directory: Path, runner: Runner = DEBIAN, *, is_guest: bool) -> None:
        self.directory = directory
        self.runner = runner
        self.is_guest = is_guest
        directory.mkdir(parents=True, exist_ok=True)
        runner.own(directory)
        shutil.copy(RECORDER, directory)  # tests write beside what Python runs

    def command(self, notes: str, work: str, arguments: list[str]) -> list[str]:
        user = self.runner.user
        top = _WRITABLE if self.is_guest else str(self.directory)
        words = [
            self.runner.python,
            f"{top}/{RECORDER.name}",
            f"{top}/{notes}",
            f"--tempdir={top}/{work}",
            *arguments,
        ]
        if not self.is_guest:
            return (
                words
                if user is None
                else ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *words]
            )
        shown = [
            *([] if user is None else ["--user", str(user)]),
            "-v",
            f"{self.directory}:{_WRITABLE}",
            "-w",
            f"{_WRITABLE}/{work}",
        ]
        return [sys.executable, "-m", "aionoah", "run", *shown, "--", *words]

    def run(self, suites: Suites, suite: str, limit_s: int) -> Results:
        """All tests of a suite. After one that hangs it goes on with those that have not been run."""
        notes = self.directory / f"{suite}.notes"
        notes.unlink(missing_ok=True)
        done: Results = {}
        with (self.directory / f"{suite}.log").open("wb") as log:
            for attempt in range(_MOST_HANGS):
                before = set(done)
                work = self.directory / f"{suite}.{attempt}"
                shutil.rmtree(work, ignore_errors=True)  # of a run that was killed
                work.mkdir()
                self.runner.own(work)
                words = self.command(notes.name, work.name, suites.arguments(suite, done))
                status = _run_limited(words, work, log.fileno(), limit_s)
                shutil.rmtree(work, ignore_errors=True)
                done = read_notes(notes)
                if status not in _STATUS_OF_LIMIT or set(done) == before:
                    break
        return done


def _run_limited(words: list[str], work: Path, output: int, limit_s: int) -> int:
    """The exit status, or timeout(1)'s."""
    return subprocess.run(
        ["timeout", "-k", "5", str(limit_s), *words],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        cwd=work,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    ).returncode


def has_tests(python: str = PYTHON) -> bool:
    """Whether a Python has its own tests. For Debian's they are a package of their own."""
    try:
        return not subprocess.run(
            [python, "-c", "import test.test_os"], capture_output=True, check=False
        ).returncode
    except FileNotFoundError:
        return False


_ABSENT: Final = ("absent", "")


def compare(suites: Suites, native: Mapping[str, tuple[str, str]], guest: Results) -> list[Difference]:
    """The tests that did not end the same, by name."""
    found = []
    for test in sorted({*native, *guest}):
        (ours, why_not), (theirs, why) = native.get(test, _ABSENT), guest.get(test, _ABSENT)
        if ours != theirs:
            cause = suites.cause(test, ours, theirs)
            found.append(Difference(test, ours, theirs, why or why_not, cause))
    return found


def run_both(
    suites: Suites, suite: str, top: Path, limit_s: int, runner: Runner = DEBIAN
) -> tuple[Results, Results]:
    """A suite natively and, if there is anything in it, as a guest."""
    native = Place(top / "native", runner, is_guest=False).run(suites, suite, limit_s)
    return native, Place(top / "guest", runner, is_guest=True).run(suites, suite, limit_s) if native else {}


def _counts(results: Results) -> str:
    counts = Counter(what for what, _ in results.values())
    return " ".join(f"{what} {count}" for what, count in sorted(counts.items())) or "nothing"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limit", type=int, default=DEFAULT_LIMIT_S, help="seconds for a suite")
    parser.add_argument("--keep", type=Path, help="directory for what the suites print, and for the notes")
    parser.add_argument("--python", default=PYTHON, help="whose suites are run (%(default)s)")
    parser.add_argument("--user", type=int, help="as this user, who is no root")
    parser.add_argument("names", nargs="*", metavar="SUITE | GROUP")
    options = parser.parse_args()
    if not has_tests(options.python):
        sys.exit("compare.py needs Debian's libpython3.N-testsuite, or a --python that has its tests")
    suites, runner, is_same = Suites(), Runner(options.python, options.user), True
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        top = (options.keep or Path(scratch)).resolve()
        top.chmod(0o755)
        for suite in suites.choose(options.names):
            native, guest = run_both(suites, suite, top, options.limit, runner)
            differences = compare(suites, native, guest)
            print(
                f"{suite}: native {_counts(native)}; guest {_counts(guest)}",
                *differences,
                sep="\n",
                flush=True,
            )
            is_same &= bool(native) and all(difference.cause for difference in differences)
    return 0 if is_same else 1


if __name__ == "__main__":
    sys.exit(main())
