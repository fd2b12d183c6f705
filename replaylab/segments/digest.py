"""Digests: of a file, of its Parquet footer, and of rows whatever their order."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from replaylab.columns import as_numpy, present
from replaylab.kernel.library import WordColumnStruct, load
from replaylab.table import COLUMNS, PRICE_TYPE, SCHEMA

ENDING: Final = ".parquet"
_FIRST: Final = [one.name for one in COLUMNS if one.since == 1]
_LATER: Final = [one.name for one in COLUMNS if one.since > 1]
_MIX: Final = [np.uint64(0x9E3779B97F4A7C15 * (2 * number + 1) & (2**64 - 1)) for number in range(32)]


def name_digest(name: str) -> str:
    """Return the digest that a file's name promises."""
    return name.removesuffix(ENDING).rsplit("_", 1)[-1]


def footer_bytes(path: Path) -> bytes:
    """Return the end of a Parquet file from its footer on; the footer's length stands before the last 4 bytes."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 8))
        length = int.from_bytes(file.read(4), "little") + 8
        file.seek(max(0, size - length))
        return file.read()


def file_digest(path: Path) -> str:
    """Return the XXH3 128-bit digest of a file's bytes, as hex."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def rows_digest(table: pa.Table) -> str:
    """Return a digest of the rows that does not depend on their order: equal sums of it mean equal rows.

    Every value is one or two 64-bit words, null a word of its own; the words of a row are multiplied by odd constants,
    added and mixed, and the rows are added up modulo 2 ** 64. A column that a later schema added counts nothing where
    it is null, so that rows keep the digest that they had before it was there.
    """
    library = load()
    total = 0
    for batch in table.select(SCHEMA.names).to_batches(max_chunksize=1 << 16):
        if library is None or any(batch.column(name).null_count < batch.num_rows for name in _LATER):
            total += _total(batch)
        else:
            total += _total_by_kernel(batch.select(_FIRST), library)
    return f"{total & (2**64 - 1):016x}"


def _total(batch: pa.RecordBatch) -> int:
    mixed = np.zeros(batch.num_rows, np.uint64)
    number = 0
    for column, one in zip(batch.columns, COLUMNS, strict=True):
        for part in _words(column):
            mixed += (np.where(present(column), part + np.uint64(1), 0) if one.since > 1 else part) * _MIX[number]
            number += 1
    mixed ^= mixed >> np.uint64(32)
    mixed *= _MIX[30]
    mixed ^= mixed >> np.uint64(29)
    return int((mixed * _MIX[31]).sum(dtype=np.uint64))


def _total_by_kernel(batch: pa.RecordBatch, library: ctypes.CDLL) -> int:
    """Return what `_total` returns, computed by the kernel."""
    columns = (WordColumnStruct * batch.num_columns)()
    held: list[object] = []  # keeps the memory alive that the columns point to
    for struct, column in zip(columns, batch.columns, strict=True):
        values = column
        if pa.types.is_dictionary(column.type):
            words = _dictionary_words(column)
            struct.words, struct.codes = words.ctypes.data, len(words) - 1
            held.append(words)
            values = column.indices
        valid, data = values.buffers()
        held.append((values, valid, data))
        struct.kind = _word_kind(column.type)
        struct.offset = values.offset
        struct.data = data.address
        struct.valid = valid.address if valid is not None and values.null_count else None
    mix = np.array(_MIX)
    total = library.replaylab_rows_digest(batch.num_rows, ctypes.addressof(columns), batch.num_columns, mix.ctypes.data)
    del held
    return int(total)


def _word_kind(kind: pa.DataType) -> int:
    """Return the number of `enum word_kind` in kernel.h."""
    if pa.types.is_dictionary(kind):
        return 3
    if kind == PRICE_TYPE:
        return 4
    if pa.types.is_boolean(kind):
        return 2
    return 0 if kind.bit_width == 32 else 1


def sum_digests(digests: Sequence[str]) -> str:
    """Return the digest of the rows of several segments together."""
    return f"{sum(int(digest, 16) for digest in digests) & (2**64 - 1):016x}"


def _dictionary_words(column: pa.DictionaryArray) -> NDArray[np.uint64]:
    """Return the word of each text of a dictionary, and behind them that of null."""
    hashes = [xxhash.xxh3_64_intdigest(text.encode()) for text in column.dictionary.to_pylist()]
    return np.array([*hashes, 1], np.uint64)


def _words(column: pa.Array) -> list[NDArray[np.uint64]]:
    """Return the values of a column as one or two 64-bit words a row; null is a word of its own."""
    if pa.types.is_dictionary(column.type):
        words = _dictionary_words(column)
        return [words[as_numpy(column.indices, len(words) - 1)]]
    if column.type == PRICE_TYPE:
        words = np.frombuffer(column.buffers()[1], np.uint64)[2 * column.offset : 2 * (column.offset + len(column))]
        there = present(column)
        return [np.where(there, words[0::2], np.uint64(1)), np.where(there, words[1::2], np.uint64(3))]
    if pa.types.is_boolean(column.type):
        return [as_numpy(column).astype(np.uint64)]
    if not pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return [as_numpy(column, -(2**62)).view(np.uint64)]
