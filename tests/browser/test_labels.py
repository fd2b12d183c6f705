"""Words on the chart: whatever there is to say and however narrow it is, no two of them lie on each other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from replaylab.playback.timeline import Timeline
from replaylab.tick import Tick
from replaylab.widgets import fallback as still
from replaylab.widgets.payload import StoredPayload
from replaylab.widgets.trades import Trades
from tests.browser.playing import Player

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

# Keeps for each canvas the boxes of the words that were written on it; one that is drawn on another brings its own.
RECORD = """() => {
    const context = CanvasRenderingContext2D.prototype;
    const { fillText, drawImage, clearRect } = context;
    context.clearRect = function (...given) {
        this.canvas.words = [];
        return clearRect.apply(this, given);
    };
    context.fillText = function (text, x, y) {
        const size = this.measureText(text);
        (this.canvas.words ??= []).push([text, x - size.actualBoundingBoxLeft, y - size.actualBoundingBoxAscent,
            x + size.actualBoundingBoxRight, y + size.actualBoundingBoxDescent]);
        return fillText.call(this, text, x, y);
    };
    context.drawImage = function (image, ...given) {
        const whole = given.length === 2;
        const words = (image.words || []).filter((one) => whole || one[1] < given[2] / devicePixelRatio);
        this.canvas.words = whole ? [...words] : [...(this.canvas.words || []), ...words];
        return drawImage.call(this, image, ...given);
    };
}"""
WORDS = "() => document.querySelector('.rlab-canvas').words"
FRAMES = "() => new Promise((seen) => requestAnimationFrame(() => requestAnimationFrame(seen)))"


def rows_of(prices: list[str], *, rug: bool, missing: tuple[int, ...] = ()) -> list[Tick]:
    """A second of idling, live ticks a second apart, and the rug."""
    zero = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)
    found = [Tick(game_id="g", tick=0, timestamp=zero, price=Decimal(1), active=False)]
    for at, price in enumerate(prices):
        if at not in missing:
            found.append(
                Tick(
                    game_id="g", tick=at, timestamp=zero + timedelta(seconds=1 + at), price=Decimal(price), active=True
                )
            )
    if rug:
        last = zero + timedelta(seconds=1 + len(prices))
        found.append(
            Tick(game_id="g", tick=len(prices), timestamp=last, price=Decimal("0.002"), active=True, rugged=True)
        )
    return found


def deal(kind: str, opened: int, closed: int, returned: str) -> dict[str, Any]:
    """A trade of that game."""
    return {"game_id": "g", "kind": kind, "opened": opened, "closed": closed, "paid": "0.1", "returned": returned}


RISING = [str(1 + Decimal(at * at) / 64) for at in range(60)]
PEAK_FIRST = ["68.5860156778933612345678", *(["1.5"] * 59)]
ZIGZAG = [str(Decimal(1) + Decimal(at * 7919 % 1000) / 1000) for at in range(60)]
MARKS = [{"row": row, "label": f"mark of row {row}", "kind": "mark"} for row in (1, 2, 3, 20, 21, 58, 59, 60)]
DEALS = [deal("position", at, at + 3, "0.25" if at % 2 else "0.04") for at in range(0, 55, 4)]
BETS = [deal("bet", at, at + 5, "0.5" if at % 2 else "0") for at in range(0, 54, 7)]
LAYOUTS: dict[str, tuple[list[Tick], list[dict[str, Any]], list[dict[str, Any]]]] = {
    "peak and rug at the end": (rows_of(RISING, rug=True), [], []),
    "peak at the first tick": (rows_of(PEAK_FIRST, rug=True), [], []),
    "peak at the top with side bets": (rows_of(PEAK_FIRST, rug=True), [], BETS),
    "many marks": (rows_of(RISING, rug=True), MARKS, []),
    "many gaps": (rows_of(ZIGZAG, rug=True, missing=(3, 5, 9, 10, 30, 31, 32, 50, 52)), [], []),
    "everything": (rows_of(ZIGZAG, rug=True, missing=(3, 9, 30, 52)), MARKS, DEALS + BETS),
    "one price": (rows_of(["1"] * 60, rug=False), MARKS, DEALS),
}


def lying_on_each_other(words: list[list[Any]]) -> list[tuple[str, str]]:
    """Pairs of words whose boxes share more than a pixel."""
    found = []
    for number, (text, left, top, right, bottom) in enumerate(words):
        for other, *box in words[number + 1 :]:
            if min(right, box[2]) - max(left, box[0]) > 1 and min(bottom, box[3]) - max(top, box[1]) > 1:
                found.append((text, other))
    return found


@pytest.mark.parametrize("name", LAYOUTS)
def test_no_two_labels_overlap(page: Page, tmp_path: Path, screenshots: Path, name: str) -> None:
    """Wide, on a phone and low, at the end and with a loop: and what matters most, the peak, is always said."""
    ticks, marks, deals = LAYOUTS[name]
    line = Timeline.of(ticks)
    shown: dict[str, Any] = {"row": len(ticks) - 1, "marks": marks, "loop": [20, 22]}
    if deals:
        shown["trades"] = Trades(deals).of_game(line)
    page.add_init_script(f"({RECORD})()")
    for width, height in ((1000, 300), (340, 300), (640, 120)):
        text = still.fragment(StoredPayload(line), b"", height=height, **shown)
        path = tmp_path / f"{width}.html"
        path.write_text(f"<!DOCTYPE html><meta charset='utf-8'><body>{text}</body>", encoding="utf-8")
        page.set_viewport_size({"width": width, "height": 700})
        page.goto(path.as_uri())
        player = Player(page)
        player.wait(lambda player=player: player.row == len(ticks) - 1)  # type: ignore[misc]
        for log in (False, True):
            if log:
                player.button("Log price").click()
            page.evaluate(FRAMES)
            words = page.evaluate(WORDS)
            assert lying_on_each_other(words) == [], (width, height, log)
            assert any(one[0].startswith("peak") for one in words), (width, height, log)
        page.screenshot(path=screenshots / f"labels_{name.replace(' ', '_')}_{width}.png")


def test_what_a_trade_won_is_said_whole_once_it_is_over(page: Page, tmp_path: Path) -> None:
    """Never before the playhead is at its end; then over the whole width of its words, also on a phone at the edge."""
    ticks = rows_of(ZIGZAG, rug=True)
    trades = Trades([deal("position", 1, 3, "0.25"), deal("position", 30, 40, "0.04")]).of_game(Timeline.of(ticks))
    page.add_init_script(f"({RECORD})()")
    for width in (1000, 340):
        said = {}
        for row in (3, 4, 40, 41):
            text = still.fragment(StoredPayload(Timeline.of(ticks)), b"", height=300, row=row, trades=trades)
            path = tmp_path / f"{width}_{row}.html"
            path.write_text(f"<!DOCTYPE html><meta charset='utf-8'><body>{text}</body>", encoding="utf-8")
            page.set_viewport_size({"width": width, "height": 700})
            page.goto(path.as_uri())
            player = Player(page)
            player.wait(lambda player=player, row=row: player.row == row)  # type: ignore[misc]
            page.evaluate(FRAMES)
            words = page.evaluate(WORDS)
            said[row] = [one[0] for one in words if one[0] in {"+0.15", "-0.06"}]
            assert lying_on_each_other(words) == [], (width, row)
        assert said == {3: [], 4: ["+0.15"], 40: ["+0.15"], 41: ["+0.15", "-0.06"]}, width


def test_a_long_mark_takes_no_more_than_a_third(page: Page, tmp_path: Path) -> None:
    """Its words end in dots, and others find room beside it."""
    ticks = rows_of(ZIGZAG, rug=False)
    marks = [{"row": 20, "label": "a very long label " * 11, "kind": "mark"}, {"row": 22, "label": "x", "kind": "mark"}]
    page.add_init_script(f"({RECORD})()")
    text = still.fragment(StoredPayload(Timeline.of(ticks)), b"", height=300, row=30, marks=marks)
    path = tmp_path / "long.html"
    path.write_text(f"<!DOCTYPE html><meta charset='utf-8'><body>{text}</body>", encoding="utf-8")
    page.goto(path.as_uri())
    player = Player(page)
    player.wait(lambda: player.row == 30)
    page.evaluate(FRAMES)
    words = page.evaluate(WORDS)
    long = next(one for one in words if one[0].startswith("a very"))
    assert long[0].endswith("\u2026")
    assert long[3] - long[1] < page.locator(".rlab-canvas").bounding_box()["width"] / 2.9  # type: ignore[index]
    assert any(one[0] == "x" for one in words)
