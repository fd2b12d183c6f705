"""A journal that was made shorter after its recorder has died."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import replaylab as rl
from tests.recordings import left_behind, stored, ticks


@pytest.mark.parametrize("line", [False, True])
def test_a_truncated_journal_is_noticed(tmp_path: Path, line: bool) -> None:  # noqa: FBT001 a parameter
    """The journal behind it says how much was permanent: `verify` names it, before and after it is sealed."""
    first, _ = left_behind(tmp_path)
    assert rl.Store(tmp_path).verify().ok
    content = first.read_bytes()
    kept = content[: content.index(b"\n", 1_000) + 1] if line else content[:1_003]  # at the end of a line, or inside
    os.truncate(first, len(kept))
    unsealed = rl.Store(tmp_path).verify()
    assert not unsealed.ok
    assert any(first.name in problem and "truncated" in problem for problem in unsealed.problems)
    store = rl.open_store(tmp_path)
    assert "quarantined" in {one.state for one in store.recordings()}
    assert "truncated" in store.quarantine()["reason"].to_list()
    assert stored(store)[-5:] == ticks(5, first=30)


def test_a_journal_that_ends_later_than_was_known_is_fine(tmp_path: Path) -> None:
    """More than what was permanent when the next journal began is no damage."""
    left_behind(tmp_path)
    store = rl.open_store(tmp_path)
    assert store.verify().ok
    assert stored(store) == ticks(35)
    assert "quarantined" not in {one.state for one in store.recordings()}
