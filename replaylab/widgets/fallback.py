"""What stands in for the player where no kernel answers: a picture, a line of text, a page that plays by itself."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from replaylab.playback.timeline import Timeline
from replaylab.tick import short_id
from replaylab.widgets.bundle import packed
from replaylab.widgets.cell_output import embedded, plain, script_json
from replaylab.widgets.payload import GAP, StoredPayload
from replaylab.widgets.trades import Trades

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INLINE_ROWS: Final = 5_000  # a cell with more rows holds the picture only, so that a notebook stays small
_INCHES: Final = (7.2, 3.2)
_DPI: Final = 80
_POINTS: Final = 1_500  # drawn at most: more would not be seen
_COLOURS: Final = 32
_OVERVIEW: Final = (8, 8, 8, 4, 1)  # bytes of a value, column by column
_END: Final = 2**31  # a row beyond any: the last
_ROWS: Final = (16, 8, 8, 4, 1, 4)  # and 8 for each panel
_STATE: Final = {
    "row": 0,
    "playing": False,
    "speed": 1.0,
    "pacing": "recorded",
    "loop": [None, None],
    "gen": 0,
    "lockstep": False,
    "log": False,
    "ahead": True,
    "candles": 0,
}


def page(game: object, *, title: str | None = None, height: int = 420, script: str = "", links: str = "") -> str:
    """Return a whole HTML page that plays a game with no kernel and no network.

    Parameters
    ----------
    game : Game, Table, list of Tick, or Timeline
        What to play; every row is in the page, 10 to 20 bytes each.
    title : str, optional
        Of the page; the game's id unless given.
    height : int
        Of the chart, in pixels.
    script : str
        File beside the page that holds the player (`bundle.page_script`); the page holds it itself unless given.
    links : str
        HTML above the player.

    Raises
    ------
    Unplayable
        When there is no row to play.

    Examples
    --------
    >>> from replaylab.tick import Tick
    >>> text = page([Tick(game_id="g", tick=0, timestamp="2031-01-02T03:04:05", price="1", active=True)])
    >>> text.startswith("<!DOCTYPE html>"), "https:" in text
    (True, False)
    """
    payload = StoredPayload(Timeline.of(game))
    words = html.escape(title or short_id(payload.timeline.game_id) or "game")
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{words}</title>\n'
        "<style>html{color-scheme:light dark}body{margin:16px;font-family:system-ui,sans-serif}</style>\n</head>\n"
        f"<body>\n<main>\n{links}{_player(payload, height, script=script, whole=True)}</main>\n</body>\n</html>\n"
    )


def cell(payload: StoredPayload, **options: Any) -> dict[str, str]:
    """Return what a notebook keeps of a player, by media type: picture, and a page that plays where scripts may run."""
    drawn = picture(payload, log=options.get("log", False))
    return {"image/png": base64.b64encode(drawn).decode(), "text/html": fragment(payload, drawn, **options)}


def fragment(payload: StoredPayload, picture: bytes, *, height: int = 300, player: str = "", **state: Any) -> str:
    """Return HTML for a cell: picture and a line of text, replaced by a player where scripts may run.

    Parameters
    ----------
    payload : StoredPayload
        The game; one of more than `INLINE_ROWS` rows stays a picture, so that the notebook stays small.
    picture : bytes
        PNG of the chart.
    height : int
        Of the player's chart, in pixels.
    player : str
        Id of the player in the same cell that this stands in for: it is hidden as long as that one shows.
    **state
        Of the player that it becomes: ``row``, ``log``, ``marks`` ...
    """
    inside = (
        f'<img alt="{html.escape(f"Price chart of {payload.summary}")}" style="max-width:100%;background:#fff" '
        f'src="data:image/png;base64,{base64.b64encode(picture).decode()}">'
        f"<div>{html.escape(payload.summary)}</div>"
    )
    if len(payload) > INLINE_ROWS:
        return plain(inside, player)
    return _player(payload, height, inside, player, **state)


def _player(
    payload: StoredPayload,
    height: int,
    inside: str = "",
    player: str = "",
    *,
    script: str = "",
    whole: bool = False,
    **state: Any,
) -> str:
    facts, data = _pieces(payload)
    marks, trades = state.pop("marks", ()), state.pop("trades", None)
    opening = {
        "kind": "open",
        "facts": {**facts, "height": height, "game": 0},
        "state": {**_STATE, **state},
        "games": [],
        "marks": list(marks),
        "trades": trades,
        "offline": True,
        "page": whole,
    }
    name = player or payload.id
    inside = inside or f"<div>{html.escape(payload.summary)}</div>"
    if not script:
        return embedded("player", name, inside, opening, data, player=player)
    call = f"replaylab.player.offline({script_json(name)}, {script_json(opening)}, {script_json(data)});"
    return (
        f'<div data-rlab="{name}"><div class="rlab-still">{inside}</div></div>\n'
        f'<script src="{html.escape(script)}"></script>\n<script>(async () => {{\n{call}\n}})()</script>\n'
    )


def players(games: Sequence[tuple[str, StoredPayload, Trades | None]], *, name: str, height: int) -> str:
    """Return HTML for a page: one player of several games, which it lists and picks from, with no kernel.

    Parameters
    ----------
    games : sequence of (words of the list, game, trades)
        Each is shown at its end, so that all trades are seen; the first is shown first.
    name : str
        Of the element; an event ``rlab-pick`` on it, with the number of a game, shows that game.
    height : int
        Of the chart, in pixels.
    """
    found = []
    for number, (_, payload, trades) in enumerate(games):
        facts, data = _pieces(payload)
        dealt = None if trades is None else trades.of_game(payload.timeline)
        found.append(({"facts": {**facts, "height": height, "game": number}, "trades": dealt}, data))
    (first, rows), *others = found
    opening = {
        "kind": "open",
        **first,
        "state": {**_STATE, "row": _END},
        "games": [words for words, _, _ in games],
        "marks": [],
        "offline": True,
        "page": False,
    }
    still = f"<p>{html.escape(games[0][1].summary)}: a browser with scripts plays it.</p>"
    return embedded("player", name, still, opening, rows, others)


def _pieces(payload: StoredPayload) -> tuple[dict[str, Any], list[list[tuple[int, str]]]]:
    """Return what is known of a game, and its rows packed: an overview and chunks, or all of them."""
    facts, first = payload.opening()
    pieces = [first]
    widths = [*_ROWS, *[8] * len(payload.panels)]
    if payload.pieces > 1:
        pieces += [payload.chunk(number) for number in range(payload.pieces)]
        data = [[turned(column, width) for column, width in zip(pieces[0], _OVERVIEW, strict=True)]]
    else:
        pieces[0][2] = memoryview(b"")  # when rows are due follows from their times
        data = []
    data += [
        [turned(column, width) for column, width in zip(rows, widths, strict=True)] for rows in pieces[len(data) :]
    ]
    return facts, data


def turned(column: memoryview, width: int) -> tuple[int, str]:
    """Return the bytes of a column packed with those of the same place side by side: half the size, the same bytes."""
    rows = np.frombuffer(column, np.uint8).reshape(-1, width)
    return width, packed(np.ascontiguousarray(rows.T).tobytes())


def picture(payload: StoredPayload, *, log: bool = False) -> bytes:
    r"""Return the chart of a game as a small PNG, in few colours.

    Examples
    --------
    >>> from replaylab.tick import Tick
    >>> ticks = [Tick(game_id="g", tick=n, timestamp="2031-01-02T03:04:05", price=1 + n, active=True) for n in range(3)]
    >>> picture(StoredPayload(Timeline.of(ticks)))[:4]
    b'\x89PNG'
    """
    from PIL import Image

    from replaylab.charts.style import blank

    ax = blank(*_INCHES)[0]
    _draw(ax, payload, log=log)
    figure = cast("Figure", ax.figure)  # of a new picture; get_figure(root=True) needs matplotlib 3.10
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=_DPI, metadata={"Software": None})
    small = io.BytesIO()
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()


def load_pictures() -> None:
    """Load what draws a picture, which takes a second or two."""
    from PIL import Image  # noqa: F401

    from replaylab.charts.style import blank  # noqa: F401


def _draw(ax: Axes, payload: StoredPayload, *, log: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    from replaylab.charts.game_chart import STEPS
    from replaylab.charts.style import BLUE, GREEN, VERMILION, head, say

    head(ax, payload.timeline.game_id or "game", payload.summary.partition(": ")[2])
    rows, prices = _thin(payload)
    shown = np.isfinite(prices) & (prices > 0) if log else np.isfinite(prices)
    if not shown.any():
        say(ax, "No price above zero was recorded" if log else "No price was recorded")
        return
    prices = np.where(shown, prices, np.nan)
    ax.plot(rows, prices, color=BLUE, linewidth=1.3)
    lone = np.isnan(np.append(np.nan, prices[:-1])) & np.isnan(np.append(prices[1:], np.nan))
    ax.plot(rows[lone], prices[lone], ".", color=BLUE)
    for row, marker, colour in ((payload.timeline.peak, "^", GREEN), (payload.timeline.rug, "X", VERMILION)):
        if row is not None and np.isfinite(payload.timeline.floats[row]):
            ax.plot([row], [payload.timeline.floats[row]], marker, color=colour, markersize=7, clip_on=False)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(steps=STEPS))
    ax.set(xlabel="row received", ylabel="price (log)" if log else "price")
    if log:
        least, greatest = prices[shown].min(), prices[shown].max()
        if least == greatest:  # matplotlib finds no room around some prices
            ax.set_ylim(least / 2, greatest * 2)
        ax.set_yscale("log", nonpositive="mask")


def _thin(payload: StoredPayload) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return rows and prices to draw: the least and greatest of each stretch, broken where something is missing."""
    prices, rows = payload.timeline.floats, np.arange(len(payload), dtype=np.float64)
    if len(payload) > _POINTS:
        starts = np.arange(0, len(payload), -(-2 * len(payload) // _POINTS))
        low = np.fmin.reduceat(prices, starts)
        high = np.fmax.reduceat(prices, starts)
        return np.repeat(starts.astype(np.float64), 2), np.stack([low, high], 1).ravel()
    breaks = np.flatnonzero(payload.columns.flags & GAP)
    return np.insert(rows, breaks, np.nan), np.insert(prices, breaks, np.nan)
