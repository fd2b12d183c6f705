"""Every error that replaylab raises, in one tree; each is also a child of the builtin that a caller would expect.

::

    ReplayLabError
    |-- TickError (ValueError)             a value that cannot be a tick; has .field, .value, .reason
    |-- SettingsError (ValueError)         settings out of bounds; lists every problem
    |-- SimulationError (ValueError)       a simulation that cannot be made
    |-- SeedError (ValueError)             a server seed that is cut, malformed, or another game's
    |-- SourceError
    |   |-- SourceNotFound (FileNotFoundError)   a path or pattern that leads to no recording
    |   |-- SourceEmpty (ValueError)             a folder without recordings
    |   |-- SourceUnreadable (PermissionError)   a recording that may not be read
    |   |-- NotARecording (ValueError)           a file that is something else: a page, a table, an archive, a bomb
    |   `-- SourceDamaged (ValueError)           damage met in strict mode; has .source, .line, .start, .reason
    |-- StoreError
    |   |-- StoreNotFound (FileNotFoundError)    a path that holds no store
    |   |-- StoreBusy (RuntimeError)             another process is changing the store
    |   |-- StoreTooNew (ValueError)             written by a newer schema than this release knows
    |   |-- StoreFull (OSError)                  the disk is full; nothing half-written is left behind
    |   |-- StoreUnreachable (ConnectionError)   an object store that does not answer or refuses access
    |   |-- StoreUnwritable (OSError)            the store cannot be written for another reason
    |   |-- SegmentDamaged (ValueError)          a segment that is not what its name and footer say
    |   |   `-- Tampered                           a file that the key of its store did not write
    |   |-- KeyMissing (PermissionError)         an encrypted store without a key that can be used
    |   |-- KeyWrong (PermissionError)           a key that is not that of the store
    |   `-- GameNotFound (KeyError)              no such game in the store
    |-- RecorderError
    |   |-- DiskLow (OSError)                    too little free space to begin a recording
    |   `-- RecordingFailed (RuntimeError)       a recorder has stopped after failures; what it acknowledged can be read
    |-- PlaybackError
    |   |-- SpeedError (ValueError)              a speed that is not a number within its bounds
    |   |-- LookAhead (IndexError)               a strategy reads past the cursor
    |   `-- Unplayable (ValueError)              the source of an engine is not a game that can be played
    |-- FeedError
    |   |-- FeedLost (ConnectionError)           a connection to a live feed that was lost, or could not be made
    |   |-- FeedRefused (PermissionError)        a feed that refuses access: no token, or a wrong one
    |   `-- FeedMalformed (ValueError)           what a feed sent cannot be read; has .reason
    |-- AnalysisError (ValueError)         an analysis that cannot be computed with these arguments
    |-- StrategyError (RuntimeError)       a strategy raised, or returned what is not an order; has .game_id, .tick
    |-- OrderRefused (ValueError)          an order that the rules or the balance do not allow
    |-- WorkerFailed (RuntimeError)        a worker process died or broke off
    |-- DatabaseError                    a statement that a database refused
    |   |-- DatabaseUnreachable (ConnectionError)  a server that does not answer, goes away or refuses access
    |   |-- DatabaseBusy (RuntimeError)          another export is writing there
    |   |-- DatabaseFull (OSError)               no room in the database
    |   `-- DatabaseMismatch (ValueError)        tables of another shape, or rows and values that do not agree
    |-- ServiceError
    |   |-- PortTaken (OSError)                  something else listens on the port
    |   `-- TokenRefused (PermissionError)       a token that is none, or a feed that needs one
    `-- MissingExtra (ImportError)         an optional package is not installed; says which

Examples
--------
>>> from replaylab.errors import ReplayLabError, StoreNotFound
>>> issubclass(StoreNotFound, ReplayLabError), issubclass(StoreNotFound, FileNotFoundError)
(True, True)
"""

from __future__ import annotations


class ReplayLabError(Exception):
    """Base of every error of this package.

    Examples
    --------
    >>> import replaylab as rl
    >>> try:
    ...     rl.open_store("no/such/store")
    ... except rl.errors.ReplayLabError as error:
    ...     print(type(error).__name__)
    StoreNotFound
    """

    def __str__(self) -> str:
        return getattr(self, "strerror", None) or super().__str__()  # OSError would begin with "[Errno 28]"


def _shown(value: object) -> str:
    try:
        return repr(value)
    except (ValueError, RecursionError):  # more digits, or deeper, than Python prints
        return f"<{type(value).__name__}>"


class TickError(ReplayLabError, ValueError):
    """A value that cannot be a tick: `field` and `value` say which, `reason` is the code used in quarantines."""

    def __init__(self, field: str, value: object, reason: str, problem: str) -> None:
        self.field = field
        self.value = value
        self.reason = reason
        self._given = (field, value, reason, problem)
        shown = _shown(value)
        super().__init__(f"{field}={shown if len(shown) <= 80 else shown[:77] + '...'}: {problem}")

    def __reduce__(self) -> tuple[type[TickError], tuple[str, object, str, str]]:
        return type(self), self._given  # crosses processes with all that it says


class SettingsError(ReplayLabError, ValueError):
    """Settings that are out of bounds; the message lists every problem."""


class SimulationError(ReplayLabError, ValueError):
    """A simulation that cannot be made from its arguments."""


class SeedError(ReplayLabError, ValueError):
    """A server seed that is cut, malformed, or not that of its game; the message says which."""


class SourceError(ReplayLabError):
    """Base of what can be wrong with a recording that is to be read."""


class SourceNotFound(SourceError, FileNotFoundError):
    """A path, folder or pattern that leads to no recording."""


class SourceEmpty(SourceError, ValueError):
    """A folder without recordings."""


class SourceUnreadable(SourceError, PermissionError):
    """A recording that is there and may not be read."""


class NotARecording(SourceError, ValueError):
    """A file that is no recording: a page, a pointer, a table, an archive of another kind, a bomb."""


class SourceDamaged(SourceError, ValueError):
    """Damage met in strict mode: `source`, `line` (from 1), `start` (byte in the file), `reason` and `detail`."""

    def __init__(self, source: str, line: int, start: int, reason: str, detail: str = "") -> None:
        self.source = source
        self.line = line
        self.start = start
        self.reason = reason
        self.detail = detail
        said = f"{reason} ({detail})" if detail else reason
        super().__init__(
            f"{source}, line {line}, byte {start}: {said}; nothing of this recording's part was stored. "
            "Convert without strict to repair what can be repaired and quarantine the rest"
        )

    def __reduce__(self) -> tuple[type[SourceDamaged], tuple[str, int, int, str, str]]:
        return type(self), (self.source, self.line, self.start, self.reason, self.detail)


class StoreError(ReplayLabError):
    """Base of what can be wrong with a store."""


class StoreNotFound(StoreError, FileNotFoundError):
    """A path that holds no store."""


class StoreBusy(StoreError, RuntimeError):
    """Another process is converting into, or compacting, the store."""


class StoreTooNew(StoreError, ValueError):
    """A store, or a segment of it, written by a newer schema than this release can read."""


class StoreFull(StoreError, OSError):
    """The disk is full; what was stored before is intact and nothing half-written is left behind."""


class StoreUnreachable(StoreError, ConnectionError):
    """An object store that does not answer or refuses access; what it holds is unknown."""


class StoreUnwritable(StoreError, OSError):
    """The store cannot be written: no permission, a read-only file system, an input/output error."""


class SegmentDamaged(StoreError, ValueError):
    """A segment whose bytes are not those that its name and footer promise."""


class Tampered(SegmentDamaged):
    """A file of an encrypted store that its key did not write: altered, put under another name, or put in plain."""


class KeyMissing(StoreError, PermissionError):
    """An encrypted store without a key at hand, a key file that cannot be used, or a store that was to be encrypted."""


class KeyWrong(StoreError, PermissionError):
    """A key that does not open the keys of the store: another key, or one that a rotation has replaced."""


class GameNotFound(StoreError, KeyError):
    """No game of that id in the store."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""  # KeyError would show the message in quotes


class RecorderError(ReplayLabError):
    """Base of what can be wrong with a recording that is being made."""


class DiskLow(RecorderError, OSError):
    """Too little free space to begin a recording; nothing was written."""


class RecordingFailed(RecorderError, RuntimeError):
    """A recorder has stopped after failures in a row; every tick that it acknowledged can be read."""


class PlaybackError(ReplayLabError):
    """Base of what can be wrong with a replay."""


class SpeedError(PlaybackError, ValueError):
    """A speed that is NaN, zero, negative, out of its bounds, or no number; the speed before it still holds."""


class LookAhead(PlaybackError, IndexError):
    """A strategy or feature read a row beyond the cursor, which was not known at that moment of the game."""


class Unplayable(PlaybackError, ValueError):
    """The source of an engine is not a game that can be played; the engine keeps the game it had."""


class FeedError(ReplayLabError):
    """Base of what can be wrong with a live feed."""

    retry = True  # whether connecting again may help


class FeedLost(FeedError, ConnectionError):
    """A connection to a live feed was lost, or could not be made; a session connects again.

    `cause` is a short word (`disconnect`, `refused`, `timeout`, `dns`, `tls`, `too_big`, `server_restart`, ...),
    `retry` says whether connecting again may help, and `answered` whether an endpoint that can be reached is ill.
    """

    def __init__(self, cause: str, problem: str, *, retry: bool = True, answered: bool = False) -> None:
        self.cause = cause
        self.retry = retry
        self.answered = answered
        self._given = (cause, problem)
        super().__init__(problem)

    def __reduce__(self) -> tuple[object, ...]:
        return _feed_lost, (*self._given, self.retry, self.answered)


def _feed_lost(cause: str, problem: str, retry: bool, answered: bool) -> FeedLost:  # noqa: FBT001 unpickled by place
    return FeedLost(cause, problem, retry=retry, answered=answered)


class FeedRefused(FeedError, PermissionError):
    """A live feed does not let in: it wants a token, or another one; the message never holds the token."""


class FeedMalformed(FeedError, ValueError):
    """What a live feed sent cannot be read; `reason` is the code under which it is counted."""

    def __init__(self, reason: str, problem: str) -> None:
        self.reason = reason
        self._given = (reason, problem)
        super().__init__(problem)

    def __reduce__(self) -> tuple[type[FeedMalformed], tuple[str, str]]:
        return type(self), self._given


class AnalysisError(ReplayLabError, ValueError):
    """An analysis that cannot be computed with these arguments; the message says what to change."""


class StrategyError(ReplayLabError, RuntimeError):
    """A strategy raised or returned what is not an order, in the game `game_id` with `tick` as its newest tick."""

    def __init__(self, game_id: str, tick: int, problem: str) -> None:
        self.game_id = game_id
        self.tick = tick
        self._given = (game_id, tick, problem)
        super().__init__(f"game {game_id!r}, tick {tick}: {problem}")

    def __reduce__(self) -> tuple[type[StrategyError], tuple[str, int, str]]:
        return type(self), self._given


class OrderRefused(ReplayLabError, ValueError):
    """An order that the rules or the balance do not allow; nothing was bought, sold or staked."""


class WorkerFailed(ReplayLabError, RuntimeError):
    """A worker process died or broke off; what it had finished is stored, and running again does the rest."""


class DatabaseError(ReplayLabError):
    """Raised when a database refuses a statement; base of the errors about databases."""


class DatabaseUnreachable(DatabaseError, ConnectionError):
    """Raised when a database does not answer, goes away, or refuses access."""


class DatabaseBusy(DatabaseError, RuntimeError):
    """Raised when another export is writing into a database."""


class DatabaseFull(DatabaseError, OSError):
    """Raised when a database has no room; what was loaded before is there."""


class DatabaseMismatch(DatabaseError, ValueError):
    """Raised when tables have another shape, or rows or values do not agree with what a store holds."""


class ServiceError(ReplayLabError):
    """Base of what can be wrong with a store that is served."""


class PortTaken(ServiceError, OSError):
    """Something else listens on the port; choose another one."""


class TokenRefused(ServiceError, PermissionError):
    """A token that is not valid, a secret that is too short, or a feed that other machines could read without one."""


class MissingExtra(ReplayLabError, ImportError):
    """An optional package is not installed; the message names the command that installs it."""
