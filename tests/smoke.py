"""Smoke test of an installed package without extras: the main job, a question, a player, and one line on each extra."""

import importlib.util
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import replaylab as rl
from replaylab.kernel.library import load

with tempfile.TemporaryDirectory() as folder:
    recordings, store = Path(folder) / "recordings", Path(folder) / "store"
    rl.simulate(recordings, seed=1, games=3, damage="two_writers")
    report = rl.convert(recordings, store, progress=False)
    opened = rl.open_store(store)
    assert report.ticks_stored == opened.rows, report
    assert opened.verify().ok
    rl.play(opened, opened.game_ids()[0]).engine.seek_tick(1)
    assert rl.analysis.survival(opened).n_games == 3
    with rl.Recorder(Path(folder) / "recorded") as recorder:
        flags = {"active": True, "rugged": False}
        tick = {"game_id": "g", "tick": 0, "timestamp": "2031-01-02T03:04:05", "price": "1.02", **flags}
        assert recorder.record(tick).accepted
    key = rl.FileKey(Path(folder) / "master.key", create=True)
    extras: dict[tuple[str, str], Callable[[], object]] = {
        ("sql", "duckdb"): lambda: opened.sql("SELECT 1"),
        ("polars", "polars"): opened.to_polars,
        ("live", "websockets"): lambda: rl.open_feed("ws://127.0.0.1:9"),
        ("serve", "starlette"): lambda: rl.serve(opened),
        ("crypto", "cryptography"): lambda: rl.convert(recordings, Path(folder) / "sealed", kms=key, progress=False),
        ("postgresql", "adbc_driver_postgresql"): lambda: rl.export(opened, "postgresql:///none"),
    }
    for (extra, module), use in extras.items():
        if importlib.util.find_spec(module) is None:
            said = ""
            try:
                use()
            except rl.errors.MissingExtra as error:
                said = str(error)
            assert f"replaylab[{extra}]" in said, f"{extra}: {said or 'it was not missed'}"
road = "numpy" if load() is None else "C"
sys.stdout.write(f"replaylab {rl.__version__} works, by the {road} road, on Python {sys.version.split()[0]}\n")
