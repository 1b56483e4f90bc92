"""What calls to Glue and Athena need. What a query reads and writes in the caller's name is asked when it runs.

Resource types as in the Service Authorization Reference (awsglue, amazonathena).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.iam.model import ANY, Call, Need
from localcloud.iam.rds_needs import request_tags

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud.iam.facts import Facts

OF_CRAWLERS = {
    "CreateCrawler",
    "DeleteCrawler",
    "GetCrawler",
    "ListCrawls",
    "StartCrawler",
    "StopCrawler",
    "UpdateCrawler",
}
# Calls about crawlers that have no resource of their own.
ABOUT_CRAWLERS = {"GetCrawlers", "ListCrawlers", "GetCrawlerMetrics", "BatchGetCrawlers"}
WITHOUT_GROUP = {"ListWorkGroups", "ListEngineVersions"}
OF_CATALOGS = {"GetDataCatalog", "GetDatabase", "ListDatabases", "GetTableMetadata", "ListTableMetadata"}


def glue(call: Call, _facts: Facts) -> Iterator[Need]:
    """Ask for the catalogue, and for what is in it; or for a crawler."""
    action = f"glue:{call.action}"
    if call.action in ABOUT_CRAWLERS:
        yield Need(action)
        return
    if call.action in OF_CRAWLERS:
        name = call.text("Name") or call.text("CrawlerName")
        tags = call.parameters.get("Tags")
        yield Need(action, call.arn("glue", f"crawler/{name}"), request_tags(dict(tags)) if tags else {})
        role = call.text("Role")
        if call.action in {"CreateCrawler", "UpdateCrawler"} and role:
            arn = role if role.startswith("arn:") else call.arn("iam", f"role/{role}", region="")
            yield Need("iam:PassRole", arn, {"iam:PassedToService": "glue.amazonaws.com"}, via="glue")
        return
    if call.text("ResourceArn"):
        yield Need(action, call.text("ResourceArn"))
        return
    made = call.parameters.get("DatabaseInput") or {}
    database = call.text("DatabaseName") or str(made.get("Name", "")) or call.text("Name")
    told = call.parameters.get("TableInput") or {}
    table = (
        call.text("TableName") or str(told.get("Name", "")) or (call.text("Name") if call.text("DatabaseName") else "")
    )
    yield Need(action, call.arn("glue", "catalog"))
    if database:
        yield Need(action, call.arn("glue", f"database/{database}"))
    if table:
        yield Need(action, call.arn("glue", f"table/{database}/{table}"))


def athena(call: Call, facts: Facts) -> Iterator[Need]:
    """Ask for the work group; for results, also for the object that holds them."""
    action = f"athena:{call.action}"
    if call.action in WITHOUT_GROUP:
        yield Need(action)
        return
    if call.action in OF_CATALOGS:
        yield Need(action, call.arn("athena", f"datacatalog/{call.text('CatalogName') or call.text('Name')}"))
        return
    if call.text("ResourceARN"):
        yield Need(action, call.text("ResourceARN"))
        return
    numbers = [call.text("QueryExecutionId")] if call.text("QueryExecutionId") else []
    numbers += [str(one) for one in call.parameters.get("QueryExecutionIds") or ()]
    found = [facts.execution(call.account, call.region, number) for number in numbers]
    groups = {one.workgroup if one else "primary" for one in found} or {_group(call)}
    for group in sorted(groups):
        yield Need(action, call.arn("athena", f"workgroup/{group}") if group else ANY)
    if call.action == "GetQueryResults" and found and found[0] is not None:
        location = found[0].location.removeprefix("s3://")
        yield Need("s3:GetObject", f"arn:aws:s3:::{location}", via="athena")


def _group(call: Call) -> str:
    return call.text("WorkGroup") or (call.text("Name") if call.action.endswith("WorkGroup") else "") or "primary"
