"""Clips of a game: a picture at the playhead, a GIF of what is selected; what cannot be written says why."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

import replaylab as rl
from replaylab.errors import StoreUnwritable, Unplayable
from replaylab.widgets import clip as clips
from tests.widgets.pages import Make, game


def test_the_selection_becomes_a_gif(make: Make, tmp_path: Path) -> None:
    """Each selected row is a frame, shown as long as it was; without a selection the loop, else the whole game."""
    player, _ = make(game(40))
    player.selection = (10, 19)
    assert player.save(tmp_path / "clip.gif") == tmp_path / "clip.gif"
    with Image.open(tmp_path / "clip.gif") as clip:
        assert (clip.n_frames, clip.info["duration"]) == (10, 50)  # type: ignore[attr-defined]
    player.selection = None
    player.loop = (0, 4)
    player.save(tmp_path / "loop.gif")
    with Image.open(tmp_path / "loop.gif") as clip:
        assert clip.n_frames == 5  # type: ignore[attr-defined]


def test_a_picture_is_the_chart_at_the_playhead(make: Make, tmp_path: Path) -> None:
    """It has a size to be read, and is another one elsewhere in the game."""
    player, _ = make(game(40))
    player.seek(5)
    player.save(tmp_path / "a.png")
    player.seek(30)
    player.save(tmp_path / "b.png")
    with Image.open(tmp_path / "a.png") as one, Image.open(tmp_path / "b.png") as other:
        assert one.width >= 700
        assert one.tobytes() != other.tobytes()


def test_a_long_game_becomes_a_clip_of_bounded_length(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of thousands of rows some are drawn, the first and the last among them."""
    monkeypatch.setattr(clips, "FRAMES", 12)
    player, _ = make(game(2_000))
    player.save(tmp_path / "clip.gif")
    with Image.open(tmp_path / "clip.gif") as clip:
        assert clip.n_frames == 12  # type: ignore[attr-defined]


def test_what_cannot_be_written_says_why(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another ending, a film without ffmpeg, one that fails, a live game: each by name."""
    player, _ = make(game(4))
    with pytest.raises(Unplayable, match=r"ends in \.png, \.gif, \.mp4"):
        player.save(tmp_path / "clip.avi")
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(Unplayable, match="needs the program ffmpeg"):
        player.save(tmp_path / "clip.mp4")
    monkeypatch.undo()
    for name in ("now.png", "clip.gif"):
        with pytest.raises(StoreUnwritable, match=rf"cannot write '.*no/{name}': No such file or directory"):
            player.save(tmp_path / "no" / name)
    live = rl.play(rl.ReplayEngine())
    with pytest.raises(Unplayable, match="stored game"):
        live.save(tmp_path / "clip.gif")
    live.close()


def test_a_film_is_made_by_ffmpeg(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program gets the frames and how long each is shown; what it says when it fails is in the error."""
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport pathlib, sys\n"
        "lines = pathlib.Path('frames.txt').read_text().split('\\n')\n"
        "pathlib.Path(sys.argv[-1]).write_text(str(sum(line.startswith('duration') for line in lines)))\n"
        "sys.exit(len(lines) > 20 and sys.stderr.write('too long'))\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    player, _ = make(game(30))
    player.selection = (0, 3)
    player.save(tmp_path / "clip.mp4")
    assert (tmp_path / "clip.mp4").read_text() == "4"
    player.selection = None
    with pytest.raises(Unplayable, match="ffmpeg failed: too long"):
        player.save(tmp_path / "clip.mp4")
