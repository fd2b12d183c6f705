"""Light and dark pictures: what is chosen, what JupyterLab has chosen, and that drawing leaves a figure as it was."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from PIL import Image

import replaylab as rl
from replaylab.charts.style import BLUE, GREEN, INK, PAPER, PURPLE, VERMILION, Picture, blank
from replaylab.charts.theme import dark, lab_is_dark, recoloured
from tests.stores import quiet, simulated

ALL = (BLUE, GREEN, PURPLE, VERMILION, INK)


@pytest.fixture(autouse=True)
def chosen() -> Iterator[None]:
    """What is chosen for the process is as before afterwards."""
    yield
    rl.style("auto")


def saved(figure: Any) -> Image.Image:
    """Return what is written to a file."""
    data = BytesIO()
    figure.savefig(data, format="png")
    return Image.open(data).convert("RGB")


def shown(figure: Picture) -> Image.Image:
    """Return what a cell shows."""
    return Image.open(BytesIO(figure._repr_png_()[0])).convert("RGB")


def paper(image: Image.Image) -> tuple[int, int, int]:
    """Return the colour that most of a picture has."""
    counted = sorted(image.getcolors(1 << 24) or ())
    return cast("tuple[int, int, int]", counted[-1][1])


def luminance(colour: tuple[float, ...]) -> float:
    """Return the relative luminance of a colour, as WCAG defines it."""
    parts = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in colour[:3]]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def test_pictures_follow_what_is_chosen(tmp_path: Path) -> None:
    """A chart that was made before becomes dark, words and marks with it; in light it is the very picture it was."""
    quiet(simulated(tmp_path / "recordings", games=3), tmp_path / "store")
    store = rl.open_store(tmp_path / "store")
    for figure in (store[store.game_ids()[0]].plot(), store.plot()):
        while saved(figure).tobytes() != saved(figure).tobytes():  # the layout settles
            pass
        before = saved(figure)
        assert paper(before) == (255, 255, 255)
        rl.style("dark")
        after = saved(figure)
        assert paper(after) == (18, 18, 18)
        pixels = np.asarray(after).reshape(-1, 3)
        assert ((pixels > 200).all(axis=1)).mean() < 0.03  # no patch of light paper is left behind a word
        assert (pixels > 190).any()
        rl.style("light")
        assert saved(figure).tobytes() == before.tobytes()


@pytest.mark.parametrize("colour", ALL)
def test_every_colour_is_seen_on_dark_paper(colour: str) -> None:
    """Ink reaches 7:1, lines reach 3:1."""
    contrast = (luminance(dark(colour)) + 0.05) / (luminance(dark(PAPER)) + 0.05)
    assert contrast > (7 if colour == INK else 3)


def test_words_on_a_heat_map_keep_their_colour() -> None:
    """A cell is as light as before, so are the words on it; those beside it follow the paper."""
    ax = blank(4, 3)[0]
    ax.pcolormesh(np.array([[0.0, 1.0]]), cmap="Greys", vmin=0, vmax=1)
    on, beside = ax.text(0.5, 0.5, "on", color=INK), ax.annotate("beside", (0, 1.02), xycoords="axes fraction")
    with recoloured(cast("Figure", ax.figure)):
        assert on.get_color() == INK
        assert luminance(to_rgba(beside.get_color())) > 0.4
    assert beside.get_color() == "black"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{\n    // Theme\n    "theme": "JupyterLab Dark"\n}', True),
        ('{"adaptive-theme": false,\n "theme": "JupyterLab Light"}', False),
        ('{\n    // "theme": "JupyterLab Dark"\n}', False),
        ("", False),
    ],
)
def test_a_dark_lab_is_followed(text: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    """What a cell shows follows the settings of JupyterLab; a file is light unless dark was asked for."""
    path = tmp_path / "@jupyterlab" / "apputils-extension" / "themes.jupyterlab-settings"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    monkeypatch.setenv("JUPYTERLAB_SETTINGS_DIR", str(tmp_path))
    assert not lab_is_dark()  # outside a kernel
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(kernel=object()))
    figure = blank(3, 2)[0].figure
    assert isinstance(figure, Picture)
    assert lab_is_dark() is expected
    assert paper(shown(figure)) == ((18, 18, 18) if expected else (255, 255, 255))
    assert paper(saved(figure)) == (255, 255, 255)
    path.unlink()
    assert not lab_is_dark()


def test_other_names_are_refused() -> None:
    """A theme that does not exist raises, and what was chosen stays."""
    rl.style("dark")
    with pytest.raises(ValueError, match="theme='blue': one of 'auto', 'light', 'dark'"):
        rl.style("blue")  # type: ignore[arg-type]
    figure = blank(3, 2)[0].figure
    assert paper(saved(figure)) == (18, 18, 18)
