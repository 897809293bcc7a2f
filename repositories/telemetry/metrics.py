"""The same metrics that /api/metrics tells, as OpenTelemetry's data (`interfaces.signals`)."""

from __future__ import annotations

from collections.abc import Sequence
from time import time_ns
from typing import Any, cast

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from interfaces.signals import Distribution, Family, Kind, Sample

from .spans import SCOPE


def metrics_data(families: Sequence[Family], resource: Resource, began: int) -> MetricsData:
    """What there is now. `began`: since when counters count, in Unix nanoseconds; 0 where nobody knows."""
    now = time_ns()
    metrics = [
        Metric(
            name=family.metric.exposed,
            description=family.metric.description,
            unit=family.metric.unit,
            data=_data(family, began, now),
        )
        for family in families
        if family.samples
    ]
    scope = ScopeMetrics(InstrumentationScope(SCOPE), metrics, schema_url="")
    return MetricsData([ResourceMetrics(resource, [scope], schema_url="")])


def _data(family: Family, began: int, now: int) -> Gauge | Sum | Histogram:
    if family.metric.kind is Kind.HISTOGRAM:
        return Histogram(
            [
                _histogram(sample, sample.value, began, now)
                for sample in family.samples
                if isinstance(sample.value, Distribution)
            ],
            AggregationTemporality.CUMULATIVE,
        )
    points = [
        NumberDataPoint(dict(sample.labels), began, now, sample.value)
        for sample in family.samples
        if not isinstance(sample.value, Distribution)
    ]
    if family.metric.kind is Kind.GAUGE:
        return Gauge(points)
    return Sum(points, AggregationTemporality.CUMULATIVE, is_monotonic=True)


def _histogram(sample: Sample, durations: Distribution, began: int, now: int) -> HistogramDataPoint:
    # The shortest and the longest are optional (opentelemetry-proto, metrics.proto), and not known.
    unknown = cast(Any, None)
    return HistogramDataPoint(
        attributes=dict(sample.labels),
        start_time_unix_nano=began,
        time_unix_nano=now,
        count=durations.count,
        sum=durations.total,
        bucket_counts=list(durations.counts),
        explicit_bounds=list(durations.bounds),
        min=unknown,
        max=unknown,
    )
