"""Resource Groups Tagging API with RDS's own resources: moto's looks only into moto's backends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import moto.resourcegroupstaggingapi.urls
from moto.core.responses import ActionResult
from moto.resourcegroupstaggingapi.exceptions import ResourceGroupsTaggingAPIError
from moto.resourcegroupstaggingapi.responses import ResourceGroupsTaggingAPIResponse

from localcloud.rds import views
from localcloud.rds.errors import RdsError
from localcloud.rds.tagging import Tagging

if TYPE_CHECKING:
    from localcloud.cloud import Cloud
    from localcloud.rds.model import Cluster, Instance, Snapshot

MOST_ARNS, MOST_ASKED, MOST_TAGS = 20, 100, 50
KINDS = (":cluster:", ":db:", ":cluster-snapshot:")


def install(cloud: Cloud) -> None:
    """Replace moto's answers about resources of RDS; those of other services stay moto's."""
    Response.cloud = cloud
    moto.resourcegroupstaggingapi.urls.url_paths["{0}/$"] = Response.dispatch


class Response(ResourceGroupsTaggingAPIResponse):
    """The Tagging API. The guard holds the lock of RDS meanwhile."""

    cloud: ClassVar[Cloud]

    def tag_resources(self) -> ActionResult:
        """TagResources: at most 20; what cannot be tagged is in FailedResourcesMap, and the call succeeds."""
        arns, tags = list(self._get_param("ResourceARNList", [])), dict(self._get_param("Tags", {}))
        if not 1 <= len(arns) <= MOST_ARNS or not 1 <= len(tags) <= MOST_TAGS:
            raise ResourceGroupsTaggingAPIError(
                "InvalidParameterException", f"TagResources takes {MOST_ARNS} ARNs and {MOST_TAGS} tags at most."
            )
        if any(key.lower().startswith("aws:") for key in tags):
            raise ResourceGroupsTaggingAPIError("InvalidParameterException", "Tag keys may not begin with aws:.")
        failed: dict[str, Any] = {}
        others = []
        for arn in arns:
            if not _is_databases(arn):
                others.append(arn)
                continue
            try:
                found = self._find(arn)
                Tagging(self._core()).add(found, {"Tags": views.tag_list(tags)})
            except RdsError as error:
                failed[arn] = {"StatusCode": 400, "ErrorCode": "InvalidParameterException", "ErrorMessage": str(error)}
        if others:
            failed |= self.backend.tag_resources(others, tags) or {}
        return ActionResult({"FailedResourcesMap": failed})

    def get_resources(self) -> ActionResult:
        """GetResources: those of RDS by ARN only, in one page; those without a tag are left out, as in AWS."""
        arns = list(self._get_param("ResourceARNList", []))
        if len(arns) > MOST_ASKED:
            raise ResourceGroupsTaggingAPIError("InvalidParameterException", f"At most {MOST_ASKED} ARNs.")
        if not arns or not all(_is_databases(arn) for arn in arns):
            return super().get_resources()
        found = []
        for arn in arns:
            try:
                tags = self._find(arn).tags
            except RdsError:
                continue
            if tags:
                found.append({"ResourceARN": arn, "Tags": views.tag_list(tags)})
        return ActionResult({"ResourceTagMappingList": found, "PaginationToken": ""})

    def _core(self) -> Any:
        assert self.cloud.rds is not None
        return self.cloud.rds

    def _find(self, arn: str) -> Cluster | Instance | Snapshot:
        core = self._core()
        found = Tagging(core).find(core.region(self.current_account, self.region), arn, other_instances=False)
        assert found is not None  # its kind has been looked at
        return found


def _is_databases(arn: str) -> bool:
    return ":rds:" in arn and any(kind in arn for kind in KINDS)
