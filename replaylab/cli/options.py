"""Options and arguments that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

StorePath = Annotated[str, typer.Argument(metavar="STORE", help="Folder of the store.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
NoProgress = Annotated[bool, typer.Option("--no-progress", help="Show no progress bar.")]
