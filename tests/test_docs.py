"""The pages for users: their Python blocks and their replaylab commands run as they stand, in an empty folder."""

from __future__ import annotations

import ast
import io
import re
import shlex
import shutil
from contextlib import redirect_stdout
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from replaylab.cli.main import COMMANDS, app
from tests.postgres.server import Server

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
IN_A_CELL = 104  # characters of a line that JupyterLab shows, in a window of 1280 pixels


class Block(NamedTuple):
    """A fenced block of a page: its language, its text, the line it starts on."""

    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """The blocks of a page that can be run, in order."""
    text = page.read_text(encoding="utf-8")
    found = [Block(one[1], one[2], text.count("\n", 0, one.start()) + 2) for one in FENCE.finditer(text)]
    return [
        one
        for one in found
        if one.language in {"python", "output"} or (one.language in {"", "bash"} and one.text.startswith("replaylab "))
    ]


def run_python(block: Block, page: Path, names: dict[str, Any]) -> str:
    """Run a block of Python in the names that the blocks before it made; what a cell would show of it."""
    tree = ast.parse("\n" * (block.line - 1) + block.text, str(page))
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    with redirect_stdout(io.StringIO()) as shown:
        exec(compile(tree, str(page), "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), str(page), "eval"), names)
            shown.write("" if value is None else f"{value!r}\n")
    return shown.getvalue()


def run_commands(block: Block, page: Path) -> str:
    """Run each command of a block, all of which must end with 0; what they print."""
    shown = ""
    for command in block.text.splitlines():
        words = shlex.split(command, comments=True)
        if words:
            assert words[0] == "replaylab", f"{page.name}: {command}"
            result = CliRunner().invoke(app, words[1:], prog_name="replaylab")
            assert result.exit_code == 0, f"{page.name}: {command}\n{result.output}"
            shown += result.stdout
    return shown


def is_shown(said: str, shown: str) -> bool:
    """Whether a page says what is shown; three dots stand for anything, and blanks are counted as one."""
    return OutputChecker().check_output(said, shown, ELLIPSIS | NORMALIZE_WHITESPACE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Everything that a page shows works, in the order in which it is shown."""
    if page.name == "postgresql.md":
        server: Server = request.getfixturevalue("database_server")
        server.database("pages")
        for name, value in server.environment("pages").items():
            monkeypatch.setenv(name, value)
    shutil.copytree(ROOT / "data" / "samples", tmp_path / "data" / "samples")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "page"}
    shown = ""
    for block in blocks(page):
        if block.language == "output":
            assert is_shown(block.text, shown), f"{page.name}:{block.line} says\n{block.text}\nshown is\n{shown}"
        elif block.language == "python":
            shown = run_python(block, page, names)
        else:
            shown = run_commands(block, page)


def test_blocks_are_found() -> None:
    """The reader of pages sees blocks of both kinds: a wrong pattern would make the test above pass on nothing."""
    assert len([one for page in PAGES for one in blocks(page) if one.language == "python"]) > 10
    assert len([one for page in PAGES for one in blocks(page) if one.language in {"", "bash"}]) > 5
    assert len([one for page in PAGES for one in blocks(page) if one.language == "output"]) > 10


def test_output_that_a_page_shows_is_compared() -> None:
    """Another figure, and a line more or less, is noticed; what differs from run to run stands as three dots."""
    assert is_shown("150 acknowledged, ... stored\n", "150 acknowledged, 151 stored\n")
    assert not is_shown("150 acknowledged, 150 stored\n", "150 acknowledged, 151 stored\n")
    assert not is_shown("one\n", "one\ntwo\n")
    block = Block("python", "print(1)\n2 + 1\n", 1)
    assert run_python(block, Path("page.md"), {}) == "1\n3\n"


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_blocks_for_cells_fit_into_them(page: str) -> None:
    """A page whose blocks are pasted into cells has no line that a window of 1280 pixels would make one scroll to."""
    found = [line for one in blocks(ROOT / page) if one.language == "python" for line in one.text.splitlines()]
    assert found
    assert [line for line in found if len(line) > IN_A_CELL] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every link to a file or a heading of this repository leads to one."""
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        name, _, heading = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), f"{page.name} links to {target}"
        if heading:
            titles = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert heading in anchors, f"{page.name} links to {target}"


def test_every_page_can_be_reached() -> None:
    """Links lead from the front page to all other pages."""
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        links = {(page.parent / target.partition("#")[0]).resolve() for target in LINK.findall(page.read_text("utf-8"))}
        waiting += [one for one in links if one in PAGES and one not in reached]
    assert set(PAGES) <= reached


def test_commands_of_the_table_exist() -> None:
    """Every command that a page names is one that there is."""
    known = set(COMMANDS)
    for page in PAGES:
        named = set(re.findall(r"`replaylab ([a-z]+)", page.read_text(encoding="utf-8")))
        assert named <= known, page.name
        assert page.name != "README.md" or named == known, "its table lists every command"


def test_architecture_names_files_that_exist() -> None:
    """The five rows on where to change what name files that exist."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.partition("## Where to change what")[2]
    rows = [line for line in table.splitlines() if line.startswith("| ") and "`" in line]
    assert len(rows) == 5
    named = re.findall(r"`([\w/.]+)`", "\n".join(rows))
    assert len(named) >= 10
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_architecture_names_every_room() -> None:
    """Each folder and file at the top of the package stands in the table of rooms, and nothing that is not there."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.partition("## Rooms")[2].partition("\n## ")[0]
    first = "\n".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    named = {name.rstrip("/") for name in re.findall(r"`([\w/]+)`", first)}
    inside = {"questions", "backtests", "batches"}
    there = {
        path.stem for path in (ROOT / "replaylab").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert named - inside == there - {"__init__", "__main__"}


def test_architecture_names_files_of_the_roads() -> None:
    """Each file that the roads name exists, by its path or by the end of it."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w/]+\.(?:py|js))`", text))
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "replaylab").rglob("*.*")} | {
        str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("*.py")
    }
    assert len(named) > 20
    assert [name for name in sorted(named) if not any(f"/{one}".endswith(f"/{name}") for one in there)] == []


def test_tests_that_a_page_names_exist() -> None:
    """A row on a threat names the test that holds it: the file is there and has a test of that name."""
    named = re.compile(r"`((?!tests/)[a-z_]+/test_[a-z_]+\.py)?(?:::(test_[a-z_0-9]+))?`")
    count = 0
    for page in PAGES:
        file = ""
        for found in named.finditer(page.read_text(encoding="utf-8")):
            file = found[1] or file
            if not (found[1] or found[2]):
                continue
            content = (ROOT / "tests" / file).read_text(encoding="utf-8")
            assert found[2] is None or f"def {found[2]}(" in content, f"{page.name}: {found[0]}"
            count += found[2] is not None
    assert count > 20


def test_figures_on_performance_are_those_of_the_benchmarks() -> None:
    """A figure that is measured again changes on both pages."""
    measured = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    table = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8").partition("## How fast it is")[2]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| ")][2:]
    figures = {figure for row in rows for cell in row[1:4] for figure in re.findall(r"\d[\d,.]*\d|\d", cell)}
    assert len(figures) > 25
    assert {one for one in figures if not re.search(rf"(?<![\d.,]){re.escape(one)}(?![\d]|[.,]\d)", measured)} == set()
