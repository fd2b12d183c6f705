"""Settings: bounds, precedence, and one error for all problems."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from replaylab.errors import SettingsError
from replaylab.settings import Settings

BAD = ["0", "-1", "abc", "1e12"]
NUMBERS = [
    "workers",
    "ring_ticks",
    "buffer_ticks",
    "sync_seconds",
    "max_unsynced_ticks",
    "max_failures",
    "max_failure_seconds",
    "seal_ticks",
    "seal_game_ticks",
    "seal_seconds",
    "max_file_bytes",
    "network_timeout_seconds",
    "retry_delay_seconds",
    "heartbeat_seconds",
    "min_speed",
    "max_speed",
    "speed",
]


def test_defaults_are_those_of_the_audit() -> None:
    """Without anything set, the numbers are those that the audit names; the greatest speed is that of the engine."""
    found = Settings()
    assert (found.ring_ticks, found.buffer_ticks, found.progress) == (5000, 100, True)
    assert (found.min_speed, found.max_speed, found.speed, found.max_file_bytes) == (0.1, 100.0, 1.0, 100 * 1024**2)


def test_defaults_of_a_recording_are_those_of_the_audit() -> None:
    """100 MiB to begin, 10 MiB to go on, a sync after 10 s, a thousand unsynced ticks, five failures."""
    found = Settings()
    assert (found.min_free_start_bytes, found.min_free_bytes) == (100 * 1024**2, 10 * 1024**2)
    assert (found.sync_seconds, found.max_unsynced_ticks, found.max_failures) == (10.0, 1_000, 5)
    assert Settings(min_free_start_bytes=0, min_free_bytes=0).min_free_bytes == 0


@pytest.mark.parametrize("value", ["-1", "abc", "1e18"])
@pytest.mark.parametrize("name", ["min_free_start_bytes", "min_free_bytes"])
def test_free_space_that_cannot_be(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Free space may be asked for or not; less than none, and more than any disk has, may not."""
    with pytest.raises(SettingsError, match=name):
        Settings(**{name: value})
    monkeypatch.setenv(f"REPLAYLAB_{name.upper()}", value)
    with pytest.raises(SettingsError, match=name):
        Settings()


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("name", NUMBERS)
def test_a_bad_number_is_refused_through_every_door(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zero, negative, non-numeric and absurd values never take effect: not by code, file, change or environment."""
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({name: value}))
    doors: list[Callable[[], Settings]] = [
        lambda: Settings(**{name: value}),
        lambda: Settings.load(file),
        lambda: Settings().changed(**{name: value}),
    ]
    for door in doors:
        with pytest.raises(SettingsError, match=name):
            door()
    monkeypatch.setenv(f"REPLAYLAB_{name.upper()}", value)
    with pytest.raises(SettingsError, match=name):
        Settings()


def test_a_problem_is_told_in_our_words() -> None:
    """What a check of our own says stands behind the value, with nothing of the library before it."""
    with pytest.raises(SettingsError, match=r"source_tz='Foo/Bar': 'Foo/Bar' is not a known time zone"):
        Settings(source_tz="Foo/Bar")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ring_ticks", 7, "ring_ticks=7: must be a whole number from 100 to 100,000"),
        ("ring_ticks", "many", "ring_ticks='many': must be a whole number from 100 to 100,000"),
        ("workers", 1.5, "workers=1.5: must be a whole number from 1 to 256"),
        ("sync_seconds", 0, "sync_seconds=0: must be a number above 0, at most 86,400"),
        ("sync_seconds", float("inf"), "sync_seconds=inf: must be a number above 0, at most 86,400"),
        ("speed", "fast", "speed='fast': must be a number above 0, at most 100.0"),
        ("min_bet", -1, "min_bet=-1: must be a number above 0"),
        ("progress", "perhaps", "progress='perhaps': must be true or false"),
        ("log_level", "LOUD", "log_level='LOUD': must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ("source_tz", 3, "source_tz=3: must be text"),
        ("ring_tick", 500, "ring_tick=500: is not a setting; did you mean ring_ticks?"),
        ("nonsense", 1, "nonsense=1: is not a setting"),
    ],
)
def test_a_problem_names_the_setting_its_value_and_what_is_allowed(name: str, value: object, said: str) -> None:
    """In plain words, and nothing of the library that checks it."""
    with pytest.raises(SettingsError) as caught:
        Settings(**{name: value})
    assert str(caught.value) == f"1 setting is out of bounds\n- {said}"


def test_one_error_lists_all_problems() -> None:
    """Two bad values and an unknown one are three lines of one error."""
    with pytest.raises(SettingsError) as caught:
        Settings(ring_ticks=1, log_level="LOUD", nonsense=3)
    text = str(caught.value)
    assert "3 settings" in text
    assert all(name in text for name in ("ring_ticks=1", "log_level='LOUD'", "nonsense=3"))


@pytest.mark.parametrize(
    "values",
    [
        {"min_speed": 2, "max_speed": 1},
        {"max_speed": 5, "speed": 50},
        {"speed": 101},
        {"min_bet": "2", "max_bet": "1"},
        {"speed": float("nan")},
    ],
)
def test_values_that_contradict_each_other_are_refused(values: dict[str, object]) -> None:
    """Least above greatest, or a speed outside of both, is an error."""
    with pytest.raises(SettingsError):
        Settings(**values)


def test_a_flag_is_not_a_number() -> None:
    """True is not one ring tick or one worker."""
    with pytest.raises(SettingsError, match="not numbers"):
        Settings(workers=True)


def test_an_unknown_zone_is_refused() -> None:
    """A zone that does not exist is an error that gives an example."""
    with pytest.raises(SettingsError, match="America/New_York"):
        Settings(source_tz="Mars/Olympus")


def test_code_wins_over_environment_over_file_over_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The documented precedence holds for one name set in all places."""
    file = tmp_path / "settings.json"
    file.write_text('{"ring_ticks": 300, "workers": 7}')
    assert Settings.load(file).ring_ticks == 300
    monkeypatch.setenv("REPLAYLAB_RING_TICKS", "400")
    assert Settings.load(file).ring_ticks == 400
    assert Settings.load(file).workers == 7
    assert Settings.load(file, ring_ticks=500).ring_ticks == 500


@pytest.mark.parametrize(("text", "value"), [("yes", True), ("1", True), ("On", True), ("FALSE", False), ("no", False)])
def test_booleans_are_read_in_every_common_form(text: str, *, value: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Yes, 1 and on are true; no and false are false, in any case."""
    monkeypatch.setenv("REPLAYLAB_PROGRESS", text)
    assert Settings().progress is value


def test_settings_come_back_from_a_file_exactly(tmp_path: Path) -> None:
    """What is saved is what is loaded, Decimals to the digit."""
    settings = Settings(min_bet=Decimal("0.00123456789012345678"), ring_ticks=777)
    settings.save(tmp_path / "settings.json")
    assert Settings.load(tmp_path / "settings.json") == settings


def test_a_missing_file_gives_defaults_and_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that is not there is said, not passed over in silence."""
    with caplog.at_level(logging.WARNING):
        assert Settings.load(tmp_path / "none.json") == Settings()
    assert "none.json" in caplog.text


@pytest.mark.parametrize("text", ["{", "[1]", "nonsense"])
def test_a_malformed_file_is_a_named_error(text: str, tmp_path: Path) -> None:
    """A file that is no JSON object is an error naming the file."""
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(SettingsError, match=r"bad\.json"):
        Settings.load(tmp_path / "bad.json")


def test_settings_do_not_change() -> None:
    """Settings are frozen; assignment is an error, not a silent change."""
    with pytest.raises(ValueError, match="frozen"):
        Settings().ring_ticks = 200  # type: ignore[misc]


def test_settings_of_earlier_releases_are_ignored_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file saved by an earlier release still loads; each setting that is gone is named in the log."""
    file = tmp_path / "settings.json"
    file.write_text(
        '{"retries": 3, "auto_recording": false, "chart_points": 500, "history_ticks": 9,'
        '"price_decimals": 8, "workers": 2}'
    )
    with caplog.at_level(logging.WARNING, "replaylab.settings"):
        assert Settings.load(file) == Settings(workers=2)
    assert [one.getMessage().split(": ")[1].split()[0] for one in caplog.records] == [
        "auto_recording",
        "chart_points",
        "history_ticks",
        "price_decimals",
        "retries",
    ]


def test_every_setting_is_read() -> None:
    """A setting that no module reads would promise what nothing does."""
    package = Path(__file__).resolve().parent.parent / "replaylab"
    text = "\n".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py") if path.name != "settings.py")
    assert [name for name in Settings.model_fields if not re.search(rf"\.{name}\b", text)] == []
