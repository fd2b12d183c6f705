"""Pages: games of a store as HTML pages that play with no kernel and no network; one page a game."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.parse import quote

from replaylab.durable import make_folders, of_user, publish, written_aside
from replaylab.errors import SettingsError, StoreUnwritable
from replaylab.exports.export import ExportReport, log_export, refuse_inside
from replaylab.exports.selection import known_games
from replaylab.playback.timeline import Timeline
from replaylab.progress import bar
from replaylab.storage.objectstore import opened as opened_for_reading
from replaylab.storage.store import Store

ENDINGS: Final = (".html", ".htm")
INDEX: Final = "index.html"
SCRIPT: Final = "player.js"
_LONGEST_NAME: Final = 120  # bytes of a file name, far below what any file system takes


def is_page(path: str | os.PathLike[str]) -> bool:
    """Whether a path names a page.

    Examples
    --------
    >>> is_page("game.html"), is_page("pages")
    (True, False)
    """
    return Path(path).suffix.lower() in ENDINGS


def export_pages(
    store: str | os.PathLike[str] | Store,
    path: str | os.PathLike[str],
    *,
    games: str | Iterable[str] | None = None,
    progress: bool = False,
) -> ExportReport:
    """Write games of a store as HTML pages that play anywhere: no kernel, no network, nothing beside the file.

    Every row is in its page, 10 to 20 bytes each, and every price is exact.

    Parameters
    ----------
    store : path or Store
        Where to read.
    path : path
        A file that ends in ``.html``, for one game, with nothing beside it; or a folder, for one page a game, the
        ``player.js`` that all of them load, and an ``index.html``: the games in a table to sort and filter, in which
        a click plays one beside it.
    games : str or iterable of str, optional
        Ids of the games; by default all of them.
    progress : bool
        Show a bar while a folder of pages is written.

    Raises
    ------
    StoreNotFound, GameNotFound, SegmentDamaged
        About what is to be read.
    SettingsError
        When a file is named for several games, or for none; when the path lies inside the store.
    StoreFull, StoreUnwritable
        About the files; each appears under its name when it is whole.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = rl.simulate(folder + "/recordings", games=2, seed=1)
    >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
    >>> report = export_pages(folder + "/store", folder + "/pages")
    >>> report.games, sorted(entry.suffix for entry in Path(report.path).iterdir())
    (2, ['.html', '.html', '.html', '.js'])
    """
    opened = opened_for_reading(store)
    target = of_user(path, StoreUnwritable)
    refuse_inside(opened.path, target)
    wanted = known_games(opened, games)
    chosen = [game for game in opened.game_ids() if wanted is None or game in wanted]
    rows, size = _page(opened, chosen, target) if is_page(target) else _folder(opened, chosen, target, show=progress)
    report = ExportReport(str(target), "html", "ticks", len(chosen), rows, size, tuple(opened.damaged.values()))
    log_export(report)
    return report


def _page(store: Store, games: list[str], path: Path, *, script: str = "", links: str = "") -> tuple[int, int]:
    """Write the page of one game; return its rows and bytes."""
    if len(games) != 1:
        raise SettingsError(
            f"path={str(path)!r}: a page holds one game, and {len(games):,} are chosen; name one of them (--game ID), "
            "or a folder instead of a file for one page a game"
        )
    from replaylab.widgets.fallback import page

    line = Timeline.of(store.game(games[0]))
    return len(line), _written(path, page(line, script=script, links=links))


def _folder(store: Store, games: list[str], path: Path, *, show: bool) -> tuple[int, int]:
    """Write one page a game and the page that leads to them; return their rows and bytes."""
    if path.suffix and not path.is_dir():
        raise SettingsError(
            f"path={str(path)!r}: ends in {path.suffix}; name a page (.html) for one game, or a folder for one a game"
        )
    from replaylab.widgets.bundle import page_script
    from replaylab.widgets.games_table import GamesTable
    from replaylab.widgets.index import index, links

    names = {game: page_name(game) for game in games}
    files = list(names.values())
    rows, size = 0, _written(path / SCRIPT, page_script())
    with bar(len(games), "pages", "game", show=show) as shown:
        for number, (game, name) in enumerate(names.items()):
            more = _page(store, [game], path / name, script=SCRIPT, links=links(files, number))
            rows, size = rows + more[0], size + more[1]
            shown.update(1)
    return rows, size + _written(path / INDEX, index(GamesTable(store, games), names))


def page_name(game: str) -> str:
    """Return the file name of a game's page: its id, with what a file system may not take written as ``%XX``.

    Examples
    --------
    >>> page_name("20310102-3d4e7826a2524414"), page_name("a/b.."), page_name("index")
    ('20310102-3d4e7826a2524414.html', 'a%2Fb...html', '%69ndex.html')
    """
    safe = quote(game, safe="")
    if safe.startswith((".", "index")):
        safe = f"%{ord(safe[0]):02X}{safe[1:]}"  # hidden, or the name of the page that leads to all of them
    if len(safe) > _LONGEST_NAME:
        safe = f"{safe[:80]}-{hashlib.blake2b(game.encode(), digest_size=16).hexdigest()}"
    return f"{safe}.html"


def _written(path: Path, text: str) -> int:
    """Write a page, whole under its name or not there at all; return its bytes."""
    data = text.encode()
    make_folders(path.parent)
    with written_aside(path.parent, f".{path.name}") as aside:
        aside.write_bytes(data)
        publish(aside, path)
    return len(data)
