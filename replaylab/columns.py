"""Columns: numpy arrays, texts and Decimals as Arrow, and back. Pure.

`pa.array`, `pa.scalar` and `to_numpy` do the same, and load pandas to see whether it was given some: half a second and
45 MB that a conversion has no use for.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_EXACT: Final = Context(prec=80)
Whole = TypeVar("Whole", bound=np.integer[Any])


def column(values: NDArray[Any], mask: NDArray[np.bool_] | None = None) -> pa.Array:
    """Return a numpy array (whole numbers or flags) as Arrow, null where `mask`; the bytes are shared, not copied.

    Examples
    --------
    >>> column(np.array([1, 2, 3]), np.array([False, True, False])).to_pylist()
    [1, None, 3]
    """
    size = len(values)
    valid = None if mask is None or not mask.any() else bits(~mask)
    if values.dtype == np.bool_:
        return pa.Array.from_buffers(pa.bool_(), size, [valid, bits(values)])
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, size, [valid, pa.py_buffer(np.ascontiguousarray(values))])


def doubles(decimals: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return Decimals as the doubles nearest to them, null for null; Arrow's own cast is often one bit off.

    Examples
    --------
    >>> doubles(pa.array([Decimal("1.1"), None], pa.decimal128(38, 24))).to_pylist()
    [1.1, None]
    """
    return decimals.cast(pa.string()).cast(pa.float64())


def nearest_doubles(decimals: pa.Array | pa.ChunkedArray) -> NDArray[np.float64]:
    """Return Decimals as a numpy array of the doubles nearest to them, NaN for null.

    Examples
    --------
    >>> nearest_doubles(pa.array([Decimal("1.1"), None], pa.decimal128(38, 24))).tolist()
    [1.1, nan]
    """
    return np.array(doubles(decimals).fill_null(float("nan")).to_numpy(), np.float64)


def with_doubles(table: pa.Table) -> pa.Table:
    """Return a table whose columns of Decimals are the doubles nearest to them.

    Examples
    --------
    >>> with_doubles(pa.table({"price": pa.array([Decimal("1.1")], pa.decimal128(38, 24))}))["price"].to_pylist()
    [1.1]
    """
    for place, field in enumerate(table.schema):
        if pa.types.is_decimal(field.type):
            table = table.set_column(place, field.name, doubles(table.column(place)))
    return table


def as_numpy(array: pa.Array | pa.ChunkedArray, null: int = 0) -> NDArray[Any]:
    """Return whole numbers, times (as int64) or flags of Arrow as numpy, `null` where there is none.

    Examples
    --------
    >>> as_numpy(pa.array([1, None, 3]), null=-1).tolist()
    [1, -1, 3]
    >>> as_numpy(pa.array([True, False, True]).slice(1)).tolist()
    [False, True]
    """
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    start, end = array.offset, array.offset + len(array)
    content = array.buffers()[1]
    if array.type == pa.bool_():
        values = _flags(content, start, end)
    else:
        kind = np.int32 if array.type.bit_width == 32 else np.int64
        values = np.frombuffer(content, kind, len(array), start * np.dtype(kind).itemsize)
    return np.where(present(array), values, values.dtype.type(null)) if array.null_count else values


def present(array: pa.Array) -> NDArray[np.bool_]:
    """Tell which entries of an Arrow array are not null.

    Examples
    --------
    >>> present(pa.array(["a", None])).tolist()
    [True, False]
    """
    valid = array.buffers()[0]
    if valid is None:
        return np.ones(len(array), np.bool_)
    return _flags(valid, array.offset, array.offset + len(array))


def take(table: pa.Table, rows: NDArray[np.int64]) -> pa.Table:
    """Return rows of a table by number; each column must be one chunk of whole numbers, flags, Decimals or names.

    `Table.take` does the same, and is several times as slow for a table of many columns.

    Examples
    --------
    >>> take(pa.table({"tick": [1, None, 3]}), np.array([2, 1])).to_pydict()
    {'tick': [3, None]}
    """
    taken = [taken_from(column.chunk(0), rows) for column in table.columns]
    return pa.Table.from_arrays(taken, schema=table.schema)


def detached(table: pa.Table) -> pa.Table:
    """Return a table with memory of its own: a slice holds all of what it was cut from.

    Examples
    --------
    >>> part = pa.table({"tick": list(range(1_000_000))}).slice(5, 1)
    >>> part.get_total_buffer_size(), detached(part).get_total_buffer_size() < 1_000
    (8000000, True)
    """
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return pa.ipc.open_stream(sink.getvalue()).read_all()


def taken_from(array: pa.Array, rows: NDArray[np.int64]) -> pa.Array:
    """Return rows of an array by number.

    `Array.take` does the same, and loads pyarrow.compute; it is asked where there is other than numbers, flags,
    Decimals or names.

    Examples
    --------
    >>> taken_from(pa.array([1, None, 3]), np.array([2, 1])).to_pylist()
    [3, None]
    >>> taken_from(pa.array(["a", "b"]), np.array([1])).to_pylist()
    ['b']
    """
    if pa.types.is_dictionary(array.type):
        codes = taken_from(array.indices, rows)
        return pa.DictionaryArray.from_arrays(codes, array.dictionary, safe=False)
    if not (pa.types.is_primitive(array.type) or pa.types.is_decimal128(array.type)):
        return array.take(column(rows))
    start, end = array.offset, array.offset + len(array)
    valid, content = array.buffers()
    valid = bits(_flags(valid, start, end)[rows]) if array.null_count else None
    if array.type == pa.bool_():
        return pa.Array.from_buffers(array.type, len(rows), [valid, bits(_flags(content, start, end)[rows])])
    word: np.dtype[Any] = np.dtype({8: "i1", 16: "i2", 32: "i4", 64: "i8", 128: "c16"}[array.type.bit_width])
    values = np.frombuffer(content, word, len(array), start * word.itemsize)
    return pa.Array.from_buffers(array.type, len(rows), [valid, pa.py_buffer(values[rows])])


def distinct(values: NDArray[Whole]) -> NDArray[Whole]:
    """Return the distinct ones of whole numbers, in order.

    `np.unique` does the same by hashing, since numpy 2.3: a microsecond a value, and ten where memory is busy, against
    0.07 to sort them and 0.001 where they are nearly in order.

    Examples
    --------
    >>> distinct(np.array([3, 1, 3])).tolist()
    [1, 3]
    """
    ordered = np.sort(values, kind="stable")
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered


def texts(values: Sequence[str | bytes | None], kind: pa.DataType | None = None) -> pa.Array:
    """Return texts as Arrow: strings, unless `kind` says that they are bytes.

    Examples
    --------
    >>> texts(["a", None, "é"]).to_pylist()
    ['a', None, 'é']
    """
    content = [value.encode() if isinstance(value, str) else value or b"" for value in values]
    ends = np.zeros(len(content) + 1, np.int64)
    np.cumsum([len(one) for one in content], out=ends[1:])
    if ends[-1] > np.iinfo(np.int32).max:
        raise OverflowError(f"{ends[-1]} bytes of text in one column; hand over fewer at a time")
    valid = bits(np.array([value is not None for value in values])) if None in values else None
    parts = [valid, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(b"".join(content))]
    return pa.Array.from_buffers(kind or pa.string(), len(content), parts)


def decimals(values: Sequence[Decimal | None], kind: pa.Decimal128Type) -> pa.Array:
    """Return Decimals as Arrow decimals; every one of them must fit exactly.

    Examples
    --------
    >>> decimals([Decimal("1.50"), None], pa.decimal128(38, 24)).to_pylist()
    [Decimal('1.500000000000000000000000'), None]
    """
    words = [_unscaled(value, kind).to_bytes(16, "little", signed=True) for value in values]
    valid = bits(np.array([value is not None for value in values])) if None in values else None
    return pa.Array.from_buffers(kind, len(words), [valid, pa.py_buffer(b"".join(words))])


def _unscaled(value: Decimal | None, kind: pa.Decimal128Type) -> int:
    if value is None:
        return 0
    scaled = value.scaleb(kind.scale, _EXACT)
    whole = int(scaled)
    if whole != scaled or abs(whole) >= 10**kind.precision:
        raise ValueError(f"{value} does not fit decimal128({kind.precision}, {kind.scale}) without rounding")
    return whole


def bits(flags: NDArray[np.bool_]) -> pa.Buffer:
    """Return flags as the bits of an Arrow buffer."""
    return pa.py_buffer(np.packbits(flags, bitorder="little"))


def _flags(bits: pa.Buffer, start: int, end: int) -> NDArray[np.bool_]:
    packed = np.frombuffer(bits, np.uint8)[start // 8 : -(-end // 8)]
    unpacked = np.unpackbits(packed, bitorder="little")[start % 8 :][: end - start]
    flags: NDArray[np.bool_] = unpacked.view(np.bool_)
    return flags
