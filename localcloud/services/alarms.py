"""CloudWatch alarms in CloudFormation, which moto lacks: the stack makes, changes and deletes them; nothing evaluates them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.cloudformation.exceptions import ValidationError
from moto.cloudwatch.models import CloudWatchBackend, cloudwatch_backends
from moto.core.common_models import CloudFormationModel

if TYPE_CHECKING:
    from localcloud.cloud import Cloud

REQUIRED = ("ComparisonOperator", "EvaluationPeriods")


def install(_cloud: Cloud) -> None:
    """Nothing to do but to be imported: moto finds its models by their base class."""


class Alarm(CloudFormationModel):
    """``AWS::CloudWatch::Alarm`` on one metric.

    :param name: of the alarm; it is the resource's physical id.
    :param arn: of the alarm.
    """

    def __init__(self, name: str, arn: str) -> None:
        self.name, self.arn = name, arn

    @property
    def physical_resource_id(self) -> str:
        """What ``Ref`` gives."""
        return self.name

    @staticmethod
    def cloudformation_type() -> str:
        """Type in templates."""
        return "AWS::CloudWatch::Alarm"

    @staticmethod
    def cloudformation_name_type() -> str:
        """Property that names it."""
        return "AlarmName"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        """``Fn::GetAtt`` knows the ARN."""
        return attr == "Arn"

    def get_cfn_attribute(self, attribute_name: str) -> str:  # noqa: ARG002 - moto names it
        """Return the ARN."""
        return self.arn

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str, **_: Any
    ) -> Alarm:
        """Make the alarm.

        :raises ValidationError: a property is missing that every alarm has.
        """
        given = cloudformation_json["Properties"]
        if missing := [name for name in REQUIRED if name not in given]:
            raise ValidationError(resource_name, f"AWS::CloudWatch::Alarm {resource_name} lacks {', '.join(missing)}")
        alarm = _backend(account_id, region_name).put_metric_alarm(
            name=given.get("AlarmName", resource_name),
            description=given.get("AlarmDescription", ""),
            namespace=given.get("Namespace"),
            metric_name=given.get("MetricName"),
            dimensions=list(given.get("Dimensions") or []),
            statistic=given.get("Statistic"),
            period=int(given.get("Period") or 0),
            evaluation_periods=int(given["EvaluationPeriods"]),
            datapoints_to_alarm=given.get("DatapointsToAlarm"),
            threshold=float(given.get("Threshold") or 0),
            comparison_operator=given["ComparisonOperator"],
            treat_missing_data=given.get("TreatMissingData"),
            alarm_actions=list(given.get("AlarmActions") or []),
            ok_actions=list(given.get("OKActions") or []),
        )
        return cls(alarm.name, alarm.alarm_arn)

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Alarm,
        new_resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
    ) -> Alarm:
        """Replace the alarm by another one."""
        _backend(account_id, region_name).delete_alarms([original_resource.name])
        return cls.create_from_cloudformation_json(new_resource_name, cloudformation_json, account_id, region_name)

    @classmethod
    def delete_from_cloudformation_json(
        cls, resource_name: str, _cloudformation_json: dict[str, Any], account_id: str, region_name: str
    ) -> None:
        """Delete the alarm."""
        _backend(account_id, region_name).delete_alarms([resource_name])


def _backend(account_id: str, region_name: str) -> CloudWatchBackend:
    return cloudwatch_backends[account_id][region_name]
