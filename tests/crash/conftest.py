"""What the crash kit shares: a disk whose syncs cost nothing, as they are simulated; and more time for more tries."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from replaylab.encryption.document import KEYS_FILE
from tests.crash.scale import SCALE

_SECONDS = 120  # for one test, as for every other one
_KEYED = {  # of each kind of fault some that take little time; tests/crash/test_encrypted.py has the kills
    "test_a_passing_failure",
    "test_a_lasting_failure",
    "test_short_writes",
    "test_a_refused_tick_that_cannot_be_taken_back",
    "test_journals_sealed_together_that_cannot_be_removed",
    "test_two_faults",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests that try harder as much more time."""
    for item in items:
        if SCALE > 1 and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(_SECONDS * SCALE))


@pytest.fixture
def no_real_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the real disk."""
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda _: None)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run some tests on an encrypted store as well."""
    if metafunc.function.__name__ in _KEYED:
        kinds = {"plain": None, "encrypted": base64.b64encode(bytes(range(32))).decode()}
        metafunc.parametrize("encrypted_stores", list(kinds.values()), ids=list(kinds), indirect=True)


@pytest.fixture(autouse=True)
def encrypted_stores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Encrypt the stores of a test of `_KEYED`; of all with `CRASH_KEY=$(openssl rand -base64 32) pytest ...`.

    A store that is in plain all the same would have shown nothing.
    """
    key = getattr(request, "param", None) or os.environ.get("CRASH_KEY")
    if not key:
        yield
        return
    monkeypatch.setenv("REPLAYLAB_KEY", key)
    place: Path | None = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    stores = [folder.parent for folder in place.rglob("segments") if folder.is_dir()] if place else []
    assert not [store for store in stores if not (store / KEYS_FILE).exists()]
