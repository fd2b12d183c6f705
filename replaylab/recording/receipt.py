"""Receipt: what became of the ticks of one call; and the report on a whole recording."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from replaylab.plural import count_of


class Receipt(NamedTuple):
    """What became of the ticks of one call: true when every one was accepted.

    Attributes
    ----------
    accepted : int
        Ticks that were written to the operating system: a process that dies now does not lose them.
    seq : int
        Sequence number of the last tick accepted so far; -1 before the first.
    durable_seq : int
        Sequence number up to which a power cut loses nothing.
    reason : str, optional
        Why a tick was refused: a code of `TickError`, or ``disk_full``, ``store_gone``, ``write_failed``, ``overflow``,
        ``closed``, ``stopped``, ``forked`` or ``reentrant``.
    refused : int
        Ticks that were refused; they are never found on disk.
    detail : str
        Field and value (shortened) of the last tick that was none, and what is wrong with it; empty for other reasons.

    Examples
    --------
    >>> bool(Receipt(1, 7, 3)), bool(Receipt(0, 7, 3, "disk_full", 1))
    (True, False)
    """

    accepted: int
    seq: int
    durable_seq: int
    reason: str | None = None
    refused: int = 0
    detail: str = ""

    def __bool__(self) -> bool:
        return not self.refused

    @property
    def durable(self) -> bool:
        """Whether all that was accepted so far survives a power cut."""
        return self.durable_seq >= self.seq


@dataclass(frozen=True, slots=True)
class RecordingReport:
    """The result of a recording.

    Attributes
    ----------
    path : Path
        The store.
    run : str
        Name of the run: the sources of its rows begin with it.
    ticks, bytes : int
        Ticks accepted, and bytes written to journals.
    segments, journals_left : int
        Segments made, and journals that could not be sealed now; they can be read, and are sealed by `open_store`.
    refused : dict
        Ticks refused, by reason.
    errors, retried : int
        Calls of the operating system that failed, and ticks written again because of that.
    durable : bool
        Whether all that was accepted survives a power cut.
    problem : str, optional
        Why the recorder gave up.
    """

    path: Path
    run: str
    ticks: int
    bytes: int
    segments: int
    journals_left: int
    refused: dict[str, int] = field(default_factory=dict)
    errors: int = 0
    retried: int = 0
    durable: bool = True
    problem: str | None = None

    def __str__(self) -> str:
        refused = sum(self.refused.values())
        text = f"{count_of(self.ticks, 'tick')} recorded in {self.path}"
        text += f", {refused:,} refused" if refused else ""
        text += f", {count_of(self.journals_left, 'journal')} left to seal" if self.journals_left else ""
        return text + (f"; {self.problem}" if self.problem else "")
