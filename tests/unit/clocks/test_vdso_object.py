"""The vDSO's ELF objects: what C libraries and Go look for in them, and that they are what the source says."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerDefSection, GNUVerSymSection
from elftools.elf.sections import SymbolTableSection
from harness.guest import need_tool

from aionoah.clocks.clock import TICK_NS
from aionoah.clocks.vdso import object_path

SOURCE = Path(object_path("x86_64")).parent / "src"
ARCHITECTURES = {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64"}
SYMBOLS = {
    "x86_64": {"clock_gettime", "clock_getres", "gettimeofday", "time", "getcpu"},
    "aarch64": {"clock_gettime", "clock_getres", "gettimeofday", "rt_sigreturn"},
}
PREFIX = {"x86_64": "__vdso_", "aarch64": "__kernel_"}
VERSION = {"x86_64": "LINUX_2.6", "aarch64": "LINUX_2.6.39"}
PAGE_SIZE = 4096


@pytest.fixture(params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def elf(architecture: str) -> Iterator[ELFFile]:
    with Path(object_path(architecture)).open("rb") as stream:
        yield ELFFile(stream)


def functions(elf: ELFFile) -> dict[str, int]:
    """Addresses of the dynamic symbols that C libraries accept."""
    table = elf.get_section_by_name(".dynsym")
    assert isinstance(table, SymbolTableSection)
    return {
        symbol.name: symbol["st_value"]
        for symbol in table.iter_symbols()
        if symbol["st_info"]["type"] == "STT_FUNC"
        and symbol["st_info"]["bind"] in ("STB_GLOBAL", "STB_WEAK")
        and symbol["st_shndx"] != "SHN_UNDEF"
    }


def dynamic(elf: ELFFile) -> DynamicSegment:
    (segment,) = (segment for segment in elf.iter_segments() if segment["p_type"] == "PT_DYNAMIC")
    return segment


def test_is_a_shared_object_of_its_architecture(elf: ELFFile, architecture: str) -> None:
    assert elf["e_type"] == "ET_DYN"
    assert elf["e_machine"] == ARCHITECTURES[architecture]
    assert elf.elfclass == 64
    assert elf.little_endian


def test_is_one_segment_that_begins_with_the_header(elf: ELFFile) -> None:
    (segment,) = (segment for segment in elf.iter_segments() if segment["p_type"] == "PT_LOAD")
    assert (segment["p_offset"], segment["p_vaddr"]) == (0, 0)
    assert segment["p_flags"] == 5
    assert segment["p_filesz"] == segment["p_memsz"]
    assert segment["p_memsz"] <= PAGE_SIZE


def test_has_the_name_and_the_tables_that_are_looked_for(elf: ELFFile) -> None:
    tags = {tag.entry.d_tag: tag for tag in dynamic(elf).iter_tags()}
    assert tags["DT_SONAME"].soname == "linux-vdso.so.1"
    assert {"DT_HASH", "DT_GNU_HASH", "DT_SYMTAB", "DT_STRTAB", "DT_VERSYM", "DT_VERDEF"} <= set(tags)


def test_needs_no_loader(elf: ELFFile) -> None:
    tags = {tag.entry.d_tag for tag in dynamic(elf).iter_tags()}
    assert (
        not {
            "DT_REL",
            "DT_RELA",
            "DT_RELR",
            "DT_JMPREL",
            "DT_TEXTREL",
            "DT_NEEDED",
            "DT_INIT",
            "DT_INIT_ARRAY",
        }
        & tags
    )


def test_has_the_symbols(elf: ELFFile, architecture: str) -> None:
    found = functions(elf)
    wanted = {PREFIX[architecture] + name for name in SYMBOLS[architecture]}
    aliases = SYMBOLS[architecture] if architecture == "x86_64" else set()
    assert set(found) == wanted | aliases
    assert all(found[name] == found[PREFIX[architecture] + name] for name in aliases)


def test_symbols_have_the_version(elf: ELFFile, architecture: str) -> None:
    definitions = elf.get_section_by_name(".gnu.version_d")
    versions = elf.get_section_by_name(".gnu.version")
    symbols = elf.get_section_by_name(".dynsym")
    assert isinstance(definitions, GNUVerDefSection)
    assert isinstance(versions, GNUVerSymSection)
    names = {
        definition["vd_ndx"]: next(auxiliary).name for definition, auxiliary in definitions.iter_versions()
    }
    assert set(names.values()) == {"linux-vdso.so.1", VERSION[architecture]}
    for index, symbol in enumerate(symbols.iter_symbols()):
        if symbol["st_info"]["type"] == "STT_FUNC":
            assert names[versions.get_symbol(index)["ndx"]] == VERSION[architecture]


@pytest.mark.parametrize("kind", [".hash", ".gnu.hash"])
def test_hash_tables_lead_to_the_symbols(elf: ELFFile, architecture: str, kind: str) -> None:
    table = elf.get_section_by_name(kind)
    for name, address in functions(elf).items():
        assert table.get_symbol(name)["st_value"] == address
    assert table.get_symbol("__vdso_nothing") is None


def test_entry_is_where_signal_handlers_return_to(elf: ELFFile, architecture: str) -> None:
    """`mov x8, #__NR_rt_sigreturn; svc #0`, with an instruction before it for unwinders to look at."""
    if architecture == "x86_64":
        assert elf["e_entry"] == 0
        return
    assert elf["e_entry"] == functions(elf)["__kernel_rt_sigreturn"]
    elf.stream.seek(elf["e_entry"] - 4)
    assert elf.stream.read(12).hex() == "1f2003d5681180d2010000d4"


def test_unwinders_get_through_the_trampoline(architecture: str) -> None:
    if architecture == "x86_64":
        return
    with Path(object_path(architecture)).open("rb") as stream:
        elf = ELFFile(stream)
        entries = elf.get_dwarf_info().EH_CFI_entries()
        entry = functions(elf)["__kernel_rt_sigreturn"]
        (found,) = (
            fde
            for fde in entries
            if "initial_location" in fde.header
            and fde["initial_location"] < entry < fde["initial_location"] + fde["address_range"]
        )
        assert b"S" in found.cie["augmentation"], "not a signal frame"
        row = found.get_decoded().table[-1]
        assert (row["cfa"].reg, row["cfa"].offset) == (29, 0)
        assert (row[29].arg, row[30].arg) == (0, 8)


def test_coarse_clocks_tick_like_the_kernel_s() -> None:
    assert f"#define TICK_NS {TICK_NS}u" in (SOURCE / "vdso.c").read_text()


# -- the source ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for architecture in ARCHITECTURES:
        need_tool(f"{architecture}-linux-gnu-gcc")
    directory = tmp_path_factory.mktemp("vdso")
    subprocess.run([SOURCE / "build.sh", directory], check=True)
    return directory


def test_the_source_gives_the_same_symbols(rebuilt: Path, elf: ELFFile, architecture: str) -> None:
    with (rebuilt / f"{architecture}.vdso").open("rb") as stream:
        again = ELFFile(stream)
        assert set(functions(again)) == set(functions(elf))
        assert {tag.entry.d_tag for tag in dynamic(again).iter_tags()} == {
            tag.entry.d_tag for tag in dynamic(elf).iter_tags()
        }


def test_the_same_compiler_gives_the_same_bytes(rebuilt: Path, architecture: str) -> None:
    versions = (SOURCE / "versions").read_text().splitlines()
    if compiler_version(architecture) not in versions:
        pytest.skip(f"the object was made by {versions}")
    assert (rebuilt / f"{architecture}.vdso").read_bytes() == Path(object_path(architecture)).read_bytes()


def test_building_does_not_depend_on_the_place(rebuilt: Path, tmp_path: Path, architecture: str) -> None:
    shutil.copytree(SOURCE, tmp_path / "clocks/vdso/src")
    native = SOURCE.parents[2] / "hypervisor/native"
    (tmp_path / "hypervisor").mkdir()
    (tmp_path / "hypervisor/native").symlink_to(native)
    subprocess.run([tmp_path / "clocks/vdso/src/build.sh"], check=True)
    moved = tmp_path / f"clocks/vdso/{architecture}.vdso"
    assert moved.read_bytes() == (rebuilt / moved.name).read_bytes()


def compiler_version(architecture: str) -> str:
    """Its first line, with the linker's."""
    tools = [f"{architecture}-linux-gnu-{tool}" for tool in ("gcc", "ld")]
    lines = [
        subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout
        for tool in tools
    ]
    return ", ".join(line.splitlines()[0] for line in lines)
