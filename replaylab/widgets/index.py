"""Index: the page that leads to the pages of games: a table to sort and filter; a click plays a game beside it."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

from replaylab.plural import count_of
from replaylab.widgets.browser import packed_columns
from replaylab.widgets.bundle import page_script
from replaylab.widgets.cell_output import script_json
from replaylab.widgets.games_table import GamesTable

_HEIGHT: Final = 640
_LINKS: Final = 200  # games that can be opened where no script may run
_STYLE: Final = (
    "html{color-scheme:light dark}body{margin:16px;font-family:system-ui,sans-serif}"
    "@media (prefers-color-scheme:dark){html{background:#101216;color:#e8e8e8}a{color:#8ec7ff}}"
    "h1{font-size:18px;margin:0 0 8px}li{font-family:monospace;line-height:1.8;overflow-wrap:anywhere}"
)


def index(games: GamesTable, names: Mapping[str, str]) -> str:
    """Return the page that leads to the pages of games, by their ids in `names`.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = rl.simulate(folder + "/recordings", games=2, seed=1)
    >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
    >>> games = GamesTable(rl.open_store(folder + "/store"))
    >>> index(games, {game: f"{game}.html" for game in games.ids}).count('<a href="')
    2
    """
    pages = [quote(names[game]) for game in games.ids]
    heading = count_of(len(pages), "game")
    facts = {"title": "", "note": "", "height": _HEIGHT, "pages": pages}
    call = f'replaylab.browse.offline("games", {script_json(facts)}, {script_json(packed_columns(games, len(games)))});'
    listed = "\n".join(
        f'<li><a href="{page}">{html.escape(game)}</a></li>'
        for page, game in list(zip(pages, games.ids, strict=True))[-_LINKS:]
    )
    more = f"<p>and {len(pages) - _LINKS:,} before these</p>\n" if len(pages) > _LINKS else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{heading}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{heading}</h1>\n"
        f'<div data-rlab="games"><div class="rlab-still">{more}<ol>\n{listed}\n</ol></div></div>\n'
        f"<script>{page_script('browse')}{call}</script>\n</main>\n</body>\n</html>\n"
    )


def links(files: Sequence[str], number: int) -> str:
    r"""Return links from the page of a game to the games before and after it, and to all of them.

    Examples
    --------
    >>> links(["a.html", "b.html"], 0)
    '<nav aria-label="Games"><a href="index.html">all games</a> <a href="b.html" rel="next">next</a></nav>\n'
    """
    found = ['<a href="index.html">all games</a>']
    for other, word, rel in ((number - 1, "previous", "prev"), (number + 1, "next", "next")):
        if 0 <= other < len(files):
            found.append(f'<a href="{quote(files[other])}" rel="{rel}">{word}</a>')
    return f'<nav aria-label="Games">{" ".join(found)}</nav>\n'
