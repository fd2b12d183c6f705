"""Pages: one a game, whole, with every digit in it; a wish that cannot be met says what to do."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

import replaylab as rl
from replaylab.errors import GameNotFound, SegmentDamaged, SettingsError, StoreNotFound, StoreUnwritable
from replaylab.exports.export import export
from replaylab.exports.pages import export_pages, page_name
from replaylab.playback.timeline import Timeline
from replaylab.storage.store import Store
from replaylab.widgets.payload import StoredPayload
from tests.stores import RECORDINGS, line, names, quiet, simulated

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of four games; reading does not change it."""
    folder = tmp_path_factory.mktemp("pages")
    quiet(simulated(folder / "recordings", games=4), folder / "store")
    return Store(folder / "store")


def test_a_page_holds_the_rows_of_its_game(store: Store, tmp_path: Path) -> None:
    """A page of one game names that game and carries its rows; it asks no other address for anything."""
    game = store.game_ids()[1]
    report = export_pages(store, tmp_path / "new" / "game.html", games=game)
    text = Path(report.path).read_text(encoding="utf-8")
    reel = StoredPayload(Timeline.of(store.game(game)))
    assert (report.games, report.rows, report.bytes) == (1, len(reel), len(text.encode()))
    assert f"<title>{game}</title>" in text
    assert reel.id in text
    assert not re.search(r"""(src|href)\s*=|https?://(?!www\.w3\.org)""", text)


def test_a_folder_holds_one_page_a_game(store: Store, tmp_path: Path) -> None:
    """Several games become a folder: a page for each, and an index whose links lead to all of them."""
    report = export_pages(store, tmp_path / "pages")
    pages = [page_name(game) for game in store.game_ids()]
    assert names(tmp_path / "pages") == sorted([*pages, "index.html", "player.js"])
    index = (tmp_path / "pages" / "index.html").read_text(encoding="utf-8")
    assert [unquote(link) for link in re.findall(r'href="([^"]+)"', index)] == pages
    assert report.games == 4
    assert report.rows == store.rows
    assert report.bytes == sum(path.stat().st_size for path in (tmp_path / "pages").iterdir())
    some = export_pages(store, tmp_path / "some", games=store.game_ids()[:2])
    assert (some.games, len(names(tmp_path / "some"))) == (2, 4)


@pytest.mark.parametrize(
    ("path", "games", "error", "said"),
    [
        ("game.html", None, SettingsError, r"one game, and 4 are chosen; name one of them \(--game ID\), or a folder"),
        ("game.html", [], SettingsError, "and 0 are chosen"),
        ("games.xlsx", None, SettingsError, r"ends in \.xlsx"),
        ("game.html", "20310102-0000000000000000", GameNotFound, "20310102-0000000000000000"),
    ],
)
def test_wishes_that_cannot_be_met(
    store: Store, tmp_path: Path, path: str, games: list[str] | str | None, error: type[Exception], said: str
) -> None:
    """A file for several games or none, a strange ending, an unknown game: each says so, and nothing is written."""
    with pytest.raises(error, match=said):
        export_pages(store, tmp_path / path, games=games)
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_written(store: Store, tmp_path: Path) -> None:
    """Inside the store, over a folder, below a file, and from no store at all: an error of this package."""
    game = store.game_ids()[0]
    for place in (store.path, store.path / "pages"):
        with pytest.raises(SettingsError, match="inside the store"):
            export_pages(store, place)
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(StoreUnwritable):
        export_pages(store, tmp_path / "folder.html", games=game)
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnwritable):
        export_pages(store, tmp_path / "file" / "game.html", games=game)
    with pytest.raises(StoreNotFound):
        export_pages(tmp_path / "nothing", tmp_path / "game.html")
    assert names(tmp_path) == ["file", "folder.html"]


def test_damage_leaves_the_old_page(tmp_path: Path) -> None:
    """A damaged segment is an error; the page of before is still there, nothing beside it."""
    quiet(simulated(tmp_path / "recordings", games=1), tmp_path / "store")
    store = Store(tmp_path / "store")
    page = tmp_path / "out" / "game.html"
    export_pages(store, page)
    before = page.read_bytes()
    segment = store.segments()[0].path
    data = bytearray(segment.read_bytes())
    data[500:1_500] = bytes(1_000)  # wherever a version of pyarrow puts which column
    segment.write_bytes(data)
    with pytest.raises(SegmentDamaged):
        export_pages(store, page)
    assert page.read_bytes() == before
    assert names(tmp_path / "out") == ["game.html"]


def test_names_of_games_cannot_leave_the_folder_or_the_page(tmp_path: Path) -> None:
    """A game may be called anything: its file lies in the folder, and its name is text in every page."""
    games = ["../../escaped", "<script>alert(1)</script>", "index", ".hidden", "a/b"]
    lines = [line(game, tick, "1.5") for game in games for tick in range(2)]
    (tmp_path / "odd.jsonl").write_bytes(b"".join(lines))
    quiet(tmp_path / "odd.jsonl", tmp_path / "store")
    export_pages(tmp_path / "store", tmp_path / "pages")
    assert names(tmp_path) == ["odd.jsonl", "pages", "store"]
    written = names(tmp_path / "pages")
    assert len(written) == 7
    assert not [name for name in written if name.startswith(".")]
    for path in (tmp_path / "pages").iterdir():
        assert "<script>alert" not in path.read_text(encoding="utf-8")


@given(st.lists(NAMES, min_size=2, max_size=6, unique=True))
def test_every_game_has_a_file_of_its_own(games: list[str]) -> None:
    """Different games have different files, each a plain visible name that any file system takes."""
    found = [page_name(game) for game in games]
    assert len(set(found)) == len(found)
    for name in found:
        assert re.fullmatch(r"[A-Za-z0-9_~%-][A-Za-z0-9_.~%-]*\.html", name)
        assert len(name) <= 140
        assert name != "index.html"


def test_export_points_to_pages(store: Store, tmp_path: Path) -> None:
    """Who asks the other export for a page is told where pages are made."""
    with pytest.raises(SettingsError, match="export_pages"):
        export(store, tmp_path / "game.html")


def test_895_games_stay_below_8_mb(tmp_path: Path) -> None:
    """Pages and index of real games, one recording in twelve, are small enough for 895 of them, script included."""
    if not RECORDINGS.is_dir():
        assert not list(RECORDINGS.parent.glob("recordings/*")), "no real recordings here; nothing to hold"
        return
    rl.convert(sorted(RECORDINGS.glob("*.jsonl"))[::12], tmp_path / "store", progress=False)
    report = export_pages(tmp_path / "store", tmp_path / "pages")
    assert report.games > 40
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "pages").iterdir()}
    assert report.bytes == sum(sizes.values())
    script, index = sizes.pop("player.js"), sizes.pop("index.html")
    assert script + 895 * (index / len(sizes) + sum(sizes.values()) / len(sizes)) < 8_000_000
    assert script + index < 300_000  # what the first page needs before it is seen
