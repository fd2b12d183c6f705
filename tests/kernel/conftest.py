"""The kernel's library, built for these tests by the machine's compiler, which `make test` brings."""

from __future__ import annotations

import ctypes
from unittest import mock

import pytest

from replaylab.kernel import library as loader
from replaylab.kernel.build import build


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """Return the library, freshly built from the sources."""
    made = build(tmp_path_factory.mktemp("kernel") / loader.FILE_NAME)
    with mock.patch.object(loader, "__file__", str(made)):
        found = loader.load.__wrapped__()
    assert found is not None
    return found
