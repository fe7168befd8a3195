"""`aionoah run --image`: an image's layers as the root, and its wishes as defaults."""

import errno
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aionoah.cli.complaints import IMAGES, one_sentence
from aionoah.cli.options import environment
from aionoah.hypervisor.select import host_architecture
from aionoah.images import ImageError
from aionoah.images.manifest import Config, parse_config, parse_json
from aionoah.images.reference import Reference
from aionoah.images.running import find_user, make_places, variables, words
from aionoah.images.store import Store

if TYPE_CHECKING:
    from aionoah.linux import Linux

# A container's are its engine's, too.
_HOST_FILES: Final = ("/etc/resolv.conf", "/etc/hosts", "/etc/hostname")


class ImageRun(NamedTuple):
    """What `run` needs to know."""

    command: tuple[str, ...]
    instance: dict[str, Any]
    prepare: "Callable[[Linux], Awaitable[dict[str, Any]]]"
    config: Config


@contextmanager
def open_image(
    name: str,
    given: tuple[str, ...],
    instance: dict[str, Any],
    **wishes: Any,  # noqa: ANN401 - of find_image
) -> Iterator[ImageRun]:
    """As `find_image`, but the command exits with a sentence if it cannot be run."""
    with ExitStack() as stack:
        with one_sentence(ImageError, IMAGES):
            found = stack.enter_context(find_image(name, given, instance, **wishes))
        yield found


@contextmanager
def find_image(
    name: str,
    given: tuple[str, ...],
    instance: dict[str, Any],
    *,
    entrypoint: str | None,
    env: tuple[str, ...],
    workdir: str | None,
    user: str | None,
) -> Iterator[ImageRun]:
    """The image is not removed meanwhile. ImageError, OSError."""
    store = Store()
    record = store.find(str(Reference.parse(name)), instance["arch"], host_architecture())
    config = parse_config(parse_json(store.blob(record.config), "configuration"))
    command = words(config, given, entrypoint)
    with store.held(record) as layers:
        if workdir is not None:
            config = config._replace(workdir=workdir)
        if user is not None:
            config = config._replace(user=user)

        async def prepare(linux: "Linux") -> dict[str, Any]:
            return await _options(linux, config, env)

        volumes = (*_host_files(instance), *instance["volume"])
        shown = {"root": layers, "arch": record.architecture, "volume": volumes}
        yield ImageRun(command, instance | shown, prepare, config)


def _host_files(instance: dict[str, Any]) -> tuple[str, ...]:
    """Names are looked up as on the host wherever the host's network is used."""
    if instance["network"] in ("none", "loopback"):
        return ()
    return tuple(f"{path}:{path}:ro" for path in _HOST_FILES if os.path.isfile(path))  # noqa: PTH113


async def _options(linux: "Linux", config: Config, env: tuple[str, ...]) -> dict[str, Any]:
    """Those of create_subprocess_exec. OSError with a sentence."""
    files = linux.files
    try:
        user = await find_user(files, config.user)
        await make_places(files, config, user)
    except ImageError as error:
        raise OSError(errno.EINVAL, str(error)) from None
    defaults = {"HOME": user.home}
    if os.isatty(0) and os.isatty(1):
        defaults["TERM"] = os.environ.get("TERM", "xterm")
    return {
        "env": environment(env, defaults | variables(config)),
        "cwd": config.workdir or "/",
        "user": user.uid,
        "group": user.gid,
        "extra_groups": user.groups,
        "umask": 0o022,  # as Docker has it, whatever the caller's
    }
