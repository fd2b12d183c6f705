"""The account of what a recording comes in: any dialect, mapping, encoding, layout and packing, damaged or not."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Final

from replaylab.conversion.source import Source
from replaylab.conversion.unpack import HEAD_BYTES, dress_of, unpack
from replaylab.errors import NotARecording, SourceUnreadable
from replaylab.parsing.elements import HEADER_BYTES
from replaylab.parsing.mapping import READY, Mapping
from replaylab.parsing.scan import scan, scan_document
from tests.conversion.test_unpack import PACKINGS
from tests.crash.scale import SCALE
from tests.kernel.mapped import FORMS, values
from tests.kernel.roads import mutated
from tests.parsing.test_price_arrays import FORMS as GAMES
from tests.parsing.test_price_arrays import _line as game_line

EXAMPLES: Final = 400 * SCALE


def _text(chance: random.Random) -> tuple[bytes, Mapping | None]:
    """Return a text of some form, laid out somehow, and the mapping that may read it."""
    if chance.random() < 0.3:
        text, mapping = GAMES[chance.choice(sorted(GAMES))]
        lines = [game_line(chance, text).rstrip(b",") for _ in range(chance.randint(1, 5))]
        around = (b'{"n": 1, "games": [', b'], "z": {}}') if chance.random() < 0.7 else (b'{"games": {', b"}}")
        document = around[0] + b", ".join(lines) + around[1]
        return chance.choice([document, b"\n".join(lines)]), chance.choice([mapping, READY["games"]])
    name = chance.choice(sorted(FORMS))
    lines = [FORMS[name].text.format(**values(chance)).encode() for _ in range(chance.randint(1, 6))]
    layouts = [
        b"\n".join(lines),
        b"[" + b",".join(lines) + b"]",
        b"[\n" + b",\n".join(lines) + b"\n]",
        b",".join(lines),
    ]
    by = chance.choice([FORMS[name].mapping, FORMS[name].mapping, None, READY[chance.choice(sorted(READY))]])
    return chance.choice(layouts), by


def test_every_account_is_exact(tmp_path: Path) -> None:
    """Bytes in are kept, repaired, quarantined or blank, and ticks are the rows, in examples of any dress."""
    check(tmp_path, seed=1, examples=EXAMPLES)


def check(folder: Path, seed: int, examples: int) -> int:
    """Hold examples to the law; return how many ticks they had."""
    chance = random.Random(seed)
    ticks = 0
    for _ in range(examples):
        data, mapping = _text(chance)
        if chance.random() < 0.4:
            data = mutated(chance, data)
        encoding = chance.choice(["", "", "utf-16", "utf-16-be", "utf-32"])
        data = data.decode("utf-8", "ignore").encode(encoding) if encoding else data
        packing = chance.choice(["", *PACKINGS])
        packed = PACKINGS[packing](data) if packing else data
        packed = packed[: chance.randrange(1, len(packed) + 1)] if chance.random() < 0.1 else packed
        path = folder / chance.choice(["x.jsonl", "x.json"])
        path.write_bytes(packed)
        source = Source(path, path.name, len(packed))
        dress = dress_of(packed[: HEADER_BYTES if mapping else HEAD_BYTES], mapping=mapping)
        try:
            found = unpack(source, dress, folder / "text", mapping=mapping)
        except (NotARecording, SourceUnreadable):
            continue
        text = found.source.path.read_bytes()
        by = dict(mapping.elements).get(found.dress.elements, mapping) if mapping is not None else None
        result = scan_document(text, by) if found.source.is_document else scan(text, by)
        account = result.account
        assert sum(account.bytes.values()) == len(text), (packed, mapping)
        assert sum(account.lines.values()) == len(result.part_of_line), (packed, mapping)
        assert account.ticks["clean"] + account.ticks["merged"] + account.ticks["torn"] == len(result.batch), (
            packed,
            mapping,
        )
        if not packing and not encoding:
            assert len(text) == len(packed), (packed, mapping)
        ticks += len(result.batch)
    return ticks
