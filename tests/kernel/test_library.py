"""Building and loading: a library that does not fit is not used, and nothing is missing without one."""

from __future__ import annotations

import ctypes
import re
import shutil
import sys
from pathlib import Path
from typing import Final

import pytest

from replaylab.kernel import build as building
from replaylab.kernel import library as loader

FOLDER: Final = Path(building.__file__).parent
load_anew = loader.load.__wrapped__


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the loader looks for the library."""
    monkeypatch.setattr(loader, "__file__", str(tmp_path / "library.py"))
    return tmp_path


def test_what_was_built_is_loaded(folder: Path) -> None:
    """The library that the compiler makes loads, and says its version."""
    building.build(folder / loader.FILE_NAME)
    library = load_anew()
    assert library is not None
    assert library.replaylab_kernel_version() == loader.VERSION


def test_no_library_is_no_error(folder: Path) -> None:
    """Where nothing was built there is nothing to load."""
    assert list(folder.iterdir()) == []
    assert load_anew() is None


def test_a_file_that_is_no_library_is_not_used(folder: Path) -> None:
    """A file that cannot be loaded, such as one for another machine, is left alone."""
    (folder / loader.FILE_NAME).write_bytes(b"\x7fELF for another machine")
    assert load_anew() is None


def test_another_version_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library built from sources of another version is not called."""
    building.build(folder / loader.FILE_NAME)
    monkeypatch.setattr(loader, "VERSION", loader.VERSION + 1)
    assert load_anew() is None


def test_a_big_endian_machine_uses_numpy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel reads words as little-endian machines hold them, and is not used elsewhere."""
    building.build(folder / loader.FILE_NAME)
    monkeypatch.setattr(sys, "byteorder", "big")
    assert load_anew() is None


def test_no_compiler_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a compiler the build says what to install."""
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(building.KernelNotBuilt, match="no C compiler was found"):
        building.build(tmp_path / "made.so")


def test_a_compiler_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the compiler refuses is in the message, and no half-made file is left."""
    monkeypatch.setattr(building, "SOURCES", ("absent.c",))
    with pytest.raises(building.KernelNotBuilt, match=re.escape("absent.c")):
        building.build(tmp_path / "made.so")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("struct", "in_c"),
    [
        (loader.PieceStruct, "struct piece"),
        (loader.LayoutStruct, "struct layout"),
        (loader.ColumnsStruct, "struct columns"),
        (loader.WordColumnStruct, "struct word_column"),
    ],
)
def test_structures_are_those_of_the_header(struct: type[ctypes.Structure], in_c: str, tmp_path: Path) -> None:
    """Python and C agree on the size of every structure and on the order of its fields."""
    header = (FOLDER / "kernel.h").read_text(encoding="utf-8")
    body = header.split(f"{in_c} {{", 1)[1].split("};", 1)[0]
    named = re.findall(r"(\w+)(?:\[[^\]]*\])?;", re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL))
    assert [name for name, *_ in struct._fields_] == named
    source = f'#include "kernel.h"\nint size(void) {{ return (int)sizeof({in_c}); }}\n'
    (tmp_path / "size.c").write_text(source, encoding="utf-8")
    shutil.copy(FOLDER / "kernel.h", tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "__file__", str(tmp_path / "build.py"))
        patch.setattr(building, "SOURCES", ("size.c",))
        made = building.build(tmp_path / "size.so")
    assert ctypes.CDLL(str(made)).size() == ctypes.sizeof(struct)


@pytest.mark.parametrize("name", ["LONGEST_FRAME", "MOST_PIECES", "MOST_PHASES"])
def test_bounds_are_those_of_the_header(name: str) -> None:
    """Python allots what the header says that C fills."""
    header = (FOLDER / "kernel.h").read_text(encoding="utf-8")
    found = re.search(rf"\b{name} = (\d+)", header)
    assert found
    assert int(found[1]) == getattr(loader, name)
