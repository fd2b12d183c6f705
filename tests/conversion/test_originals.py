"""Archives in other people's forms, made of real recordings: every tick comes back, Decimal by Decimal.

The recordings are not part of this repository. Where they are not beside it the tests pass, and say so. A few are taken
in each run of the suite, all of them with ``ORIGINALS=all``.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from replaylab.storage.open import open_store
from tests.conversion.test_unpack import PACKINGS
from tests.stores import ROOT, quiet

RECORDINGS: Final = ROOT.parent / "shared" / "recordings"
EVERY: Final = 1 if os.environ.get("ORIGINALS") == "all" else 200
AT_ONCE: Final = 25  # recordings in one archive
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
PRICE: Final = re.compile(r'"price": ([^,}]+)')
pytestmark = pytest.mark.filterwarnings("default::UserWarning")


class _Absent(UserWarning):
    """Said in the summary of the run, where every warning is."""


class Original(NamedTuple):
    """A tick as the recording has it: its fields, the text of its price, its time in milliseconds."""

    found: dict[str, Any]
    price: str
    ms: int

    @property
    def at(self) -> str:
        """Its time as text."""
        return _time(EPOCH + timedelta(milliseconds=self.ms))

    @property
    def given_price(self) -> Decimal | None:
        """Its price; None where the recorder filled it in for want of one."""
        return None if self.price == "1.0" and not self.found["active"] else _exact(self.price)


def originals(path: Path) -> Iterator[Original]:
    """Yield the whole ticks of a recording, read with the standard library alone."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        price = PRICE.findall(line)
        if isinstance(found, dict) and found.get("type") == "tick" and len(price) == 1:
            at = datetime.fromisoformat(found["timestamp"]).replace(tzinfo=UTC)
            yield Original(found, price[0], (at - EPOCH) // timedelta(milliseconds=1))


def captures(ticks: list[Original]) -> str:
    """Return ticks as the captures of a socket."""
    names = {"game_id": "gameId", "tick": "tickCount", "cooldown_timer": "cooldownTimer", "trade_count": "tradeCount"}
    lines = []
    for one in ticks:
        inner = {names.get(name, name): one.found[name] for name in (*names, "active", "rugged")}
        data = json.dumps(inner)[:-1] + f', "price": {one.price}' + "}"
        lines.append(f'{{"event": "gameStateUpdate", "ts": {one.ms}, "data": {data}}}\n')
    return "".join(lines)


def trades(ticks: list[Original]) -> str:
    """Return ticks as trades of an exchange."""
    return "".join(f'{{"ts":{one.ms},"px":"{one.price}","qty":"{n + 1}"}}\n' for n, one in enumerate(ticks))


def frames(ticks: list[Original]) -> str:
    """Return ticks as pandas writes a frame of them, a line a row."""
    lines = []
    for one in ticks:
        rest = {name: one.found[name] for name in ("game_id", "tick", "active", "rugged", "trade_count")}
        text = json.dumps(rest, separators=(",", ":"))[1:]
        lines.append(f'{{"timestamp":{one.ms},"price":{one.price},{text}\n')
    return "".join(lines)


def games(ticks: list[Original]) -> str:
    """Return the live ticks as one document of games that each hold an array of prices."""
    found = []
    for game, prices in _live(ticks).items():
        first, last = min(prices), max(prices)
        array = ", ".join(prices.get(n, "null") for n in range(first, last + 1))
        start = 1_925_000_000_000 + first
        found.append(f'{{"gameId": "{game}", "startTime": {start}, "startTick": {first}, "prices": [{array}]}}')
    return '{"games": [' + ", ".join(found) + "]}"


def _live(ticks: list[Original]) -> dict[str, dict[int, str]]:
    live: dict[str, dict[int, str]] = {}
    for one in ticks:
        if one.found["active"]:
            live.setdefault(one.found["game_id"], {})[one.found["tick"]] = one.price
    return live


FORMS: Final[dict[str, Callable[[list[Original]], str]]] = {
    "vectra": captures,
    "trades": trades,
    "pandas": frames,
    "games": games,
}
DRESSES: Final[dict[str, Callable[[str], bytes]]] = {
    "utf-8": str.encode,
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-8-sig": lambda text: text.encode("utf-8-sig"),
    **{name: lambda text, pack=pack: pack(text.encode()) for name, pack in PACKINGS.items()},  # type: ignore[misc]
    "gzip of utf-16": lambda text: PACKINGS["gzip"](text.encode("utf-16-le")),
    "xz of utf-32": lambda text: PACKINGS["xz"](text.encode("utf-32")),
}


def archives() -> Iterator[list[Original]]:
    """Yield the ticks of a number of recordings at once; none, said aloud, where there are no recordings."""
    paths = sorted(RECORDINGS.glob("*.jsonl"))[::EVERY]
    if not paths:
        warnings.warn_explicit(_Absent("no recordings beside the repository"), None, "", 0)
    for at in range(0, len(paths), AT_ONCE):
        yield [one for path in paths[at : at + AT_ONCE] for one in originals(path)]


@pytest.mark.parametrize("form", FORMS)
def test_archives_of_real_games_hold_what_the_recordings_hold(tmp_path: Path, form: str) -> None:
    """By the ready mappings, packed and encoded in turn: as many ticks, each with its number, time, price and flags."""
    for number, ticks in enumerate(archives()):
        turns = list(DRESSES) if number == 0 and EVERY > 1 else [list(DRESSES)[number % len(DRESSES)]]
        for dress in turns[:: 1 if EVERY == 1 else 3]:
            path, store = tmp_path / f"{number}.json{'' if form == 'games' else 'l'}", tmp_path / f"{number} {dress}"
            path.write_bytes(DRESSES[dress](FORMS[form](ticks)))
            report = quiet(path, store, mapping=form)
            assert (report.ok, report.ticks_quarantined, report.reasons) == (True, 0, {}), (number, dress)
            opened = open_store(store)
            rows = opened.to_arrow(columns=["game_id", "tick", "timestamp", "price", "active", "rugged"]).to_pylist()
            found = [tuple(_time(one) if isinstance(one, datetime) else one for one in row.values()) for row in rows]
            assert sorted(found, key=repr) == sorted(wanted(form, ticks), key=repr), (number, dress)
            assert opened.verify().ok


def wanted(form: str, ticks: list[Original]) -> list[tuple[Any, ...]]:
    """Return the rows that an archive has to give; of trades those in their order, numbered day by day."""
    rows: list[tuple[Any, ...]] = []
    if form == "games":
        for game, prices in _live(ticks).items():
            start = EPOCH + timedelta(milliseconds=1_925_000_000_000 + min(prices))
            for tick, price in prices.items():
                at = start + timedelta(milliseconds=250 * (tick - min(prices)))
                rows.append((game, tick, _time(at), _exact(price), True, False))
        return rows
    days: dict[str, int] = {}
    for one in ticks:
        if form == "trades":
            day = one.at[:10]
            rows.append((day, days.get(day, 0), one.at, _exact(one.price), True, False))
            days[day] = days.get(day, 0) + 1
        else:
            exact = one.given_price if form == "pandas" else _exact(one.price)
            found = one.found
            rows.append((found["game_id"], found["tick"], one.at, exact, found["active"], found["rugged"]))
    return rows


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _exact(price: str) -> Decimal:
    """Return a price with the digits that a store gives."""
    return Decimal(price).quantize(Decimal(1).scaleb(-24))
