"""Fair: games follow from their seeds to the last bit, and every difference is found and named."""

from __future__ import annotations

import hashlib
import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import replaylab as rl
from replaylab import fair
from replaylab.errors import SeedError, SimulationError
from replaylab.fair.support import possible
from tests.fair.slow import slow_prices
from tests.stores import line, quiet

PAIRS = Path(__file__).resolve().parents[3] / "shared" / "fair" / "pairs.json"
SEED = "4f" * 32
GAME = "20310102-0123456789ab4cde"
# Made by the slow transcription in tests/fairness/slow.py: seed, version, then R, the last live price and the peak. The
# second and third part versions 1 and 2, above a price of 100; the last has a god candle at tick 333.
FROZEN = [
    (SEED, "v3", 367, "1.983664704262974", "3.0392316134661024"),
    (f"{48:064x}", "v1", 729, "259.0112637744041", "488.81064665750944"),
    (f"{48:064x}", "v2", 729, "239.32317170829074", "386.6312380146884"),
    (f"{1129:064x}", "v3", 449, "21.725145715475282", "22.538217474996944"),
]


def pairs() -> list[dict[str, Any]]:
    """The real games with their seeds, or a made-up one where there are none."""
    if PAIRS.is_file():
        found: list[dict[str, Any]] = json.loads(PAIRS.read_text(encoding="utf-8"))
        return found
    path = slow_prices(SEED, GAME, "v3")
    told = hashlib.sha256(SEED.encode()).hexdigest()
    known = {"game_id": GAME, "server_seed": SEED, "server_seed_hash": told, "version": "v3"}
    return [{**known, "peak": repr(max(path)), "prices": [*map(repr, path), "0.0125"]}]


def stored(folder: Path, prices: list[str], game: str = GAME, rug_tick: int | None = None) -> rl.Game:
    """Store a game with these prices from tick 0 on; the last one is that of the rug, at `rug_tick`."""
    end = len(prices) - 1
    lines = [line(game, tick, price) for tick, price in enumerate(prices[:end])]
    lines.append(line(game, end if rug_tick is None else rug_tick, prices[end], rugged=True))
    (folder / f"{game}.jsonl").write_bytes(b"".join(lines))
    quiet(folder / f"{game}.jsonl", folder / "store")
    return rl.open_store(folder / "store").game(game)


@pytest.mark.parametrize("number", range(len(pairs())))
def test_real_games_replay(number: int) -> None:
    """The prices of a real game come from its seed to the last bit, its hash and its peak in all digits."""
    pair = pairs()[number]
    made = fair.prices(pair["server_seed"], pair["game_id"], pair["version"])
    assert [repr(float(one)) for one in made] == [repr(float(one)) for one in pair["prices"][:-1]]
    assert repr(float(made.max())) == pair["peak"]
    assert fair.commitment(pair["server_seed"]) == pair["server_seed_hash"]


def test_real_games_prove_from_a_store(tmp_path: Path) -> None:
    """Recorded into a store and joined by id, whatever the order of the seeds, every real game is proved."""
    for pair in pairs():
        stored(tmp_path, pair["prices"], pair["game_id"])
    proofs = fair.verify_all(rl.open_store(tmp_path / "store"), reversed(pairs()), progress=False)
    assert sorted(proof.game_id for proof in proofs) == sorted(pair["game_id"] for pair in pairs())
    for proof, pair in zip(proofs, sorted(pairs(), key=lambda one: str(one["game_id"])), strict=True):
        assert proof.ok
        assert proof.committed is True
        assert proof.compared == proof.rug_tick == proof.recorded_rug_tick == len(pair["prices"]) - 1


@pytest.mark.parametrize(("seed", "version", "rug_tick", "last", "peak"), FROZEN)
def test_frozen_games_replay(seed: str, version: str, rug_tick: int, last: str, peak: str) -> None:
    """Each version of the rules makes the games that were frozen here, and so does the slow transcription."""
    made = fair.prices(seed, GAME, version)
    assert (len(made), repr(float(made[-1])), repr(float(made.max()))) == (rug_tick, last, peak)
    assert made.tolist() == slow_prices(seed, GAME, version)


def test_god_candle_multiplies_by_ten() -> None:
    """The frozen game with a god candle has it where it was found, and it raises no alarm."""
    made = fair.prices(f"{1129:064x}", GAME)
    assert made[333] == made[332] * 10
    assert possible(made[:-1], made[1:]).all()


@given(st.text("0123456789abcdef", min_size=64, max_size=64), st.text(max_size=9), st.sampled_from(["v1", "v2", "v3"]))
def test_any_game_agrees_with_the_slow_one(server_seed: str, game_id: str, version: str) -> None:
    """For any seed, id and version the prices are those of the slow transcription of the rules, bit by bit."""
    assert fair.prices(server_seed, game_id, version).tolist() == slow_prices(server_seed, game_id, version)


def test_commitment_is_of_the_text() -> None:
    """The hash is that of the 64 characters, not of the 32 bytes that they spell."""
    assert fair.commitment(SEED) == hashlib.sha256(SEED.encode("ascii")).hexdigest()
    assert fair.commitment(SEED) != hashlib.sha256(bytes.fromhex(SEED)).hexdigest()


@pytest.mark.parametrize("seed", ["", "4f" * 10, "4F" * 32, "4g" * 32, " " + "4f" * 32, None, b"4f" * 32, 5])
def test_bad_seed_is_refused(seed: Any) -> None:
    """A seed that is cut to 20 characters, upper case, or no text, is an error that says what a seed is."""
    with pytest.raises(SeedError, match="64 lower-case hexadecimal"):
        fair.prices(seed, GAME)


def test_unknown_version_is_refused() -> None:
    """A version that nobody published is an error that lists those there are."""
    with pytest.raises(SeedError, match="v1, v2, v3"):
        fair.prices(SEED, GAME, "v4")


@pytest.mark.parametrize("bits", [1, 2])
def test_one_bit_is_found(bits: int) -> None:
    """A price that is off by its last bit is the first difference, with both values beside it."""
    path = fair.prices(SEED, GAME).tolist()
    wrong = path[11]
    for _ in range(bits):
        wrong = math.nextafter(wrong, 9)
    proof = fair.verify({"id": GAME, "prices": [*path[:11], wrong, *path[12:], 0.01]}, SEED)
    assert not proof
    assert (proof.first_difference, proof.expected, proof.recorded) == (11, path[11], Decimal(repr(wrong)))
    assert "tick 11 differs" in str(proof)


@pytest.mark.parametrize("change", [-5, 5])
def test_wrong_rug_is_found(change: int, tmp_path: Path) -> None:
    """A rug that came too early differs at its tick; a game that lived on differs where the seed ends it."""
    path = [repr(one) for one in fair.prices(SEED, GAME).tolist()]
    lived = path[:change] if change < 0 else path + path[-1:] * change
    proof = fair.verify(stored(tmp_path, [*lived, "0.01"]), SEED)
    assert proof.first_difference == min(len(path), len(lived))
    assert (proof.rug_tick, proof.recorded_rug_tick) == (len(path), len(lived))
    assert (proof.expected is None) == (change > 0)


def test_cut_game_can_be_proved(tmp_path: Path) -> None:
    """Of a game that begins late, lacks ticks and never rugs, what there is is compared."""
    path = fair.prices(SEED, GAME).tolist()
    lines = [line(GAME, tick, repr(path[tick])) for tick in range(10, 60) if tick % 7]
    (tmp_path / "cut.jsonl").write_bytes(b"".join(lines))
    quiet(tmp_path / "cut.jsonl", tmp_path / "store")
    proof = fair.verify(rl.open_store(tmp_path / "store").game(GAME), SEED)
    assert proof.ok
    assert (proof.compared, proof.recorded_rug_tick, proof.committed) == (len(lines), None, None)


def test_nothing_to_compare_proves_nothing(tmp_path: Path) -> None:
    """A recording without a live tick is not called fair."""
    (tmp_path / "idle.jsonl").write_bytes(line(GAME, 0, "1.0", active=False, cooldown_timer=9900, phase="PRESALE"))
    quiet(tmp_path / "idle.jsonl", tmp_path / "store")
    proof = fair.verify(rl.open_store(tmp_path / "store").game(GAME), SEED)
    assert (proof.compared, proof.first_difference, proof.ok) == (0, None, False)


def test_wrong_commitment_is_found() -> None:
    """Prices that agree do not help a seed whose hash is not the one told before the game."""
    path = fair.prices(SEED, GAME).tolist()
    proof = fair.verify({"id": GAME, "prices": [*path, 0.01]}, SEED, server_seed_hash="0" * 64)
    assert (proof.first_difference, proof.committed, proof.ok) == (None, False, False)
    assert "committed" in str(proof)
    assert fair.verify({"id": GAME, "prices": [*path, 0.01]}, SEED, server_seed_hash=fair.commitment(SEED).upper()).ok


def test_every_hash_told_must_agree() -> None:
    """The hash of the seed does not hide that of the entry; an empty one is told too, and is wrong."""
    entry = {"id": GAME, "prices": [*fair.prices(SEED, GAME).tolist(), 0.01]}
    right = fair.Seed(GAME, SEED, fair.commitment(SEED))
    assert fair.verify(entry, right).committed
    assert fair.verify({**entry, "serverSeedHash": right.server_seed_hash}, right).committed
    assert fair.verify({**entry, "serverSeedHash": "0" * 64}, right).committed is False
    assert fair.verify(entry, right, server_seed_hash="").committed is False


@pytest.mark.parametrize("wrong", [{"server_seed_hash": 5}, {"version": ["v3"]}, {"version": 3}])
def test_options_of_another_type_are_refused(wrong: dict[str, Any]) -> None:
    """A hash that is no text, or a version that is none, is an error that names it."""
    with pytest.raises(SeedError, match=next(iter(wrong))):
        fair.verify({"id": GAME, "prices": [1, 0.01]}, SEED, **wrong)


def test_seed_of_the_game_before_is_refused() -> None:
    """A seed that was told for another game is never used for this one, whatever its place in a list."""
    with pytest.raises(SeedError, match="join them by id"):
        fair.verify({"id": GAME, "prices": [1, 0.01]}, fair.Seed("20310102-another", SEED))


@pytest.mark.parametrize(
    "game",
    [None, 5, "game", {}, {"id": GAME}, {"prices": [1, 0.01]}, {"id": GAME, "prices": []}, {"id": GAME, "prices": "1"}],
)
def test_no_game_is_refused(game: Any) -> None:
    """What has no id and no prices is an error that says what is needed."""
    with pytest.raises(SeedError, match="prices"):
        fair.verify(game, SEED)


def test_price_that_is_no_number_is_refused() -> None:
    """A text among the prices is an error that names the game."""
    with pytest.raises(SeedError, match=GAME):
        fair.verify({"id": GAME, "prices": [1, "abc", 0.01]}, SEED)


def test_missing_prices_are_left_out() -> None:
    """None in a list of prices is a gap, not a difference."""
    path: list[float | None] = fair.prices(SEED, GAME).tolist()
    path[3] = None
    assert fair.verify({"id": GAME, "prices": [*path, 0.01]}, SEED).compared == len(path) - 1


def test_seeds_are_joined_by_id() -> None:
    """Entries in any spelling, order and number give one seed a game, under the id they carry."""
    entries: list[dict[str, Any]] = [
        {"id": "b", "provablyFair": {"serverSeed": SEED, "serverSeedHash": "h"}, "gameVersion": "v2"},
        {"game_id": "a", "server_seed": "0" * 64, "server_seed_hash": None},
        {"id": "b", "provablyFair": {"serverSeed": SEED, "serverSeedHash": "h"}, "gameVersion": "v2"},
    ]
    found = fair.seeds(entries)
    assert found == {"b": fair.Seed("b", SEED, "h", "v2"), "a": fair.Seed("a", "0" * 64)}


@pytest.mark.parametrize(
    "entries",
    [
        [{"server_seed": SEED}],
        [{"id": "a"}],
        [{"id": "a", "server_seed": "4f" * 10}],
        [{"id": "a", "server_seed": SEED}, {"id": "a", "server_seed": "0" * 64}],
        [{"id": "a", "provablyFair": "serverSeed"}],
        [fair.Seed("a", SEED)],
        ["a"],
    ],
)
def test_bad_entries_are_refused(entries: list[Any]) -> None:
    """What is no mapping, has no id or seed, a cut one, or is at odds with another of the same game, is an error."""
    with pytest.raises(SeedError):
        fair.seeds(entries)


def test_only_seeds_prove(tmp_path: Path) -> None:
    """A mapping of plain texts is refused: a text does not say which game it was told for."""
    stored(tmp_path, ["1", "0.01"])
    with pytest.raises(SeedError, match="no Seed"):
        fair.verify_all(rl.open_store(tmp_path / "store"), {GAME: SEED}, progress=False)  # type: ignore[arg-type]


def test_seeds_of_other_games_are_left_alone(tmp_path: Path) -> None:
    """Seeds of games that the store does not hold prove nothing and stop nothing."""
    stored(tmp_path, ["1", "0.01"])
    assert fair.verify_all(rl.open_store(tmp_path / "store"), [{"id": "a", "server_seed": SEED}], progress=False) == []


def test_simulation_is_the_process() -> None:
    """Simulated games have the published rates: a rug in 0.5 % of the ticks, big moves in 12.5 %, a drift of +0.5 %."""
    drawn = fair.simulate(20_000, seed=5)
    assert drawn.n_games == 20_000
    rate, sigma = drawn.n_games / drawn.n_ticks, 0.005 / math.sqrt(20_000)
    assert abs(rate - 0.005) < 4 * sigma
    inner = np.ones(len(drawn.prices) - 1, bool)
    inner[drawn.starts + drawn.rug_ticks - 1] = False
    inner[(drawn.starts + drawn.rug_ticks)[:-1]] = False
    before, after = drawn.prices[:-1][inner], drawn.prices[1:][inner]
    assert possible(before, after).all()
    change = after / before - 1
    big = np.abs(change) > 0.12
    assert abs(big.mean() - 0.125) < 4 * math.sqrt(0.125 * 0.875 / len(change))
    assert abs(change[~big].mean() - 0.005) < 4 * change[~big].std() / math.sqrt(len(change))
    assert abs((change[big & (change < 1)] > 0).mean() - 0.5) < 4 * 0.5 / math.sqrt(big.sum())


def test_simulation_agrees_with_the_replay() -> None:
    """Games drawn by numpy and games replayed from seeds have the same law: R and peak, by two-sample tests."""
    from scipy.stats import ks_2samp  # type: ignore[import-untyped]

    replayed = [fair.prices(f"{number:064x}", GAME) for number in range(1_500)]
    drawn = fair.simulate(6_000, seed=9)
    peaks = np.maximum.reduceat(drawn.prices, drawn.starts)
    assert ks_2samp([len(path) for path in replayed], drawn.rug_ticks).pvalue > 0.001
    assert ks_2samp([path.max() for path in replayed], peaks).pvalue > 0.001


def test_simulation_is_repeatable() -> None:
    """The same seed draws the same games, another one others; paths begin at 1 and end before the rug price."""
    one, same, other = fair.simulate(50, seed=1), fair.simulate(50, seed=1), fair.simulate(50, seed=2)
    assert np.array_equal(one.prices, same.prices)
    assert not np.array_equal(one.rug_ticks, other.rug_ticks)
    assert (one.rug_prices <= 0.0200001).all()
    for game in range(50):
        assert len(one.of(game)) == one.rug_ticks[game]
        assert one.of(game)[0] == 1


@pytest.mark.parametrize(("games", "seed"), [(0, 1), (-1, 1), (1, -1)])
def test_bad_simulation_is_refused(games: int, seed: int) -> None:
    """No game, or a seed below zero, is an error."""
    with pytest.raises(SimulationError):
        fair.simulate(games, seed)
