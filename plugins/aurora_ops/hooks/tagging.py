"""Resource Groups Tagging API: tags of any resource, by ARN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aurora_ops.hooks.base import AwsHook

MOST_ARNS = 20
_MOST_ASKED = 100


class TaggingHook(AwsHook):
    """Tags of the resources of one account and region."""

    service = "resourcegroupstaggingapi"

    def read_tags(self, arns: Sequence[str]) -> dict[str, dict[str, str]]:
        """Read the tags of resources, a hundred a call (``GetResources``); those without any tag may be missing."""
        found: dict[str, dict[str, str]] = {}
        for start in range(0, len(arns), _MOST_ASKED):
            for item in self.pages(
                "get_resources", "ResourceTagMappingList", ResourceARNList=list(arns[start : start + _MOST_ASKED])
            ):
                found[item["ResourceARN"]] = {tag["Key"]: tag["Value"] for tag in item["Tags"]}
        return found

    def set_tags(self, arns: Sequence[str], tags: Mapping[str, str]) -> dict[str, str]:
        """Add tags or replace their values, 20 resources a call (``TagResources``).

        The call itself succeeds where single resources fail.

        :return: ARN to code and message of each that failed.
        """
        failed: dict[str, str] = {}
        for start in range(0, len(arns), MOST_ARNS):
            batch = list(arns[start : start + MOST_ARNS])
            answer = self.call("tag_resources", ResourceARNList=batch, Tags=dict(tags))
            failed |= {
                arn: f"{why.get('ErrorCode')}: {why.get('ErrorMessage')}"
                for arn, why in (answer.get("FailedResourcesMap") or {}).items()
            }
        return failed
