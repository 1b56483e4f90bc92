"""The template of alarms and the dashboard, deployed: what CloudWatch has afterwards, changed and taken away again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from devstack.settings import REPO
from localcloud.names import SHARED
from tests.local.cloud.conftest import LocalCloud
from tests.local.cloud.databases import until

pytestmark = pytest.mark.local
STACK = {"StackName": "aurora-ops-monitoring", "TemplateBody": (REPO / "include/templates/monitoring.yaml").read_text()}
ALARMS = 12
TOPIC = f"arn:aws:sns:eu-west-1:{SHARED}:aurora-ops"


def parameters(**more: str) -> list[dict[str, str]]:
    given = {"TopicArn": TOPIC, "Environment": "dev", **more}
    return [{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()]


def alarms(cloud: LocalCloud) -> dict[str, dict[str, Any]]:
    found = cloud.admin(SHARED, "cloudwatch").describe_alarms()["MetricAlarms"]
    return {alarm["AlarmName"]: alarm for alarm in found}


def ended(stacks: Any, name: str) -> dict[str, Any]:
    """The stack, when nothing is under way."""

    def find() -> dict[str, Any]:
        return dict(stacks.describe_stacks(StackName=name)["Stacks"][0])

    assert until(lambda: not find()["StackStatus"].endswith("_IN_PROGRESS"))
    return find()


def test_the_stack_is_made_changed_and_deleted(cloud: LocalCloud) -> None:
    stacks, watch = cloud.admin(SHARED, "cloudformation"), cloud.admin(SHARED, "cloudwatch")
    stacks.create_stack(**STACK, Parameters=parameters(MostRestoreSeconds="600"))
    stack = ended(stacks, STACK["StackName"])
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    found = alarms(cloud)
    assert len(found) == ALARMS
    slow = found["aurora-ops-dev-slow-restore"]
    assert (slow["MetricName"], slow["Namespace"], slow["Threshold"]) == ("RestoreDuration", "AuroraOps", 600)
    assert slow["Dimensions"] == [{"Name": "Environment", "Value": "dev"}]
    assert slow["AlarmActions"] == [TOPIC]
    none = found["aurora-ops-dev-no-refresh"]
    assert (none["TreatMissingData"], none["ComparisonOperator"]) == ("breaching", "LessThanThreshold")

    assert stack["Outputs"][0]["OutputValue"] == "aurora-ops-dev"
    body = json.loads(watch.get_dashboard(DashboardName="aurora-ops-dev")["DashboardBody"])
    text = json.dumps(body)
    assert "${" not in text
    assert slow["AlarmArn"] in text
    assert ["AuroraOps", "DrillTargetMissed", "Environment", "dev"] in [
        metric[:4] for widget in body["widgets"] for metric in widget["properties"].get("metrics", [])
    ]

    stacks.update_stack(**STACK, Parameters=parameters(MostRestoreSeconds="900"))
    assert ended(stacks, STACK["StackName"])["StackStatus"] == "UPDATE_COMPLETE"
    assert alarms(cloud)["aurora-ops-dev-slow-restore"]["Threshold"] == 900
    assert len(alarms(cloud)) == ALARMS

    stacks.delete_stack(StackName=STACK["StackName"])
    assert ended(stacks, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    assert alarms(cloud) == {}
    assert watch.list_dashboards()["DashboardEntries"] == []


def test_without_a_nightly_refresh_its_absence_is_no_alarm(cloud: LocalCloud) -> None:
    stacks = cloud.admin(SHARED, "cloudformation")
    stacks.create_stack(**STACK, Parameters=parameters(Nightly="no"))
    assert len(alarms(cloud)) == ALARMS - 1
    assert "aurora-ops-dev-no-refresh" not in alarms(cloud)
    stacks.delete_stack(StackName=STACK["StackName"])


def test_an_alarm_without_what_every_one_has_is_refused(cloud: LocalCloud) -> None:
    stacks = cloud.admin(SHARED, "cloudformation")
    text = json.dumps({"Resources": {"A": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"MetricName": "M"}}}})
    stacks.create_stack(StackName="broken", TemplateBody=text)
    assert ended(stacks, "broken")["StackStatus"] == "ROLLBACK_COMPLETE"
    events = stacks.describe_stack_events(StackName="broken")["StackEvents"]
    assert any("lacks ComparisonOperator, EvaluationPeriods" in one.get("ResourceStatusReason", "") for one in events)
    assert alarms(cloud) == {}
