"""The documentation site opened from a disk, as one who has unpacked it does: its search finds, with excerpts."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from tests.browser.lab import REPOSITORY

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
PAGES = ("index", "tutorial", "concepts")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of a few pages, built as `make docs` builds all of them."""
    source, out = tmp_path_factory.mktemp("pages"), tmp_path_factory.mktemp("site")
    for name in ("replaylab", "data"):
        (source / name).symlink_to(REPOSITORY / name)
    (source / "docs").mkdir()
    for name in ("_static", "_templates"):
        shutil.copytree(REPOSITORY / "docs" / name, source / "docs" / name)
    shutil.copy(REPOSITORY / "docs" / "conf.py", source / "docs")
    pages = {
        "index": "# Pages\n\n```{toctree}\ntutorial\nconcepts\napart\ntogether\n```\n",
        "apart": "# Apart\n\nA walrus swims. Its bag is purple.\n",
        "together": "# Together\n\nThis is a purple walrus.\n",
    }
    for name, text in pages.items():
        (source / "docs" / f"{name}.md").write_text(text, encoding="utf-8")
    for name in PAGES[1:]:
        shutil.copy(REPOSITORY / "docs" / f"{name}.md", source / "docs")
    command: list[str | Path] = [sys.executable, "-m", "sphinx", "-q", "-c", source / "docs", "-b", "html", source, out]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return out


@pytest.mark.parametrize("words", ["crash", "censoring"])
def test_search_of_a_site_on_a_disk(page: Page, site: Path, words: str) -> None:
    """Every page that is found has an excerpt, one with the word; without a network, and the console says no error."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in {"error", "warning"} else None)
    page.context.set_offline(offline=True)
    page.goto(f"{(site / 'search.html').as_uri()}?q={words}")
    results = page.locator("#search-results li.kind-text, #search-results li.kind-title")
    expect(page.locator("#search-results .search-summary")).to_contain_text("Search finished", timeout=60_000)
    assert results.count() > 0
    excerpts = results.locator("p.context")
    expect(excerpts).to_have_count(results.count(), timeout=60_000)
    assert any(words in text.lower() for text in excerpts.all_inner_texts())
    assert said == []
    results.first.locator("a").click()
    expect(page.locator("article h1")).to_be_visible(timeout=60_000)


def found(page: Page, site: Path, words: str) -> str:
    """Search without a network for words; what it says of its end."""
    page.context.set_offline(offline=True)
    page.goto(f"{(site / 'search.html').as_uri()}?{urlencode({'q': words})}")
    summary = page.locator("#search-results .search-summary")
    expect(summary).to_contain_text(re.compile("Search finished|Nothing was found"), timeout=60_000)
    return summary.inner_text()


@pytest.mark.parametrize(
    ("words", "meant"),
    [("tutroial", "tutorial"), ("durabilty", "durability"), ("Kaplna", "kaplan"), ("recorder xyzzyplugh", "recorder")],
)
def test_a_misspelled_word_leads_to_one_that_is_there(page: Page, site: Path, words: str, meant: str) -> None:
    """What the search offers in its place finds something."""
    assert found(page, site, words) == f"Nothing was found. Did you mean {meant}?"
    page.locator("#search-results .search-summary a").click()
    expect(page.locator("#search-results .search-summary")).to_contain_text("Search finished", timeout=60_000)
    assert page.locator("#search-results ul.search > li").count() > 0


def test_what_is_nowhere_is_not_found(page: Page, site: Path) -> None:
    """Nothing is offered for a word that is like none."""
    assert found(page, site, "xyzzyplugh") == "Nothing was found."


def test_words_that_no_page_has_together_are_offered_alone(page: Page, site: Path) -> None:
    """Each of them is somewhere."""
    assert found(page, site, "fifteen censoring kaplan terminal") == (
        "Nothing was found. No page has all of these words: fifteen, censoring, kaplan, terminal"
    )


def test_a_page_with_the_phrase_comes_first(page: Page, site: Path) -> None:
    """A page that has the words side by side is above one that has them apart and would come before by its name."""
    assert found(page, site, "purple walrus") == "Search finished, found 2 pages matching the search query."
    assert page.locator("#search-results ul.search > li > a").all_inner_texts() == ["Together", "Apart"]
