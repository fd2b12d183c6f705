"""Supervisor: connects again without end, leaves ill endpoints in peace, notices silence; all in virtual time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from statistics import median

import pytest

from replaylab.errors import FeedLost, FeedRefused
from replaylab.feeds.base import Frame
from replaylab.sessions.backoff import longest_delay
from replaylab.sessions.breaker import Breaker
from replaylab.sessions.clock import Clock
from replaylab.sessions.event import LiveState
from replaylab.sessions.supervisor import Supervisor
from tests.sessions.virtual import ScriptedFeed, Watcher, closed_at_once, raising, refused, run_virtually, tick


def supervised(feed: ScriptedFeed, seconds: float, seed: int = 1, breaker: Breaker | None = None) -> Watcher:
    """What becomes of a feed in so many seconds."""
    watcher = Watcher()

    async def run(clock: Clock) -> None:
        supervisor = Supervisor(feed, watcher, breaker or Breaker(), clock)
        task = asyncio.ensure_future(supervisor.run())
        await asyncio.wait({task}, timeout=seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtually(run, seed)
    return watcher


def every_quarter() -> Callable[[float], Frame | float | None]:
    """A tick every quarter of a second."""
    numbers = itertools.count()
    turn = itertools.cycle([False, True])
    return lambda _now: Frame([tick(next(numbers))]) if next(turn) else 0.25


@pytest.mark.parametrize("outage", [5, 60, 300])
def test_live_again_soon_after_the_server(outage: int) -> None:
    """After an outage of the network a feed is live within 12 s of the server's return, half of them within 8."""
    late = []
    for seed in range(20):
        back = 20.0 + outage
        down = {"is": False}
        turn = itertools.count()

        def connects(now: float, back: float = back) -> None:
            if 20 <= now < back:
                refused()

        def brings(_since: float, down: dict[str, bool] = down, turn: Iterator[int] = turn) -> Frame | float:
            now = asyncio.get_running_loop().time()
            if now >= 20 and not down["is"]:
                down["is"] = True
                raise FeedLost("disconnect", "cut")
            return Frame([tick(int(now * 4))]) if next(turn) % 2 else 0.25

        watcher = supervised(ScriptedFeed(connects, brings), back + 30, seed)
        late.append(next(at for at in watcher.times_of(LiveState.LIVE) if at >= back) - back)
    assert max(late) <= 12
    assert median(late) <= 8


def test_a_server_that_accepts_and_closes() -> None:
    """It is asked five times, then left in peace: at most eight connections in a minute, and none while open."""
    for seed in range(10):
        feed = ScriptedFeed(lambda _now: None, closed_at_once)
        watcher = supervised(feed, 60, seed)
        assert 5 <= len(feed.attempts) <= 8
        opened = watcher.times_of(LiveState.CIRCUIT_OPEN)[0]
        assert feed.attempts[4] < opened < feed.attempts[4] + 0.1
        assert feed.attempts[5] >= opened + 29.9


def test_failures_of_the_network_never_open_the_circuit() -> None:
    """A host that cannot be reached is only backed off from, with delays within their bounds, for ever."""
    feed = ScriptedFeed(refused, closed_at_once)
    watcher = supervised(feed, 3600)
    assert watcher.times_of(LiveState.CIRCUIT_OPEN) == []
    pauses = [two - one for one, two in itertools.pairwise(feed.attempts)]
    assert all(pause <= longest_delay(n) + 0.1 for n, pause in enumerate(pauses, start=1))
    assert 3600 / 10.1 < len(feed.attempts) < 3600 / 10.1 * 3


def test_the_circuit_is_shared() -> None:
    """What one session learned of an endpoint, another one of it heeds."""
    breaker = Breaker()
    supervised(ScriptedFeed(lambda _now: None, closed_at_once), 20, breaker=breaker)
    feed = ScriptedFeed(lambda _now: None, closed_at_once)
    watcher = supervised(feed, 5, breaker=breaker)
    assert feed.attempts == []
    assert [state for _, state in watcher.states] == [LiveState.CIRCUIT_OPEN]


def test_a_trial_that_succeeds_closes_the_circuit() -> None:
    """After the pause one trial is made; when data comes, all is as before."""
    brings = every_quarter()

    def after_a_while(since: float) -> Frame | float | None:
        return closed_at_once() if asyncio.get_running_loop().time() < 30 else brings(since)

    feed = ScriptedFeed(lambda _now: None, after_a_while)
    watcher = supervised(feed, 90)
    assert len(watcher.times_of(LiveState.CIRCUIT_OPEN)) == 1
    assert watcher.states[-1][1] is LiveState.LIVE


@pytest.mark.parametrize(
    "error",
    [
        FeedLost("tls", "not trusted", retry=False),
        FeedLost("too_big", "9 MiB", answered=True),
        FeedLost("protocol", "no WebSocket", answered=True),
        FeedRefused("a token"),
    ],
    ids=lambda error: getattr(error, "cause", "token"),
)
def test_what_cannot_get_better_fails(error: FeedLost | FeedRefused) -> None:
    """A bad certificate at once; a frame too big, another protocol or a refusal twice in a row: then it gives up."""
    feed = ScriptedFeed(raising(error), closed_at_once)
    watcher = supervised(feed, 600)
    assert len(feed.attempts) == (2 if error.retry else 1)
    assert watcher.states[-1][1] is LiveState.FAILED
    assert feed.closed


def test_a_refusal_in_between_is_no_failure() -> None:
    """A token that expires is renewed: one refusal, and the next connection goes on after the position."""
    count = itertools.count()

    def connects(_now: float) -> None:
        if next(count) == 1:
            raise FeedRefused("expired")

    turn = itertools.count()

    def brings(_since: float) -> Frame | float:
        n = next(turn)
        if n in {5, 15}:
            raise FeedRefused("4401")
        return Frame([tick(n)], [f"e-{n}"], f"e-{n}")

    feed = ScriptedFeed(connects, brings)
    watcher = supervised(feed, 5)
    assert LiveState.FAILED not in {state for _, state in watcher.states}
    assert feed.asked == [None, "e-4", "e-4", "e-14"]


@pytest.mark.parametrize("beats", [None, 5.0, 25.0])
def test_half_open_is_noticed(beats: float | None) -> None:
    """A connection on which nothing comes and no probe is answered is stale after 10 s, and lost soon after."""

    def brings(since: float) -> Frame | float:
        return Frame([tick(int(since * 4))]) if since < 0.001 else 1000.0

    feed = ScriptedFeed(
        lambda _now: None, brings, probes=raising(FeedLost("stall", "no answer to a ping")), beats=beats
    )
    watcher = supervised(feed, 45)
    stale, lost = watcher.times_of(LiveState.STALE)[0], watcher.times_of(LiveState.LOST)[0]
    assert abs(stale - 10) <= 0.5
    assert lost <= 16
    assert watcher.causes["stall"] >= 1


def test_a_quiet_feed_is_not_lost() -> None:
    """A server that has nothing to say and answers probes stays connected, and is live again at once."""

    def brings(since: float) -> Frame | float:
        if since < 0.001 or 100 < since < 100.001:
            return Frame([tick(int(since))])
        return 100.0005 - since if since < 100 else 1000.0

    feed = ScriptedFeed(lambda _now: None, brings)
    watcher = supervised(feed, 101)
    assert len(feed.attempts) == 1
    assert [state for _, state in watcher.states if state is not LiveState.CONNECTING] == [
        LiveState.CATCHING_UP,
        LiveState.LIVE,
        LiveState.STALE,
        LiveState.LIVE,
    ]


def test_heartbeats_are_a_sign_of_life() -> None:
    """A feed that beats is live though no tick comes, and lost when two beats are missed, whatever a probe says."""

    def brings(since: float) -> Frame | float:
        if since > 60:
            return 1000.0
        return Frame() if since % 5 > 4.9 else 4.95

    feed = ScriptedFeed(lambda _now: None, brings, beats=5.0)
    watcher = supervised(feed, 80)
    assert watcher.times_of(LiveState.STALE)[0] > 60
    assert 60 < watcher.times_of(LiveState.LOST)[0] < 76


def test_delays_begin_again_after_ten_seconds_of_data() -> None:
    """Not a handshake makes delays short again, but ten seconds of data."""

    def cut_after(seconds: float) -> list[float]:
        quarter = every_quarter()

        def brings(since: float) -> Frame | float | None:
            if since >= seconds:
                raise FeedLost("disconnect", "cut")
            return quarter(since)

        feed = ScriptedFeed(lambda _now: None, brings)
        supervised(feed, 400)
        return [two - one - seconds for one, two in itertools.pairwise(feed.attempts)]

    assert max(cut_after(12.0)) < 1.2
    assert max(cut_after(3.0)) > 2


def test_an_unknown_place_is_begun_again() -> None:
    """A server that does not know the place to resume from is asked from its beginning, at once and once."""

    def connects(_now: float) -> None:
        if feed.asked[-1] is not None:
            raise FeedLost("server_restart", "4410", answered=True)

    turn = itertools.count()

    def brings(_since: float) -> Frame | float:
        n = next(turn)
        if n == 3:
            raise FeedLost("disconnect", "cut")
        return Frame([tick(n)], ["e-1"], "e-1") if n < 9 else 1.0

    feed = ScriptedFeed(connects, brings)
    watcher = supervised(feed, 60)
    assert feed.asked[:3] == [None, "e-1", None]
    assert len(watcher.times_of(LiveState.LIVE)) == 2
    assert feed.attempts[2] - feed.attempts[1] < 0.1


def test_a_server_that_knows_no_place_at_all_is_left_in_peace() -> None:
    """One that answers so although nothing was to be resumed is ill like any other: at most eight times a minute."""
    feed = ScriptedFeed(raising(FeedLost("server_restart", "4410", answered=True)), closed_at_once)
    supervised(feed, 60)
    assert 5 <= len(feed.attempts) <= 8


def test_what_is_refused_is_not_asked_again_and_leaves_others_alone() -> None:
    """What cannot be right later ends a session at once; the endpoint is not ill, and another session may ask it."""
    breaker = Breaker()
    for _ in range(9):
        feed = ScriptedFeed(raising(FeedLost("http_400", "no such game", retry=False, answered=True)), closed_at_once)
        watcher = supervised(feed, 60, breaker=breaker)
        assert len(feed.attempts) == 1
        assert watcher.states[-1][1] is LiveState.FAILED
    assert breaker.allow(0.0)


def test_a_feed_that_is_over_is_closed() -> None:
    """The end of a feed is the end of its session."""
    watcher = supervised(ScriptedFeed(lambda _now: None, lambda _since: None), 5)
    assert watcher.states[-1][1] is LiveState.CLOSED


def test_a_feed_that_is_not_read_is_not_silent() -> None:
    """While the recorder has no room the feed is not read: that is neither silence nor a lost connection."""
    feed = ScriptedFeed(lambda _now: None, every_quarter(), probes=raising(FeedLost("stall", "no answer")))

    class Slow(Watcher):
        async def take(self, frame: Frame) -> None:
            await super().take(frame)
            if len(self.frames) == 3:
                await asyncio.sleep(60)

    watcher = Slow()

    async def run(clock: Clock) -> None:
        task = asyncio.ensure_future(Supervisor(feed, watcher, Breaker(), clock).run())
        await asyncio.sleep(90)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run_virtually(run)
    assert len(feed.attempts) == 1
    assert LiveState.STALE not in {state for _, state in watcher.states}
    assert len(watcher.frames) > 50
