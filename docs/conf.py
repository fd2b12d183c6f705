"""Settings of the documentation site: `make docs` builds it from these pages, the docstrings and the notebooks."""

from __future__ import annotations

import json
import sys
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

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
include_patterns = ["docs/**.md", "docs/generated/*.rst", "notebooks/*.ipynb", "CHANGELOG.md", "benchmarks/README.md"]
exclude_patterns = [
    ".*",
    "build",
    "dist",
    "replaylab",
    "tests",
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
default_role = "py:obj"  # a name in single backticks leads to its page, where it has one
autodoc_typehints = "none"  # numpydoc sections name the types
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = False

html_theme = "pydata_sphinx_theme"
html_title = f"replaylab {release}"
html_sidebars: dict[str, list[str]] = {
    page: [] for page in ("docs/index", "docs/tutorial", "docs/install", "CHANGELOG", "search")
}
templates_path = [str(ROOT / "docs" / "_templates")]  # autosummary looks below the root, html below this folder
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_context = {"default_mode": "auto"}  # light or dark, as the browser says
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
_VOID: Final = frozenset({"area", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"})
_UNREAD: Final = frozenset({"script", "style", "svg"})


class _Excerpts(HTMLParser):
    """Leaves of a page what a search shows of it: its text, and the ids at which sections begin."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open: list[tuple[str, bool]] = []  # tag, and whether it was kept
        self._unread = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _VOID:
            return
        given = dict(attrs)
        self._unread += tag in _UNREAD
        self._open.append((tag, "id" in given))
        if "id" in given:
            self.found.append(f'<div id="{escape(given["id"] or "")}">')

    def handle_endtag(self, tag: str) -> None:
        while tag not in _VOID and any(tag == opened for opened, _ in self._open):
            last, kept = self._open.pop()
            self._unread -= last in _UNREAD
            self.found += ["</div>"] * kept
            if last == tag:
                break

    def handle_data(self, data: str) -> None:
        if not self._unread and data != "#":  # the sign of a link to a heading
            self.found.append(escape(data, quote=False))


_pages: dict[str, str] = {}


def _keep_excerpts(app: Sphinx, page: str, _template: str, context: dict[str, Any], doctree: object) -> None:
    """Keep the text of a page for the search; the search itself gets the script that shows it."""
    if page == "search":
        app.add_js_file("excerpts.js")  # before what reads it
        app.add_js_file("search.js")
    elif doctree is not None:
        parser = _Excerpts()
        parser.feed(context["body"])
        _pages[page] = " ".join("".join(parser.found).split())


def _write_excerpts(app: Sphinx, error: Exception | None) -> None:
    """Write the text of all pages as a script: a page opened from a disk can load that, and cannot fetch a page."""
    if error is None and app.builder.format == "html":
        path, before = Path(app.outdir) / "_static" / "excerpts.js", "window.EXCERPTS = "
        kept = json.loads(path.read_text(encoding="utf-8").removeprefix(before).rstrip(";\n")) if path.exists() else {}
        pages = {
            page: text for page, text in (kept | _pages).items() if page in app.env.found_docs
        }  # a build renders what changed
        path.write_text(f"{before}{json.dumps(pages, ensure_ascii=False, indent=0)};\n", encoding="utf-8")


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


def _plain(_app: Sphinx, _env: object, node: Any, shown: Any) -> Any:
    """Show a word in single backticks that is no public name, such as that of a parameter, without a link."""
    return shown if node.get("reftype") == "obj" else None


def setup(app: Sphinx) -> None:
    """Connect what this file adds to the build."""
    app.connect("missing-reference", _plain)
    app.connect("html-page-context", _keep_excerpts)
    app.connect("build-finished", _write_excerpts)
    app.connect("build-finished", _write_games)
