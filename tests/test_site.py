"""The documentation site: every public name is on it, its reader reads what ours reads, its deployment files are sound.

`make docs` builds it, with warnings as errors; the blocks of its pages run in test_docs.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import replaylab as rl
from replaylab import testing
from replaylab.cli.exit_codes import INTERRUPTED
from tests.stores import quiet, simulated

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
AT = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)
COLUMNS = ["source", "seq", "game_id", "tick", "price"]


def test_every_public_name_is_on_the_api_page() -> None:
    """A name that users may rely on can be looked up, in the group of its module, and nothing else is there."""
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    listed = {
        (module, name)
        for module, names in re.findall(r"currentmodule:: (\S+)\n(.*?)~~~", page, re.DOTALL)
        for name in re.findall(r"^   (\w+)$", names, re.MULTILINE)
    }
    errors = [
        name for name, found in vars(rl.errors).items() if isinstance(found, type) and issubclass(found, Exception)
    ]
    public = {
        "replaylab": set(rl.__all__) - {"__version__", "analysis", "errors", "fair", "testing"},
        "replaylab.analysis": set(rl.analysis.__all__),
        "replaylab.fair": set(rl.fair.__all__),
        "replaylab.testing": {
            name
            for name, found in vars(testing).items()
            if name[0] != "_" and str(getattr(found, "__module__", "")).startswith("replaylab.testing")
        },
        "replaylab.errors": set(errors),
    }
    assert listed == {(module, name) for module, names in public.items() for name in names}


def theirs(store: Path) -> list[tuple[Any, ...]]:
    """What the reader on the page reads of a store."""
    page = (ROOT / "docs" / "reader.md").read_text(encoding="utf-8")
    code = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)[0]
    assert len(code.splitlines()) <= 60, "the page says sixty lines"
    names: dict[str, Any] = {}
    exec(code, names)
    rows: list[tuple[Any, ...]] = names["read_store"](store)
    return rows


def ours(store: Path) -> list[tuple[Any, ...]]:
    """What replaylab reads of it."""
    rows = rl.open_store(store).to_arrow(columns=COLUMNS).to_pylist()
    return sorted((tuple(row[name] for name in COLUMNS) for row in rows), key=lambda row: row[:2])


def test_the_reader_reads_a_damaged_and_compacted_store(tmp_path: Path) -> None:
    """Rows and exact prices of several segments, and of the one that replaces them, also when both are still there."""
    for seed in (1, 2):
        rl.simulate(tmp_path / str(seed), seed=seed, games=4, damage=["two_writers", "torn_end"])
        rl.convert(tmp_path / str(seed), tmp_path / "store", progress=False)
    assert theirs(tmp_path / "store") == ours(tmp_path / "store")
    shutil.copytree(tmp_path / "store", tmp_path / "before")
    rl.compact(tmp_path / "store")
    assert theirs(tmp_path / "store") == ours(tmp_path / "store")
    for old in (tmp_path / "before" / "segments").iterdir():
        shutil.copy(old, tmp_path / "store" / "segments")
    assert theirs(tmp_path / "store") == ours(tmp_path / "before")


@pytest.mark.parametrize("torn", [False, True])
def test_the_reader_reads_a_live_recording(tmp_path: Path, torn: bool) -> None:  # noqa: FBT001 a parameter
    """Ticks of a journal that is being written count, and the unfinished line at its end does not."""
    with rl.Recorder(tmp_path) as recorder:
        for number, price in enumerate(["1.02", "12345678901234.123456789012345678901234", "3"]):
            recorder.record(rl.Tick("g", number, AT, Decimal(price), active=True))
        shutil.copytree(tmp_path, tmp_path / "copy", ignore=shutil.ignore_patterns("copy"))
        if torn:
            for journal in (tmp_path / "copy" / "journals").glob("*.journal"):
                if journal.stat().st_size:
                    journal.write_bytes(journal.read_bytes() + b'{"type": "tick", "ga')
        assert theirs(tmp_path / "copy") == ours(tmp_path)
    assert len(theirs(tmp_path)) == 3
    assert theirs(tmp_path) == ours(tmp_path)


def test_the_reader_refuses_damage(tmp_path: Path) -> None:
    """A segment whose bytes do not give the digest in its name is not read."""
    quiet(simulated(tmp_path / "recordings"), tmp_path / "store")
    [segment] = (tmp_path / "store" / "segments").glob("*.parquet")
    data = bytearray(segment.read_bytes())
    data[100] ^= 1
    segment.write_bytes(data)
    with pytest.raises(ValueError, match="damaged"):
        theirs(tmp_path / "store")


def test_the_service_unit_is_sound(tmp_path: Path) -> None:
    """`systemd-analyze verify` finds nothing; the program that it names is the one installed here."""
    text = (DEPLOY / "replaylab-record.service").read_text(encoding="utf-8")
    installed = Path(sys.executable).parent / "replaylab"
    assert installed.exists()
    text = text.replace("/srv/replaylab/venv/bin/replaylab", str(installed))
    (tmp_path / "replaylab-record.service").write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / "replaylab-record.service"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    said = [line for line in done.stderr.splitlines() if "replaylab-record" in line]
    assert (done.returncode, said) == (0, [])


def test_the_service_unit_calls_a_command_that_exists() -> None:
    """The options in the unit are options of `replaylab record`."""
    text = (DEPLOY / "replaylab-record.service").read_text(encoding="utf-8")
    [line] = re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)
    shown = subprocess.run(
        [sys.executable, "-m", "replaylab", "record", "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "200", "NO_COLOR": "1", "PYTHONPATH": str(ROOT)},
    )
    assert line.split()[1] == "record"
    assert [option for option in line.split() if option.startswith("--") and option not in shown.stdout] == []


def test_the_service_unit_ends_well() -> None:
    """A recorder that systemd asks to end ends with the code of Ctrl-C, which is no failure of the unit."""
    text = (DEPLOY / "replaylab-record.service").read_text(encoding="utf-8")
    assert "\nKillSignal=SIGINT\n" in text
    assert f"\nSuccessExitStatus={INTERRUPTED}\n" in text


def test_the_deployment_page_installs_what_it_runs() -> None:
    """The environment that the unit starts from has the extra for feeds; the page of installing names each extra."""
    text = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    install = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    [asked] = re.findall(r"/srv/replaylab/venv/bin/pip install .*'\.\[([\w,]+)\]'", text)
    assert "live" in asked.split(",")
    table = install.partition("| extra | for |")[2].partition("\n\n")[0]
    named = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row)}
    assert named == extras.keys() - {"docs", "release", "quality", "bench", "test"}


def test_the_container_copies_files_that_exist() -> None:
    """What the Containerfile copies is in the repository, and the extras that it installs are extras of the package."""
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    copied = [name for line in re.findall(r"^COPY (?!--)(.+) \S+$", text, re.MULTILINE) for name in line.split()]
    assert len(copied) >= 5
    assert [name for name in copied if not (ROOT / name).exists()] == []
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    [asked] = re.findall(r"'\.\[([\w,]+)\]'", text)
    assert set(asked.split(",")) <= extras.keys()
    sent = set((ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines())
    assert "*" in sent, "what is not named is not sent to the builder"
    assert {line[1:] for line in sent if line.startswith("!")} == set(copied), "what is sent is what is copied"


def test_a_wheel_holds_what_the_package_consists_of() -> None:
    """Each file of the package is of a kind that is shipped; keys, settings and stores that lie there are not."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    shipped = [
        re.compile(re.escape(one[1:]).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*").replace(r"\[ch\]", "[ch]"))
        for one in build["wheel"]["include"]
    ]

    def ships(name: str) -> bool:
        return any(one.fullmatch(name) for one in shipped)

    package = ROOT / "replaylab"
    made = {"__pycache__", "kernel/replaylab_kernel.so"}
    ours = [path.relative_to(ROOT).as_posix() for path in package.rglob("*") if path.is_file()]
    ours = [name for name in ours if not any(one in name for one in made)]
    assert len(ours) > 400
    assert [name for name in ours if not ships(name)] == []
    there = [".env", "master.key", "notes", "store/segments/a.parquet", "kernel/other.so", "dashboards/monitoring/.env"]
    assert [name for name in there if ships(f"replaylab/{name}")] == []
