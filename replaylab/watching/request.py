"""Request: what an operator asks of a recorder in another process, as a file beside its status."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, get_args

from replaylab.durable import put_in_place, written_aside
from replaylab.watching.snapshot import STATUS

Act = Literal["flush", "stop"]
ACTS: Final = get_args(Act)
_ENDING: Final = ".ask"


def ask(store: Path, run: str, act: Act) -> None:
    """Ask the recorder of a run for something; it looks once a second, and does it then.

    Who may write to the folder of the store may ask; the recorder answers by what its next status says.
    """
    folder = store / STATUS
    with written_aside(folder, run) as aside:
        aside.write_bytes(act.encode())
        put_in_place(aside, folder / f"{run}{_ENDING}")


def take_request(store: Path, run: str) -> Act | None:
    """Return what was asked of a run, once; None when there is nothing, or nothing that is known."""
    path = store / STATUS / f"{run}{_ENDING}"
    try:
        act = path.read_text(encoding="ascii", errors="replace")
        path.unlink()
    except OSError:
        return None
    return next((one for one in ACTS if one == act), None)
