"""What the tests of analysis share: memory that one array has left goes to the next."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Final

import pytest

_MMAP_THRESHOLD: Final = -3  # names of mallopt(3)
_TRIM_THRESHOLD: Final = -1
_USUAL_BYTES: Final = 32 << 20  # what glibc comes to by itself
_KEPT_BYTES: Final = 1 << 30


@pytest.fixture(autouse=True, scope="module")
def _arrays_keep_their_memory() -> Iterator[None]:
    """Let the C library keep what arrays have left: new pages from the system took up to half of the time."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        yield
        return
    for name in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
        library.mallopt(name, _KEPT_BYTES)
    yield
    for name in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
        library.mallopt(name, _USUAL_BYTES)
    library.malloc_trim(0)
