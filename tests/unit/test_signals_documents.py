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
AZURE_RULES = re.findall(r"^    name: '([a-z-]+)'", BICEP, re.MULTILINE)
AZURE_QUERIES = dict(re.findall(r"(?s)^    name: '([a-z-]+)'.*?^    query: ([^\n]+)", BICEP, re.MULTILINE))
RUNBOOK = "docs/how-to/respond-to-alerts.md"
SECTIONS = dict(
    re.findall(r"(?ms)^### (\w+)\n(.*?)(?=^### |\Z)", (CHECKOUT / RUNBOOK).read_text(encoding="utf-8"))
)
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
def test_an_alert_leads_to_its_section(rule: dict[str, Any]) -> None:
    assert rule["annotations"]["runbook"] == f"{RUNBOOK}#{rule['alert'].lower()}"


def test_there_is_a_section_with_commands_for_every_alert_and_for_nothing_else() -> None:
    """With commands that are run; those that need something else are none to begin with."""
    assert list(SECTIONS) == [rule["alert"] for rule in ALERTS]
    for alert, text in SECTIONS.items():
        assert re.search(r"^```bash$", text, re.MULTILINE), alert


def test_every_rule_of_azure_monitor_has_its_section() -> None:
    named = [re.findall(r"^Azure Monitor: `([a-z-]+)`", text, re.MULTILINE) for text in SECTIONS.values()]
    assert sorted(name for names in named for name in names) == sorted(AZURE_RULES)
    assert f"See {RUNBOOK}." in BICEP


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_rule_has_its_twin_in_azure_monitor_of_the_same_metric_or_a_reason(
    rule: dict[str, Any],
) -> None:
    text = SECTIONS[rule["alert"]]
    named = re.match(r"\s*Azure Monitor: `([a-z-]+)`\.", text)
    if named is None:
        assert re.match(r"\s*Azure Monitor: none, because \w", text)
        return
    name = re.sub(r"(?<!^)(?=[A-Z])", "-", rule["alert"].removeprefix("Orchestrator")).lower()
    assert named[1] == name
    read = {selector.name for selector in selectors(promql_parser.parse(rule["expr"]))}
    assert set(re.findall(r"orchestrator_\w+", AZURE_QUERIES[name])) == read


def test_a_twin_looks_at_outcomes_that_are_counted() -> None:
    outcomes = set(re.findall(r"labels\.outcome\) == \\'(\w+)", BICEP))
    assert outcomes == {"dead", "lease_lost", "deferred"}
    prometheus = {outcome for rule in ALERTS for outcome in re.findall(r'outcome="(\w+)"', rule["expr"])}
    assert outcomes <= prometheus


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
    names = {re.sub(r"^Orchestrator", "", rule["alert"]) for rule in ALERTS}
    assert {"StuckWork", "Poison", "TaskFailures", "OldestMessage", "BreakerOpen"} <= names
    assert {re.sub(r"-(.)", lambda m: m[1].upper(), name.capitalize()) for name in AZURE_RULES} <= names
