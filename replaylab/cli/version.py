"""Which replaylab this is: its version, and what it runs on."""

from __future__ import annotations

import typer

from replaylab.cli.exit_codes import FINE


def print_version(asked: bool) -> None:  # noqa: FBT001 typer calls it so
    """Print the version of replaylab, and leave."""
    if asked:
        from importlib.metadata import version

        typer.echo(f"replaylab {version('replaylab')}")
        raise typer.Exit(FINE)


def print_versions(asked: bool) -> None:  # noqa: FBT001 typer calls it so
    """Print the versions of replaylab and of what it runs on, and how lines are read, and leave."""
    if not asked:
        return
    import platform
    from importlib.metadata import version

    from replaylab.kernel.library import VERSION, load

    without = "numpy: the C kernel was not built, as installing found no C compiler, or does not load here"
    typer.echo(f"replaylab {version('replaylab')}")
    typer.echo(f"Python {platform.python_version()}, pyarrow {version('pyarrow')}, {platform.platform()}")
    typer.echo(f"lines are read by {without if load() is None else f'the C kernel, version {VERSION}'}")
    raise typer.Exit(FINE)
