"""What is shipped for Prometheus and Grafana: rules that fire when they should, and names that a scrape has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from replaylab import dashboards
from replaylab.dashboards.metrics import exposition

ROOT = Path(__file__).resolve().parent.parent.parent
MONITORING = Path(dashboards.__file__).parent / "monitoring"
METRIC = re.compile(r"\breplaylab_\w+")
RUN = {
    "run": "a",
    "state": "recording",
    "verdict": "healthy",
    "written_at": "2031-01-02T03:04:04+00:00",
    "accepted": 7,
    "refused": {"wrong_type": 2},
    "feeds": [{"feed": "f", "state": "live", "ticks": 7, "gaps": 1, "missing": 3}],
}
STATE = {
    "at": "2031-01-02T03:04:05+00:00",
    "runs": [RUN],
    "problems": ["one"],
    "disk": {"free": 9, "total": 10},
    "totals": {"games": 1, "ticks": 7, "bytes": 100},
}


def promtool(*words: object, text: str | None = None, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run promtool; without it the test fails, because a skipped test proves nothing."""
    built = ROOT / "build" / "prometheus" / "usr" / "bin" / "promtool"
    tool = shutil.which("promtool") or (str(built) if built.exists() else None)
    if tool is None:
        pytest.fail("promtool is not installed: `make monitoring` brings it")
    command = [tool, *map(str, words)]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=120, cwd=folder)


def scraped() -> str:
    """A scrape in which every metric has a sample."""
    return exposition(STATE)[0].decode()


def test_a_scrape_is_sound() -> None:
    """Promtool finds nothing to say about names, types and help."""
    done = promtool("check", "metrics", text=scraped())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_rules_fire_when_they_should(tmp_path: Path) -> None:
    """Each rule is read, and fires in its case and in no other: dead, failed, stalled, refused, silent, full."""
    shutil.copy(MONITORING / "alerts.yml", tmp_path)
    shutil.copy(Path(__file__).parent / "alerts_test.yml", tmp_path)
    for words in (("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")):
        done = promtool(*words, folder=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr


def expressions() -> list[str]:
    """Every query of the Grafana dashboard."""
    panels = json.loads((MONITORING / "grafana.json").read_text(encoding="utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def test_queries_of_grafana_are_queries(tmp_path: Path) -> None:
    """Promtool reads each as the expression of a rule."""
    rules = [f"      - {{record: 'r:{number}', expr: {json.dumps(one)}}}" for number, one in enumerate(expressions())]
    assert len(rules) > 10
    (tmp_path / "rules.yml").write_text("\n".join(["groups:", "  - name: g", "    rules:", *rules, ""]))
    done = promtool("check", "rules", "rules.yml", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_name_is_in_a_scrape() -> None:
    """Neither rules nor panels ask for a metric that no scrape has."""
    there = set(re.findall(r"^(replaylab_\w+)", scraped(), re.MULTILINE))
    asked = set(METRIC.findall("\n".join(expressions())))
    rules = (MONITORING / "alerts.yml").read_text(encoding="utf-8")
    asked |= {name for line in re.findall(r"expr: (.+)", rules) for name in METRIC.findall(line)}
    assert asked <= there
    assert len(asked) > 10


def test_panels_do_not_overlap() -> None:
    """Each has its own place on the board of 24 columns."""
    panels = json.loads((MONITORING / "grafana.json").read_text(encoding="utf-8"))["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        columns = range(place["x"], place["x"] + place["w"])
        cells = {(x, y) for x in columns for y in range(place["y"], place["y"] + place["h"])}
        assert not taken & cells, panel["title"]
        assert all(x < 24 for x, _ in cells)
        taken |= cells
