"""Dispatch: the operations that localcloud answers itself; every other one goes to moto."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from moto.core.parse import XFormedDict
from moto.core.responses import ActionResult, EmptyResult
from moto.core.serialize import DefaultAttributePicker
from moto.rds.responses import RDSResponse

from localcloud.errors import error_body
from localcloud.rds import catalog, rules, standalone, views
from localcloud.rds.clusters import Clusters
from localcloud.rds.errors import (
    InstanceNotFoundError,
    InvalidParameterCombinationError,
    InvalidParameterValueError,
    LogFileNotFoundError,
    RdsError,
)
from localcloud.rds.events import history
from localcloud.rds.events.subscriptions import Subscriptions
from localcloud.rds.exports.api import Exports
from localcloud.rds.instance_snapshots import InstanceSnapshots
from localcloud.rds.instances import Instances
from localcloud.rds.logs.api import LogFiles
from localcloud.rds.modify import ModifyCluster
from localcloud.rds.restore import Restore
from localcloud.rds.retained import Retained
from localcloud.rds.roles import Roles
from localcloud.rds.shares import Shares
from localcloud.rds.snapshots import Snapshots
from localcloud.rds.tagging import Tagging

if TYPE_CHECKING:
    from moto.core.responses import ActionContext
    from moto.rds.models import DBSnapshot

    from localcloud.rds.core import Core
    from localcloud.rds.model import Cluster, Instance, Params, Region, Snapshot


class Plain(ActionResult):
    """A result whose keys are those of the API: serialized without moto's slow search for aliases."""

    def execute_result(self, context: ActionContext) -> Any:
        """Serialize."""
        serializer = context.serializer_class(
            operation_model=context.operation_model, value_picker=DefaultAttributePicker()
        )
        answer = serializer.serialize(self.result)
        return answer["status_code"], answer["headers"], answer["body"]


class Service:
    """Everything that the operations need.

    :param core: state.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self.snapshots = Snapshots(core)
        self.clusters = Clusters(core, self.snapshots)
        self.modify = ModifyCluster(core)
        self.restore = Restore(core)
        self.retained = Retained(core)
        self.shares = Shares(core)
        self.roles = Roles(core)
        self.instances = Instances(core)
        self.tagging = Tagging(core)
        self.logs = LogFiles(core)
        self.instance_snapshots = InstanceSnapshots(core)
        self.subscriptions = Subscriptions(core)
        self.exports = Exports(core)


class Response(RDSResponse):
    """RDS. moto finds the method named after the operation."""

    service: ClassVar[Service]

    @property
    def here(self) -> Region:
        """State of the caller's account in the region of the call."""
        return self.service.core.region(self.current_account, self.region)

    @property
    def plain_params(self) -> Params:
        """Parameters of the call."""
        # moto leaves a plain dict if the call has none
        return self.params.original_dict() if isinstance(self.params, XFormedDict) else dict(self.params)

    # ---- clusters ----------------------------------------------------------------------------------------------------

    def create_db_cluster(self) -> ActionResult:
        """CreateDBCluster."""
        return Plain({"DBCluster": self.service.clusters.create(self.here, self.plain_params)})

    def describe_db_clusters(self) -> ActionResult:
        """DescribeDBClusters."""
        return Plain(self.service.clusters.describe(self.here, self.plain_params))

    def modify_db_cluster(self) -> ActionResult:
        """ModifyDBCluster."""
        return Plain({"DBCluster": self.service.modify.modify(self.here, self.plain_params)})

    def delete_db_cluster(self) -> ActionResult:
        """DeleteDBCluster."""
        return Plain({"DBCluster": self.service.clusters.delete(self.here, self.plain_params)})

    def start_db_cluster(self) -> ActionResult:
        """StartDBCluster."""
        return Plain({"DBCluster": self.service.clusters.start(self.here, self.plain_params)})

    def stop_db_cluster(self) -> ActionResult:
        """StopDBCluster."""
        return Plain({"DBCluster": self.service.clusters.stop(self.here, self.plain_params)})

    def failover_db_cluster(self) -> ActionResult:
        """FailoverDBCluster."""
        return Plain({"DBCluster": self.service.clusters.failover(self.here, self.plain_params)})

    def add_role_to_db_cluster(self) -> ActionResult:
        """AddRoleToDBCluster."""
        self.service.roles.add(self.here, self.plain_params)
        return EmptyResult()

    def remove_role_from_db_cluster(self) -> ActionResult:
        """RemoveRoleFromDBCluster."""
        self.service.roles.remove(self.here, self.plain_params)
        return EmptyResult()

    def restore_db_cluster_from_snapshot(self) -> ActionResult:
        """RestoreDBClusterFromSnapshot."""
        return Plain({"DBCluster": self.service.restore.from_snapshot(self.here, self.plain_params)})

    def restore_db_cluster_to_point_in_time(self) -> ActionResult:
        """RestoreDBClusterToPointInTime."""
        return Plain({"DBCluster": self.service.restore.to_point_in_time(self.here, self.plain_params)})

    def describe_db_cluster_automated_backups(self) -> ActionResult:
        """DescribeDBClusterAutomatedBackups."""
        return Plain(self.service.retained.describe(self.here, self.plain_params))

    def delete_db_cluster_automated_backup(self) -> ActionResult:
        """DeleteDBClusterAutomatedBackup."""
        return Plain(self.service.retained.delete(self.here, self.plain_params))

    # ---- instances ---------------------------------------------------------------------------------------------------

    def create_db_instance(self) -> ActionResult:
        """CreateDBInstance; without a cluster it is moto's."""
        params = self.plain_params
        if params.get("Engine") == catalog.ENGINE and not params.get("DBClusterIdentifier"):
            raise InvalidParameterCombinationError("An instance of aurora-mysql needs a DBClusterIdentifier.")
        if not params.get("DBClusterIdentifier"):
            made = super().create_db_instance()
            if (database := self._served(params["DBInstanceIdentifier"])) is not None:
                standalone.created(self.service.core, database)
            return made
        return Plain({"DBInstance": self.service.instances.create(self.here, params, self.backend.databases)})

    def describe_db_instances(self) -> ActionResult:
        """DescribeDBInstances: members, and those that moto keeps."""
        params = self.plain_params
        asked = params.get("DBInstanceIdentifier")
        if asked and self._is_motos(asked):
            return super().describe_db_instances()
        here = self.here
        members = self.service.instances.describe(here, params)
        if asked or not self.backend.databases:
            page, marker = rules.page(members, params, lambda member: member.identifier)
            return Plain({"DBInstances": [views.instance(here, member) for member in page], "Marker": marker})
        known = {"db-cluster-id", "db-instance-id", "dbi-resource-id", "engine"}
        filters = {item["Name"]: item["Values"] for item in params.get("Filters") or () if item["Name"] in known}
        others = self.backend.describe_db_instances(None, filters=filters)
        both: dict[str, Any] = {member.identifier: views.instance(here, member) for member in members}
        both.update({other.db_instance_identifier: other for other in others})
        names, marker = rules.page(list(both), params, str)
        return ActionResult({"DBInstances": [both[name] for name in names], "Marker": marker})

    def modify_db_instance(self) -> ActionResult:
        """ModifyDBInstance."""
        params = self.plain_params
        if self._is_motos(params["DBInstanceIdentifier"]):
            modified = super().modify_db_instance()
            name = params.get("NewDBInstanceIdentifier") or params["DBInstanceIdentifier"]
            if (database := self._served(name)) is not None:
                standalone.changed(self.service.core, database)
            return modified
        return Plain({"DBInstance": self.service.instances.modify(self.here, params, self.backend.databases)})

    def delete_db_instance(self) -> ActionResult:
        """DeleteDBInstance."""
        params = self.plain_params
        if self._is_motos(params["DBInstanceIdentifier"]):
            database = self._served(params["DBInstanceIdentifier"])
            deleted = super().delete_db_instance()
            last = self._snapshot(params.get("FinalDBSnapshotIdentifier"))
            if last is not None and database is not None:
                self.service.instance_snapshots.taken_finally(last)
            if database is not None:
                standalone.deleted(self.service.core, database.dbi_resource_id)
            return deleted
        return Plain({"DBInstance": self.service.instances.delete(self.here, params)})

    def reboot_db_instance(self) -> ActionResult:
        """RebootDBInstance."""
        params = self.plain_params
        if self._is_motos(params["DBInstanceIdentifier"]):
            if (database := self._served(params["DBInstanceIdentifier"])) is not None:
                standalone.reboot(self.service.core, database)
            return super().reboot_db_instance()
        return Plain({"DBInstance": self.service.instances.reboot(self.here, params)})

    def _is_motos(self, identifier: str) -> bool:
        return identifier in self.backend.databases

    def _served(self, identifier: str) -> Any:
        """Return an instance of moto's that has a server, or None."""
        database = self.backend.databases.get(identifier)
        return database if database is not None and standalone.is_served(database) else None

    # ---- log files ---------------------------------------------------------------------------------------------------

    def describe_db_log_files(self) -> ActionResult:
        """DescribeDBLogFiles."""
        return Plain(self.service.logs.describe(self.here, self.plain_params))

    def download_db_log_file_portion(self) -> ActionResult:
        """DownloadDBLogFilePortion."""
        return self.service.logs.portion(self.here, self.plain_params)

    @classmethod
    def complete_log_file(cls, request: Any, full_url: str, headers: Any) -> Any:
        """DownloadCompleteDBLogFile, which has a path of its own and no model."""
        response = cls()
        response.automated_parameter_parsing = False
        response.setup_class(request, full_url, headers)
        try:
            return 200, {"Content-Type": "text/plain"}, response.service.logs.whole(response.here, request.path)
        except RdsError as error:
            content_type, body = error_body("query", error.code, error.message)
            status = 404 if isinstance(error, InstanceNotFoundError | LogFileNotFoundError) else 400
            return status, {"Content-Type": content_type}, body

    # ---- snapshots ---------------------------------------------------------------------------------------------------

    def create_db_snapshot(self) -> ActionResult:
        """CreateDBSnapshot."""
        made = super().create_db_snapshot()
        taken = self._snapshot(self.plain_params["DBSnapshotIdentifier"])
        if taken is not None:
            self.service.instance_snapshots.taken(taken)
        return made

    def describe_db_snapshots(self) -> ActionResult:
        """DescribeDBSnapshots, those of AWS Backup too, which moto leaves out."""
        filters = list(self.params.get("Filters") or ())
        if not self.params.get("SnapshotType") and all(one["Name"] != "snapshot-type" for one in filters):
            own = {"Name": "snapshot-type", "Values": ["automated", "manual", "awsbackup"]}
            self.params["Filters"] = [*filters, own]
        return super().describe_db_snapshots()

    def copy_db_snapshot(self) -> ActionResult:
        """CopyDBSnapshot, within the account and region."""
        made, params = super().copy_db_snapshot(), self.plain_params
        copy = self._snapshot(params["TargetDBSnapshotIdentifier"])
        if copy is not None:
            source = self._snapshot(params["SourceDBSnapshotIdentifier"].rpartition(":snapshot:")[2])
            self.service.instance_snapshots.copied(source, copy, self.region)
        return made

    def delete_db_snapshot(self) -> ActionResult:
        """DeleteDBSnapshot."""
        going = self._snapshot(self.plain_params["DBSnapshotIdentifier"])
        deleted = super().delete_db_snapshot()
        if going is not None:
            self.service.instance_snapshots.deleted(going)
        return deleted

    def _snapshot(self, identifier: str | None) -> DBSnapshot | None:
        """Snapshot of an instance."""
        return self.backend.database_snapshots.get((identifier or "").lower())

    def create_db_cluster_snapshot(self) -> ActionResult:
        """CreateDBClusterSnapshot."""
        return Plain({"DBClusterSnapshot": self.service.snapshots.create(self.here, self.plain_params)})

    def describe_db_cluster_snapshots(self) -> ActionResult:
        """DescribeDBClusterSnapshots."""
        return Plain(self.service.snapshots.describe(self.here, self.plain_params))

    def copy_db_cluster_snapshot(self) -> ActionResult:
        """CopyDBClusterSnapshot."""
        return Plain({"DBClusterSnapshot": self.service.snapshots.copy(self.here, self.plain_params)})

    def delete_db_cluster_snapshot(self) -> ActionResult:
        """DeleteDBClusterSnapshot."""
        return Plain({"DBClusterSnapshot": self.service.snapshots.delete(self.here, self.plain_params)})

    def describe_db_cluster_snapshot_attributes(self) -> ActionResult:
        """DescribeDBClusterSnapshotAttributes."""
        return Plain(self.service.shares.describe(self.here, self.plain_params))

    def modify_db_cluster_snapshot_attribute(self) -> ActionResult:
        """ModifyDBClusterSnapshotAttribute."""
        return Plain(self.service.shares.modify(self.here, self.plain_params))

    # ---- tags --------------------------------------------------------------------------------------------------------

    def list_tags_for_resource(self) -> ActionResult:
        """ListTagsForResource."""
        resource = self._tagged()
        if resource is None:
            return super().list_tags_for_resource()
        return Plain({"TagList": views.tag_list(resource.tags)})

    def add_tags_to_resource(self) -> ActionResult:
        """AddTagsToResource."""
        resource = self._tagged()
        if resource is None:
            return super().add_tags_to_resource()
        self.service.tagging.add(resource, self.plain_params)
        return EmptyResult()

    def remove_tags_from_resource(self) -> ActionResult:
        """RemoveTagsFromResource."""
        resource = self._tagged()
        if resource is None:
            return super().remove_tags_from_resource()
        self.service.tagging.remove(resource, self.plain_params)
        return EmptyResult()

    def _tagged(self) -> Cluster | Instance | Snapshot | None:
        arn = self.params["ResourceName"]
        others = any(database.arn == arn for database in self.backend.databases.values())
        return self.service.tagging.find(self.here, arn, others)

    # ---- catalogue and events ----------------------------------------------------------------------------------------

    def describe_account_attributes(self) -> ActionResult:
        """DescribeAccountAttributes: the quotas that localcloud keeps."""
        quotas, here = self.service.core.quotas, self.here
        manual = sum(snapshot.snapshot_type == "manual" for snapshot in here.snapshots.values())
        used = {
            "DBClusters": (len(here.clusters), quotas.clusters),
            "DBInstances": (len(here.instances), quotas.instances),
            "ManualClusterSnapshots": (manual, quotas.manual_snapshots),
        }
        return Plain(
            {
                "AccountQuotas": [
                    {"AccountQuotaName": name, "Used": now, "Max": most} for name, (now, most) in used.items()
                ]
            }
        )

    def describe_db_engine_versions(self) -> ActionResult:
        """DescribeDBEngineVersions."""
        return Plain(catalog.describe_versions(self.plain_params))

    def describe_orderable_db_instance_options(self) -> ActionResult:
        """DescribeOrderableDBInstanceOptions; other engines are moto's."""
        params = self.plain_params
        if params.get("Engine") != catalog.ENGINE:
            return super().describe_orderable_db_instance_options()
        return Plain(catalog.describe_orderable(params, [f"{self.region}{letter}" for letter in "abc"]))

    def describe_db_cluster_parameter_groups(self) -> ActionResult:
        """DescribeDBClusterParameterGroups, with the defaults that moto lacks."""
        for version in catalog.VERSIONS:
            name = catalog.default_parameter_group(version)
            if name not in self.backend.db_cluster_parameter_groups:
                self.backend.create_db_cluster_parameter_group(
                    db_cluster_parameter_group_name=name,
                    db_parameter_group_family=catalog.family(version),
                    description=f"Default cluster parameter group for {catalog.family(version)}",
                    tags=[],
                )
        return super().describe_db_cluster_parameter_groups()

    def describe_db_cluster_parameters(self) -> ActionResult:
        """DescribeDBClusterParameters: what somebody has set (``Source=user``); defaults of the engine are not listed."""
        if self.params.get("DBClusterParameterGroupName", "").startswith("default."):
            return Plain({"Parameters": []})
        return super().describe_db_cluster_parameters()

    def modify_db_cluster_parameter_group(self) -> ActionResult:
        """ModifyDBClusterParameterGroup; nobody may change a default group."""
        name = self.params.get("DBClusterParameterGroupName", "")
        if name.startswith("default."):
            raise InvalidParameterValueError(f"The parameter group {name} cannot be modified: it is a default group.")
        return super().modify_db_cluster_parameter_group()

    def describe_events(self) -> ActionResult:
        """DescribeEvents."""
        return Plain(history.describe(self.service.core, self.here, self.plain_params))

    def describe_event_categories(self) -> ActionResult:
        """DescribeEventCategories."""
        return Plain(history.describe_categories(self.plain_params))

    def create_event_subscription(self) -> ActionResult:
        """CreateEventSubscription."""
        return Plain({"EventSubscription": self.service.subscriptions.create(self.here, self.plain_params)})

    def modify_event_subscription(self) -> ActionResult:
        """ModifyEventSubscription."""
        return Plain({"EventSubscription": self.service.subscriptions.modify(self.here, self.plain_params)})

    def delete_event_subscription(self) -> ActionResult:
        """DeleteEventSubscription."""
        return Plain({"EventSubscription": self.service.subscriptions.delete(self.here, self.plain_params)})

    def describe_event_subscriptions(self) -> ActionResult:
        """DescribeEventSubscriptions."""
        return Plain(self.service.subscriptions.describe(self.here, self.plain_params))

    def add_source_identifier_to_subscription(self) -> ActionResult:
        """AddSourceIdentifierToSubscription."""
        return Plain({"EventSubscription": self.service.subscriptions.add_source(self.here, self.plain_params)})

    def remove_source_identifier_from_subscription(self) -> ActionResult:
        """RemoveSourceIdentifierFromSubscription."""
        return Plain({"EventSubscription": self.service.subscriptions.remove_source(self.here, self.plain_params)})

    # ---- exports -----------------------------------------------------------------------------------------------------

    def start_export_task(self) -> ActionResult:
        """StartExportTask."""
        return Plain(self.service.exports.start(self.here, self.plain_params))

    def describe_export_tasks(self) -> ActionResult:
        """DescribeExportTasks."""
        return Plain(self.service.exports.describe(self.here, self.plain_params))

    def cancel_export_task(self) -> ActionResult:
        """CancelExportTask."""
        return Plain(self.service.exports.cancel(self.here, self.plain_params))
