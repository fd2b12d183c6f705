"""The kernel's shared library: found beside this file, checked, and declared to ctypes."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

FILE_NAME: Final = "replaylab_kernel.so"
VERSION: Final = 8  # KERNEL_VERSION of kernel.h: a library built from other sources is not used
LONGEST_FRAME: Final = 96
MOST_PIECES: Final = 32
MOST_SYNCS: Final = 64
MOST_PHASES: Final = 64
_POINTER: Final = ctypes.c_void_p


class PieceStruct(ctypes.Structure):
    """`struct piece` of kernel.h."""

    _fields_ = (
        ("kind", ctypes.c_int32),
        ("frame_length", ctypes.c_int32),
        ("shift", ctypes.c_int32),
        ("unused", ctypes.c_int32),
        ("frame", ctypes.c_uint8 * (LONGEST_FRAME + 8)),
    )


class LayoutStruct(ctypes.Structure):
    """`struct layout` of kernel.h."""

    _fields_ = (
        ("pieces", ctypes.c_int32),
        ("zone_length", ctypes.c_int32),
        ("tail_length", ctypes.c_int32),
        ("truncate", ctypes.c_int32),
        ("filler", ctypes.c_int32),
        ("unused", ctypes.c_int32),
        ("zone", ctypes.c_uint8 * 8),
        ("tail", ctypes.c_uint8 * (LONGEST_FRAME + 8)),
        ("piece", PieceStruct * MOST_PIECES),
    )


class ColumnsStruct(ctypes.Structure):
    """`struct columns` of kernel.h."""

    _fields_ = (
        ("lines", ctypes.c_int64),
        ("slots", ctypes.c_int64),
        ("start", _POINTER),
        ("end", _POINTER),
        ("layout_of", _POINTER),
        ("tick", _POINTER),
        ("wall_us", _POINTER),
        ("price", _POINTER),
        ("price_at", _POINTER),
        ("price_filled", _POINTER),
        ("cut", _POINTER),
        ("active", _POINTER),
        ("rugged", _POINTER),
        ("cooldown_timer", _POINTER),
        ("trade_count", _POINTER),
        ("game", _POINTER),
        ("phase", _POINTER),
        ("game_at", _POINTER),
        ("game_length", _POINTER),
        ("game_slots", _POINTER),
        ("phase_at", _POINTER),
        ("phase_length", _POINTER),
        ("games", ctypes.c_int32),
        ("phases", ctypes.c_int32),
    )


class JournalLinesStruct(ctypes.Structure):
    """`struct journal_lines` of kernel.h."""

    _fields_ = (
        ("lines", ctypes.c_int64),
        ("end", _POINTER),
        ("seq", _POINTER),
        ("ticks", _POINTER),
        ("tick_bytes", ctypes.c_int64),
    )


class WordColumnStruct(ctypes.Structure):
    """`struct word_column` of kernel.h."""

    _fields_ = (
        ("data", _POINTER),
        ("valid", _POINTER),
        ("words", _POINTER),
        ("kind", ctypes.c_int32),
        ("codes", ctypes.c_int32),
        ("offset", ctypes.c_int64),
    )


class SyncRunStruct(ctypes.Structure):
    """`struct sync_run` of kernel.h."""

    _fields_ = (
        ("journal", ctypes.c_int64),
        ("asked_seq", ctypes.c_int64),
        ("asked_size", ctypes.c_int64),
        ("last_seq", ctypes.c_int64),
        ("last_size", ctypes.c_int64),
        ("most_ns", ctypes.c_int64),
        ("seq", ctypes.c_int64),
        ("size", ctypes.c_int64),
        ("syncs", ctypes.c_int32),
        ("error", ctypes.c_int32),
        ("took_ns", ctypes.c_int64 * MOST_SYNCS),
        ("synced_at_ns", ctypes.c_int64),
    )


_WRITE_JOURNAL: Final = ctypes.PYFUNCTYPE(  # keeps the interpreter: a few microseconds, within the recorder's lock
    ctypes.c_int64,
    _POINTER,
    _POINTER,
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.c_uint32,
    _POINTER,
)


@cache
def load() -> ctypes.CDLL | None:
    """Return the library, or None when it was not built, does not load here, or is of another version."""
    path = Path(__file__).with_name(FILE_NAME)
    if sys.byteorder != "little" or not path.is_file():
        return None
    try:
        library = ctypes.CDLL(str(path))
        library.replaylab_kernel_version.restype = ctypes.c_int32
        if library.replaylab_kernel_version() != VERSION:
            return None
        library.replaylab_count_newlines.argtypes = (_POINTER, ctypes.c_int64)
        library.replaylab_count_newlines.restype = ctypes.c_int64
        library.replaylab_read_lines.argtypes = (_POINTER, ctypes.c_int64, _POINTER, ctypes.c_int32, _POINTER)
        library.replaylab_read_lines.restype = None
        _WRITE_JOURNAL(("replaylab_write_journal", library))
        library.replaylab_read_journal.argtypes = (_POINTER, ctypes.c_int64, ctypes.c_uint32, _POINTER)
        library.replaylab_read_journal.restype = ctypes.c_int64
        library.replaylab_crc32c.argtypes = (ctypes.c_uint32, _POINTER, ctypes.c_int64, ctypes.c_int32)
        library.replaylab_crc32c.restype = ctypes.c_uint32
        library.replaylab_rows_digest.argtypes = (ctypes.c_int64, _POINTER, ctypes.c_int32, _POINTER)
        library.replaylab_rows_digest.restype = ctypes.c_uint64
        if os.name == "posix":
            library.replaylab_sync_as_asked.argtypes = (ctypes.c_int32, ctypes.c_int32, _POINTER, _POINTER)
            library.replaylab_sync_as_asked.restype = None
    except (OSError, AttributeError):
        return None
    return library


def count_newlines(data: bytes | bytearray, size: int | None = None) -> int:
    r"""Return how many newlines the first `size` bytes hold, by default all of them.

    Examples
    --------
    >>> count_newlines(b"a\n\nb\n", 4)
    2
    """
    size = len(data) if size is None else min(size, len(data))
    library = load()
    if library is None or isinstance(data, bytes):
        return data.count(b"\n", 0, size)
    return int(library.replaylab_count_newlines(address_of(data), size)) if size else 0


def journal_writer(library: ctypes.CDLL) -> Callable[..., int]:
    """Return `replaylab_write_journal` of a library."""
    return _WRITE_JOURNAL(("replaylab_write_journal", library))


def address_of(data: bytearray) -> int:
    """Return where the bytes of a bytearray stand, as long as nothing resizes it; it must not be empty."""
    return ctypes.addressof(ctypes.c_char.from_buffer(data))
