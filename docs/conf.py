"""Settings of the documentation site: `make docs` builds it from these pages, the docstrings and the notebooks."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import replaylab  # noqa: E402 the copy beside these pages, whatever is installed

project = "replaylab"
author = "the replaylab authors"
copyright = author  # noqa: A001 the name in Sphinx
release = version = replaylab.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_nb",
]
root_doc = "docs/index"
include_patterns = ["docs/**.md", "docs/generated/*.rst", "notebooks/*.ipynb", "CHANGELOG.md"]
exclude_patterns = [
    ".*",
    "build",
    "dist",
    "replaylab",
    "tests",
    "benchmarks",
    "data",
    "node_modules",
    "**/.ipynb_checkpoints",
]
nitpicky = True
# Types of other libraries: the site is built without a network, so there is no inventory of theirs to look them up in.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!replaylab).*"),
    (r"py:.*", r"replaylab\.(?!(analysis|errors|fair)\b)[a-z_.]+\..*"),
]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the notebooks are kept with their outputs, which the tests compare with a run
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]
suppress_warnings = ["mystnb.unknown_mime_type", "mystnb.mime_priority"]  # a widget without a picture of its own

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc sections name the types
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = False

html_theme = "pydata_sphinx_theme"
html_title = f"replaylab {release}"
html_sidebars = {"docs/index": [], "CHANGELOG": []}
templates_path = [str(ROOT / "docs" / "_templates")]  # autosummary looks below the root, html below this folder
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_sourcelink_suffix = ""
html_theme_options = {
    "navigation_with_keys": True,
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}

_GAMES = 3


def _write_games(app: Sphinx, error: Exception | None) -> None:
    """Write the pages that play, and an address at the root that leads to the first page."""
    if error is not None or app.builder.format != "html":
        return
    from replaylab.exports.pages import export_pages

    out = Path(app.outdir)
    with TemporaryDirectory() as folder:
        replaylab.convert(ROOT / "data" / "samples", Path(folder) / "store", progress=False)
        store = replaylab.open_store(Path(folder) / "store")
        longest = store.games().nlargest(_GAMES, "rows")["game_id"]
        for number, game in enumerate(longest, 1):
            export_pages(store, out / "games" / f"{number}.html", games=game)
    (out / "index.html").write_text('<!doctype html><meta http-equiv="refresh" content="0; url=docs/index.html">\n')


def setup(app: Sphinx) -> None:
    """Connect what this file adds to the build."""
    app.connect("build-finished", _write_games)
