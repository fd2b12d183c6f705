"""Encrypted journals: every tick comes back, nothing is in the clear, no nonce is used twice, no change is accepted."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import replaylab as rl
from replaylab.encryption import lines as sealed_lines
from replaylab.encryption.document import ENCRYPTING
from replaylab.encryption.keys import make_keys
from replaylab.encryption.kms import FileKey
from replaylab.encryption.lines import SealedLines, sealed_size
from replaylab.errors import KeyMissing, Tampered
from replaylab.journals.encoder import closed
from replaylab.journals.format import scan
from replaylab.journals.sealed import scan_sealed
from replaylab.recording.refusals import Refusals
from replaylab.tick import parse_time
from tests.crash.scale import SCALE
from tests.recordings import left_behind

TICKS = 60
MARKER = "20310102-feedfacecafebeef"
PRICE = "1.0700123456789"


@pytest.fixture(autouse=True)
def no_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that this machine has set must open nothing here."""
    monkeypatch.delenv("REPLAYLAB_KEY", raising=False)
    monkeypatch.delenv("REPLAYLAB_KEY_FILE", raising=False)


@pytest.fixture
def key(tmp_path: Path) -> FileKey:
    """Return a new master key."""
    return FileKey(tmp_path / "key", create=True)


def ticks(count: int = TICKS, first: int = 0) -> list[rl.Tick]:
    """Return ticks of one game."""
    at = parse_time("2031-01-02T03:04:05")
    return [rl.Tick(MARKER, first + number, at, Decimal(PRICE)) for number in range(count)]


def left_by_a_kill(store: Path, count: int, **options: Any) -> Path:
    """Record ticks in a child that is killed; return the store."""
    child = os.fork()
    if child == 0:
        try:
            recorder = rl.Recorder(store, **options)
            for tick in ticks(count):
                recorder.record(tick)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    return store


@pytest.fixture
def left(tmp_path: Path, key: FileKey) -> Path:
    """Return a store with one journal that a killed recorder has left, in which there are `TICKS` ticks."""
    return left_by_a_kill(tmp_path / "vault", TICKS, kms=key)


def journal(store: Path) -> Path:
    """Return the journal of a store that holds ticks."""
    return max((store / "journals").glob("*.journal"), key=lambda path: path.stat().st_size)


def test_live_journal_is_read_by_another_process(tmp_path: Path, key: FileKey) -> None:
    """Before it is sealed, while it grows, and afterwards; `recordings` and `verify` as in plain."""
    store = tmp_path / "vault"
    with rl.Recorder(store, kms=key) as recorder:
        recorder.record_many(ticks(30))
        opened = rl.open_store(store, kms=key)
        assert opened.rows == 30
        recorder.record_many(ticks(30, first=30))
        assert opened.rows == 60
        assert opened.verify().ok
        assert [one.state for one in opened.recordings()] == ["open"]
        assert opened.game(MARKER).ticks()["price"].to_pylist()[0] == ticks(1)[0].price
    sealed = rl.open_store(store, kms=key)
    assert sealed.verify().ok
    assert [(one.state, one.ticks) for one in sealed.recordings()] == [("clean", 60)]


def test_nothing_is_in_the_clear(left: Path, key: FileKey) -> None:
    """Neither in the journal nor in the status; every file is its owner's alone."""
    for path in [left, *left.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
        content = b"" if path.is_dir() else path.read_bytes()
        assert not any(mark.encode() in content or mark in path.name for mark in (MARKER, PRICE)), path


def test_status_is_encrypted_and_read_with_the_key(tmp_path: Path, key: FileKey) -> None:
    """It names the game that is recorded; without the key, or altered, it says nothing."""
    with rl.Recorder(tmp_path / "vault", kms=key) as recorder:
        recorder.record_many(ticks(3))
    (path,) = (tmp_path / "vault" / "status").iterdir()
    assert path.read_bytes().startswith(b"RLE1")
    assert [(one.state, one.accepted) for one in rl.status(tmp_path / "vault", kms=key).runs] == [("closed", 3)]
    with pytest.raises(KeyMissing):
        rl.status(tmp_path / "vault")
    path.write_bytes(b'{"type": "replaylab_status", "format": 1, "state": "recording"}')
    with pytest.raises(Tampered, match="is not encrypted, and this store is"):
        rl.status(tmp_path / "vault", kms=key)


def test_recovery_seals_what_a_kill_left(left: Path, key: FileKey) -> None:
    """Opening with the key is all there is to it; without it nothing is touched."""
    before = journal(left).read_bytes()
    with pytest.raises(KeyMissing):
        rl.open_store(left)
    with pytest.raises(KeyMissing):
        rl.recover(left)
    with pytest.raises(KeyMissing):
        rl.Recorder(left)
    assert journal(left).read_bytes() == before
    report = rl.recover(left, kms=key)
    assert (report.ok, report.ticks) == (True, TICKS)
    assert rl.open_store(left, kms=key).verify().ok


def test_marks_and_cursors_come_back(tmp_path: Path, key: FileKey) -> None:
    """What lies beside the ticks is encrypted with them, and read as in plain."""
    from replaylab.mark import Mark, MarkKind

    store = tmp_path / "vault"
    with rl.Recorder(store, kms=key) as recorder:
        recorder.record_many(ticks(3))
        recorder.mark(Mark(MarkKind.GAP, parse_time("2031-01-02T03:04:06"), MARKER, "lane", {"cause": "stall"}))
        recorder.record_many(ticks(3, first=3))
    assert [one.kind for one in rl.open_store(store, kms=key).marks("gap")] == [MarkKind.GAP]
    with rl.Recorder(rl.open_store(store, kms=key)) as recorder:
        assert recorder.lane("a").cursor is None


@pytest.mark.parametrize("durability", ["group", "tick", "none"])
def test_lines_written_again_are_encrypted_again(tmp_path: Path, key: FileKey, durability: Any) -> None:
    """A write that fails goes on in another journal, under its own salt, whether or not lines are kept."""
    store, real, calls = tmp_path / "vault", os.fsync, iter(range(10**6))

    def failing(descriptor: int) -> None:
        if next(calls) % 7 == 6:
            raise OSError(5, "input/output error")
        real(descriptor)

    settings = rl.Settings(buffer_ticks=10, max_failures=100)
    recorder = rl.Recorder(store, kms=key, settings=settings, durability=durability)
    with mock.patch.object(os, "fsync", failing):
        accepted = sum(recorder.record(tick).accepted for tick in ticks())
    recorder.stop()
    opened = rl.open_store(store, kms=key)
    assert opened.rows == accepted > 0
    assert opened.verify().ok


def test_no_lines_are_no_bytes(tmp_path: Path, key: FileKey) -> None:
    """Nothing to write is encrypted as nothing; the empty line that earlier releases made of it is blank."""
    keys = make_keys(tmp_path, key)
    lines = SealedLines(keys, "journal")
    assert lines.seal(b"") == b""
    assert sealed_size(b"") == 0
    empty = lines.seal(b"\n")
    opening = SealedLines(keys, "journal", lines.salt)
    for data in (empty, b"~" + empty):  # by itself, and inside a damaged line
        found = scan_sealed(data, opening)
        assert (found.blank_bytes, found.line_count) == (len(empty), 1)


def test_store_that_was_moved_is_made_again_with_its_keys(tmp_path: Path, key: FileKey) -> None:
    """The recorder writes `keys.json` again, without which nothing it writes could be read."""
    store = tmp_path / "vault"
    recorder = rl.Recorder(store, kms=key)
    recorder.record_many(ticks(20))
    recorder.flush()
    store.rename(tmp_path / "moved")
    recorder.record_many(ticks(20, first=20))
    recorder.stop()
    assert rl.open_store(store, kms=key).rows == 40
    assert rl.open_store(store, kms=key).verify().ok


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def _flip(lines: list[bytes], chance: random.Random) -> None:
    at = chance.randrange(2, len(lines))
    line = bytearray(lines[at])
    line[chance.randrange(len(line) - 1)] ^= 1 << chance.randrange(7)
    lines[at] = bytes(line)


def _drop(lines: list[bytes], chance: random.Random) -> None:
    del lines[chance.randrange(2, len(lines) - 1)]


def _repeat(lines: list[bytes], chance: random.Random) -> None:
    lines.insert(chance.randrange(3, len(lines)), lines[chance.randrange(2, 3)])


def _swap(lines: list[bytes], chance: random.Random) -> None:
    first, second = chance.sample(range(2, len(lines)), 2)
    lines[first], lines[second] = lines[second], lines[first]


def _plain_tick(lines: list[bytes], chance: random.Random) -> None:
    from replaylab.journals.encoder import Encoder

    run = json.loads(lines[0])["run"]
    lines.insert(chance.randrange(2, len(lines)), Encoder(run).line(ticks(1)[0], chance.randrange(TICKS)))


@pytest.mark.parametrize("how", [_flip, _drop, _repeat, _swap, _plain_tick])
@pytest.mark.parametrize("seed", range(3))
def test_changed_lines_are_noticed(left: Path, key: FileKey, how: Callable[..., None], seed: int) -> None:
    """No tick is altered and at most one is lost; `verify` fails before and after the journal is sealed."""
    path, chance = journal(left), random.Random(seed)
    lines = _lines(path)
    how(lines, chance)
    path.write_bytes(b"".join(lines))
    store = rl.Store(left, kms=key)
    seqs = store.to_arrow(["seq"])["seq"].to_pylist()
    assert len(set(seqs)) == len(seqs) >= TICKS - 1
    assert set(store.to_arrow(["price"])["price"].to_pylist()) == {ticks(1)[0].price}
    assert not store.verify().ok
    sealed = rl.open_store(left, kms=key)
    assert sealed.to_arrow(["seq"])["seq"].to_pylist() == sorted(seqs)
    assert any("encrypted lines were altered, moved, repeated or taken out" in one for one in sealed.verify().problems)


def test_flip_in_either_header_costs_nothing(left: Path, key: FileKey) -> None:
    """The header stands there twice: without its salt no line could be opened."""
    path = journal(left)
    content = path.read_bytes()
    first = content.index(b"\n")
    for at in (*range(0, first, 17), *range(first + 1, 2 * first, 17)):
        flipped = bytearray(content)
        flipped[at] ^= 1
        path.write_bytes(flipped)
        assert rl.Store(left, kms=key).rows == TICKS


@pytest.mark.parametrize("forged", [False, True])
def test_journal_without_an_authentic_header_stays_as_it_is(left: Path, key: FileKey, forged: bool) -> None:  # noqa: FBT001
    """It is named, the rest of the store is read, and it is neither sealed nor set aside; a checksum is no seal."""
    path = journal(left)
    lines = _lines(path)
    header = lines[0].replace(b'"first_seq": 0', b'"first_seq": 9')
    if forged:
        header = closed(header[: header.rindex(b', "crc"')], 0)
        assert [one.first_seq for one in scan(header).headers] == [9]
    path.write_bytes(b"".join([header, header, *lines[2:]] if forged else [header, *lines[2:]]))
    changed = path.read_bytes()
    store = rl.open_store(left, kms=key)
    assert store.rows == 0
    assert "neither of its first two lines is a header" in store.damaged[path.name]
    assert not store.verify().ok
    assert path.read_bytes() == changed


def test_plain_journal_put_in_is_not_read(left: Path, key: FileKey, tmp_path: Path) -> None:
    """Unless the store is just being encrypted, in which case it is sealed like any other."""
    plain = left_by_a_kill(tmp_path / "plain", 5)
    name = journal(plain).name
    shutil.copy(journal(plain), left / "journals" / name)
    store = rl.open_store(left, kms=key)
    assert store.rows == TICKS
    assert name in store.damaged
    make_keys(plain, key, ENCRYPTING)
    assert rl.open_store(plain, kms=key).rows == 5


def test_journal_of_another_store_is_not_read(left: Path, key: FileKey, tmp_path: Path) -> None:
    """Stores of one master key have keys of their own."""
    other = tmp_path / "other"
    with rl.Recorder(other, kms=key):
        pass
    shutil.copy(journal(left), other / "journals" / journal(left).name)
    store = rl.open_store(other, kms=key)
    assert store.rows == 0
    assert store.damaged


def test_sealed_lines_come_back_one_by_one(tmp_path: Path, key: FileKey) -> None:
    """Each alone; the size is known before; no line of another file opens."""
    keys = make_keys(tmp_path / "vault", key)
    lines = SealedLines(keys, "journal")
    data = b"".join(b"x" * size + b"\n" for size in range(1, 200))
    sealed = lines.seal(data)
    assert len(sealed) == sealed_size(data)
    opened = [SealedLines(keys, "journal", lines.salt).open(raw) for raw in sealed[:-1].split(b"\n")]
    assert [one.text + b"\n" for one in opened if one] == data.splitlines(keepends=True)
    assert [one.counter for one in opened if one] == list(range(199))
    others = [SealedLines(keys, "refused", lines.salt), SealedLines(keys, "journal")]
    assert all(other.open(raw) is None for other in others for raw in sealed[:-1].split(b"\n"))
    with pytest.raises(RuntimeError, match="never written with again"):
        SealedLines(keys, "journal", lines.salt).seal(b"x\n")


def test_every_flip_of_a_line_is_refused(tmp_path: Path, key: FileKey) -> None:
    """Also of the bits of its last character that base64 passes over."""
    lines = SealedLines(make_keys(tmp_path / "vault", key), "journal")
    for size in (30, 31, 32):
        raw = lines.seal(b"x" * size + b"\n")[:-1]
        for at in range(len(raw)):
            for bit in range(8):
                flipped = bytearray(raw)
                flipped[at] ^= 1 << bit
                assert lines.open(bytes(flipped)) is None, (at, bit)
            assert lines.open(raw[:at]) is None


class Nonces:
    """Counts the nonces of every attempt to encrypt, by key."""

    def __init__(self) -> None:
        self.seen: set[tuple[bytes, bytes]] = set()
        self.attempts = 0

    def cipher(self, key: bytes) -> Any:
        """Return AES-GCM that counts."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        real, counts = AESGCM(key), self

        class Counted:
            decrypt = real.decrypt

            def encrypt(self, nonce: bytes, data: bytes, added: bytes | None) -> bytes:
                counts.attempts += 1
                counts.seen.add((key, nonce))
                return real.encrypt(nonce, data, added)

        return Counted()


@pytest.fixture
def nonces() -> Iterator[Nonces]:
    """Count nonces while a test runs."""
    counted = Nonces()
    with mock.patch.object(sealed_lines, "cipher", counted.cipher):
        yield counted


def troubled_writes(seed: int) -> Any:
    """Return writes of which some end half-way, fail, or are interrupted when all is written."""
    real, chance = os.write, random.Random(seed)

    def write(descriptor: int, data: bytes) -> int:
        draw = chance.random()
        if draw < 0.02:
            real(descriptor, data[: len(data) // 2])
            interrupted = draw > 0.01 and threading.current_thread() is threading.main_thread()
            raise KeyboardInterrupt if interrupted else OSError(5, "input/output error")
        if draw < 0.03:
            raise OSError(5, "input/output error")
        if draw < 0.04:
            return real(descriptor, data[: max(1, len(data) // 3)])
        return real(descriptor, data)

    return write


@pytest.mark.parametrize("many", [False, True])
def test_no_nonce_is_used_twice(tmp_path: Path, key: FileKey, nonces: Nonces, many: bool) -> None:  # noqa: FBT001
    """Over attempts with short writes, errors and interrupts, by key, and not only over the lines that were kept."""
    wanted = 3_000 * SCALE
    store, settings = tmp_path / "vault", rl.Settings(max_failures=100, max_unsynced_ticks=100_000)
    recorder, accepted = rl.Recorder(store, kms=key, settings=settings, durability="none"), 0
    with mock.patch.object(os, "write", troubled_writes(many)), mock.patch.object(os, "fsync"):
        while nonces.attempts < wanted:
            piece = ticks(20, first=accepted % 10_000)
            for one in [piece] if many else [[tick] for tick in piece]:
                try:
                    receipt = recorder.record_many(one) if many else recorder.record(one[0])
                except KeyboardInterrupt:
                    continue
                accepted += receipt.accepted
    recorder.stop()
    assert len(nonces.seen) == nonces.attempts >= wanted
    assert accepted > 0
    opened = rl.open_store(store, kms=key)
    assert opened.rows >= accepted
    assert opened.verify().ok, opened.verify()


def test_refused_lines_are_kept_encrypted(tmp_path: Path, key: FileKey) -> None:
    """`Store.refused` reads them; one that is altered, taken out or put in is named by `verify`."""
    store = tmp_path / "vault"
    with rl.Recorder(store, kms=key) as recorder:
        refusals = Refusals(store, recorder.run, recorder.keys)
        for number in range(5):
            assert refusals.keep(number + 1, 10 * number, "not_json", b"{MARKER %d" % number)
        refusals.close()
    path = refusals.path
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"MARKER" not in path.read_bytes()
    opened = rl.open_store(store, kms=key)
    assert opened.refused()["raw"].tolist() == [b"{MARKER %d" % number for number in range(5)]
    assert opened.verify().ok
    lines = _lines(path)
    flipped = lines[3][:9] + bytes([lines[3][9] ^ 1]) + lines[3][10:]
    for changed in (
        [*lines[:3], *lines[4:]],
        [*lines[:4], lines[3], *lines[4:]],
        [*lines[:3], flipped, *lines[4:]],
        [*lines, b'{"line": 1, "start": 0, "reason": "x", "raw": ""}\n'],
        lines[2:],
        [lines[0], b"\n", *lines[2:]],
    ):
        path.write_bytes(b"".join(changed))
        assert any(path.name in one for one in opened.verify().problems), changed
    path.write_bytes(b"".join(lines))
    assert opened.verify().ok


def test_plain_store_keeps_its_format(tmp_path: Path) -> None:
    """Without a key a journal is format 1, as earlier releases read it."""
    with rl.Recorder(tmp_path / "plain") as recorder:
        recorder.record_many(ticks(3))
        header = scan(journal(tmp_path / "plain").read_bytes(), recorder.run).headers[0]
        assert header.salt == ""
        assert b'"format": 1' in journal(tmp_path / "plain").read_bytes()


def _hole(content: bytes, line: int) -> bytes:
    """Return a journal with zeros from inside a line up to the end of a sector, a few lines on."""
    starts = [at for at, byte in enumerate(content) if byte == ord("\n")]
    start = starts[line] + 40
    end = (start // 512 + 3) * 512
    return content[:start] + bytes(end - start) + content[end:]


def _zeros_for_the_end(content: bytes) -> bytes:
    return content[:-700] + bytes(700)


def _zeros_behind_it(content: bytes) -> bytes:
    return content[:-300] + bytes(5_000)


def _torn(content: bytes) -> bytes:
    return content[:-100]


def _hole_in_the_middle(content: bytes) -> bytes:
    return _hole(content, 20)


def _no_header(content: bytes) -> bytes:
    return bytes(4_096) + content[4_096:]


def _half_a_header(content: bytes) -> bytes:
    return content[:100] + bytes(924) + content[1_024:]


@pytest.mark.parametrize(
    "cut", [_torn, _zeros_for_the_end, _zeros_behind_it, _hole_in_the_middle, _no_header, _half_a_header]
)
def test_what_a_power_cut_leaves_is_no_tampering(left: Path, key: FileKey, cut: Callable[[bytes], bytes]) -> None:
    """Zeros and torn lines where nothing was permanent are set aside as in plain; the other ticks are read."""
    path = journal(left)
    path.write_bytes(cut(path.read_bytes()))
    store = rl.open_store(left, kms=key)
    found = store.verify()
    assert found.problems == []
    assert set(store.to_arrow(["price"])["price"].to_pylist()) <= {ticks(1)[0].price}
    assert cut in {_no_header, _half_a_header} or store.rows >= TICKS - 10
    assert len(store.quarantine())


@pytest.mark.parametrize("bytes_zeroed", [1, 40])
def test_zeros_inside_a_sector_are_tampering(left: Path, key: FileKey, bytes_zeroed: int) -> None:
    """A power cut takes whole sectors; zeros that end inside one were written over a line."""
    path = journal(left)
    content = path.read_bytes()
    start = content.index(b"\n~", 512 * 12) + 9
    start += 64 if start % 512 + bytes_zeroed >= 512 else 0
    path.write_bytes(content[:start] + bytes(bytes_zeroed) + content[start + bytes_zeroed :])
    assert any("encrypted lines were altered" in one for one in rl.open_store(left, kms=key).verify().problems)


@pytest.mark.parametrize("cut", [_hole_in_the_middle, _no_header])
def test_holes_in_what_was_permanent_are_tampering(tmp_path: Path, key: FileKey, cut: Callable[[bytes], bytes]) -> None:
    """The journal behind says how much was permanent: `verify` names it, before and after it is sealed."""
    store = tmp_path / "vault"
    first = left_behind(store, key)[0]
    first.write_bytes(cut(first.read_bytes()))
    unsealed = rl.Store(store, kms=key).verify()
    assert any(first.name in one and "overwritten" in one for one in unsealed.problems)
    sealed = rl.open_store(store, kms=key).verify()
    assert any(first.name in one and "overwritten" in one for one in sealed.problems)
