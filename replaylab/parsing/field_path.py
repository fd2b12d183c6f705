"""Path: where a value stands within an object, as a mapping names it: `data.ticks[].price`, `games{}`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, TypeAlias

from replaylab.errors import TickError
from replaylab.parsing.json_line import DECODER

_STEP: Final = re.compile(r"([^.\[\]{}]+)|\[([0-9]+)\]|(\[\])|(\{\})")
KEYED: Final = "{}"  # each member of an object; its name is what `{}` as a field means
MISSING: Final = object()
Paths: TypeAlias = str | Sequence[str]
"""A path, or several of which the first that leads somewhere is taken."""


def choices(where: Paths) -> list[str]:
    """Return the paths of one or several."""
    return [where] if isinstance(where, str) else list(where)


def alternatives(where: Paths) -> str:
    """Return one or several paths in words."""
    return " or ".join(choices(where))


def chosen_path(value: Any, where: Paths) -> str:
    """Return the first of several paths that leads somewhere; all of them when none does."""
    return next((one for one in choices(where) if first_value(value, one) is not MISSING), alternatives(where))


def first_value(value: Any, where: Paths) -> Any:
    """Return what is at the first of several paths that leads somewhere, an object of prices included."""
    for one in choices(where):
        found = value_at(value, one.removesuffix(KEYED), MISSING)
        if found is not MISSING:
            return found
    return MISSING


def leads_to_elements(found: Any, where: str) -> bool:
    """Whether a path leads to an array or an object whose elements are meant, or to anything where it means one."""
    whole = where.removesuffix("[]").removesuffix(KEYED)
    value = value_at(found, whole, MISSING)
    return isinstance(value, list if where.endswith("[]") else dict if where.endswith(KEYED) else object) and (
        value is not MISSING
    )


def is_path(where: object) -> bool:
    """Whether something is a path that can be followed."""
    if not isinstance(where, str):
        return False
    inner = where.removeprefix("/")
    return not inner or "".join(match[0] for match in _STEP.finditer(inner)) == inner.replace(".", "")


@lru_cache(maxsize=1024)
def steps(where: str) -> tuple[str | int | None, ...]:
    """Return the steps of a path: names, numbers in arrays, None for each element of one."""
    return tuple(int(match[2]) if match[2] else match[1] or match[4] for match in _STEP.finditer(where))


def _step(value: Any, step: str | int | None) -> Any:
    if isinstance(value, str) and value[:1] in {"{", "["}:  # JSON in a text, as log collectors write it
        try:
            value = DECODER.decode(value.strip())
        except (ValueError, ArithmeticError, RecursionError):
            return MISSING
    if isinstance(step, str) and isinstance(value, dict):
        return value.get(step, MISSING)
    if isinstance(step, int) and isinstance(value, list) and step < len(value):
        return value[step]
    return MISSING


def value_at(value: Any, where: str, default: Any = None) -> Any:
    """Return what a path leads to within an object, or a default."""
    if type(value) is dict and where in value and where.isidentifier():  # the usual case, and the fast one
        return value[where]
    for step in steps(where):
        value = _step(value, step)
        if value is MISSING:
            return default
    return value


def objects_at(value: Any, where: str, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the objects at a path and their names: one, or each element of an array or object on the way."""
    found = [(name, value)]
    for step in steps(where):
        if step is None:
            if not all(isinstance(one, list) for _, one in found):
                raise TickError(where, None, "wrong_type", "must be an array")
            found = [(key, inner) for key, one in found for inner in one]
        elif step == KEYED:
            if not all(isinstance(one, dict) for _, one in found):
                raise TickError(where, None, "wrong_type", "must be an object of objects")
            found = [member for _, one in found for member in one.items()]
        else:
            found = [(key, _step(one, step)) for key, one in found]
        if any(one is MISSING for _, one in found):
            raise TickError(where, None, "missing_field", "not there")
    for key, one in found:
        yield key, _as_object(one, where)


def _as_object(one: Any, where: str) -> dict[str, Any]:
    """Return an object, or the one that a text holds as JSON."""
    found = one
    if isinstance(one, str) and one[:1] == "{":
        try:
            found = DECODER.decode(one.strip())
        except (ValueError, ArithmeticError, RecursionError):
            found = None
    if not isinstance(found, dict):
        raise TickError(where, one, "wrong_type", "must be an object")
    return found
