"""Lanes: which session records into which lane, so that feeds whose addresses look the same never share one."""

from __future__ import annotations

from itertools import count
from typing import Final, Protocol
from weakref import ReferenceType, WeakKeyDictionary, ref

from replaylab.recording.lane import Lane
from replaylab.recording.recorder import Recorder
from replaylab.sessions.event import LiveState, LiveStatus


class Holder(Protocol):
    """What records into a lane, until it is closed."""

    def status(self) -> LiveStatus:
        """Return its state."""


_HOLDERS: Final[WeakKeyDictionary[Lane, ReferenceType[Holder]]] = WeakKeyDictionary()


def lane_for(recorder: Recorder, name: str, holder: Holder) -> Lane:
    """Return the lane of a name, or of ``name#2``, ``name#3`` while others record into those before it.

    The query of an address, which may be secret, is no part of a name, so that feeds of one server may have the same.
    A lane is free again when its holder is closed, or gone.
    """
    for number in count(1):
        lane = recorder.lane(numbered(name, number))
        found = _HOLDERS.get(lane)
        other = found() if found is not None else None
        if other is None or other is holder or other.status().state is LiveState.CLOSED:
            break
    _HOLDERS[lane] = ref(holder)
    return lane


def numbered(name: str, number: int) -> str:
    """Return the name of the first, the second or a later feed of one name.

    Examples
    --------
    >>> numbered("ws://here/feed", 1), numbered("ws://here/feed", 2)
    ('ws://here/feed', 'ws://here/feed#2')
    """
    return name if number == 1 else f"{name}#{number}"
