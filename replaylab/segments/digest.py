"""Digests: of a file, of its Parquet footer, and of rows whatever their order."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from replaylab.columns import as_numpy, present
from replaylab.table import PRICE_TYPE, SCHEMA

ENDING: Final = ".parquet"
_MIX: Final = [np.uint64(0x9E3779B97F4A7C15 * (2 * number + 1) & (2**64 - 1)) for number in range(32)]


def name_digest(name: str) -> str:
    """Give the digest that a file's name promises."""
    return name.removesuffix(ENDING).rsplit("_", 1)[-1]


def footer_digest(path: Path) -> str:
    """Give the XXH3 64-bit digest of a Parquet file's footer, as hex: its length stands before the last four bytes."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 8))
        length = int.from_bytes(file.read(4), "little") + 8
        file.seek(max(0, size - length))
        return xxhash.xxh3_64_hexdigest(file.read())


def file_digest(path: Path) -> str:
    """Give the XXH3 128-bit digest of a file's bytes, as hex."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def rows_digest(table: pa.Table) -> str:
    """Give a digest of the rows that does not depend on their order: sums of it tell whether segments hold the same."""
    total = 0
    for batch in table.select(SCHEMA.names).to_batches(max_chunksize=1 << 16):
        mixed = np.zeros(batch.num_rows, np.uint64)
        number = 0
        for column in batch.columns:
            for part in _words(column):
                mixed += part * _MIX[number]
                number += 1
        mixed ^= mixed >> np.uint64(32)
        mixed *= _MIX[30]
        mixed ^= mixed >> np.uint64(29)
        total = (total + int((mixed * _MIX[31]).sum(dtype=np.uint64))) & (2**64 - 1)
    return f"{total:016x}"


def sum_digests(digests: Sequence[str]) -> str:
    """Give the digest of the rows of several segments together."""
    return f"{sum(int(digest, 16) for digest in digests) & (2**64 - 1):016x}"


def _words(column: pa.Array) -> list[NDArray[np.uint64]]:
    """Give the values of a column as one or two 64-bit words a row; null is a word of its own."""
    if pa.types.is_dictionary(column.type):
        hashes = [xxhash.xxh3_64_intdigest(text.encode()) for text in column.dictionary.to_pylist()]
        codes = as_numpy(column.indices, len(hashes))
        return [np.array([*hashes, 1], np.uint64)[codes]]
    if column.type == PRICE_TYPE:
        words = np.frombuffer(column.buffers()[1], np.uint64)[2 * column.offset : 2 * (column.offset + len(column))]
        there = present(column)
        return [np.where(there, words[0::2], np.uint64(1)), np.where(there, words[1::2], np.uint64(3))]
    if pa.types.is_boolean(column.type):
        return [as_numpy(column).astype(np.uint64)]
    if not pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return [as_numpy(column, -(2**62)).view(np.uint64)]
