"""Settings: validated, frozen, and read from code, environment and file, in that order of precedence.

A value set in code wins over the environment (``REPLAYLAB_SOURCE_TZ`` and so on), that over a settings file, that
over the default. A value out of bounds never takes effect: one `SettingsError` lists every problem. Booleans in the
environment are true/false, yes/no, on/off, 1/0, in any case.
"""

from __future__ import annotations

import difflib
import json
import logging
import os
import zoneinfo
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from replaylab.clock import MAX_SPEED, MIN_SPEED
from replaylab.durable import of_user
from replaylab.errors import SettingsError
from replaylab.plural import count_of
from replaylab.urls import hidden_within, without_secrets

_log = logging.getLogger("replaylab.settings")
_RETIRED = frozenset(
    {"auto_recording", "chart_points", "history_ticks", "price_decimals", "retries"}
)  # saved by earlier releases

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Speed = Annotated[float, Field(gt=0, le=MAX_SPEED, allow_inf_nan=False)]
Stake = Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]


class Settings(BaseSettings):
    """Every number that can be set, with its bounds.

    Raises
    ------
    SettingsError
        Lists all problems, each with the name, the value and the bound.

    Examples
    --------
    >>> Settings(ring_ticks=20_000).ring_ticks
    20000
    >>> Settings(ring_ticks=7, heartbeat_seconds=-1)
    Traceback (most recent call last):
    ...
    replaylab.errors.SettingsError: 2 settings are out of bounds
    - ring_ticks=7: must be a whole number from 100 to 100,000
    - heartbeat_seconds=-1: must be a number above 0, at most 86,400
    """

    model_config = SettingsConfigDict(
        env_prefix="REPLAYLAB_", frozen=True, extra="forbid", validate_default=True, env_ignore_empty=True
    )

    source_tz: str = Field("UTC", description="zone of recorded times that carry none")
    workers: int | None = Field(None, ge=1, le=256, description="processes that convert at once; unset: one a core")
    progress: bool = Field(default=True, description="show progress bars in terminals and notebooks")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        "INFO", description="least level of the lines that the commands log"
    )

    ring_ticks: int = Field(5_000, ge=100, le=100_000, description="ticks kept of a live game")
    buffer_ticks: int = Field(100, ge=10, le=1_000, description="ticks between two syncs of a recording")
    sync_seconds: Seconds = Field(10.0, description="longest time between two syncs of a recording")
    max_unsynced_ticks: int = Field(1_000, ge=10, le=100_000, description="ticks of a recording not yet synced")
    max_failures: int = Field(5, ge=1, le=100, description="failures in a row after which a recording stops")
    max_failure_seconds: Seconds = Field(30.0, description="time that such a row lasts, at least")
    min_free_start_bytes: int = Field(100 * 1024**2, ge=0, le=1 << 50, description="free space to begin a recording")
    min_free_bytes: int = Field(10 * 1024**2, ge=0, le=1 << 50, description="free space below which none goes on")
    seal_ticks: int = Field(200_000, ge=100, le=10_000_000, description="ticks of a journal that are made a segment")
    seal_game_ticks: int = Field(50_000, ge=1, le=10_000_000, description="as many are made one when their game ends")
    seal_seconds: Seconds = Field(3_600.0, description="age at which a journal is made a segment")
    max_file_bytes: int = Field(100 * 1024**2, ge=1 << 20, description="size at which a segment is sealed")

    prune_older_than_days: float | None = Field(None, gt=0, description="a recorder removes games that are older")
    prune_keep_games: int | None = Field(None, ge=0, description="a recorder removes all games but the newest")
    prune_max_bytes: int | None = Field(None, ge=0, description="a recorder removes the oldest games above this size")
    prune_seconds: Seconds = Field(3_600.0, description="time between two rounds of that")

    network_timeout_seconds: Seconds = Field(10.0, description="longest wait for a feed to answer a connection")
    retry_delay_seconds: Seconds = Field(0.5, description="delay before a feed is connected again; doubles each time")
    heartbeat_seconds: Seconds = Field(5.0, description="time between two pings of a feed")

    min_speed: Speed = Field(MIN_SPEED, description="least speed of a replay, in seconds of the game a second")
    max_speed: Speed = Field(MAX_SPEED, description="greatest speed of a replay; as fast as possible is beside it")
    speed: Speed = Field(1.0, description="default speed of a replay, within the two above")
    min_bet: Stake = Decimal("0.001")
    max_bet: Stake = Decimal("1.0")

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SettingsError(_all_problems(error)) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read code first, then the environment; a file is read by `load`."""
        del settings_cls, dotenv_settings, file_secret_settings
        return init_settings, env_settings

    @field_validator("source_tz")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return checked_zone(value)

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("*", mode="before")
    @classmethod
    def _no_flag_as_number(cls, value: object, info: Any) -> object:
        if isinstance(value, bool) and cls.model_fields[info.field_name].annotation is not bool:
            raise ValueError("true and false are not numbers")
        return value

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        problems = []
        if self.max_speed <= self.min_speed:
            problems.append(f"max_speed={self.max_speed} must be above min_speed={self.min_speed}")
        if not self.min_speed <= self.speed <= self.max_speed:
            problems.append(f"speed={self.speed} must lie between {self.min_speed} and {self.max_speed}")
        if self.max_bet <= self.min_bet:
            problems.append(f"max_bet={self.max_bet} must be above min_bet={self.min_bet}")
        if self.max_unsynced_ticks < self.buffer_ticks:
            problems.append(f"max_unsynced_ticks={self.max_unsynced_ticks} is below buffer_ticks={self.buffer_ticks}")
        if self.min_free_start_bytes < self.min_free_bytes:
            problems.append(
                f"min_free_start_bytes={self.min_free_start_bytes} is below min_free_bytes={self.min_free_bytes}"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def changed(self, **values: Any) -> Settings:
        """Return settings with other values, validated like new ones."""
        return type(self)(**{**self.model_dump(), **values})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the settings as JSON; Decimals as text, so that they come back exactly."""
        of_user(path, SettingsError).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str], **values: Any) -> Settings:
        """Read a settings file; the environment wins over it, `values` win over both.

        Without the file the defaults hold and a warning is logged; settings that earlier releases had are ignored with
        a warning; a malformed file is a `SettingsError`.
        """
        file = of_user(path, SettingsError)
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            _log.warning("no settings file at %s: defaults are used", path, extra={"event": "no_settings_file"})
            found = {}
        except (ValueError, OSError) as error:
            raise SettingsError(f"{path}: not a settings file ({error})") from error
        if not isinstance(found, dict):
            raise SettingsError(f"{path}: not a settings file (a JSON object is needed)")
        for name in sorted(_RETIRED & found.keys()):
            _log.warning("%s: %s is no longer a setting and is ignored", path, name, extra={"event": "setting_ignored"})
            del found[name]
        prefix = cls.model_config["env_prefix"]
        set_outside = {name.lower().removeprefix(prefix.lower()) for name in os.environ}
        return cls(**{name: value for name, value in found.items() if name not in set_outside} | values)


def checked_zone(name: str) -> str:
    """Return the name of a time zone; raise `ValueError` when this machine does not know it."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"{without_secrets(name)!r} is not a known time zone; use a name such as America/New_York"
        ) from None
    return name


def checked_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise `SettingsError` unless an argument is one of its choices."""
    if value not in choices:
        raise SettingsError(
            f"1 setting is out of bounds\n- {name}={_shown(value)}: must be one of {', '.join(choices)}"
        )


@cache
def current() -> Settings:
    """Return the settings of this process, read from the environment once."""
    return Settings()


def _all_problems(error: ValidationError) -> str:
    lines = []
    for one in error.errors():
        name = ".".join(str(part) for part in one["loc"])
        problem = one["msg"].removeprefix("Value error, ") if one["type"] == "value_error" else _allowed(name)
        known = not name or name in Settings.model_fields or not isinstance(one["input"], str)
        shown = f"{name}={_shown(one['input'])}" if known else name  # a secret may have been meant for another program
        lines.append(f"- {shown}: {problem}" if name else f"- {problem}")
    many = len(lines)
    return "\n".join([f"{count_of(many, 'setting')} {'is' if many == 1 else 'are'} out of bounds", *lines])


def _shown(value: object) -> str:
    """Return a value as it is written in code; a URL, of which there is no setting, without what is secret in it."""
    return repr(hidden_within(os.fspath(value)) if isinstance(value, (str, os.PathLike)) else value)


def _allowed(name: str) -> str:
    """Return what a setting may be, in words; for a name that is none, the nearest one."""
    fields = Settings.model_fields
    if name not in fields:
        near = difflib.get_close_matches(name, fields, 1)
        return "is not a setting" + (f"; did you mean {near[0]}?" if near else "")
    kinds = [kind for kind in get_args(fields[name].annotation) or (fields[name].annotation,) if kind is not type(None)]
    if kinds == [bool]:
        return "must be true or false"
    if kinds == [str]:
        return "must be text"
    if all(isinstance(kind, str) for kind in kinds):
        return f"must be one of {', '.join(kinds)}"
    bounds = {
        key: getattr(one, key) for one in fields[name].metadata for key in ("ge", "gt", "le") if hasattr(one, key)
    }
    least = f"from {bounds['ge']:,}" if "ge" in bounds else f"above {bounds['gt']:,}" if "gt" in bounds else ""
    most = "" if "le" not in bounds else f" to {bounds['le']:,}" if "ge" in bounds else f", at most {bounds['le']:,}"
    return f"must be a {'whole ' if int in kinds else ''}number {least}{most}"
