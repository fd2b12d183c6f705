"""Archives of games in forms of their own: what `inspect` proposes reads them, and finds what the recordings hold."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import replaylab as rl
from replaylab.conversion.inspect import inspect
from replaylab.parsing.mapping import READY, Mapping
from replaylab.storage.open import open_store
from tests.stores import quiet

START_MS = 1_925_089_445_250
GAMES = 6
Prices = list[Any]


def _games() -> list[dict[str, Any]]:
    """Return games as the recordings tell them: an id, a start, prices as text, and the tick of the rug."""
    found = []
    for number in range(GAMES):
        prices: Prices = ["1"] + [f"{1 + (n * 37 + number) % 91 / 100:.2f}{n:016d}" for n in range(1, 40 + number)]
        found.append(
            {"id": f"20310102-{number:016x}", "start": START_MS + number * 60_000, "prices": [*prices, "0.0056"]}
        )
    return found


def _document(games: Any, **more: Any) -> str:
    """Return JSON in which prices that are Decimals stand as numbers with all their digits."""
    marked = json.dumps({"games": games, **more} if more else games, default=lambda value: f"<<{value}>>")
    return marked.replace('"<<', "").replace('>>"', "")


def _numbers(prices: Prices) -> Prices:
    return [Decimal(price) for price in prices]


def _plain(game: dict[str, Any], **other: Any) -> dict[str, Any]:
    last = len(game["prices"]) - 1
    return {
        "gameId": game["id"],
        "startTime": game["start"],
        "prices": _numbers(game["prices"]),
        "ruggedAt": last,
    } | other


def _iso(game: dict[str, Any]) -> str:
    at = datetime.fromtimestamp(game["start"] / 1000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _array(games: list[dict[str, Any]]) -> str:
    return _document([_plain(one) for one in games], batchId="b", exported=1)


def _iso_starts(games: list[dict[str, Any]]) -> str:
    return _document([_plain(one, startTime=_iso(one), peakPrice=2, timestamp=1) for one in games], n=1)


def _seconds(games: list[dict[str, Any]]) -> str:
    return _document([_plain(one, startTime=Decimal(one["start"]) / 1000) for one in games], n=1)


def _by_id(games: list[dict[str, Any]]) -> str:
    return _document({one["id"]: {k: v for k, v in _plain(one).items() if k != "gameId"} for one in games}, n=1)


def _root_by_id(games: list[dict[str, Any]]) -> str:
    return _document({one["id"]: {k: v for k, v in _plain(one).items() if k != "gameId"} for one in games})


def _root_array(games: list[dict[str, Any]]) -> str:
    return _document([_plain(one) for one in games])


def _lines(games: list[dict[str, Any]]) -> str:
    return "".join(_document(_plain(one)) + "\n" for one in games)


def _pairs(games: list[dict[str, Any]]) -> str:
    return _document(
        [_plain(one, prices=[[n, p] for n, p in enumerate(_numbers(one["prices"]))]) for one in games], n=1
    )


def _objects(games: list[dict[str, Any]]) -> str:
    inner = [[{"n": n, "p": price} for n, price in enumerate(one["prices"])] for one in games]
    return _document([_plain(one, prices=ticks) for one, ticks in zip(games, inner, strict=True)], n=1)


def _timed_objects(games: list[dict[str, Any]]) -> str:
    def ticks(one: dict[str, Any]) -> Prices:
        return [{"tick": n, "price": p, "at": one["start"] + 250 * n} for n, p in enumerate(_numbers(one["prices"]))]

    return _document([{"id": one["id"], "ticks": ticks(one), "rugged": True} for one in games], n=1)


def _by_tick(games: list[dict[str, Any]]) -> str:
    return _document([_plain(one, prices=dict(enumerate(one["prices"]))) for one in games], n=1)


def _nested(games: list[dict[str, Any]]) -> str:
    return _document({"meta": {"v": 1}, "data": {"sessions": [_plain(one) for one in games]}})


def _flags(games: list[dict[str, Any]]) -> str:
    made = [{"uuid": one["id"], "started_at": one["start"], "curve": one["prices"], "rugged": True} for one in games]
    return _document({"list": made})


FORMS: dict[str, Callable[[list[dict[str, Any]]], str]] = {
    one.__name__.strip("_"): one
    for one in (
        _array,
        _iso_starts,
        _seconds,
        _by_id,
        _root_by_id,
        _root_array,
        _lines,
        _pairs,
        _objects,
        _timed_objects,
        _by_tick,
        _nested,
        _flags,
    )
}


def _proposed(path: Path) -> Mapping:
    """Return the mapping that `inspect` advises or proposes."""
    found = inspect(path)
    if found.mapping:
        return Mapping.of(tomllib.loads(found.mapping))
    assert "--map games" in found.advice, found
    unit = found.advice.partition("--time-unit ")[2]
    return replace(READY["games"], time_unit=unit) if unit else READY["games"]


def _content(store: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return by game number, price, time and rug of its ticks."""
    found = {}
    for game in open_store(store):
        table = game.ticks().select(["tick", "price", "timestamp", "rugged"])
        found[game.id] = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    return found


@pytest.mark.parametrize("indent", [False, True])
@pytest.mark.parametrize("form", sorted(FORMS))
def test_an_archive_is_read_as_proposed(form: str, indent: bool, tmp_path: Path) -> None:  # noqa: FBT001 of the test
    """Every game, number, price, time and end comes out exactly, on one line and indented, from what is proposed."""
    text = FORMS[form](_games())
    if indent and form != "lines":
        text = text.replace('": ', '":\n  ').replace("}, ", "},\n ")
    path = tmp_path / ("archive.jsonl" if form == "lines" else "archive.json")
    path.write_text(text)
    report = quiet(path, tmp_path / "store", mapping=_proposed(path))
    assert (report.ticks_quarantined, report.balanced, report.problems) == (0, True, [])
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    expected = {
        one["id"]: [
            (n, Decimal(price), epoch + timedelta(milliseconds=one["start"] + 250 * n), n == len(one["prices"]) - 1)
            for n, price in enumerate(one["prices"])
        ]
        for one in _games()
    }
    assert _content(tmp_path / "store") == expected
    assert open_store(tmp_path / "store").verify().ok


def test_a_folder_of_documents(tmp_path: Path) -> None:
    """One file a game: with a mapping, the `.json` files of a folder are read; without one they are named."""
    folder = tmp_path / "games"
    folder.mkdir()
    for one in _games():
        (folder / f"{one['id']}.json").write_text(_document(_plain(one)))
    report = quiet(folder, tmp_path / "store", mapping="games")
    assert len(report.sources) == len(open_store(tmp_path / "store").game_ids()) == GAMES
    with pytest.raises(rl.errors.SourceEmpty, match="not a recording by its name"):
        quiet(folder, tmp_path / "none")


def test_one_bad_game_costs_itself_alone(tmp_path: Path) -> None:
    """A game that cannot be stored is set aside with field and value; the others of the document are read."""
    games = [_plain(one) for one in _games()]
    games[2]["prices"][3] = "soon"
    del games[4]["gameId"], games[4]["startTime"]
    path = tmp_path / "archive.json"
    path.write_text(_document(games, n=1))
    report = quiet(path, tmp_path / "store", mapping="games")
    assert len(open_store(tmp_path / "store").game_ids()) == GAMES - 2
    assert report.balanced
    details = {one["reason"]: one["detail"] for one in open_store(tmp_path / "store").remarks("quarantine").to_pylist()}
    assert details["wrong_type"].startswith("prices[3]='soon'")
    assert details["missing_field"].startswith("game_id")


def test_a_document_that_is_cut_off_is_named(tmp_path: Path) -> None:
    """The games before the cut are read, the rest is set aside, and the report says that it was cut."""
    path = tmp_path / "archive.json"
    text = _array(_games())
    path.write_text(text[: text.index("ruggedAt", text.index('-0000000000000003"')) - 20])
    report = quiet(path, tmp_path / "store", mapping="games")
    assert len(open_store(tmp_path / "store").game_ids()) == 3
    assert any("ends within its games[]" in one for one in report.problems)
    assert report.balanced
