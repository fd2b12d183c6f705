"""pyarrow.compute as `pc`, loaded when a function of it is first used: 60 ms that a conversion has no use for."""

from __future__ import annotations

import importlib
from typing import Any


class _Compute:
    """Looks each name up in pyarrow.compute."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module("pyarrow.compute"), name)


pc: Any = _Compute()
