"""Controls: what Python can do with a player; engine and pages move together."""

from __future__ import annotations

from replaylab.widgets.channel import to_page
from replaylab.widgets.sync import Desk


class Controls(Desk):
    """A desk with controls; see `Desk` for what it is made of."""

    def play(self) -> None:
        """Let the pages play."""
        self.runs = True
        self.link.post("play")
        self.tell(now=True)

    def pause(self) -> None:
        """Let the pages, and the engine, stay where they are."""
        self.runs = False
        self.link.post("pause")
        with self.drives():
            self.engine.pause()
        self.tell(now=True)

    def seek(self, row: int) -> bool:
        """Go to a row; False when there is none."""
        with self.drives():
            moved = self.engine.seek(row)
        if moved:
            self.link.seek(row)
            self.tell(now=True)
        return moved

    def step(self, rows: int) -> int:
        """Pause, and go on or back row by row; gives how many it went."""
        self.pause()
        went = 0
        with self.drives():
            step = self.engine.step_forward if rows > 0 else self.engine.step_backward
            while went < abs(rows) and step():
                went += 1
        self.link.seek(self.engine.index)
        self.tell(now=True)
        return went

    def set_speed(self, speed: float) -> None:
        """Change the speed of the engine and the pages."""
        with self.drives():
            self.engine.speed = speed
        self.link.post("speed", speed=to_page(self.engine.speed))

    def show_notes(self) -> None:
        """Show the marks of this game."""
        self.link.post("notes", notes=self.notes.get(self.engine.game_id or "", []))
