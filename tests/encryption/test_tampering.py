"""Tampering: files of every kind are flipped, cut and swapped at random; none is accepted, and no process aborts."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import xxhash

import replaylab as rl
from replaylab.encryption.kms import FileKey
from replaylab.errors import ReplayLabError, SegmentDamaged
from replaylab.segments.digest import file_digest, footer_bytes
from tests.crash.scale import SCALE

TRIES = 40 * SCALE


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a key and an encrypted store of three segments and their remarks."""
    folder = tmp_path_factory.mktemp("tampering")
    key = FileKey(folder / "key", create=True)
    for seed in (1, 2, 3):
        rl.simulate(folder / f"{seed}", games=1, seed=seed, damage="two_writers")
        rl.convert(folder / f"{seed}", folder / "vault", progress=False, kms=key)
    return folder


def _flipped(path: Path, other: Path, chance: random.Random) -> None:
    del other
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 1, 2, 9))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def _cut(path: Path, other: Path, chance: random.Random) -> None:
    del other
    content = path.read_bytes()
    start, end = sorted(chance.sample(range(len(content) + 1), 2))
    path.write_bytes(content[:start] + content[end:] if chance.random() < 0.5 else content[:end][: len(content) - 1])


def _swapped(path: Path, other: Path, chance: random.Random) -> None:
    content, foreign = path.read_bytes(), other.read_bytes()
    size = min(len(content), len(foreign))
    start, end = sorted(chance.sample(range(size + 1), 2))
    start, end = (0, size) if chance.random() < 0.3 else (start, end)
    path.write_bytes(content[:start] + foreign[start:end] + content[end:])


def _named_anew(path: Path) -> Path:
    """Make the digests in a name those of the bytes, as an attacker would."""
    salt, *digests = path.name.removeprefix("sealed_").removesuffix(".parquet").split("_")
    made = [xxhash.xxh3_64_hexdigest(footer_bytes(path)), file_digest(path)]
    return path.rename(path.with_name(f"sealed_{'_'.join([salt, *made[-len(digests) :]])}.parquet"))


@pytest.mark.parametrize("how", [_flipped, _cut, _swapped])
def test_no_altered_file_is_accepted(
    made: Path, tmp_path: Path, how: Callable[[Path, Path, random.Random], None]
) -> None:
    """With digests made anew in every second try: rows are refused, or equal to what was written."""
    key, chance = FileKey(made / "key"), random.Random(how.__name__)
    rows = rl.open_store(made / "vault", kms=key).to_arrow().to_pylist()
    written = {repr(sorted(row.items())) for row in rows}
    refused = 0
    for number in range(TRIES):
        root = tmp_path / "vault"
        shutil.copytree(made / "vault", root)
        files = sorted((root / chance.choice(("segments", "segments", "remarks"))).iterdir())
        path, other = chance.sample(files, 2)
        before = path.read_bytes()
        how(path, other, chance)
        changed = path.read_bytes() != before
        if number % 2 and changed and path.stat().st_size > 8:
            path = _named_anew(path)
        store = rl.open_store(root, kms=key)
        verified = store.verify()
        try:
            found = store.to_arrow().to_pylist()
            store.remarks()
        except SegmentDamaged:
            found = []
        assert {repr(sorted(row.items())) for row in found} <= written
        assert len(found) in {0, len(rows)}
        assert not verified.ok or len(found) == len(rows), (number, path)  # bytes that no reader looks at
        refused += not verified.ok
        shutil.rmtree(root)
    assert refused >= TRIES * 0.9


def test_no_altered_keys_file_is_accepted(made: Path, tmp_path: Path) -> None:
    """Whatever is done to `keys.json`, it opens the store as it is or not at all."""
    key, chance = FileKey(made / "key"), random.Random(7)
    rows = rl.open_store(made / "vault", kms=key).rows
    root = tmp_path / "vault"
    shutil.copytree(made / "vault", root)
    document = (root / "keys.json").read_bytes()
    for _ in range(TRIES):
        (root / "keys.json").write_bytes(document)
        chance.choice((_flipped, _cut))(root / "keys.json", root, chance)
        try:
            found = rl.open_store(root, kms=key).rows
        except ReplayLabError:
            continue
        assert found == rows
