"""Clips: a stretch of a game as a GIF or a film, and the chart at one row as a picture."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from replaylab.durable import of_user
from replaylab.errors import StoreUnwritable, Unplayable
from replaylab.widgets.payload import StoredPayload

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

KINDS: Final = (".png", ".gif", ".mp4")
FRAMES: Final = 240  # of a clip; of more rows some are left out
_INCHES: Final = (7.2, 3.2)
_DPI: Final = 100
_LEAST_MS, _MOST_MS = 20, 1_000  # that one frame is shown


def save_clip(
    payload: StoredPayload, path: str | os.PathLike[str], first: int, last: int, *, log: bool = False
) -> Path:
    """Write the rows from `first` to `last` as a clip, or the chart up to `last` as a picture; return the path.

    Parameters
    ----------
    payload : StoredPayload
        The game.
    path : path
        Ends in ``.png``, ``.gif`` or ``.mp4``; the last needs the program ffmpeg.
    first, last : int
        Rows, both included; each is shown as long as it was, between 20 ms and 1 s.
    log : bool
        Logarithmic price axis.

    Raises
    ------
    Unplayable
        When the name has another ending, or ffmpeg is not there or fails; it says what to do.
    StoreUnwritable
        When the folder is not there, or may not be written.
    """
    target = of_user(path, StoreUnwritable)
    kind = target.suffix.lower()
    if kind not in KINDS:
        raise Unplayable(f"{str(path)!r}: a clip ends in {', '.join(KINDS)}")
    if kind == ".mp4" and shutil.which("ffmpeg") is None:
        raise Unplayable(f"{str(path)!r}: a film needs the program ffmpeg, which is not here; write a .gif instead")
    try:
        _write(payload, target, kind, (first, last), log=log)
    except OSError as error:
        raise StoreUnwritable(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    return target


def _write(payload: StoredPayload, target: Path, kind: str, ends: tuple[int, int], *, log: bool) -> None:
    first, last = ends
    rows = np.unique(np.linspace(first, last, min(FRAMES, last - first + 1)).astype(int))
    if kind == ".png":
        next(_frames(payload, rows[-1:], 0, log=log)).save(target)
        return
    due = payload.columns.due_ms[rows]
    shown = [int(ms) for ms in np.clip(np.append(np.diff(due), 1_000), _LEAST_MS, _MOST_MS)]
    frames = _frames(payload, rows, first, log=log)
    if kind == ".gif":
        head, *rest = frames
        head.save(target, save_all=True, append_images=rest, duration=shown, loop=0, optimize=True)
    else:
        _film(frames, shown, target)


def _frames(payload: StoredPayload, rows: Any, first: int, *, log: bool) -> Iterator[Image]:
    """Yield the chart at each row: the axes of the whole stretch, and the path up to there."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    from replaylab.charts.style import BLUE, blank, head

    ax = blank(*_INCHES)[0]
    figure = cast("Figure", ax.figure)  # of a new picture; get_figure(root=True) needs matplotlib 3.10
    prices = payload.timeline.floats.astype(float)
    prices = np.where(prices > 0, prices, np.nan) if log else prices
    stop = int(rows[-1]) + 1
    known = prices[first:stop][np.isfinite(prices[first:stop])]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.5, 1.5)
    room = (high - low or abs(high) or 1.0) * 0.08
    ax.set(
        xlim=(first - 0.5, max(first + 1, stop - 0.5)), xlabel="row received", ylabel="price (log)" if log else "price"
    )
    ax.set_ylim((low / 1.1, high * 1.1) if log else (low - room, high + room))
    if log:
        ax.set_yscale("log", nonpositive="mask")
    (path,) = ax.plot([], [], color=BLUE, linewidth=1.3)
    (point,) = ax.plot([], [], "o", color=BLUE)
    figure.set_dpi(_DPI)
    canvas = FigureCanvasAgg(figure)
    for row in rows.tolist():
        head(ax, payload.timeline.game_id or "game", f"tick {payload.columns.tick[row]:,}, {payload.price(row)}")
        path.set_data(np.arange(first, row + 1), prices[first : row + 1])
        point.set_data([row], [prices[row]])
        canvas.draw()  # type: ignore[no-untyped-call]
        figure.set_layout_engine("none")  # laid out once, so that nothing moves
        yield Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")  # type: ignore[no-untyped-call]
        for note in list(ax.texts):
            note.remove()


def _film(frames: Iterator[Image], shown: list[int], target: Path) -> None:
    with TemporaryDirectory() as folder:
        lines = []
        for number, (frame, ms) in enumerate(zip(frames, shown, strict=True)):
            frame.save(Path(folder) / f"{number}.png")
            lines += [f"file '{number}.png'", f"duration {ms / 1000:.3f}"]
        (Path(folder) / "frames.txt").write_text("\n".join([*lines, lines[-2]]) + "\n", encoding="ascii")
        command = [
            "ffmpeg",
            "-y",
            "-loglevel",
            "error",
            "-f",
            "concat",
            "-i",
            "frames.txt",
            "-vf",
            "pad=ceil(iw/2)*2:ceil(ih/2)*2",
        ]
        command += ["-pix_fmt", "yuv420p", str(target.resolve())]
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=600)  # noqa: S603
        if done.returncode:
            raise Unplayable(f"{str(target)!r}: ffmpeg failed: {done.stderr.decode(errors='replace').strip()[-300:]}")
