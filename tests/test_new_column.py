"""New column: a column of a tick is one entry in the schema and one in the dialects: tried on a copy of the package."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

import replaylab as rl
from tests.stores import line, quiet

PACKAGE = Path(rl.__file__).parent
SCHEMA_ENTRY = '    Column("{name}", {kind}, nullable=True, since=2, stated=True),\n'
DIALECT_ENTRY = '    "{name}": FurtherField("{name}", "{captured}", {check}),\n'

CODE = """
import json, sys
import replaylab as rl
folder, name = sys.argv[1:]
rl.convert(folder + "/new.jsonl", folder + "/store", progress=False)
store = rl.open_store(folder + "/store")
checked = store.verify()
assert checked.ok, str(checked)
found = {"arrow": store.to_arrow([name], games="new")[name].to_pylist()}
frame = store.to_pandas(columns=[name], games="new", prices="decimal")
found["pandas"] = [value if there else None for value, there in zip(frame[name].astype(object), frame[name].notna())]
found["sql"] = store.sql(f"SELECT {name} FROM ticks WHERE game_id = 'new' ORDER BY seq")[name].to_pylist()
found["game"] = store["new"].ticks()[name].to_pylist()
with rl.ReplayEngine(store["new"]) as engine:
    found["replayed"] = [engine.seek(at) and None or engine.current.value(name) for at in range(len(store["new"]))]
old = store.to_arrow([name], games="old")[name]
assert old.null_count == len(old) > 0
from replaylab.exports.export import export
export(store, folder + "/again.jsonl", games=["new"])
rl.convert(folder + "/again.jsonl", folder + "/twice", progress=False)
found["exported"] = rl.open_store(folder + "/twice").to_arrow([name])[name].to_pylist()
rl.compact(folder + "/store", progress=False)
store = rl.open_store(folder + "/store")
assert store.verify().ok and store.verify().rows_digest == checked.rows_digest
found["compacted"] = store.to_arrow([name], games="new")[name].to_pylist()
print(json.dumps(found, default=str))
"""


def package_with(folder: Path, name: str, kind: str, check: str) -> Path:
    """Copy the package and add the two entries of a column to it."""
    shutil.copytree(PACKAGE, folder / "replaylab", ignore=shutil.ignore_patterns("__pycache__"))
    for file, place, entry in (
        ("table.py", '    Column("repaired", pa.bool_()),\n', SCHEMA_ENTRY.format(name=name, kind=kind)),
        ("parsing/json_line.py", "FURTHER_FIELDS: Final[dict[str, FurtherField]] = {", DIALECT_ENTRY),
    ):
        path = folder / "replaylab" / file
        text = path.read_text(encoding="utf-8")
        assert text.count(place) == 1
        added = ("\n" if place.endswith("{") else "") + entry.format(name=name, kind=kind, check=check, captured=name)
        path.write_text(text.replace(place, place + added), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("kind", "check", "values"),
    [
        ("pa.int32()", "lambda field, value: checked_int(field, value, 0)", [3, None, 0, 2_000_000_000]),
        ("NAME_TYPE", "checked_text", ["a", None, "\u00fc", "a"]),
        (
            "PRICE_TYPE",
            "lambda field, value: checked_price(value, field)",
            ["1.50", None, f"0.{1:024}", "2"],
        ),
        ("pa.bool_()", "checked_bool", [True, None, False, True]),
    ],
)
def test_a_column_is_two_entries(tmp_path: Path, kind: str, check: str, values: list[object]) -> None:
    """Two lines in two files, and it is converted, stored, verified, read back, replayed and compacted; old segments
    stay readable, and keep the digest of their rows.
    """
    (tmp_path / "old.jsonl").write_bytes(b"".join(line("old", tick) for tick in range(3)))
    quiet(tmp_path / "old.jsonl", tmp_path / "store")
    lines = [
        line("new", tick) if value is None else line("new", tick, stake=value) for tick, value in enumerate(values)
    ]
    (tmp_path / "new.jsonl").write_bytes(b"".join(lines))
    package = package_with(tmp_path / "package", "stake", kind, check)
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path), "stake"],
        env={**os.environ, "PYTHONPATH": str(package)},
        cwd=package,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    expected = [None if value is None else kept(value) for value in values]
    for way, found in json.loads(done.stdout).items():
        assert [None if value is None else kept(value) for value in found] == expected, way


def kept(value: object) -> object:
    """Return a value as one that compares: the text of a price as a Decimal."""
    return Decimal(value) if isinstance(value, str) and value[:1].isdecimal() else value
