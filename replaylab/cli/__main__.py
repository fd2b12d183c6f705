"""`python -m replaylab.cli`: the command line."""

from __future__ import annotations

from replaylab.cli.starting import main

if __name__ == "__main__":
    main()
