"""Theme: whether the pictures of this process are light or dark, and the dark colour for each light one."""

from __future__ import annotations

import colorsys
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import Collection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text

from replaylab.keywords import options_of

Theme = Literal["auto", "light", "dark"]
_THEMES: Final = ("auto", "light", "dark")
_NIGHT: Final = 0.07  # lightness of the paper, that of JupyterLab's dark one
_SPAN: Final = 0.86  # from the paper to the lightest ink
_LABS_THEME: Final = re.compile(r'^\s*"theme"\s*:\s*"([^"]*)"', re.MULTILINE)
_SETTINGS: Final = Path("@jupyterlab", "apputils-extension", "themes.jupyterlab-settings")
_PARTS: Final = {
    Line2D: ("color", "markerfacecolor", "markeredgecolor"),
    Patch: ("facecolor", "edgecolor"),
    Text: ("color",),
    Collection: ("facecolor", "edgecolor"),
}


class _Chosen:
    """The theme that was asked for."""

    theme: Theme = "auto"


@options_of("rl.style")
def style(theme: Theme) -> None:
    """Draw the charts of this process light or dark from now on, those that were made before, too.

    Parameters
    ----------
    theme : {"auto", "light", "dark"}
        ``auto``, which is so unless asked for: what a cell shows follows the theme of JupyterLab where its settings can
        be read from the kernel, and is light elsewhere; what is saved to a file is light.

    Raises
    ------
    ValueError
        For any other name.

    Examples
    --------
    >>> import replaylab as rl
    >>> rl.style("dark")
    >>> rl.style("auto")
    >>> rl.style("drak")
    Traceback (most recent call last):
    ValueError: theme='drak': one of 'auto', 'light', 'dark'
    """
    if theme not in _THEMES:
        raise ValueError(f"theme={theme!r}: one of {', '.join(map(repr, _THEMES))}")
    _Chosen.theme = theme


def is_dark(*, shown: bool) -> bool:
    """Return whether a picture is to be dark now; `shown` when it is for a cell, not for a file."""
    if _Chosen.theme != "auto":
        return _Chosen.theme == "dark"
    return shown and lab_is_dark()


def lab_is_dark() -> bool:
    """Return whether the JupyterLab of this kernel has a dark theme; False where its settings cannot be read."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if getattr(shell, "kernel", None) is None:
        return False
    try:
        text = (_lab_settings() / _SETTINGS).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    found = _LABS_THEME.search(text)
    return found is not None and "dark" in found[1].lower()


def _lab_settings() -> Path:
    given = os.environ.get("JUPYTERLAB_SETTINGS_DIR")
    if given:
        return Path(given)
    from jupyter_core.paths import jupyter_config_dir

    return Path(jupyter_config_dir()) / "lab" / "user-settings"


def dark(colour: Any) -> tuple[float, float, float, float]:
    """Return the colour that stands for a light one on dark paper: ink is light, tints are deep, strong ones lighter.

    Examples
    --------
    >>> [round(part, 2) for part in dark("#ffffff")], [round(part, 2) for part in dark("#222222")]
    ([0.07, 0.07, 0.07, 1.0], [0.82, 0.82, 0.82, 1.0])
    """
    red, green, blue, alpha = to_rgba(colour)
    hue, light, strong = colorsys.rgb_to_hls(red, green, blue)
    if strong < 0.1 or max(red, green, blue) - min(red, green, blue) < 0.06:
        light = _NIGHT + (1 - light) * _SPAN
    elif light > 0.8:
        light, strong = _NIGHT + 0.06 + (1 - light) * _SPAN, strong * 0.6
    else:
        light, strong = max(light, 0.58), strong * 0.75
    return (*colorsys.hls_to_rgb(hue, light, strong), alpha)


@contextmanager
def recoloured(figure: Figure) -> Iterator[None]:
    """Let a figure be dark while it is drawn; afterwards it is as it was. Images and words on them stay."""
    all_axes = figure.findobj(Axes)
    left_alone = {id(one) for ax in all_axes for one in _not_ink(ax)}
    ticks = [before for ax in all_axes for before in _darken_ticks(ax)]
    before: list[tuple[Artist, dict[str, Any]]] = []
    boxes = [box for text in figure.findobj(Text) if (box := text.get_bbox_patch()) is not None]
    for artist in {id(one): one for one in [*figure.findobj(), *boxes]}.values():
        parts = next((names for kind, names in _PARTS.items() if isinstance(artist, kind)), ())
        if not parts or id(artist) in left_alone:
            continue
        before.append((artist, {name: value for name, value in vars(artist).items() if "color" in name}))
        _darken(artist, parts)
    try:
        yield
    finally:
        for artist, values in reversed(before):
            vars(artist).update(values)
        for axis, which, params in ticks:
            axis.set_tick_params(which=which, **params)


def _not_ink(ax: Axes) -> Iterator[Artist]:
    """Yield what keeps its colour, or gets it from the axis: images and the words on them, ticks."""
    meshes = [one for one in ax.collections if one.get_array() is not None]
    if meshes or ax.images:
        yield from (*ax.images, *meshes, *(text for text in ax.texts if text.get_transform() == ax.transData))
    for axis in (ax.xaxis, ax.yaxis):
        for tick in (*axis.majorTicks, *axis.minorTicks):
            yield from tick.findobj()


def _darken(artist: Artist, parts: Iterable[str]) -> None:
    wanted = {name: getattr(artist, f"get_{name}")() for name in parts}
    for name, colour in wanted.items():
        setter = getattr(artist, f"set_{name}")
        if isinstance(artist, Collection):
            setter([dark(one) for one in np.atleast_2d(colour)] if len(colour) else colour)
        elif to_rgba(colour)[3]:  # a transparent one would be seen: the alpha of the artist is put on it
            setter(dark(colour))


def _darken_ticks(ax: Axes) -> Iterator[tuple[Any, str, dict[str, Any]]]:
    """Darken ticks, those that come while it is drawn, too; yield axis, which ticks, and their colours before."""
    rc: Any = mpl.rcParams  # typed by names that are written out
    for axis, name in ((ax.xaxis, "xtick"), (ax.yaxis, "ytick")):
        for which in ("major", "minor"):
            held: dict[str, Any] = axis.get_tick_params(which=which)
            colour = held.get("color", rc[f"{name}.color"])
            label = held.get("labelcolor", rc[f"{name}.labelcolor"])
            grid = held.get("grid_color", rc["grid.color"])
            before = {"color": colour, "labelcolor": colour if label == "inherit" else label, "grid_color": grid}
            axis.set_tick_params(which=which, **{part: dark(value) for part, value in before.items()})  # type: ignore[arg-type]
            yield axis, which, before
