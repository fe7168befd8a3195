"""`@syscall` registers handlers by their names."""

from typing import Any

import pytest

from aionoah.syscalls import registry
from aionoah.syscalls.registry import all_handlers, find_handler, syscall


@pytest.fixture(autouse=True)
def no_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_handlers", {})
    monkeypatch.setattr(registry, "HOMES", {})


def test_the_function_name_is_the_call_name() -> None:
    @syscall
    def getpid(task: Any) -> int:
        return 1

    found = find_handler("getpid")
    assert found is not None
    assert (found.name, found.function, found.is_async, found.partial) == ("getpid", getpid, False, None)
    assert found.module == __name__


def test_the_function_is_left_as_it_is() -> None:
    def getpid(task: Any) -> int:
        return 7

    assert syscall(getpid) is getpid
    assert getpid(None) == 7


def test_a_trailing_underscore_is_dropped() -> None:
    @syscall
    def exit_(task: Any) -> None: ...

    assert find_handler("exit") is not None
    assert find_handler("exit_") is None


def test_async_is_decided_at_registration() -> None:
    @syscall
    async def pause(task: Any) -> None: ...

    found = find_handler("pause")
    assert found is not None
    assert found.is_async


def test_partial_text() -> None:
    @syscall(partial="Other advice is ignored.")
    def madvise(task: Any) -> None: ...

    found = find_handler("madvise")
    assert found is not None
    assert found.partial == "Other advice is ignored."


def test_a_name_twice_is_an_error_that_tells_where_the_other_is() -> None:
    def getpid(task: Any) -> int:
        return 1

    syscall(getpid)
    with pytest.raises(ValueError, match=f"getpid has a handler already, in {__name__}"):
        syscall(getpid)


def test_only_functions_can_be_handlers() -> None:
    class Handler:
        __name__ = "close"

        def __call__(self) -> None: ...

    with pytest.raises(TypeError, match="not a function"):
        syscall(Handler())


def test_annotations_are_not_looked_at() -> None:
    @syscall
    def write(task: "Nonsense", fd: "Nothing") -> "Never":  # type: ignore[name-defined]  # noqa: F821
        ...

    assert find_handler("write") is not None


def test_an_unknown_name_has_no_handler() -> None:
    assert find_handler("getpid") is None


def test_all_handlers_come_by_name() -> None:
    @syscall
    def write(task: Any) -> None: ...

    @syscall
    def close(task: Any) -> None: ...

    assert [handler.name for handler in all_handlers()] == ["close", "write"]
