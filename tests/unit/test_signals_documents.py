"""The documents and the alert rules speak of the metrics that there are, and only of those."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import yaml

from interfaces.signals import METRICS, Kind
from tests.fix_stack import CHECKOUT

PAGE = (CHECKOUT / "docs/signals.md").read_text()
RULES = yaml.safe_load((CHECKOUT / "docs/prometheus-alerts.yml").read_text())
ALERTS: list[dict[str, Any]] = [rule for group in RULES["groups"] for rule in group["rules"]]
BICEP = (CHECKOUT / "infra/alerts.bicep").read_text()
EXPOSED = {metric.exposed: metric for metric in METRICS}
SERIES = {
    *EXPOSED,
    *(
        f"{name}_{part}"
        for name, m in EXPOSED.items()
        if m.kind is Kind.HISTOGRAM
        for part in ("count", "sum")
    ),
}


def selectors(node: object) -> Iterator[promql_parser.VectorSelector]:
    """The series that an expression reads, wherever in it."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "vector_selector", "args"):
        part = getattr(node, name, None)
        for one in part if isinstance(part, list) else [part]:
            if one is not None:
                yield from selectors(one)


def test_every_metric_is_described_with_its_kind_and_labels() -> None:
    rows = {
        match[1]: (match[2], set(re.findall(r"`(\w+)`", match[3])))
        for match in re.finditer(r"^\| `(\w+)` \| (\w+) \|[^|]*\|([^|]*)\|", PAGE, re.MULTILINE)
    }
    assert rows == {name: (str(metric.kind), set(metric.labels)) for name, metric in EXPOSED.items()}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_is_a_valid_expression_over_metrics_that_are_exposed(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    read = list(selectors(promql_parser.parse(rule["expr"])))
    assert read
    for selector in read:
        assert selector.name in SERIES
        metric = EXPOSED[re.sub(r"_(count|sum)$", "", selector.name)]
        assert {matcher.name for matcher in selector.matchers.matchers} <= set(metric.labels)
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
    assert rule["labels"]["severity"] in ("critical", "warning")


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_is_described_and_leads_to_what_is_to_be_done(rule: dict[str, Any]) -> None:
    document, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert (CHECKOUT / document).is_file()
    heading = anchor.replace("-", "[- ]")
    section = re.search(rf"(?ims)^### {heading}\n(.*?)(?=^##)", PAGE + "\n##")
    assert section is not None
    assert f"`{rule['alert']}`" in section[1]


def test_what_an_expression_reads_is_found_wherever_it_stands() -> None:
    text = "sum(max by (a) (increase(one[5m]))) / two > 0.2 and (three offset 5m) >= 20"
    found = [selector.name for selector in selectors(promql_parser.parse(text))]
    assert found == ["one", "two", "three"]


def test_the_rules_of_azure_monitor_read_metrics_that_are_sent() -> None:
    read = set(re.findall(r"orchestrator_\w+", BICEP))
    assert read
    assert read <= set(EXPOSED)


def test_both_sets_of_rules_watch_the_same() -> None:
    """What is asked for: stuck work, poison, failures, the oldest message, breakers."""
    anchors = {rule["annotations"]["runbook"].partition("#")[2] for rule in ALERTS}
    assert {"stuck-work", "poison", "failures", "age-of-the-oldest-message", "breaker-open"} <= anchors
    names = set(re.findall(r"^    name: '([a-z-]+)'", BICEP, re.MULTILINE))
    assert {"stuck-work", "poison", "task-failures", "oldest-message", "breaker-open"} <= names
