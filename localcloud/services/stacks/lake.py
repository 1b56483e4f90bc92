"""Glue and Athena in stacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from localcloud.services.stacks.kinds import Resource, tag_map, tags_of

if TYPE_CHECKING:
    from localcloud.services.stacks.api import Api


class Database(Resource):
    """``AWS::Glue::Database``."""

    type_name: ClassVar[str] = "AWS::Glue::Database"
    known: ClassVar[tuple[str, ...]] = ("CatalogId", "DatabaseInput")
    required: ClassVar[tuple[str, ...]] = known
    replacing: ClassVar[tuple[str, ...]] = ("CatalogId",)
    gone: ClassVar[tuple[str, ...]] = ("EntityNotFoundException",)

    @property
    def _input(self) -> dict[str, Any]:
        return {"Name": self.physical_id, **self.properties["DatabaseInput"]}

    @classmethod
    def generated(cls, name: str) -> str:
        """Give a database without a name one that Athena takes."""
        return name.lower().replace("-", "_")

    def create(self, api: Api) -> None:
        """Make the database."""
        self.physical_id = str(self.properties["DatabaseInput"].get("Name") or self.physical_id)
        api("glue", "create_database", DatabaseInput=self._input)

    def update(self, api: Api, former: dict[str, Any]) -> None:
        """Change the database; one of another name is another one."""
        name = str(self.properties["DatabaseInput"].get("Name") or self.physical_id)
        if name != self.physical_id:
            old, self.physical_id = self.physical_id, name
            api("glue", "create_database", DatabaseInput=self._input)
            api("glue", "delete_database", Name=old)
        elif self.properties != former:
            api("glue", "update_database", Name=self.physical_id, DatabaseInput=self._input)

    def remove(self, api: Api) -> None:
        """Delete the database with its tables."""
        api("glue", "delete_database", Name=self.physical_id)


class Crawler(Resource):
    """``AWS::Glue::Crawler``."""

    type_name: ClassVar[str] = "AWS::Glue::Crawler"
    name_property: ClassVar[str] = "Name"
    known: ClassVar[tuple[str, ...]] = (
        "Name",
        "Role",
        "DatabaseName",
        "Targets",
        "Schedule",
        "TablePrefix",
        "SchemaChangePolicy",
        "RecrawlPolicy",
        "Configuration",
        "Description",
        "Classifiers",
        "CrawlerSecurityConfiguration",
        "Tags",
    )
    required: ClassVar[tuple[str, ...]] = ("Role", "Targets")
    replacing: ClassVar[tuple[str, ...]] = ("Name",)
    gone: ClassVar[tuple[str, ...]] = ("EntityNotFoundException",)

    @property
    def _given(self) -> dict[str, Any]:
        given = {name: value for name, value in self.properties.items() if name not in {"Name", "Tags", "Schedule"}}
        schedule = (self.properties.get("Schedule") or {}).get("ScheduleExpression")
        return {"Name": self.physical_id, **given, "Schedule": schedule}

    def create(self, api: Api) -> None:
        """Make the crawler."""
        api("glue", "create_crawler", **self._given, Tags=tag_map(self.properties) or None)

    def update(self, api: Api, former: dict[str, Any]) -> None:  # noqa: ARG002 - all of it is put
        """Change the crawler."""
        api("glue", "update_crawler", **self._given)

    def remove(self, api: Api) -> None:
        """Delete the crawler."""
        api("glue", "delete_crawler", Name=self.physical_id)


class WorkGroup(Resource):
    """``AWS::Athena::WorkGroup``."""

    type_name: ClassVar[str] = "AWS::Athena::WorkGroup"
    name_property: ClassVar[str] = "Name"
    known: ClassVar[tuple[str, ...]] = (
        "Name",
        "Description",
        "State",
        "WorkGroupConfiguration",
        "RecursiveDeleteOption",
        "Tags",
    )
    required: ClassVar[tuple[str, ...]] = ("Name",)
    replacing: ClassVar[tuple[str, ...]] = ("Name",)

    def create(self, api: Api) -> None:
        """Make the work group."""
        given = self.properties
        api(
            "athena",
            "create_work_group",
            Name=self.physical_id,
            Description=given.get("Description"),
            Configuration=given.get("WorkGroupConfiguration"),
            Tags=tags_of(given) or None,
        )
        if given.get("State") == "DISABLED":
            api("athena", "update_work_group", WorkGroup=self.physical_id, State="DISABLED")

    def update(self, api: Api, former: dict[str, Any]) -> None:  # noqa: ARG002 - all of it is put
        """Change the work group."""
        given = dict(self.properties.get("WorkGroupConfiguration") or {})
        results = given.pop("ResultConfiguration", None)
        updates = {**given, **({"ResultConfigurationUpdates": results} if results else {})}
        api(
            "athena",
            "update_work_group",
            WorkGroup=self.physical_id,
            Description=self.properties.get("Description"),
            State=self.properties.get("State") or "ENABLED",
            ConfigurationUpdates=updates or None,
        )

    def remove(self, api: Api) -> None:
        """Delete the work group; with its queries, if the template says so."""
        recursive = self.properties.get("RecursiveDeleteOption") or False
        api("athena", "delete_work_group", WorkGroup=self.physical_id, RecursiveDeleteOption=recursive)
