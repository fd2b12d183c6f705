"""Metrics of a store's recorders in the text format of Prometheus, made of what the dashboard shows at the scrape."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

_VERDICTS: Final = ("healthy", "degraded", "failed")
_COUNTS: Final = {
    "accepted": "Ticks that a recorder has accepted.",
    "errors": "Calls of a recorder that failed.",
    "retried": "Ticks that a recorder has written again.",
    "segments": "Segments that a recorder has made.",
}
_LEVELS: Final = {
    "unsynced": "Ticks accepted and not yet permanent.",
    "journals": "Journals not yet made segments.",
    "ticks_a_second": "Ticks accepted a second, over the last second.",
}


def exposition(state: dict[str, Any]) -> tuple[bytes, str]:
    """Return the metrics of a state as text, and its media type.

    Parameters
    ----------
    state : dict
        As `View.now` returns it.

    Examples
    --------
    >>> run = {"run": "r", "verdict": "healthy", "state": "recording", "accepted": 7, "refused": {"wrong_type": 2}}
    >>> text, media = exposition({"at": "2031-01-02T03:04:05+00:00", "runs": [run], "problems": [], "disk": None})
    >>> b'replaylab_recorder_accepted_total{run="r"} 7.0' in text
    True
    """
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    from prometheus_client.core import Metric
    from prometheus_client.registry import Collector

    class Now(Collector):
        """What is so now."""

        def collect(self) -> Iterable[Metric]:
            return [*_of_runs(state), *_of_feeds(state), *_of_store(state)]

    registry = CollectorRegistry()
    registry.register(Now())
    return generate_latest(registry), CONTENT_TYPE_LATEST


def _of_runs(state: dict[str, Any]) -> Iterable[Any]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    runs = state["runs"]
    up = GaugeMetricFamily("replaylab_recorder_up", "1 while a recorder lives.", labels=["run"])
    verdicts = GaugeMetricFamily("replaylab_recorder_verdict", "1 for the verdict of now.", labels=["run", "verdict"])
    age = GaugeMetricFamily("replaylab_recorder_status_age_seconds", "Since its last status.", labels=["run"])
    refused = CounterMetricFamily("replaylab_recorder_refused", "Ticks refused.", labels=["run", "reason"])
    at = datetime.fromisoformat(state["at"])
    for run in runs:
        up.add_metric([run["run"]], float(run["state"] not in {"dead", "closed"}))
        for verdict in _VERDICTS:
            verdicts.add_metric([run["run"], verdict], float(run["verdict"] == verdict))
        if run.get("written_at"):
            age.add_metric([run["run"]], max(0.0, (at - datetime.fromisoformat(run["written_at"])).total_seconds()))
        for reason, count in sorted(run.get("refused", {}).items()):
            refused.add_metric([run["run"], reason], count)
    yield from (up, verdicts, age, refused)
    for name, text in _COUNTS.items():
        family = CounterMetricFamily(f"replaylab_recorder_{name}", text, labels=["run"])
        for run in runs:
            family.add_metric([run["run"]], run.get(name) or 0)
        yield family
    for name, text in _LEVELS.items():
        level = GaugeMetricFamily(f"replaylab_recorder_{name}", text, labels=["run"])
        for run in runs:
            level.add_metric([run["run"]], run.get(name) or 0)
        yield level


def _of_feeds(state: dict[str, Any]) -> Iterable[Any]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    labels = ["run", "feed"]
    live = GaugeMetricFamily("replaylab_feed_live", "1 while a feed brings ticks.", labels=labels)
    counts = [
        (name, CounterMetricFamily(f"replaylab_feed_{metric}", text, labels=labels))
        for name, metric, text in (
            ("ticks", "ticks", "Ticks that a feed has brought."),
            ("gaps", "gaps", "Outages of a feed."),
            ("missing", "missing_ticks", "Ticks that a feed has missed."),
        )
    ]
    for run in state["runs"]:
        for feed in run.get("feeds") or ():
            place = [run["run"], str(feed.get("feed"))]
            live.add_metric(place, float(feed.get("state") == "live"))
            for name, family in counts:
                family.add_metric(place, feed.get(name) or 0)
    yield live
    yield from (family for _, family in counts)


def _of_store(state: dict[str, Any]) -> Iterable[Any]:
    from prometheus_client.core import GaugeMetricFamily

    yield GaugeMetricFamily("replaylab_store_problems", "Things that are wrong with the store.", len(state["problems"]))
    if state.get("disk"):
        yield GaugeMetricFamily("replaylab_store_free_bytes", "Free space of the disk.", state["disk"]["free"])
    for name, text in {"games": "Games stored.", "ticks": "Ticks stored.", "bytes": "Bytes of segments."}.items():
        if name in state.get("totals", {}):
            yield GaugeMetricFamily(f"replaylab_store_{name}", text, state["totals"][name])
