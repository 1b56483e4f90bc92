"""AWS CloudTrail: whether calls are recorded."""

from __future__ import annotations

from aurora_ops.core.errors import MissingError
from aurora_ops.hooks.base import AwsHook


class TrailsHook(AwsHook):
    """Trails of one account and region."""

    service = "cloudtrail"

    def list_logging(self) -> list[str]:
        """Name the trails that record here and are on, those of the organization too (``DescribeTrails``, ``GetTrailStatus``)."""
        found = []
        for trail in self.call("describe_trails", includeShadowTrails=True)["trailList"]:
            try:
                if self.call("get_trail_status", Name=trail["TrailARN"])["IsLogging"]:
                    found.append(str(trail["Name"]))
            except MissingError:  # it went meanwhile
                continue
        return found
