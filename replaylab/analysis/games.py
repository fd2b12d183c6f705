"""Games: the table of games, and splits and resampling by whole games, never by tick."""

from __future__ import annotations

from replaylab.analysis.selection import Selection

__all__ = ["Selection"]
