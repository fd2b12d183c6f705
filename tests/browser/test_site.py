"""The documentation site opened from a disk, as one who has unpacked it does: its search finds, with excerpts."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

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
    (source / "docs" / "index.md").write_text("# Pages\n\n```{toctree}\ntutorial\nconcepts\n```\n", encoding="utf-8")
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
