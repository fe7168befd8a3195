"""Which packages a tree needs."""

import pytest

from aionoah.bootstrap import BootstrapError
from aionoah.bootstrap.packages import Packages, Relation, choose


def index(*paragraphs: dict[str, str]) -> Packages:
    texts = []
    for fields in paragraphs:
        name = fields["Package"]
        common = {"Version": "1", "Architecture": "all", "Filename": f"pool/{name}.deb", "Size": "1"}
        said = {**common, "SHA256": "0" * 64, **fields}
        texts.append("".join(f"{key}: {text}\n" for key, text in said.items()))
    return Packages("\n".join(texts).encode())


def names(packages: Packages, *include: str, variant: str = "minbase") -> list[str]:
    return [package.name for package in choose(packages, variant, include)]  # type: ignore[arg-type]


APT = {"Package": "apt"}


def test_required_and_essential_packages_and_what_they_need() -> None:
    packages = index(
        APT,
        {"Package": "base", "Priority": "required", "Depends": "lib (>= 1), tool:any"},
        {"Package": "lib", "Pre-Depends": "libc"},
        {"Package": "libc"},
        {"Package": "tool"},
        {"Package": "shell", "Essential": "yes"},
        {"Package": "editor", "Priority": "important"},
        {"Package": "game"},
    )
    assert names(packages) == ["apt", "base", "lib", "libc", "shell", "tool"]
    assert "editor" in names(packages, variant="important")
    assert "game" in names(packages, "game")


def test_of_alternatives_the_first_counts_unless_another_is_there() -> None:
    one, two = {"Package": "one"}, {"Package": "two"}
    need = {"Package": "base", "Priority": "required", "Depends": "one | two"}
    assert names(index(APT, need, one, two)) == ["apt", "base", "one"]
    assert names(index(APT, need, one, {**two, "Priority": "required"})) == ["apt", "base", "two"]
    assert names(index(APT, need, two)) == ["apt", "base", "two"]


def test_names_that_packages_stand_for() -> None:
    need = {"Package": "base", "Priority": "required", "Depends": "awk"}
    small = {"Package": "mawk", "Provides": "something, awk (= 3)"}
    large = {"Package": "gawk", "Provides": "awk"}
    assert names(index(APT, need, small, large)) == ["apt", "base", "mawk"]
    assert names(index(APT, need, small, {**large, "Priority": "required"})) == ["apt", "base", "gawk"]


def test_usr_is_merged_already() -> None:
    need = {"Package": "base", "Priority": "required", "Depends": "usrmerge | usr-is-merged"}
    packages = index(APT, need, {"Package": "usrmerge"}, {"Package": "usr-is-merged"})
    assert names(packages) == ["apt", "base", "usr-is-merged"]


def test_the_newest_version_that_fits() -> None:
    versions = [{"Package": "lib", "Version": version} for version in ("1:0.9", "2.0~rc1", "2.0", "1.5-3")]
    packages = index(APT, {"Package": "base", "Priority": "required", "Depends": "lib (<< 2.0)"}, *versions)
    assert [package.version for package in choose(packages, "minbase") if package.name == "lib"] == [
        "2.0~rc1"
    ]
    assert packages.named("lib")[0].version == "1:0.9"
    assert packages.named("lib")[0].file_name == "lib_1%3a0.9_all.deb"


@pytest.mark.parametrize(
    ("compare", "bound", "fits"),
    [
        ("<<", "2", True),
        ("<<", "1.5", False),
        ("<=", "1.5", True),
        ("=", "1.5", True),
        (">=", "1.5", True),
        (">>", "1.5", False),
    ],
)
def test_comparisons(compare: str, bound: str, fits: bool) -> None:
    assert Relation("lib", (compare, bound)).fits("1.5") is fits


@pytest.mark.parametrize(
    ("paragraph", "sentence"),
    [
        ({"Depends": "nothing (>= 3)"}, r"base needs nothing \(>= 3\), which is not there"),
        ({"Depends": "nothing | nobody"}, "base needs nothing or nobody, which is not there"),
        ({"Size": "many"}, "the list of packages is broken at 'Version: 1"),
        ({"Filename": "../../etc/passwd"}, "impossible package"),
        ({"Version": "1/../2"}, "the list of packages"),
        ({"Architecture": "a b"}, "impossible package"),
    ],
)
def test_what_is_wrong(paragraph: dict[str, str], sentence: str) -> None:
    with pytest.raises(BootstrapError, match=sentence):
        names(index(APT, {"Package": "base", "Priority": "required", **paragraph}))


def test_packages_that_do_not_exist() -> None:
    with pytest.raises(BootstrapError, match="there is no package game"):
        names(index(APT), "game")
    with pytest.raises(BootstrapError, match="there is no package apt"):
        names(Packages(b"", b"nonsense\n\nmore: nonsense\n"))
