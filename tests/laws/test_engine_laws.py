"""Laws of the transport: whatever is called, in any order, from any thread, these things stay true."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from replaylab.clock import FASTEST
from replaylab.playback.event import Mode
from tests.playing import FakeTime, Log, game, tick

ROWS = 30


class Controls(RuleBasedStateMachine):
    """One engine in a time that stands still, under every control in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeTime()
        self.engine = self.clock.engine(game(ROWS, rug=True), ring_ticks=20)
        self.log = Log(self.engine)
        self.number = 0
        self.games = 0

    @rule(row=st.integers(-3, ROWS + 3))
    def seek(self, row: int) -> None:
        """A seek happens exactly when the row is there, and then the cursor is on it."""
        before, first = self.engine.index, max(0, self.engine.total - 20) if self.engine.mode is Mode.LIVE else 0
        done = self.engine.seek(row)
        assert done == (first <= row < self.engine.total)
        assert self.engine.index == (row if done else before)

    @rule(number=st.integers(-3, ROWS + 3))
    def seek_tick(self, number: int) -> None:
        """By number it leads to a row with that number, or nowhere."""
        if self.engine.seek_tick(number):
            assert self.engine.current is not None
            assert self.engine.current.tick == number

    @rule(direction=st.sampled_from(["step_forward", "step_backward"]))
    def step(self, direction: str) -> None:
        """A step moves by one row, or not at all."""
        opened = len(self.log.rows)
        before = self.engine.index
        done = getattr(self.engine, direction)()
        moved = self.engine.index - before
        assert moved == ((1 if direction == "step_forward" else -1) if done else 0)
        assert len(self.log.rows) - opened <= 2  # a game that was only loaded shows its first row, too

    @rule(speed=st.sampled_from([0.1, 1.0, 5.0, 100.0, FASTEST]))
    def change_speed(self, speed: float) -> None:
        """A speed that is set is the speed."""
        self.engine.speed = speed
        assert self.engine.speed == speed

    @rule(pause_at=st.integers(0, ROWS))
    @precondition(lambda self: self.engine.mode is Mode.FILE and self.engine.loop is None)
    def run(self, pause_at: int) -> None:
        """What plays are the rows that follow, each once, in order, until the end or a pause."""
        begin = len(self.log.rows)
        with self.engine.on("tick", lambda step: step.index == pause_at and self.engine.pause()):
            self.engine.run()
        shown = self.log.rows[begin:]
        assert shown == list(range(shown[0], shown[0] + len(shown))) if shown else True
        assert not self.engine.playing

    @rule(control=st.sampled_from(["pause", "stop", "reset", "go_live"]))
    def control(self, control: str) -> None:
        """A control does what it says or says no."""
        done = getattr(self.engine, control)()
        if done and control in {"stop", "reset"} and self.engine.mode is Mode.FILE:
            assert (self.engine.index, self.engine.playing) == (0, False)

    @rule(first=st.integers(-1, ROWS), last=st.integers(-1, ROWS))
    def loop(self, first: int, last: int) -> None:
        """A loop is set exactly when its rows are there; then it is left again."""
        done = self.engine.set_loop(first, last)
        assert done == (self.engine.mode is Mode.FILE and 0 <= first <= last < ROWS)
        assert self.engine.clear_loop() or not done

    @rule()
    def load(self) -> None:
        """A load holds the new game, at its first row."""
        self.games += 1
        self.engine.load(game(ROWS, rug=True, name=f"stored-{self.games}"))
        assert (self.engine.mode, self.engine.index) == (Mode.FILE, 0)

    @rule(another=st.booleans())
    def push(self, another: bool) -> None:  # noqa: FBT001  hypothesis names it
        """A push is taken, and while following it is where the cursor is."""
        if another:
            self.games += 1
        self.number += 1
        assert self.engine.push(tick(self.number, game=f"live-{self.games}"))
        assert self.engine.mode is Mode.LIVE
        if self.engine.status.following:
            assert self.engine.index == self.engine.total - 1

    @invariant()
    def status_is_consistent(self) -> None:
        """The cursor is within the game, the numbers agree, and memory is bounded."""
        seen = self.engine.status
        assert -1 <= seen.index < max(seen.total, 1)
        assert 0.0 <= seen.progress <= 1.0
        assert seen.ring_ticks <= 20
        assert seen.at_end == (seen.index >= seen.total - 1)

    @invariant()
    def games_end_once(self) -> None:
        """Starts and ends alternate as they must: no end without its start, none twice, no rug twice in a showing."""
        open_game: str | None = None
        ended = rugged = False
        for kind, event in self.log.told:
            if kind == "game_start":
                assert open_game is None or ended
                open_game, ended, rugged = event.game_id, False, False
            elif kind == "game_end":
                assert (event.game_id, ended) == (open_game, False)
                ended = True
            elif kind == "rug":
                assert not rugged
                rugged = True

    def teardown(self) -> None:
        """A closed engine has no thread."""
        self.engine.close()
        assert not self.log.of("error")


TestControls = Controls.TestCase
TestControls.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
