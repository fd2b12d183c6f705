"""Cards are whole, harmless and stable HTML that carries exact numbers and names what is wrong."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import replaylab as rl
from replaylab.charts.html import game_card, report_card, store_card
from replaylab.conversion.convert import convert
from replaylab.conversion.report import ConversionReport, SourceReport
from replaylab.storage.game_summary import SCHEMA
from replaylab.storage.store import Store
from tests.playing import tick

SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
BYTES: dict[str, Any] = {
    "bytes_in": 100,
    "bytes_kept": 60,
    "bytes_repaired": 25,
    "bytes_quarantined": 10,
    "bytes_blank": 5,
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> ConversionReport:
    """The report of converting the samples."""
    return convert(SAMPLES, tmp_path_factory.mktemp("html") / "store", progress=False)


@pytest.fixture(scope="module")
def store(report: ConversionReport) -> Store:
    """The samples, converted."""
    return Store(report.store)


def words(card: str) -> str:
    """What a card says once its markup is gone; fails when the markup is not whole."""
    return " ".join("".join(ET.fromstring(card).itertext()).split())


@pytest.fixture(params=["game", "store", "report"])
def card(request: pytest.FixtureRequest, store: Store, report: ConversionReport) -> Callable[[], str]:
    """Make the card of a game, a store or a report."""
    game = store.game("20310102-f8c2becf931a4f5d")
    makers: dict[str, Callable[[], str | None]] = {
        "game": game._repr_html_,
        "store": store._repr_html_,
        "report": report._repr_html_,
    }
    return lambda: str(makers[str(request.param)]())


def test_card_is_whole_and_harmless(card: Callable[[], str]) -> None:
    """Each tag is closed, and nothing in a card is executed or loaded."""
    made = card()
    assert words(made)
    for element in ET.fromstring(made).iter():
        assert element.tag in {"b", "code", "div", "i", "span", "table", "tbody", "td", "th", "thead", "tr"}
        assert set(element.attrib) <= {"style", "title"}
        assert "url(" not in element.get("style", "")


def test_card_is_stable(card: Callable[[], str]) -> None:
    """The same thing gives the same text: no ids by chance, no addresses in memory."""
    assert card() == card()
    assert " id=" not in card()
    assert not re.search(r"0x[0-9a-f]{6}", card())


def test_colours_follow_the_theme(card: Callable[[], str]) -> None:
    """Text takes the colour of the theme, with a fallback where there is none; no background is forced on it."""
    assert "color:var(--jp-ui-font-color1,inherit)" in card()
    assert not re.search(r"background:(white|black|#fff|#000)", card())


def test_game_card_is_exact(store: Store) -> None:
    """Prices are written with every digit and no trailing zeros, beside their ticks."""
    said = words(str(store.game("20310102-f8c2becf931a4f5d")._repr_html_()))
    assert "peak 1.8828500567018445 at tick 53" in said
    assert "rug 0.019236207724785667 at tick 90" in said
    assert "2031-01-02 06:04:13 to 06:04:43 UTC" in said
    assert "complete" in said
    assert "89 rows repaired" in said


@pytest.mark.parametrize(
    ("game_id", "lack"),
    [
        ("20310102-f46334b882744799", "3 ticks missing in 1 gap"),
        ("20310102-bc345de5e95f4ffd", "10 ticks missing in 9 gaps"),
        ("20310102-9829cbc62d87440c", "late start at tick 66"),
        ("20310102-fe82ee7191234df1", "end not seen"),
        ("20310102-8b4ae5f1a9414956", "double rug"),
        ("20310102-38cfd99c1c084a89", "never live"),
        ("20310102-01af64ee1da14797", "time not recorded"),
    ],
)
def test_game_card_says_what_is_missing(store: Store, game_id: str, lack: str) -> None:
    """A game that lacks something says what, and does not call itself complete."""
    said = words(str(store.game(game_id)._repr_html_()))
    assert lack in said
    assert "complete" not in said


def test_store_card_counts(store: Store) -> None:
    """A store says what it holds, from when to when, and how many games are complete or lack what."""
    said = words(store_card(store))
    assert f"18 games in {store.path}" in said
    for part in (
        "rows 1,656",
        "segments 1",
        "complete 10",
        "late start 2",
        "censored 2",
        "double rug 1",
        "never live 1",
    ):
        assert part in said
    assert "2031-01-02 03:04:05 to 19:04:31 UTC" in said


def test_damaged_segment_is_named_in_red(tmp_path: Path) -> None:
    """A segment that cannot be read is named in the colour of errors; the card still shows."""
    convert(SAMPLES / "game_20310102_030405_cfeb421d.jsonl", tmp_path / "store", progress=False)
    convert(SAMPLES / "game_20310102_040405_f3bd466a.jsonl", tmp_path / "store", progress=False)
    segment = min((tmp_path / "store" / "segments").glob("*.parquet"))
    segment.write_bytes(segment.read_bytes()[:-100])
    made = store_card(Store(tmp_path / "store"))
    alarm = next(one for one in ET.fromstring(made).iter() if "--jp-error-color1" in one.get("style", ""))
    assert "1 damaged, left out" in "".join(alarm.itertext())
    assert segment.name in "".join(alarm.itertext())
    assert "1 game in" in words(made)


def test_empty_store_says_how_to_fill_it(tmp_path: Path) -> None:
    """A store without games shows a card, not an error."""
    (tmp_path / "store" / "segments").mkdir(parents=True)
    assert "Nothing is stored yet" in words(store_card(Store(tmp_path / "store")))


def test_report_card_adds_up(report: ConversionReport) -> None:
    """The account is there as a sum in full, and the reasons with what was done about each."""
    said = words(report_card(report))
    assert "Every byte is accounted for: 398,956 in =" in said
    for part in ("362,580 kept", "28,589 repaired", "7,783 quarantined", "4 blank", "0 known"):
        assert part in said
    cells = [[cell.text for cell in row] for row in ET.fromstring(report_card(report)).iter("tr")]
    assert ["merged_line", "52", "repaired: whole ticks taken out"] in cells
    assert ["torn_beginning", "55", "quarantined"] in cells
    assert ["game_20310102_060413_931a4f5d.jsonl", "89", "55"] in cells
    assert "1,576 times without a zone, read as UTC" in said


def bar(made: str) -> dict[str, float]:
    """Share of the bar that each kind of bytes takes."""
    parts = ET.fromstring(made).iter("i")
    return {part.attrib["title"]: float(part.attrib["style"].partition("flex:")[2].split()[0]) for part in parts}


def test_bar_is_in_proportion() -> None:
    """The bar shows each kind of bytes by its share, and leaves out what there is none of."""
    made = report_card(ConversionReport(store="s", source_tz="UTC", **BYTES))
    assert bar(made) == {"60 kept": 60, "25 repaired": 25, "10 quarantined": 10, "5 blank": 5}
    assert bar(report_card(ConversionReport(store="s", source_tz="UTC"))) == {}


def test_report_that_does_not_add_up_is_an_alarm() -> None:
    """Bytes that are not accounted for are said in the colour of errors."""
    made = report_card(ConversionReport(store="s", source_tz="UTC", **(BYTES | {"bytes_in": 101})))
    assert "The bytes do not add up" in words(made)
    assert "--jp-error-color1" in made
    assert "--jp-error-color1" not in report_card(ConversionReport(store="s", source_tz="UTC", **BYTES))


@pytest.mark.parametrize("name", ["<script>alert(1)</script>.jsonl", 'a"onload="x.jsonl', "a&b.jsonl"])
def test_names_are_text(name: str) -> None:
    """A name that looks like markup is shown as it is, wherever it stands."""
    sources = [SourceReport(source=name, status="unreadable", problem=f"{name}: no permission")]
    summary: dict[str, Any] = dict.fromkeys(SCHEMA.names) | {"sources": [name]}
    for made in (
        report_card(ConversionReport(store=name, source_tz=name, sources=sources, zoneless_times=1)),
        game_card(name, summary),
    ):
        assert words(made).count(name) >= 2
        assert "<script" not in made


def test_long_tables_are_cut() -> None:
    """Of many sources the first are shown and the rest is counted."""
    sources = [SourceReport(source=f"{n:03}.jsonl", status="converted", quarantined=1) for n in range(95)]
    made = report_card(ConversionReport(store="s", source_tz="UTC", sources=sources))
    assert made.count(".jsonl") == 20
    assert "and 75 more" in words(made)


def test_recorders_and_engines_have_cards(tmp_path: Path) -> None:
    """A recorder says what it kept and refused, also when it is closed; an engine where it is; names are only text."""
    odd = "<script>&"
    with rl.Recorder(tmp_path) as recorder:
        assert recorder.record(tick(1, game=odd)).accepted
        assert not recorder.record({"game_id": odd, "tick": -1}).accepted
        recording = words(recorder._repr_html_())
    assert f"state recording game {odd} ticks accepted 1" in recording
    closed = words(recorder._repr_html_())
    assert "state closed" in closed
    assert "ticks accepted 1 not yet durable 0 refused 1 games 1 segments 1" in closed
    engine = rl.ReplayEngine()
    assert words(engine._repr_html_()) == "ReplayEnginenothing is loaded"
    engine.load(rl.open_store(tmp_path).game(odd))
    assert words(engine._repr_html_()) == (
        f"ReplayEngine: {odd}holds a stored game row 0 of 1 tick 1 state paused speed 1x"
    )
    engine.close()
    assert words(engine._repr_html_()) == "ReplayEnginenothing is loaded"
