"""Metrics of a served feed in the text format of Prometheus; read at the scrape, nothing is done a tick."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


def exposition(clients: int, counts: Mapping[str, int], refused: Mapping[str, int]) -> tuple[bytes, str]:
    """Return the metrics as text, and its media type.

    Examples
    --------
    >>> text, media = exposition(2, {"lines:feed": 7, "bytes:feed": 900}, {"401": 1})
    >>> b'replaylab_feed_lines_total{way="feed"} 7.0' in text
    True
    """
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector

    class Now(Collector):
        """What is so now."""

        def collect(self) -> Iterator[Metric]:
            yield GaugeMetricFamily("replaylab_feed_clients", "Clients that are connected.", clients)
            for what in ("lines", "bytes"):
                family = CounterMetricFamily(f"replaylab_feed_{what}", f"What was sent, in {what}.", labels=["way"])
                for name, count in sorted(counts.items()):
                    kind, _, way = name.partition(":")
                    if kind == what:
                        family.add_metric([way], count)
                yield family
            family = CounterMetricFamily("replaylab_feed_refused", "Clients that were refused.", labels=["reason"])
            for reason, count in sorted(refused.items()):
                family.add_metric([reason], count)
            yield family

    registry = CollectorRegistry()
    registry.register(Now())
    return generate_latest(registry), CONTENT_TYPE_LATEST
