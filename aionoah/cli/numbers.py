"""Numbers, sizes and times, as command lines have them."""

import re
from typing import Final

import click

_DIGITS: Final = re.compile(r"[0-9]{1,18}")
_SIZES: Final = {"": 0, "K": 10, "M": 20, "G": 30}  # powers of two
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST: Final = 10 * 365 * 86400.0  # seconds


def parse_number(text: str) -> int | None:
    """None for what is none, or impossibly large."""
    return int(text) if _DIGITS.fullmatch(text) else None


def parse_size(text: str | None) -> int | None:
    """A number of bytes: 65536, 64K, 512M, 2G."""
    if text is None:
        return None
    digits, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "")
    number = parse_number(digits)
    if not number or unit not in _SIZES:
        raise click.BadParameter(f"{text!r} is no size: write a number of bytes, or one with K, M or G.")
    return number << _SIZES[unit]


def parse_duration(text: str) -> float:
    """Seconds. click.BadParameter."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        text += "s"
    if not re.fullmatch(r"(\d+(\.\d+)?(ms|s|m|h))+", text):
        raise click.BadParameter(f"{text!r} is no time: write 500ms, 30s, 1m30s, 2h.")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in re.findall(r"([\d.]+)(ms|[smh])", text))
    if seconds > _LONGEST:
        raise click.BadParameter(f"{text[:40]!r} is longer than ten years.")
    return seconds
