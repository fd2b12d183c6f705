"""What the cells of test notebooks hold: odd games, long ones, live ones, and a callback that keeps the rows it got."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from replaylab.tick import Tick

LISTEN: Final = "seen = []\nplayer.on_tick(lambda step: seen.append(step.index))\nplayer"
ODD: Final = """
import pyarrow as pa
from decimal import Decimal
from replaylab.table import PRICE_TYPE
def odd(prices, times=None, rugged=(), active=True, name='odd'):
    n = len(prices)
    times = times or [250 * row for row in range(n)]
    stamps = [None if ms is None else 1_900_000_000_000_000 + ms * 1000 for ms in times]
    return pa.table({'game_id': [name] * n, 'tick': pa.array(range(n), pa.int32()),
                     'timestamp': pa.array(stamps, pa.int64()).cast(pa.timestamp('us', 'UTC')),
                     'price': pa.array([None if p is None else Decimal(p) for p in prices], PRICE_TYPE),
                     'active': [active] * n, 'rugged': [row in rugged for row in range(n)],
                     'cooldown_timer': pa.array([12_000 if not active else 0] * n, pa.int32())})
"""
BIG: Final = """
import numpy as np, pyarrow as pa
from replaylab.table import PRICE_TYPE
def long(n):
    words = np.zeros((n, 2), np.uint64)
    words[:, 0] = np.arange(n, dtype=np.uint64) * 10**12 + 1
    return pa.table({'game_id': ['long'] * n, 'tick': np.arange(n, dtype=np.int32),
                     'timestamp': pa.array(np.arange(n) * 50_000).cast(pa.timestamp('us', 'UTC')),
                     'price': pa.Array.from_buffers(PRICE_TYPE, n, [None, pa.py_buffer(words)])})
table = long(1_000_000)
player = play(table.slice(0, 10))
"""
LIVE: Final = """
from replaylab.playback.engine import ReplayEngine
engine = ReplayEngine(ring_ticks=500)
_ = [engine.push(tick) for tick in game(100, name='a')]
"""


def ticks(rows: int) -> list[Tick]:
    """A game of 50 ticks a second, its price its row."""
    zero = datetime(2031, 1, 2, tzinfo=UTC)
    return [
        Tick(game_id="g", tick=row, timestamp=zero + timedelta(milliseconds=20 * row), price=Decimal(row), active=True)
        for row in range(rows)
    ]
