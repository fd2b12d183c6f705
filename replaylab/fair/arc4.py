"""ARC4: the generator behind the published game: numbers from a text, as JavaScript's `seedrandom` draws them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_WIDTH: Final = 256
_MASK: Final = _WIDTH - 1
_SMEAR: Final = 19
_ORDER: Final = (*range(1, _WIDTH), 0)  # in which a turn of the box goes through its places
_BYTES: Final = 7  # that a number takes at least: 48 bits, and the byte that fills them up to 53
_MOST: Final = 8  # that are looked at together
_ENOUGH: Final = 1 << 52  # seven bytes below this need an eighth
_DIGITS: Final = 53
_SCALE: Final = tuple(2.0 ** (surplus - 8 * _BYTES) for surplus in range(8 * _BYTES - _DIGITS + 1))


def numbers(text: str) -> Iterator[float]:
    """Numbers in [0, 1) from a text, without end: each the first 53 significant bits of as few bytes as hold them.

    Parameters
    ----------
    text : str
        Any text; its UTF-16 units count.

    Examples
    --------
    >>> draws = numbers("hello.")
    >>> next(draws), next(draws)
    (0.9282578795792454, 0.3752569768646784)
    """
    pieces = _turns(_schedule(_key(text)))
    next(pieces)  # the first 256 bytes are thrown away: the key shows through in them
    ready = bytearray()
    while True:
        ready += next(pieces)
        used, last = 0, len(ready) - _MOST
        while used <= last:
            value = int.from_bytes(ready[used : used + _BYTES], "big")
            used += _BYTES
            if value >= _ENOUGH:
                surplus = value.bit_length() - _DIGITS
                yield (value >> surplus) * _SCALE[surplus]
                continue
            scale = 8 * _BYTES
            while value < _ENOUGH:  # it began with zeros: one more byte, or more of them
                if used == len(ready):
                    ready += next(pieces)
                    last = len(ready) - _MOST
                value = value << 8 | ready[used]
                used += 1
                scale += 8
            surplus = value.bit_length() - _DIGITS
            yield (value >> surplus) / (1 << scale - surplus)
        del ready[:used]


def _turns(box: list[int]) -> Iterator[bytearray]:
    """Bytes without end, 256 at a time: one turn of the box, so that no counter is needed."""
    swap = 0
    made = bytearray(_WIDTH)
    while True:
        for place in _ORDER:
            one = box[place]
            swap = swap + one & _MASK
            other = box[swap]
            box[place] = other
            box[swap] = one
            made[place] = box[one + other & _MASK]
        yield made[1:] + made[:1]


def _key(text: str) -> list[int]:
    """Fold the UTF-16 units of a text into at most 256 bytes; the smear mixes what lies beyond."""
    units = text.encode("utf-16-le", "surrogatepass")
    key: list[int] = []
    smear = 0
    for place in range(len(units) // 2):
        unit = units[2 * place] | units[2 * place + 1] << 8
        slot = place & _MASK
        if slot == len(key):
            key.append(smear + unit & _MASK)
        else:
            smear ^= key[slot] * _SMEAR
            key[slot] = smear + unit & _MASK
    return key or [0]


def _schedule(key: list[int]) -> list[int]:
    """Shuffle the box by the key, as RC4 does."""
    box = list(range(_WIDTH))
    swap = 0
    for place in range(_WIDTH):
        one = box[place]
        swap = swap + key[place % len(key)] + one & _MASK
        box[place], box[swap] = box[swap], one
    return box
