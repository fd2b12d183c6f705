"""Dimension: a table of texts and their numbers, kept in memory while an export writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any, Self

import numpy as np
import pyarrow as pa

from replaylab.postgres.connection import SCHEMA, Connection


@dataclass
class Dimension:
    """The texts of one table; what is new is written before the rows that refer to it, in the same transaction."""

    table: str
    column: str
    ids: dict[str, int] = field(default_factory=dict)
    months: dict[int, date] | None = None
    _new: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, connection: Connection, table: str, column: str, *, with_month: bool = False) -> Self:
        """Read a table."""
        extra = ', "month"' if with_month else ""
        found = connection.table(f'select id, "{column}"{extra} from {SCHEMA}.{table}')
        numbers = found.column(0).to_pylist()
        ids = dict(zip(found.column(1).to_pylist(), numbers, strict=True))
        months = dict(zip(numbers, found.column(2).to_pylist(), strict=True)) if with_month else None
        return cls(table, column, ids, months)

    def add(self, text: str, month: date | None = None) -> int:
        """Return the number of a text, which is a new one when it was not there."""
        known = self.ids.get(text)
        if known is not None:
            return known
        number = self.ids[text] = len(self.ids) + 1
        self._new.append(text)
        if self.months is not None:
            self.months[number] = month or date(1970, 1, 1)
        return number

    def name_of(self, number: int) -> str:
        """Return the text of a number."""
        return next(text for text, one in self.ids.items() if one == number)

    def months_of(self, numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return the first day of the month of each game."""
        distinct, where = np.unique(numbers, return_inverse=True)
        months = self.months or {}
        return np.array([months[int(number)] for number in distinct], "datetime64[D]")[where]

    def write(self, connection: Connection) -> None:
        """Write what is new."""
        if not self._new:
            return
        numbers = [self.ids[text] for text in self._new]
        columns = {"id": pa.array(numbers, pa.int32()), self.column: pa.array(self._new, pa.string())}
        if self.months is not None:
            columns["month"] = pa.array([self.months[number] for number in numbers], pa.date32())
        connection.put(self.table, pa.table(columns))
        self._new = []
