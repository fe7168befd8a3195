"""What an instance with a name is, from the command line to the process that runs it."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import click

from aionoah.cli.named_options import HEALTH
from aionoah.cli.options import environment, new_linux, parse_user, split_volume
from aionoah.instances import InstanceError
from aionoah.instances.place import Place
from aionoah.instances.spec import HealthCheck, Spec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aionoah.images.manifest import Config
    from aionoah.instances.supervisor import Launch
    from aionoah.linux import Linux

DAEMON: Final = "aionoah.cli.daemon"


def new_spec(
    named: dict[str, Any],
    command: tuple[str, ...],
    instance: dict[str, Any],
    **program: Any,  # noqa: ANN401
) -> Spec:
    """`program`: image, entrypoint, env, workdir, user and whether it has a terminal. InstanceError, click.UsageError."""
    health = None
    if named["health_cmd"] is not None:
        given = {key.removeprefix("health_"): named[key] for key in HEALTH if named[key] is not None}
        health = HealthCheck(["/bin/sh", "-c", named["health_cmd"]], **given)._asdict()
    env = program.pop("env")
    environment(env)  # what is wrong with it is said now
    kept = ("restart", "stop_signal", "stop_timeout", "log_size")
    fields = {key: named[key] for key in kept if named[key] is not None}
    return Spec(
        name=named["name"],
        command=list(command),
        instance=_absolute(instance),
        environment=_own_environment(),
        variables=list(env),
        directory=_current_directory(),
        health=health,
        created=time.time(),
        **fields,
        **program,
    )


def _current_directory() -> str:
    """InstanceError if there is none any more."""
    try:
        return os.getcwd()  # noqa: PTH109 - text
    except FileNotFoundError:
        raise InstanceError("the working directory has been removed") from None


def _own_environment() -> dict[str, str]:
    """The daemon is in another directory, and finds images all the same."""
    home = os.environ.get("AIONOAH_HOME")
    return {**os.environ, **({"AIONOAH_HOME": os.path.abspath(home)} if home else {})}  # noqa: PTH100 - text


def _absolute(instance: dict[str, Any]) -> dict[str, Any]:
    """Paths mean the same wherever the instance is started."""
    changed = dict(instance)
    for key in ("root", "upper", "strace"):
        if isinstance(changed[key], str) and changed[key] != "-":
            changed[key] = os.path.abspath(changed[key])  # noqa: PTH100 - text
    changed["volume"] = [
        f"{os.path.abspath(host)}:{guest}:{mode or 'rw'}"  # noqa: PTH100 - text
        for host, guest, mode in map(split_volume, instance["volume"])
    ]
    return {key: list(value) if isinstance(value, tuple) else value for key, value in changed.items()}


# -- opening one, in the process that runs it ----------------------------------------------------------------


@contextmanager
def open_launch(place: Place, spec: Spec) -> "Iterator[Launch]":
    """InstanceError, OSError."""
    with ExitStack() as stack:
        with _sentences(spec):
            launch = _open(place, spec, stack)
        yield launch


@contextmanager
def _sentences(spec: Spec) -> Iterator[None]:
    """What is wrong with what was given, as an InstanceError."""
    from aionoah.images import ImageError  # noqa: PLC0415

    try:
        yield
    except ImageError as error:
        raise InstanceError(str(error).rstrip(".")) from None
    except click.ClickException as error:
        raise InstanceError(error.message.rstrip(".")) from None
    except (
        KeyError,
        TypeError,
        ValueError,
    ) as error:  # somebody has changed the record, or another version has made it
        raise InstanceError(f"{spec.name} cannot be started: {error}") from None


def _open(place: Place, spec: Spec, stack: ExitStack) -> "Launch":
    instance: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in spec.instance.items()
    }
    if not instance["write_through"] and not instance["read_only"] and instance["upper"] is None:
        instance["upper"] = str(place.upper)
    if spec.image is None:
        prepare = _own_options(spec)
        return _launch(spec, stack.enter_context(new_linux(**instance)), tuple(spec.command), prepare, None)
    from aionoah.cli.image_run import find_image  # noqa: PLC0415 - brings the store with it

    found = stack.enter_context(
        find_image(
            spec.image,
            tuple(spec.command),
            instance,
            entrypoint=spec.entrypoint,
            env=tuple(spec.variables),
            workdir=spec.workdir,
            user=spec.user,
        )
    )
    linux = stack.enter_context(new_linux(**found.instance))
    return _launch(spec, linux, found.command, found.prepare, found.config)


def _launch(
    spec: Spec,
    linux: "Linux",
    command: tuple[str, ...],
    prepare: "Callable[[Linux], Awaitable[dict[str, Any]]]",
    config: "Config | None",
) -> "Launch":
    """What the image wants comes after what was given."""
    from aionoah.instances.supervisor import Launch  # noqa: PLC0415 - brings all of Linux with it

    health = spec.health_check
    if health is None and config is not None and config.healthcheck is not None:
        wanted = config.healthcheck
        health = HealthCheck(
            list(wanted.words), wanted.interval, wanted.timeout, wanted.retries, wanted.start_period
        )
    signal = spec.stop_signal or (config.stop_signal if config is not None else "") or "TERM"
    return Launch(linux, command, prepare, signal, health)


def _own_options(spec: Spec) -> "Callable[[Linux], Awaitable[dict[str, Any]]]":
    """Those of `run` without an image: the caller's environment, and his directory if the guest has it."""
    uid, gid = parse_user(spec.user)
    env = environment(tuple(spec.variables), spec.environment)

    async def prepare(linux: "Linux") -> dict[str, Any]:
        cwd = spec.workdir or "/"
        with suppress(OSError):
            if spec.workdir is None and await linux.files.exists(spec.directory):
                cwd = spec.directory
        return {"env": env, "cwd": cwd, "user": uid, "group": gid}

    return prepare
