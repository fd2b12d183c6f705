"""Report: a backtest as one page that needs nothing beside it: no kernel, no network, no other file."""

from __future__ import annotations

import base64
import html
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.backtests.account import Rules
from replaylab.analysis.backtests.ledger import Entry, Trade
from replaylab.analysis.batches.local_path import local_path
from replaylab.analysis.price_paths.paths import Paths
from replaylab.durable import publish, written_aside

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
GAMES: Final = 300  # whose prices are in the page
_RESAMPLES: Final = 500
_STYLE: Final = """body{font:15px/1.5 system-ui,sans-serif;color:#222;background:#fff;max-width:1000px;margin:2em auto;
padding:0 1em}img{max-width:100%}table{border-collapse:collapse;margin:1em 0}td,th{padding:2px 12px 2px 0;
text-align:right;border-bottom:1px solid #e4e4e4}th:first-child,td:first-child{text-align:left}
canvas{width:100%;height:320px;border:1px solid #e4e4e4}code{overflow-wrap:anywhere}h2{margin-top:2em}"""
_SCRIPT: Final = """const games=JSON.parse(document.getElementById('games').textContent);
const by=id=>document.getElementById(id),choose=by('game'),canvas=by('chart'),facts=by('facts');
games.forEach((g,i)=>choose.add(new Option(g.id+(g.profit?'  '+g.profit:''),i)));
function draw(){const g=games[choose.value];if(!g)return;const r=devicePixelRatio||1,w=canvas.clientWidth,h=320;
canvas.width=w*r;canvas.height=h*r;const c=canvas.getContext('2d');c.scale(r,r);c.clearRect(0,0,w,h);
const known=g.price.filter(p=>p!==null),top=Math.log(Math.max(...known,...g.marks.map(m=>m[1]))),
low=Math.log(Math.max(Math.min(...known),1e-9)),last=Math.max(g.rug??0,g.tick[g.tick.length-1],1);
const x=t=>40+(w-60)*t/last,y=p=>20+(h-50)*(1-(Math.log(Math.max(p,1e-9))-low)/Math.max(top-low,1e-9));
c.font='12px system-ui';c.fillStyle='#5f5f5f';
[Math.exp(low),Math.exp(top)].forEach(p=>c.fillText(p.toPrecision(3)+'x',2,y(p)+4));
c.fillText('tick '+last,w-70,h-8);c.strokeStyle='#222';c.beginPath();
g.tick.forEach((t,i)=>{if(g.price[i]!==null)i?c.lineTo(x(t),y(g.price[i])):c.moveTo(x(t),y(g.price[i]))});c.stroke();
if(g.rug!==null){c.strokeStyle='#D55E00';c.beginPath();c.moveTo(x(g.rug),20);c.lineTo(x(g.rug),h-30);c.stroke()}
const colors={buy:'#0072B2',sell:'#009E73',bet:'#CC79A7',won:'#009E73',rug:'#D55E00'};
g.marks.forEach(([t,p,k])=>{c.fillStyle=colors[k]||'#5f5f5f';c.beginPath();
if(k==='buy'){c.moveTo(x(t),y(p)-7);c.lineTo(x(t)-6,y(p)+5);c.lineTo(x(t)+6,y(p)+5)}
else if(k==='sell'){c.moveTo(x(t),y(p)+7);
c.lineTo(x(t)-6,y(p)-5);c.lineTo(x(t)+6,y(p)-5)}else c.arc(x(t),y(p),4,0,7);c.fill()});
facts.textContent=g.facts}
choose.onchange=draw;addEventListener('resize',draw);draw();"""


@dataclass(frozen=True, eq=False)
class Origin:
    """What a backtest was made from: its games, and the strategy in words.

    Parameters
    ----------
    paths : Paths
    strategy : str
        Its name.
    parameters : dict
        Fields of the strategy, as text.
    source : str
        Its source code; empty where there is none, as of code that was typed into a terminal.
    unfinished : str
        What was done with games that were cut off.
    """

    paths: Paths
    strategy: str
    parameters: dict[str, str]
    source: str
    unfinished: str

    @classmethod
    def of(cls, paths: Paths, strategy: Any, unfinished: str) -> Origin:
        """Return the origin of a strategy on games."""
        import inspect

        what = getattr(strategy, "signals", strategy)
        call = getattr(what, "func", what)  # of a partial
        kind = call if inspect.isroutine(call) or isinstance(call, type) else type(call)
        if is_dataclass(what) and not isinstance(what, type):
            given = {one.name: repr(getattr(what, one.name)) for one in fields(what)}
        else:
            given = {name: repr(value) for name, value in getattr(what, "keywords", {}).items()}
        try:
            source = inspect.getsource(kind)
        except (OSError, TypeError):
            source = ""
        return cls(paths, getattr(kind, "__qualname__", repr(kind)), given, source, unfinished)

    @property
    def code_digest(self) -> str:
        """Digest of the source code; empty where there is none."""
        import xxhash

        return xxhash.xxh3_128(self.source.encode()).hexdigest() if self.source else ""


class Report:
    """A page of HTML that needs nothing beside it; in a cell it shows itself, in a frame of its own.

    Examples
    --------
    >>> Report("<p>hello</p>")
    Report(12 bytes)
    """

    def __init__(self, text: str) -> None:
        self.html: Final = text

    def __repr__(self) -> str:
        return f"Report({len(self.html.encode()):,} bytes)"

    def _repr_html_(self) -> str:
        style = "width:100%;height:900px;border:0"
        return f'<iframe title="report" style="{style}" srcdoc="{html.escape(self.html)}"></iframe>'

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file, which appears under its name when it is whole; a URL raises `AnalysisError`."""
        target = report_target(path)
        with written_aside(target.parent, target.name) as aside:
            aside.write_text(self.html, encoding="utf-8")
            publish(aside, target)


def report_target(path: str | os.PathLike[str]) -> Path:
    """Return where a report is written; raise `AnalysisError` for the URL of an object store."""
    return local_path(path, "path", "write the report to a path and copy the file, as with pyarrow.fs.copy_files")


class Result(Protocol):
    """What is reported: a `Backtest`, which cannot be imported here as it offers this page itself."""

    @property
    def rules(self) -> Rules:
        """What was allowed."""

    @property
    def origin(self) -> Origin | None:
        """What it was made from."""

    @property
    def notes(self) -> list[str]:
        """What the figures leave out."""

    @property
    def profits(self) -> Floats:
        """Profit of each game."""

    @property
    def trades(self) -> list[Trade]:
        """Positions and side bets."""

    @property
    def entries(self) -> list[Entry]:
        """Movements of money."""

    @property
    def equity(self) -> pd.DataFrame:
        """The equity curve."""

    def metrics(self) -> pd.DataFrame:
        """Return the table of metrics."""


def page(found: Result) -> str:
    """Return the report of a backtest as the text of a page of HTML.

    It holds the equity curve with an interval, the share below the highest balance, results by trade, trades on the
    price of up to 300 games, the metrics, the rules and parameters, digests of data and code, and what was left out.
    """
    parts = [f"<h1>Backtest</h1><p>{html.escape(repr(found))}</p>"]
    left_out = found.notes or ["Nothing was left out: every game was seen to its end and could be played."]
    parts.append("<h2>What was left out, and why</h2>" + _list(left_out))
    parts.append("<h2>Money</h2>" + _picture(_equity(found)))
    parts.append("<h2>Results by trade</h2>" + _picture(_results(found.trades)))
    parts.append("<h2>Figures</h2>" + found.metrics().to_html(border=0, float_format="{:.6g}".format))
    parts.append(_games(found) + "<h2>Made from</h2>" + _made_from(found))
    body = "\n".join(parts)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Backtest</title>'
        f"<style>{_STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


def _list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{html.escape(one)}</li>" for one in lines) + "</ul>"


def _picture(figure: Figure) -> str:
    data = BytesIO()
    figure.savefig(data, format="png", dpi=130, metadata={"Software": None})
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}">'


def _equity(found: Result) -> Any:
    """Draw the balance with a band by drawing games again, and below it the share below the highest balance."""
    from replaylab.charts.style import BLUE, FAINT, VERMILION, blank, head

    top, below = blank(10, 5.6, rows=2)
    curve = found.equity["balance"].to_numpy(np.float64)
    profits = found.profits
    games = np.arange(len(curve))
    head(
        top,
        "Balance after each game",
        f"{len(profits):,} games; band: 95 % of the orders and choices of the same games",
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


def _results(trades: Sequence[Trade]) -> Any:
    """Draw how many trades came to which result, as a share of what was paid."""
    from replaylab.charts.style import BLUE, PURPLE, blank, head, say

    (ax,) = blank(10, 3)
    head(ax, "Result of a trade", f"{len(trades):,} trades, as a share of what was paid")
    if not trades:
        say(ax, "No trade was made")
        return ax.figure
    for kind, color in (("position", BLUE), ("bet", PURPLE)):
        shares = [float(one.profit / one.paid) for one in trades if one.kind == kind and one.paid]
        if shares:
            ax.hist(np.minimum(shares, 5), bins=60, color=color, alpha=0.7, label=f"{kind}s")
    ax.set(xlabel="profit over what was paid (5 and above together)", ylabel="trades")
    ax.legend(frameon=False)
    return ax.figure


def _games(found: Result) -> str:
    """Return the chart of any game, with its trades; the games with trades first, up to the most that a page holds."""
    if found.origin is None:
        return ""
    paths = found.origin.paths
    entries: dict[str, list[Entry]] = {}
    for entry in found.entries:
        entries.setdefault(entry.game_id, []).append(entry)
    names = paths.game_ids
    order = sorted(range(len(names)), key=lambda game: names[game] not in entries)[:GAMES]
    data = json.dumps([_game(paths, game, entries.get(names[game], [])) for game in order], separators=(",", ":"))
    held = f"{len(order):,} of {len(names):,} games are in this page, those with trades first."
    said = "Buys point up, sales down; bets and endings are dots, the rug a line." + f" {held}" * (
        len(order) < len(names)
    )
    escaped = data.replace("<", chr(92) + "u003c")  # no text in it may end the script
    return (
        f"<h2>Trades on the price</h2><p>{said}</p>"
        '<select id="game" aria-label="game"></select><canvas id="chart"></canvas><p id="facts"></p>'
        f'<script type="application/json" id="games">{escaped}</script><script>{_SCRIPT}</script>'
    )


def _game(paths: Paths, game: int, entries: Sequence[Entry]) -> dict[str, Any]:
    ticks, prices = paths.of(game)
    rug = int(paths.rug_tick[game])
    shown = [None if np.isnan(price) else float(f"{price:.6g}") for price in prices.tolist()]
    at = dict(zip(ticks.tolist(), prices.tolist(), strict=True)) | {rug: float(np.nan_to_num(paths.rug_price[game]))}
    moves = [one for one in entries if one.kind != "commission"]
    marks: list[tuple[int, float, str]] = [(one.tick, at.get(one.tick, 1.0), one.kind) for one in moves]
    profit = sum((one.amount for one in entries), Decimal(0))
    facts = "; ".join(f"tick {one.tick}: {one.kind} {one.amount:+.6g}" for one in entries) or "No trade in this game."
    return {
        "id": paths.game_ids[game],
        "tick": ticks.tolist(),
        "price": shown,
        "rug": rug if rug >= 0 else None,
        "marks": [mark for mark in marks if not math.isnan(mark[1])],
        "profit": f"{profit:+.6g}" if entries else "",
        "facts": facts,
    }


def _made_from(found: Result) -> str:
    rows = [(one.name.replace("_", " "), str(getattr(found.rules, one.name))) for one in fields(found.rules)]
    origin = found.origin
    if origin is not None:
        first = [("strategy", origin.strategy), *origin.parameters.items(), ("cut-off games", origin.unfinished)]
        rows = [*first, *rows, ("games", f"{origin.paths.n_games:,}, {origin.paths.n_ticks:,} ticks")]
        rows += [("digest of the data", origin.paths.digest), ("digest of the code", origin.code_digest or "no source")]
        rows += [("segment left out", f"{name}: {why}") for name, why in origin.paths.left_out.items()]
    table = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in rows)
    code = f"<pre>{html.escape(origin.source)}</pre>" if origin is not None and origin.source else ""
    return f"<table>{table}</table>{code}"
