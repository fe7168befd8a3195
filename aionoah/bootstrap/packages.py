"""The packages of a suite, and which of them a tree needs. Their form and that of versions are the business of python-debian."""

import operator
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Final, NamedTuple

from debian.deb822 import Packages as Fields
from debian.debian_support import NativeVersion

from aionoah.bootstrap import BootstrapError
from aionoah.bootstrap.mirror import Wanted
from aionoah.bootstrap.plan import Variant

_NAME: Final = re.compile(rb"^Package: *(\S+)", re.MULTILINE)
_PROVIDES: Final = re.compile(rb"^Provides: *(.+)$", re.MULTILINE)
_REQUIRED: Final = re.compile(rb"^(?:Priority: *required|Essential: *yes) *$", re.MULTILINE)
_IMPORTANT: Final = re.compile(rb"^Priority: *important *$", re.MULTILINE)
_FORM: Final = re.compile(r"[\w.+~:/-]+")


_OPERATORS: Final = {
    "<<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">>": operator.gt,
}


class Relation(NamedTuple):
    """A package that is needed, perhaps with a comparison of versions (deb-control(5))."""

    name: str
    version: tuple[str, str] | None = None

    def fits(self, version: str) -> bool:
        if self.version is None:
            return True
        compare, bound = self.version
        return bool(_OPERATORS[compare](NativeVersion(version), NativeVersion(bound)))

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name} ({' '.join(self.version)})"


Need = tuple[Relation, ...]
"""Alternatives, the preferred one first."""


class Package(NamedTuple):
    """A version of a package."""

    name: str
    version: str
    architecture: str
    file: Wanted
    needs: tuple[Need, ...]

    @property
    def file_name(self) -> str:
        """What apt calls it."""
        version = self.version.replace(":", "%3a")
        return f"{self.name}_{version}_{self.architecture}.deb"


class Packages:
    """An index of packages. Its paragraphs are many, so only those that are asked for are parsed."""

    def __init__(self, *indices: bytes) -> None:
        self._texts: dict[str, list[bytes]] = {}
        for text in (text for index in indices for text in index.split(b"\n\n")):
            found = _NAME.search(text)
            if found is not None:
                self._texts.setdefault(found[1].decode(), []).append(text)
        self._parsed: dict[str, list[Package]] = {}

    def named(self, name: str) -> list[Package]:
        """The versions that there are, the newest first."""
        if name not in self._parsed:
            found = [_parse(text) for text in self._texts.get(name, [])]
            found.sort(key=lambda package: NativeVersion(package.version), reverse=True)
            self._parsed[name] = found
        return self._parsed[name]

    def chosen_by(self, pattern: re.Pattern[bytes]) -> list[str]:
        return [name for name, texts in self._texts.items() if any(map(pattern.search, texts))]

    @cached_property
    def _providers(self) -> dict[str, list[str]]:
        providers: dict[str, list[str]] = {}
        for name, texts in self._texts.items():
            for found in filter(None, map(_PROVIDES.search, texts)):
                for each in found[1].decode().split(","):
                    providers.setdefault(each.partition("(")[0].strip(), []).append(name)
        return providers

    def providers(self, name: str) -> list[str]:
        """The packages that stand for a name that need not be a package's."""
        return self._providers.get(name, [])


def _parse(text: bytes) -> Package:
    """BootstrapError for a paragraph that lacks what every package has."""
    fields = Fields(text.decode(errors="replace"))
    try:
        name, version, architecture = (fields[key] for key in ("Package", "Version", "Architecture"))
        file = Wanted(fields["Filename"], int(fields["Size"]), fields["SHA256"])
        needs = tuple(_needs(fields))
        NativeVersion(version)
    except (KeyError, ValueError, AttributeError, TypeError):
        raise BootstrapError(
            f"the list of packages is broken at {text[:60].decode(errors='replace')!r}"
        ) from None
    if not all(map(_FORM.fullmatch, (name, version, architecture))) or ".." in file.path.split("/"):
        raise BootstrapError(f"the list of packages has the impossible package {name!r}")
    return Package(name, version, architecture, file, needs)


def _needs(fields: Fields) -> "Iterator[Need]":
    for kind in ("pre-depends", "depends"):
        for alternatives in fields.relations[kind] or ():
            yield tuple(Relation(each["name"], each.get("version")) for each in alternatives)


def choose(packages: Packages, variant: Variant, include: Iterable[str] = ()) -> list[Package]:
    """Those that every system has, apt, what is asked for, and all that they depend upon. BootstrapError.

    As debootstrap does it, conflicts are not looked at, and of alternatives the first counts unless another one is
    chosen anyway.
    """
    wanted = [*packages.chosen_by(_REQUIRED), "apt", *include]
    if packages.named("usr-is-merged"):  # else usrmerge would be chosen, to merge what is merged
        wanted.append("usr-is-merged")
    if variant == "important":
        wanted += packages.chosen_by(_IMPORTANT)
    if variant == "buildd":
        wanted.append("build-essential")
    chosen: dict[str, Package] = {}
    for name in wanted:
        versions = packages.named(name)
        if not versions:
            raise BootstrapError(f"there is no package {name}")
        chosen[name] = versions[0]
    pending = list(chosen.values())
    while pending:
        package = pending.pop()
        for need in package.needs:
            found = _answer(packages, chosen, need)
            if found is None:
                raise BootstrapError(
                    f"{package.name} needs {' or '.join(map(str, need))}, which is not there"
                )
            if found.name not in chosen:
                chosen[found.name] = found
                pending.append(found)
    return [chosen[name] for name in sorted(chosen)]


def _answer(packages: Packages, chosen: dict[str, Package], need: Need) -> Package | None:
    """The package that satisfies a relation, by preference one that is chosen already."""
    for each in need:
        for name in (each.name, *packages.providers(each.name)):
            known = chosen.get(name)
            if known is not None and (name != each.name or each.fits(known.version)):
                return known
    for each in need:
        for package in packages.named(each.name):
            if each.fits(package.version):
                return package
        for name in packages.providers(each.name):
            return packages.named(name)[0]
    return None
