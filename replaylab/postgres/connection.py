"""Connection to a database: statements, Arrow tables in and out, and errors that say what to do and no password."""

from __future__ import annotations

import errno
import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Any, Final, Self

import pyarrow as pa

from replaylab.errors import (
    DatabaseBusy,
    DatabaseError,
    DatabaseFull,
    DatabaseMismatch,
    DatabaseUnreachable,
    MissingExtra,
)
from replaylab.postgres.address import Address

_DRIVER: Final = "adbc-driver-postgresql"
_LEAST: Final = (1, 12)  # 1.11 stores other prices than it is given: arrow-adbc issue 4507
_GONE: Final = ("08", "57P", "28", "3D", "53300")
_FULL: Final = ("53100", "53200", "53400")
_BUSY: Final = ("55P03", "40")
_DIFFERS: Final = ("23", "22", "42703", "42P01")
SCHEMA: Final = "replaylab"


class Connection:
    """An open connection with one transaction at a time; closing it rolls back what was not committed.

    Parameters
    ----------
    address : Address
        Where to.

    Raises
    ------
    DatabaseUnreachable
        When the server does not answer or refuses access.
    MissingExtra
        When the driver is not installed, or is one that stores wrong prices.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        driver = _driver()
        with self._named():
            self._connection = driver.connect(address.uri)
            self._cursor = self._connection.cursor()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it; an end that the server has made already is no error."""
        with suppress(Exception):
            self._cursor.close()  # before the connection, which else raises
        with suppress(Exception):
            self._connection.close()

    def run(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement; return how many rows it changed, -1 when that is not known."""
        with self._named():
            self._cursor.execute(statement, tuple(parameters) or None)
            return int(self._cursor.rowcount)

    def table(self, query: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """Return the answer of a query."""
        with self._named():
            self._cursor.execute(query, tuple(parameters) or None)
            return self._cursor.fetch_arrow_table()

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of an answer."""
        table = self.table(query, parameters)
        return list(zip(*(column.to_pylist() for column in table.columns), strict=True)) if table.num_rows else []

    def put(self, name: str, table: pa.Table, *, temporary: bool = False) -> None:
        """Append rows to a table by COPY."""
        place: dict[str, Any] = {"temporary": True} if temporary else {"db_schema_name": SCHEMA}
        with self._named():
            self._cursor.adbc_ingest(name, table, mode="append", **place)

    def commit(self) -> None:
        """End the transaction, and keep what it did."""
        with self._named():
            self._connection.commit()

    def roll_back(self) -> None:
        """End the transaction, and keep nothing of it."""
        with self._named():
            self._connection.rollback()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Turn errors of the driver into ours."""
        from adbc_driver_manager import dbapi

        try:
            yield
        except dbapi.Error as error:
            raise _ours(error, self.address) from None  # what it is raised from may show the address


def _ours(error: Any, address: Address) -> DatabaseError:
    """Return the error of ours for one of the driver."""
    state = error.sqlstate or ""
    said = next((value.decode(errors="replace") for name, value in error.details or () if b"PRIMARY" in name), None)
    text = address.without_secrets((said or str(error)).strip().partition("\n")[0])
    if state.startswith(_FULL):
        return DatabaseFull(
            errno.ENOSPC,
            f"{address}: no room in the database ({text}); what was loaded before is there. Free some and export again",
        )
    if state.startswith(_BUSY):
        return DatabaseBusy(f"{address}: another session is in the way ({text}); run it again")
    if state.startswith(_GONE) or (not state and type(error).__name__ in {"OperationalError", "InternalError"}):
        return DatabaseUnreachable(f"{address}: {text}")
    if state.startswith(_DIFFERS):
        return DatabaseMismatch(f"{address}: {text} (SQLSTATE {state})")
    return DatabaseError(f"{address}: {text}" + (f" (SQLSTATE {state})" if state else ""))


def _driver() -> Any:
    """Return the driver; raises `MissingExtra`."""
    try:
        found = importlib.import_module("adbc_driver_postgresql.dbapi")
        release = version(_DRIVER)
    except (ImportError, PackageNotFoundError):
        raise MissingExtra("PostgreSQL needs a driver: pip install 'replaylab[postgresql]'") from None
    if tuple(int(part) for part in release.split(".")[:2] if part.isdigit()) < _LEAST:
        raise MissingExtra(
            f"{_DRIVER} {release} stores other prices than it is given: pip install 'replaylab[postgresql]' brings "
            "1.12 or newer"
        )
    return found
