"""Local paths: what is written by analysis goes to this machine; a URL is refused by name and leaves no folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from replaylab import analysis as a
from replaylab.analysis.batches.local_path import local_path
from replaylab.errors import AnalysisError
from tests.analysis.made import drawn
from tests.stores import quiet, simulated

URLS = ["s3://KEY:SECRET@bucket/a.parquet?region=x", "gs://bucket/a.parquet", "S3://bucket/a.parquet"]


@pytest.mark.parametrize("url", [*URLS, *map(Path, URLS)], ids=str)
@pytest.mark.parametrize("place", ["cache", "results", "report"])
def test_a_url_is_refused_and_makes_no_folder(
    url: str | Path, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says which argument, what to do, and no secret; also where `Path` has taken a slash away."""
    store = quiet(simulated(tmp_path / "recordings", games=2), tmp_path / "store").store
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    write: dict[str, Callable[[], object]] = {
        "cache": lambda: a.map_games(store, len, cache=url, workers=1),
        "results": lambda: a.map_games(store, len, workers=1).save(url),
        "report": lambda: a.backtest(drawn(5), lambda _tape, _account: None, progress=False).report(url),
    }
    argument = "cache" if place == "cache" else "path"
    with pytest.raises(
        AnalysisError, match=rf"(?i){argument}='(s3|gs)://bucket/a\.parquet': .*no object store; "
    ) as info:
        write[place]()
    assert "SECRET" not in str(info.value)
    assert not list(here.iterdir())


@pytest.mark.parametrize("path", ["cache", "a:b", "C:/games", "./s3:/x", "/var/cache"])
def test_a_path_stays_as_it_is(path: str) -> None:
    """Colons are letters like others where no scheme and slash come first; a drive is no scheme."""
    assert local_path(path, "cache", "") == Path(path)


@pytest.mark.parametrize("url", ["file:///var/my%20games", Path("file:///var/my%20games"), "FILE:///var/my games"])
def test_a_file_url_is_a_path(url: str | Path) -> None:
    """`file://` names a folder of this machine."""
    assert local_path(url, "cache", "") == Path("/var/my games")


def test_a_file_url_of_another_machine_is_refused() -> None:
    """The host is no folder."""
    with pytest.raises(AnalysisError, match="file://host/games"):
        local_path("file://host/games", "cache", "pass a path")
