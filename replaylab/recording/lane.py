"""Lane: one of several feeds of a recorder; has a game of its own open, and shares journal, threads and syncs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from replaylab.errors import TickError
from replaylab.journals.cursor import Cursor
from replaylab.journals.encoder import origin_text
from replaylab.mark import Mark
from replaylab.recording.receipt import Receipt
from replaylab.recording.writer import Writer, as_tick
from replaylab.tick import Tick

_PIECE: Final = 100
_MAX_ID: Final = 1_000


class Lane:
    """One feed of a recorder: ticks of other feeds in between end no game of it.

    Attributes
    ----------
    name : str
        What its marks, and the ticks of a feed that can be resumed, are known by in the store.
    game_id : str or None
        The game that is open.
    cursor : Cursor or None
        The last tick that came with an id, in this process or an earlier one.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with rl.Recorder(folder) as recorder:
    ...     one, two = recorder.lane("one"), recorder.lane("two")
    ...     for number in range(3):
    ...         _ = one.record(rl.Tick("g", number, "2031-01-02T03:04:05", "1.02"))
    ...         _ = two.record(rl.Tick("h", number, "2031-01-02T03:04:05", "1.02"), f"e-{number}")
    ...     recorder.status().games
    2
    >>> with rl.Recorder(folder) as recorder:
    ...     recorder.lane("two").cursor.id
    'e-2'
    """

    def __init__(self, writer: Writer, name: str, cursor: Cursor | None = None) -> None:
        self.name = name
        self.game_id: str | None = None
        self.cursor = cursor
        self._writer = writer
        self._start = origin_text(name, "")[:-1]

    def __repr__(self) -> str:
        return f"Lane({self.name!r}, game {self.game_id!r})"

    def begin_game(self, game_id: str) -> None:
        """Take a game for the one that this lane has open; the writer calls it."""
        self.game_id = game_id

    def record(self, tick: Tick | Mapping[str, Any], name: str | None = None) -> Receipt:
        """Record one tick as `Recorder.record` does, with the id after which its feed is resumed."""
        return self.record_many([tick], [name])

    def record_many(
        self, ticks: Sequence[Tick | Mapping[str, Any]], ids: Sequence[str | None] = (), *, offered_again: bool = False
    ) -> Receipt:
        """Record ticks in their order, with the id of each, None where a feed cannot be resumed after it.

        Up to a hundred ticks of one game are taken all together or not at all. After a refusal that may pass nothing
        that follows is taken, so that what is offered again stays in order; with `offered_again` it is not counted.
        """
        bad: str | None = None
        detail = ""
        good: list[Tick] = []
        known: list[str | None] = []
        for given, name in zip(ticks, ids or (None,) * len(ticks), strict=True):
            if type(given) is Tick and given.price is not None:
                good.append(given)
                known.append(name)
                continue
            try:
                good.append(as_tick(given))
                known.append(name)
            except TickError as error:
                bad, detail = error.reason, str(error)
                self._writer.refuse(bad)
        if len(good) == 1 and len(ticks) == 1:  # the usual case of a live feed
            return self._record_piece(good, known, counts=not offered_again)
        receipt = Receipt(0, self._writer.state.positions.last_seq, self._writer.state.positions.durable_seq)
        accepted = start = 0
        while start < len(good):
            end = self._end_of_piece(good, start)
            receipt = self._record_piece(good[start:end], known[start:end], counts=not offered_again)
            accepted += receipt.accepted
            if receipt.reason:
                break
            start = end
        reason = receipt.reason or bad
        detail = "" if receipt.reason else detail
        return receipt._replace(accepted=accepted, reason=reason, refused=len(ticks) - accepted, detail=detail)

    def _end_of_piece(self, ticks: Sequence[Tick], start: int) -> int:
        game_id, end = ticks[start].game_id, start + 1
        most = min(len(ticks), start + min(_PIECE, self._writer.most_at_once))
        while end < most and ticks[end].game_id == game_id:
            end += 1
        return end

    def _record_piece(self, ticks: list[Tick], names: Sequence[str | None], *, counts: bool) -> Receipt:
        last = len(names) - 1
        while last >= 0 and names[last] is None:
            last -= 1
        origins = [self._origin(name) for name in names] if last >= 0 else []
        receipt = self._writer.record_lane(ticks, self, origins, counts=counts)
        if last >= 0 and receipt.accepted:
            tick = ticks[last]
            self.cursor = Cursor(tick.game_id, tick.tick, tick.timestamp, names[last] or "")
        return receipt

    def _origin(self, name: str | None) -> str:
        """Return the members of a line that say where a tick came from; none for an id that is no plain text."""
        if name is None or len(name) > _MAX_ID or not name.isprintable():
            return ""
        if name.isascii() and '"' not in name and "\\" not in name:
            return f'{self._start}{name}"'
        return origin_text(self.name, name)

    def mark(self, mark: Mark) -> str | None:
        """Write a mark of this lane; return the reason when it was refused, None otherwise."""
        return self._writer.mark(Mark(mark.kind, mark.timestamp, mark.game_id, self.name, mark.detail))
