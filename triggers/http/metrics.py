"""Metrics in Prometheus' text format (docs/signals.md)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import azure.functions as func

from interfaces.access import Role
from interfaces.signals import PREFIX, Distribution, Family, Kind

from .dependencies import HttpDependencies
from .documentation import Answer, Operation, Tag
from .requests import Query, Request
from .routing import Endpoint

if TYPE_CHECKING:
    from prometheus_client import Metric

METRICS = Operation(
    Tag.HEALTH,
    {200: Answer("Prometheus' text format", also={"text/plain": "Families of metrics"})},
    query=Query,
)


def endpoints(api: HttpDependencies) -> list[Endpoint]:
    """The endpoints of this module."""
    metrics = Metrics(api)
    return [
        Endpoint(
            "metrics",
            "metrics",
            {"GET": metrics.metrics},
            Role.READER,
            operations={"GET": METRICS},
            traced=False,
        )
    ]


class Metrics:
    """Answers a scrape."""

    def __init__(self, api: HttpDependencies) -> None:
        self._signals = api.signals

    def metrics(self, request: Request) -> func.HttpResponse:
        """What all processes share, and what the one that answers knows of itself."""
        request.query(Query)
        from prometheus_client import CONTENT_TYPE_LATEST

        text = exposition(self._signals.all())
        return func.HttpResponse(text, status_code=200, headers={"Content-Type": CONTENT_TYPE_LATEST})


def exposition(families: Iterable[Family]) -> bytes:
    """The families in the text format, as prometheus_client writes it; without those that have no series."""
    # Loaded by the first scrape.
    from prometheus_client import CollectorRegistry, generate_latest

    class Told:
        """What prometheus_client asks for its metrics."""

        def collect(self) -> Iterator[Metric]:
            for family in families:
                if family.samples:
                    yield _metric(family)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Told())
    return bytes(generate_latest(registry))


def _metric(family: Family) -> Metric:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    of = family.metric
    name, text, labels = PREFIX + of.name, of.description, list(of.labels)
    if of.kind is Kind.HISTOGRAM:
        histogram = HistogramMetricFamily(name, text, labels=labels)
        for sample in family.samples:
            if isinstance(sample.value, Distribution):
                values = [sample.labels[label] for label in labels]
                histogram.add_metric(values, _buckets(sample.value), sum_value=sample.value.total)
        return histogram
    kind = CounterMetricFamily if of.kind is Kind.COUNTER else GaugeMetricFamily
    plain = kind(name, text, labels=labels)
    for sample in family.samples:
        if not isinstance(sample.value, Distribution):
            plain.add_metric([sample.labels[label] for label in labels], sample.value)
    return plain


def _buckets(durations: Distribution) -> list[tuple[str, float]]:
    """Each with all below it, as the format has them."""
    so_far = 0
    made: list[tuple[str, float]] = []
    for bound, count in zip((*map(str, durations.bounds), "+Inf"), durations.counts, strict=True):
        so_far += count
        made.append((bound, so_far))
    return made
