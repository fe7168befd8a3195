"""The options of `aionoah run` for instances with names, and what their texts mean."""

from typing import Any, Final

import click

from aionoah.cli.numbers import parse_duration, parse_size


def _seconds(_context: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    """30s, 1m30s, 500ms; seconds without a unit."""
    return None if text is None else parse_duration(text)


NAMED_OPTIONS: Final = (
    click.option(
        "--name",
        metavar="NAME",
        help="Keep the instance, and its changes to /, by this name; see `aionoah ps`.",
    ),
    click.option("-d", "--detach", is_flag=True, help="With --name: run in the background, output to a log."),
    click.option(
        "--rm",
        "is_removed",
        is_flag=True,
        help="In the foreground: remove it at exit, as what has no name is anyway.",
    ),
    click.option(
        "--restart",
        metavar="POLICY",
        default="no",
        help="With --detach: no, on-failure[:TIMES], always or unless-stopped.",
    ),
    click.option(
        "--health-cmd", metavar="COMMAND", help="With --name: a shell command that succeeds if all is well."
    ),
    click.option("--health-interval", metavar="TIME", callback=_seconds, help="Between two checks (30s)."),
    click.option("--health-timeout", metavar="TIME", callback=_seconds, help="For one check (30s)."),
    click.option(
        "--health-start-period", metavar="TIME", callback=_seconds, help="When failures do not count (0s)."
    ),
    click.option(
        "--health-retries",
        type=click.IntRange(min=1),
        metavar="NUMBER",
        help="Failures in a row that count (3).",
    ),
    click.option(
        "--health-on-failure",
        type=click.Choice(("none", "kill")),
        help="What becomes of an unhealthy program; --restart says what then.",
    ),
    click.option("--stop-signal", metavar="SIGNAL", help="With --name: what `aionoah stop` sends (TERM)."),
    click.option(
        "--stop-timeout", metavar="TIME", callback=_seconds, help="With --name: until it is killed (10s)."
    ),
    click.option(
        "--log-size",
        metavar="SIZE",
        callback=lambda _context, _option, value: parse_size(value),
        help="With --name: how much output is kept (32M).",
    ),
)
KEYS: Final = (
    "name",
    "detach",
    "is_removed",
    "restart",
    "health_cmd",
    "health_interval",
    "health_timeout",
    "health_start_period",
    "health_retries",
    "health_on_failure",
    "stop_signal",
    "stop_timeout",
    "log_size",
)


HEALTH: Final = tuple(key for key in KEYS if key.startswith("health_") and key != "health_cmd")


def take_named(options: dict[str, Any]) -> dict[str, Any] | None:
    """Those of NAMED_OPTIONS, taken out; None if there is no name. click.UsageError."""
    named = {key: options.pop(key) for key in KEYS}
    if named["name"] is not None:
        _check(named, options)
        return named
    del named["is_removed"]  # what has no name is not kept
    usual = {"restart": "no", "detach": False}
    for key, value in named.items():
        if value != usual.get(key):
            raise click.UsageError(f"--{key.replace('_', '-')} needs --name.")
    return None


def _check(named: dict[str, Any], instance: dict[str, Any]) -> None:
    from aionoah.instances import InstanceError  # noqa: PLC0415 - for those who name one
    from aionoah.instances.place import checked_name  # noqa: PLC0415
    from aionoah.instances.policy import Policy  # noqa: PLC0415
    from aionoah.instances.signals import parse_signal  # noqa: PLC0415

    try:
        checked_name(named["name"])
        Policy.parse(named["restart"])
        parse_signal(named["stop_signal"] or "TERM")
    except InstanceError as error:
        raise click.UsageError(f"{error}.") from None
    if named["detach"] and named["is_removed"]:
        raise click.UsageError("--rm is for the foreground.")
    if named["restart"] != "no" and not named["detach"]:
        raise click.UsageError("--restart needs --detach.")
    if named["detach"] and instance["strace"] == "-":
        raise click.UsageError("--strace with --detach needs a file: --strace=FILE.")
    health = [key for key in HEALTH if named[key] is not None]
    if health and named["health_cmd"] is None:
        raise click.UsageError(f"--{health[0].replace('_', '-')} needs --health-cmd.")
