"""Alarms and the dashboard speak of metrics that are sent, with the dimensions they are sent with, and leave none out."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from aurora_ops.core import run_metrics
from aurora_ops.core.settings import Orchestrator
from cfnlint.api import lint

from devstack.settings import REPO
from tests.unit.core.runs import record

TEMPLATE = REPO / "include" / "templates" / "monitoring.yaml"
NOW = datetime(2026, 7, 1, tzinfo=UTC)
SEARCH = re.compile(
    r"SEARCH\('\{\$\{Namespace\},(?P<dimensions>[^}]*)\} MetricName=\"(?P<metric>\w+)\" Environment=\"\$\{Environment\}\"'"
)


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms as what they are given."""


Loader.add_multi_constructor("!", lambda loader, _, node: loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode)
                             else loader.construct_sequence(node))  # fmt: skip


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(TEMPLATE.read_text(), Loader)
    return found


@pytest.fixture(scope="module")
def alarms(template) -> dict[str, dict[str, Any]]:
    return {
        name: one["Properties"]
        for name, one in template["Resources"].items()
        if one["Type"] == "AWS::CloudWatch::Alarm"
    }


@pytest.fixture(scope="module")
def charts(template) -> list[dict[str, Any]]:
    body = json.loads(template["Resources"]["Dashboard"]["Properties"]["DashboardBody"])
    return [widget["properties"] for widget in body["widgets"] if widget["type"] == "metric"]


def sent() -> dict[str, set[frozenset[str]]]:
    """Every metric that the code sends, with the dimensions it has."""
    data = [
        *run_metrics.of_run(record()),
        *run_metrics.of_late_run("staging", NOW),
        *run_metrics.of_restore("staging", NOW, succeeded=True, duration_s=1),
        *run_metrics.of_drill(
            {"environment": "staging", "cluster": "prod-shop", "rpo_s": 1, "rto_s": 1, "missed": []}, NOW
        ),
        *run_metrics.of_log_backup(
            "staging", NOW, {"lag_s": 1, "stored_bytes": 1, "failed": 0, "deferred": 0, "alarms": []}
        ),
        *run_metrics.of_exports(
            "staging", NOW, {"exported": 1, "failed": 0, "stopped": 0, "gib": 1.0, "rows": 1, "lag_s": 1.0}
        ),
    ]
    found: dict[str, set[frozenset[str]]] = {}
    for datum in data:
        found.setdefault(datum["MetricName"], set()).add(frozenset(one["Name"] for one in datum["Dimensions"]))
    return found


def shown(charts: list[dict[str, Any]]) -> dict[str, set[frozenset[str]]]:
    """Every metric that the dashboard shows, with the dimensions it asks for."""
    found: dict[str, set[frozenset[str]]] = {}
    for chart in charts:
        for metric in chart["metrics"]:
            if isinstance(metric[0], dict):
                match = SEARCH.match(metric[0]["expression"])
                assert match, metric
                name, dimensions = match["metric"], match["dimensions"].split(",")
            else:
                assert metric[0] == "${Namespace}"
                name, dimensions = metric[1], [one for one in metric[2:] if isinstance(one, str)][::2]
            found.setdefault(name, set()).add(frozenset(dimensions))
    return found


def test_every_metric_is_known_and_every_known_one_is_sent() -> None:
    assert set(sent()) == set(run_metrics.METRICS)


def test_dimensions_have_few_values() -> None:
    assert {name for found in sent().values() for one in found for name in one} == {
        "Environment",
        "Cluster",
        "StepGroup",
    }
    assert all("Environment" in one for found in sent().values() for one in found)


def test_alarms_are_on_metrics_that_are_sent(alarms) -> None:
    assert len(alarms) == 12
    for name, alarm in alarms.items():
        dimensions = frozenset(one["Name"] for one in alarm["Dimensions"])
        assert dimensions in sent().get(alarm["MetricName"], set()), name
        assert alarm["TreatMissingData"] == ("breaching" if name == "NoRefresh" else "notBreaching")
        assert alarm["AlarmActions"]
        assert alarm["AlarmDescription"].endswith(".")
        # CloudWatch refuses to look further back
        assert alarm["Period"] * alarm["EvaluationPeriods"] <= 7 * 86400


def test_the_dashboard_shows_every_metric_as_it_is_sent(charts) -> None:
    for name, dimensions in shown(charts).items():
        assert dimensions <= sent()[name], name
    assert set(shown(charts)) == set(run_metrics.METRICS)


def test_the_dashboard_lists_the_alarms_that_are_always_there(template, alarms) -> None:
    body = json.loads(template["Resources"]["Dashboard"]["Properties"]["DashboardBody"])
    [listed] = [widget["properties"]["alarms"] for widget in body["widgets"] if widget["type"] == "alarm"]
    always = {name for name in alarms if "Condition" not in template["Resources"][name]}
    assert {arn.removeprefix("${").removesuffix(".Arn}") for arn in listed} == always


def test_defaults_are_those_of_the_settings(template) -> None:
    assert template["Parameters"]["Namespace"]["Default"] == Orchestrator.model_fields["metrics_namespace"].default


def test_the_page_names_every_metric_and_every_alarm(alarms) -> None:
    page = (REPO / "docs" / "how-to" / "records.md").read_text()
    for name in run_metrics.METRICS:
        assert f"`{name}`" in page, name
    for alarm in alarms.values():
        assert f"`{alarm['AlarmName'].rpartition('}-')[2]}`" in page, alarm["AlarmName"]


def test_cfn_lint_finds_nothing() -> None:
    assert [str(found) for found in lint(TEMPLATE.read_text())] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [("ComparisonOperator: LessThanThreshold", "ComparisonOperator: Less"), ('"start": "-P14D",', '"start": "-P14D"')],
)
def test_cfn_lint_would_find_something(old, new) -> None:
    """In an alarm, and in the JSON of the dashboard, which the tests above read."""
    text = TEMPLATE.read_text().replace(old, new)
    if "start" in old:
        with pytest.raises(json.JSONDecodeError):
            json.loads(yaml.load(text, Loader)["Resources"]["Dashboard"]["Properties"]["DashboardBody"])
    else:
        assert lint(text)
