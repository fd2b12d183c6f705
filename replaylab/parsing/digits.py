"""Digits in columns: whole numbers and times read from eight bytes at a time. Pure.

The three multiplications are the well-known way to read eight digits in one word: neighbours are joined into pairs,
pairs into fours, fours into eight.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from replaylab.errors import TickError
from replaylab.tick import microseconds, parse_wall_time

Words = NDArray[np.uint64]
Whole = NDArray[np.int64]
Flags = NDArray[np.bool_]

_ZEROS: Final = np.uint64(0x3030303030303030)
_OVER_NINE: Final = np.uint64(0x7676767676767676)
_TOP_BITS: Final = np.uint64(0x8080808080808080)
_PAIRS: Final = np.uint64(0x00FF00FF00FF00FF)
_FOURS: Final = np.uint64(0x0000FFFF0000FFFF)
_EIGHT: Final = np.uint64(0x00000000FFFFFFFF)
_FIRST: Final = np.uint64(0xFF)
_MICROSECONDS: Final = np.uint64(0xFFFFFFFFFFFF0000)  # of "9.129188", the six digits behind the point
_SECONDS: Final = np.uint64(0x0000000000FFFF00)  # of ":09.1291", the two digits between colon and point
_FRAME: Final = (np.uint64(0x00000000FF0000FF), np.uint64(0x000000002E00003A))  # its colon and its point
_MINUTE_BYTES: Final = 16


def read_whole(words: Words, size: Whole) -> tuple[Whole, Flags]:
    """Read numbers of `size` digits from words loaded where they begin.

    Returns
    -------
    values : int64 array
    good : bool array
        Where the text is 1 to 8 digits without a leading zero; elsewhere the value means nothing.

    Examples
    --------
    >>> word = np.frombuffer(b"1043, xx", np.uint64)
    >>> [array.tolist() for array in read_whole(word, np.array([4]))]
    [[1043], [True]]
    """
    digits = words ^ _ZEROS
    good = (size >= 1) & (size <= 8) & ((size == 1) | ((digits & _FIRST) != 0))
    digits <<= ((np.int64(8) - np.clip(size, 1, 8)) << np.int64(3)).astype(np.uint64)
    good &= _all_digits(digits)
    return _joined(digits).view(np.int64), good


def _all_digits(digits: Words) -> Flags:
    flags = digits + _OVER_NINE
    flags |= digits
    flags &= _TOP_BITS
    return np.asarray(flags == 0)


def _joined(digits: Words) -> Words:
    """Join eight digits, the first in the lowest byte, into a number."""
    joined = digits * np.uint64(10)
    joined += digits >> np.uint64(8)
    joined &= _PAIRS
    pairs = joined * np.uint64(100)
    pairs += joined >> np.uint64(16)
    pairs &= _FOURS
    fours = pairs * np.uint64(10_000)
    fours += pairs >> np.uint64(32)
    fours &= _EIGHT
    return fours


def read_times(load: Words, begin: Whole) -> tuple[Whole, Flags]:
    """Read times such as ``2031-01-02T03:04:05.250000`` that begin at positions of a loadable block.

    Parameters
    ----------
    load : uint64 array
        The eight bytes at every position of a block.
    begin : int64 array
        Where the times begin; 26 characters each.

    Returns
    -------
    microseconds : int64 array
        Since 1970-01-01, as written.
    good : bool array
    """
    date, clock = load[begin], load[begin + 8]
    changes = np.flatnonzero((date[1:] != date[:-1]) | (clock[1:] != clock[:-1])) + 1
    starts = np.concatenate([np.zeros(1, np.int64), changes])
    minutes = [
        _minute(one) for one in np.stack([date[starts], clock[starts]], axis=1).view(f"S{_MINUTE_BYTES}")[:, 0].tolist()
    ]
    counts = np.diff(starts, append=len(begin))
    start_us = np.repeat(np.array([minute or 0 for minute in minutes], np.int64), counts)
    good = np.repeat(np.array([minute is not None for minute in minutes]), counts)
    framed, fraction = load[begin + 16], load[begin + 18]
    good &= (framed & _FRAME[0]) == _FRAME[1]
    fraction = (fraction ^ _ZEROS) & _MICROSECONDS
    seconds = (framed ^ _ZEROS) & _SECONDS
    good &= _all_digits(fraction) & _all_digits(seconds)
    tens, ones = (seconds >> np.uint64(8)) & _FIRST, seconds >> np.uint64(16)
    second = tens * np.uint64(10) + ones
    good &= second < 60
    return start_us + (second * np.uint64(1_000_000) + _joined(fraction)).view(np.int64), good


@lru_cache(maxsize=4096)
def _minute(text: bytes) -> int | None:
    """Return the microseconds at which a minute such as ``2031-01-02T03:04`` begins; None when it is none."""
    if text[10:11] != b"T" or len(text) != _MINUTE_BYTES or not text.isascii():
        return None
    try:
        return microseconds(parse_wall_time(text.decode()))
    except TickError:
        return None
