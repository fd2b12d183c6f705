"""A count with its noun: 1 game, 2,000 games. Pure."""

from __future__ import annotations


def count_of(count: int, noun: str) -> str:
    """Return a count and its noun, in the plural unless it is one.

    Parameters
    ----------
    count : int
        How many, zero or more.
    noun : str
        The noun in the singular; its plural adds an s.

    Returns
    -------
    str
        The count, its thousands separated by commas, and the noun.

    Examples
    --------
    >>> count_of(1, "game"), count_of(0, "gap"), count_of(1_000, "live tick")
    ('1 game', '0 gaps', '1,000 live ticks')
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"
