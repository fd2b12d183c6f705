"""Charts of a game and of a store: still pictures that need neither pyplot nor a window.

Numbers become floats only to be drawn; every price that is written out is exact. This folder loads matplotlib, so it is
loaded itself only when something is drawn.
"""

from replaylab.chart.game import draw_game
from replaylab.chart.store import draw_store
from replaylab.chart.style import Picture

__all__ = ["Picture", "draw_game", "draw_store"]
