"""The guest boundary: thin handlers, one file per man-page family, and what decodes and calls them."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Final

_MACHINERY: Final = frozenset({"arguments", "decode", "dispatch", "homes", "registry", "results", "support"})


def load_handlers() -> None:
    """Import every handler module, so that the registry is complete. Cheap the second time."""
    for module in iter_modules(__path__):
        if module.name not in _MACHINERY and not module.name.startswith("strace"):
            import_module(f"{__name__}.{module.name}")
