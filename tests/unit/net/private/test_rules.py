"""What rules of a network policy say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.net.private.rules import Attempt, Rules, canonical, parse_rule


def attempt(host: str, port: int = 443, *names: str) -> Attempt:
    return Attempt("tcp", host, port, names, 7, "curl")


@pytest.mark.parametrize(
    ("rule", "matching", "others"),
    [
        ("10.1.2.3", [attempt("10.1.2.3"), attempt("10.1.2.3", 1)], [attempt("10.1.2.4")]),
        ("10.1.0.0/16:80-90", [attempt("10.1.9.9", 80), attempt("10.1.9.9", 90)], [attempt("10.1.9.9", 91)]),
        ("[2001:db8::/32]:443", [attempt("2001:db8::1")], [attempt("2001:db8::1", 80), attempt("10.0.0.1")]),
        ("api.example.com:443", [attempt("10.0.0.1", 443, "api.example.com")], [attempt("10.0.0.1")]),
        (
            "*.example.com",
            [attempt("10.0.0.1", 1, "a.b.example.com")],
            [attempt("10.0.0.1", 1, "example.com"), attempt("10.0.0.1", 1, "badexample.com")],
        ),
        ("*", [attempt("10.0.0.1"), attempt("2001:db8::1")], [attempt("127.0.0.1"), attempt("::1")]),
        ("0.0.0.0/0", [attempt("10.0.0.1")], [attempt("127.0.0.1")]),
        ("127.0.0.1:5432", [attempt("127.0.0.1", 5432)], [attempt("127.0.0.1", 5433)]),
        ("host.internal:80", [attempt("127.0.0.1", 80, "host.internal")], [attempt("127.0.0.1", 80)]),
    ],
)
def test_rules(rule: str, matching: list[Attempt], others: list[Attempt]) -> None:
    parsed = parse_rule(rule)
    assert all(map(parsed.matches, matching))
    assert not any(map(parsed.matches, others))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":80",
        "a b",
        "10.0.0.300",
        "10.0.0.0/40",
        "host:",
        "host:99999",
        "host:9-8",
        "[nonsense]:1",
        "-x",
        "::1",
    ],
)
def test_what_is_no_rule_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="is no rule"):
        parse_rule(text)


@given(st.text(max_size=30))
def test_any_text_is_a_rule_or_refused(text: str) -> None:
    try:
        rule = parse_rule(text)
    except ValueError as error:
        assert "is no rule" in str(error)  # noqa: PT017 - either is right
    else:
        assert rule.name is not None or rule.block is not None


def test_deny_goes_first() -> None:
    rules = Rules(allow=["10.0.0.0/8"], deny=["10.6.6.6"])
    assert rules.verdict(attempt("10.1.1.1")) is True
    assert rules.verdict(attempt("10.6.6.6")) is False
    assert rules.verdict(attempt("192.0.2.1")) is None


def test_names_that_no_rule_has_use_for_are_not_looked_up() -> None:
    assert Rules(allow=["*.example.com"]).may_resolve("a.example.com")
    assert not Rules(allow=["*.example.com"]).may_resolve("secret.elsewhere.org")
    assert Rules(allow=["10.0.0.0/8"]).may_resolve("anything.org"), "its address may be one of these"


def test_mapped_addresses_are_what_they_stand_for() -> None:
    assert str(canonical("::ffff:10.0.0.1")) == "10.0.0.1"
    assert str(canonical("fe80::1%eth0")) == "fe80::1"
