"""The report of a backtest: one page with equity, results by trade, trades in the player, figures and its origin."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from dataclasses import fields
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from replaylab.analysis.backtests.backtest import Backtest
from replaylab.analysis.backtests.ledger import Trade
from replaylab.analysis.backtests.report import Report
from replaylab.charts.theme import recoloured
from replaylab.exports.report_games import ReportGames
from replaylab.plural import count_of
from replaylab.storage.open import open_store
from replaylab.storage.store import Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RESAMPLES: Final = 500
_COLOURS: Final = 64
_SCROLLS: Final = 'tabindex="0"'  # so that keys scroll it
_STYLE: Final = """html{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;color:#222;background:#fff;max-width:1000px;margin:2em auto;padding:0 1em}
img{max-width:100%;height:auto}h2{margin-top:2em}
table{border-collapse:collapse;margin:1em 0}
td,th{padding:2px 12px 2px 0;text-align:right;border-bottom:1px solid #ccc}
th:first-child,td:first-child{text-align:left}
.wide,pre{overflow-x:auto}pre{padding:.5em;background:#f4f4f4}
code,pre,.origin td{overflow-wrap:anywhere}
.games{display:flex;flex-wrap:wrap;gap:6px;margin:0;padding:2px;list-style:none;max-height:440px;overflow-y:auto}
.games li{display:flex}
.game{display:block;width:152px;padding:4px 6px;border:1px solid #767676;border-radius:4px;color:inherit;
background:none;font:12px/1.3 system-ui,sans-serif;text-align:left;overflow-wrap:anywhere}
button.game{cursor:pointer}button.game:hover{background:#8881}
button.game:focus-visible{outline:3px solid #0072b2;outline-offset:1px}div.game{border-style:dashed}
.game svg{display:block;width:100%;height:28px;fill:none;stroke:currentColor}.game b,.game span{display:block}
@media(prefers-color-scheme:dark){body{color:#e8e8e8;background:#121212}pre{background:#222}td,th{border-color:#555}
.game{border-color:#8c8c8c}button.game:focus-visible{outline-color:#56b4e9}}"""
_PICK: Final = """for(const one of document.querySelectorAll('button.game'))one.addEventListener('click',()=>{
const player=document.querySelector('[data-rlab="games"]');
player.dispatchEvent(new CustomEvent('rlab-pick',{detail:Number(one.dataset.game)}));
player.scrollIntoView({block:'center'});player.querySelector('.rlab-stage')?.focus({preventScroll:true})})"""


def report(found: Backtest, *, games: Sequence[str] | None = None, store: Store | str | Path | None = None) -> Report:
    """Return the report of a backtest: a page, and a shorter one for a cell; `Backtest.report` says what they hold.

    Raises
    ------
    AnalysisError
        When one of `games` was not part of the backtest.
    StoreNotFound
        When there is no store at the path.

    Examples
    --------
    >>> from replaylab.analysis import Buy, Paths, backtest
    >>> from replaylab.fair import simulate
    >>> games = Paths.of_arrays(*simulate(20, seed=1))
    >>> found = backtest(games, lambda tape, account: Buy("0.01") if tape.now == 3 else None, progress=False)
    >>> text = report(found).html
    >>> "Trades on the price" in text, "http" in text
    (True, False)
    """
    if store is not None and not isinstance(store, Store):
        store = open_store(store)
    chosen = ReportGames(found, games or (), store)
    before = [_head(found), "<h2>Money</h2>", _picture(_equity(found), _equity_words(found))]
    before += ["<h2>Results by trade</h2>", _picture(_results(found.trades), _results_words(found.trades))]
    figures = found.metrics().rename_axis("figure").reset_index()
    before += ["<h2>Figures</h2>", _wide("Figures", figures.to_html(border=0, index=False, float_format=_digits))]
    after = ["<h2>Made from</h2>", _made_from(found)]
    return Report(*(_page([*before, _games(part), *after]) for part in (chosen, chosen.fewer())))


def _page(parts: Iterable[str]) -> str:
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" '
        f'content="width=device-width">\n<title>Backtest</title>\n<style>{_STYLE}</style>\n</head>\n'
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _head(found: Backtest) -> str:
    left_out = found.notes or ["Nothing was left out: every game was seen to its end and could be played."]
    return (
        f"<h1>Backtest</h1><p>{html.escape(repr(found))}</p>"
        f"<h2>What was left out, and why</h2><ul>{''.join(f'<li>{html.escape(one)}</li>' for one in left_out)}</ul>"
    )


def _games(chosen: ReportGames) -> str:
    """Return the player and the thumbnails, and what they do not show."""
    parts = ["<h2>Trades on the price</h2>", *(f"<p>{html.escape(one)}</p>" for one in chosen.notes)]
    if chosen.played:
        parts.append(chosen.player())
    if chosen.thumbnails:
        items = "".join(f"<li>{one}</li>" for one in chosen.thumbnails)
        parts.append(f'<h3>Games</h3><ul class="games" {_SCROLLS} aria-label="Games; a button plays one">{items}</ul>')
        parts.append(f"<script>{_PICK}</script>")
    return "\n".join(parts)


def _wide(name: str, table: str) -> str:
    """Return a table that scrolls sideways where it is wider than the page."""
    return f'<div class="wide" {_SCROLLS} role="region" aria-label="{name}">{table}</div>'


def _digits(value: float) -> str:
    return f"{value:.6g}"


def _picture(figure: Figure, words: str) -> str:
    """Return a picture in two themes, of which the page shows the one that its reader has chosen."""
    light = _png(figure)
    with recoloured(figure):
        dark = _png(figure)
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img alt="{html.escape(words)}" src="{light}"></picture>'
    )


def _png(figure: Figure) -> str:
    drawn, small = BytesIO(), BytesIO()
    figure.savefig(drawn, format="png", dpi=130, metadata={"Software": None})
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(small.getvalue()).decode()}"


def _equity_words(found: Backtest) -> str:
    worst = 100 * float(found.equity["drawdown"].max())
    return (
        f"Balance after each of {count_of(found.n_games, 'game')}, from {found.start:f} to {float(found.balance):.6g}, "
        f"and below it how far it lay below its highest, {worst:.3g} per cent at most"
    )


def _equity(found: Backtest) -> Any:
    """Draw the balance with a band by drawing games again, and below it the share below the highest balance."""
    from replaylab.charts.style import BLUE, FAINT, VERMILION, blank, head

    top, below = blank(10, 5.6, rows=2)
    curve = found.equity["balance"].to_numpy(np.float64)
    profits = found.profits
    games = np.arange(len(curve))
    head(
        top,
        "Balance after each game",
        f"{count_of(len(profits), 'game')}; band: 95 % of the orders and choices of the same games",
    )
    if len(profits) > 1:
        drawn = np.random.default_rng(0).choice(profits, (_RESAMPLES, len(profits)))
        sums = curve[0] + np.concatenate([np.zeros((_RESAMPLES, 1)), np.cumsum(drawn, axis=1)], axis=1)
        low, high = np.quantile(sums, [0.025, 0.975], axis=0)
        top.fill_between(games, low, high, color=BLUE, alpha=0.18, linewidth=0)
    top.plot(games, curve, color=BLUE, linewidth=1.6)
    top.axhline(curve[0], color=FAINT, linewidth=1, linestyle=":")
    below.fill_between(games, -100 * found.equity["drawdown"].to_numpy(np.float64), 0, color=VERMILION, alpha=0.5)
    below.set(xlabel="games played", ylabel="below the highest (%)")
    return top.figure


def _results_words(trades: Sequence[Trade]) -> str:
    won = sum(one.profit > 0 for one in trades)
    counts = f"{count_of(len(trades), 'trade')}, {won:,} won"
    return f"How many trades came to which result, as a share of what was paid: {counts}"


def _results(trades: Sequence[Trade]) -> Any:
    """Draw how many trades came to which result, as a share of what was paid."""
    from replaylab.charts.style import BLUE, PURPLE, blank, head, say

    (ax,) = blank(10, 3)
    head(ax, "Result of a trade", f"{count_of(len(trades), 'trade')}, as a share of what was paid")
    if not trades:
        say(ax, "No trade was made")
        return ax.figure
    for kind, color in (("position", BLUE), ("bet", PURPLE)):
        shares = [float(one.profit / one.paid) for one in trades if one.kind == kind and one.paid]
        if shares:
            ax.hist(np.minimum(shares, 5), bins=60, color=color, alpha=0.7, label=f"{kind}s")
    ax.set(xlabel="profit over what was paid (5 and above together)", ylabel="trades")
    ax.legend(loc="upper left", frameon=False)
    return ax.figure


def _made_from(found: Backtest) -> str:
    rows = [(one.name.replace("_", " "), str(getattr(found.rules, one.name))) for one in fields(found.rules)]
    origin = found.origin
    if origin is not None:
        first = [("strategy", origin.strategy), *origin.parameters.items(), ("cut-off games", origin.unfinished)]
        rows = [*first, *rows, ("games", f"{origin.paths.n_games:,}, {count_of(origin.paths.n_ticks, 'tick')}")]
        rows += [("digest of the data", origin.paths.digest), ("digest of the code", origin.code_digest or "no source")]
        rows += [("segment left out", f"{name}: {why}") for name, why in origin.paths.left_out.items()]
    table = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in rows)
    code = f"<pre {_SCROLLS}>{html.escape(origin.source)}</pre>" if origin is not None and origin.source else ""
    return _wide("Made from", f'<table class="origin">{table}</table>') + code
