"""RDS in this process, with the rules that operators meet: statuses that take time, names that are taken, renames.

It stands where botocore would build a request, so hooks, paginators and waiters are the real ones. Requests are checked against
botocore's service model. Other services go on to moto. Time passes with calls: a change that takes ``lag`` is done after that
many more calls of RDS.
"""

# ruff: noqa: N802, N803 - operations and parameters have the names that AWS gave them

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

ACCOUNT, REGION = "222222222222", "eu-west-1"
NOT_FOUND = {
    "cluster": "DBClusterNotFoundFault",
    "instance": "DBInstanceNotFound",
    "snapshot": "DBClusterSnapshotNotFoundFault",
}
READS = ("Describe", "Get", "List", "Head", "Query")
Item = dict[str, Any]


def arn(kind: str, name: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:rds:{REGION}:{account}:{kind}:{name}"


class FakeRds:
    """Clusters, instances and cluster snapshots of one account.

    :param lag: RDS calls until a change is done.
    """

    def __init__(self, lag: int = 2) -> None:
        self.lag = lag
        self.clock = 0
        self.clusters: dict[str, Item] = {}
        self.instances: dict[str, Item] = {}
        self.snapshots: dict[str, Item] = {}
        self.shares: dict[str, set[str]] = {}
        self.parameters: dict[str, dict[str, str]] = {}
        self.mutations: list[tuple[str, Item]] = []
        self._due: list[tuple[int, Callable[[], None]]] = []
        self._failures: dict[str, list[tuple[int, str]]] = {}
        self._scripts: dict[str, list[str]] = {}
        self._number = 0

    # what tests set up

    def cluster(self, name: str, *, instances: int = 0, refresh: bool = True, **changes: Any) -> Item:
        """A cluster that is there at the start, with instances ``name-1``, ``name-2``, ..."""
        self._number += 1
        tags = {"refresh": "true"} if refresh else {}
        self.clusters[name] = {
            "DBClusterIdentifier": name,
            "DBClusterArn": arn("cluster", name),
            "DbClusterResourceId": f"cluster-{self._number:04d}",
            "Status": "available",
            "Endpoint": f"{name}.cluster-x.rds",
            "ReaderEndpoint": f"{name}.cluster-ro-x.rds",
            "Port": 3306,
            "EngineVersion": "8.0.mysql_aurora.3.08.2",
            "KmsKeyId": "arn:key",
            "DBClusterParameterGroup": "group",
            "VpcSecurityGroups": [{"VpcSecurityGroupId": "sg-old", "Status": "active"}],
            "DBClusterMembers": [],
            "AssociatedRoles": [],
            "DeletionProtection": False,
        } | {key: value for key, value in changes.items() if key != "tags"}
        self.clusters[name]["TagList"] = [
            {"Key": key, "Value": value} for key, value in {**tags, **changes.get("tags", {})}.items()
        ]
        for number in range(1, instances + 1):
            self.instance(f"{name}-{number}", name)
        return self.clusters[name]

    def instance(self, name: str, cluster: str, status: str = "available") -> Item:
        """An instance that is there at the start."""
        self.instances[name] = {
            "DBInstanceIdentifier": name,
            "DBInstanceArn": arn("db", name),
            "DBClusterIdentifier": cluster,
            "DBInstanceStatus": status,
            "TagList": [],
        }
        members = self.clusters[cluster]["DBClusterMembers"]
        members.append({"DBInstanceIdentifier": name, "IsClusterWriter": not members, "PromotionTier": 1})
        return self.instances[name]

    def snapshot(self, name: str, cluster: str = "prod", **changes: Any) -> Item:
        """A snapshot that is there at the start; a name that is an ARN is one shared by another account."""
        plain = name.rsplit(":", 1)[-1] if name.startswith("arn:") else name
        self.snapshots[name] = {
            "DBClusterSnapshotIdentifier": plain,
            "DBClusterSnapshotArn": name if name.startswith("arn:") else arn("cluster-snapshot", name),
            "DBClusterIdentifier": cluster,
            "Status": "available",
            "SnapshotType": "manual",
            "SnapshotCreateTime": datetime(2026, 7, 1, tzinfo=UTC),
            "StorageEncrypted": True,
            "KmsKeyId": "arn:key",
            "EngineVersion": "8.0.mysql_aurora.3.08.2",
            "TagList": [{"Key": "aurora-ops:owner", "Value": "aurora-ops"}],
        } | changes
        return self.snapshots[name]

    def fail(self, operation: str, code: str, times: int = 1) -> None:
        """Let the next calls of an operation fail."""
        self._failures.setdefault(operation, []).append((times, code))

    def script(self, name: str, *statuses: str) -> None:
        """Show these statuses of a cluster, instance or snapshot, one a look; the last one stays."""
        self._scripts[name] = list(statuses)

    def after(self, calls: int, change: Callable[[], None]) -> None:
        """Let something happen after a number of calls."""
        self._due.append((self.clock + calls, change))

    def pass_time(self, calls: int = 10) -> None:
        """Let happen what is due after a number of calls."""
        for _ in range(calls):
            self.clock += 1
            for entry in [entry for entry in self._due if entry[0] <= self.clock]:
                self._due.remove(entry)
                entry[1]()

    def names(self, operation: str) -> int:
        """How often an operation was called."""
        return sum(name == operation for name, _ in self.mutations)

    # what botocore calls

    def call(self, model: ServiceModel, operation: str, params: Item) -> Item:
        """Answer one request."""
        shape = model.operation_model(operation).input_shape
        report = ParamValidator().validate(params, shape) if shape else None
        assert not (report and report.has_errors()), report.generate_report() if report else ""
        self.pass_time(1)
        self._fail_if_told(operation)
        if not operation.startswith(READS):
            self.mutations.append((operation, copy.deepcopy(params)))
        answer = getattr(self, operation)(**params)
        return copy.deepcopy(answer or {})

    def _fail_if_told(self, operation: str) -> None:
        told = self._failures.get(operation)
        if told:
            times, code = told[0]
            told[:1] = [(times - 1, code)] if times > 1 else []
            self._refuse(code, operation)

    @staticmethod
    def _refuse(code: str, why: str = "refused") -> None:
        raise ClientError({"Error": {"Code": code, "Message": why}}, why)

    def _get(self, kind: str, name: str) -> Item:
        items = {"cluster": self.clusters, "instance": self.instances, "snapshot": self.snapshots}[kind]
        if name not in items:
            self._refuse(NOT_FOUND[kind], f"{kind} {name} not found")
        item = items[name]
        script = self._scripts.get(name)
        if script:
            item["DBInstanceStatus" if kind == "instance" else "Status"] = (
                script.pop(0) if len(script) > 1 else script[0]
            )
        return item

    def _finish(self, item: Item, now: str, then: str = "available", key: str = "Status", **changes: Any) -> None:
        item[key] = now

        def done() -> None:
            item[key] = then
            item.update(changes)

        self.after(self.lag, done)

    @staticmethod
    def _by_filter(items: list[Item], filters: list[Item] | None, keys: dict[str, str]) -> list[Item]:
        for one in filters or []:
            items = [item for item in items if item[keys[one["Name"]]] in one["Values"]]
        return items

    # operations, by their names in AWS

    def DescribeDBClusters(self, DBClusterIdentifier=None, Filters=None, **_):
        if DBClusterIdentifier:
            return {"DBClusters": [self._get("cluster", DBClusterIdentifier)]}
        found = self._by_filter(
            list(self.clusters.values()), Filters, {"db-cluster-resource-id": "DbClusterResourceId"}
        )
        return {"DBClusters": [self._get("cluster", item["DBClusterIdentifier"]) for item in found]}

    def DescribeDBInstances(self, DBInstanceIdentifier=None, Filters=None, **_):
        if DBInstanceIdentifier:
            return {"DBInstances": [self._get("instance", DBInstanceIdentifier)]}
        found = self._by_filter(list(self.instances.values()), Filters, {"db-cluster-id": "DBClusterIdentifier"})
        return {"DBInstances": [self._get("instance", item["DBInstanceIdentifier"]) for item in found]}

    def DescribeDBClusterSnapshots(
        self, DBClusterSnapshotIdentifier=None, DBClusterIdentifier=None, SnapshotType=None, **_
    ):
        if DBClusterSnapshotIdentifier:
            return {"DBClusterSnapshots": [self._get("snapshot", DBClusterSnapshotIdentifier)]}
        found = [
            item
            for item in self.snapshots.values()
            if DBClusterIdentifier in (None, item["DBClusterIdentifier"])
            and SnapshotType in (None, item["SnapshotType"])
        ]
        return {"DBClusterSnapshots": found}

    def DescribeDBClusterSnapshotAttributes(self, DBClusterSnapshotIdentifier):
        values = sorted(self.shares.get(DBClusterSnapshotIdentifier, set()))
        attributes = [{"AttributeName": "restore", "AttributeValues": values}]
        return {"DBClusterSnapshotAttributesResult": {"DBClusterSnapshotAttributes": attributes}}

    exporting: tuple[str, ...] = ()

    def DescribeExportTasks(self, Filters):
        assert Filters == [{"Name": "status", "Values": ["starting", "in_progress", "canceling"]}]
        found = [{"SourceArn": arn("cluster-snapshot", name), "Status": "IN_PROGRESS"} for name in self.exporting]
        return {"ExportTasks": [{"ExportTaskIdentifier": f"task-{n}", **one} for n, one in enumerate(found)]}

    def ModifyDBClusterSnapshotAttribute(
        self, DBClusterSnapshotIdentifier, AttributeName, ValuesToAdd=(), ValuesToRemove=()
    ):
        snapshot = self._get("snapshot", DBClusterSnapshotIdentifier)
        if snapshot["SnapshotType"] != "manual":
            self._refuse("InvalidDBClusterSnapshotStateFault")
        shares = self.shares.setdefault(DBClusterSnapshotIdentifier, set())
        shares |= set(ValuesToAdd)
        shares -= set(ValuesToRemove)

    def _new_snapshot(self, name: str, tags: list[Item], status: str, **changes: Any) -> None:
        if name in self.snapshots:
            self._refuse("DBClusterSnapshotAlreadyExistsFault")
        self._finish(self.snapshot(name, **changes, TagList=tags), status)

    def CreateDBClusterSnapshot(self, DBClusterSnapshotIdentifier, DBClusterIdentifier, Tags):
        self._get("cluster", DBClusterIdentifier)
        self._new_snapshot(DBClusterSnapshotIdentifier, Tags, "creating", cluster=DBClusterIdentifier)

    def CopyDBClusterSnapshot(
        self,
        SourceDBClusterSnapshotIdentifier,
        TargetDBClusterSnapshotIdentifier,
        Tags,
        KmsKeyId=None,
        SourceRegion=None,
    ):
        source = self._get("snapshot", SourceDBClusterSnapshotIdentifier)
        if source["StorageEncrypted"] is False and KmsKeyId:
            self._refuse("InvalidParameterCombination")
        self._new_snapshot(
            TargetDBClusterSnapshotIdentifier,
            Tags,
            "copying",
            cluster=source["DBClusterIdentifier"],
            KmsKeyId=KmsKeyId or source["KmsKeyId"],
            StorageEncrypted=source["StorageEncrypted"],
        )

    def DeleteDBClusterSnapshot(self, DBClusterSnapshotIdentifier):
        snapshot = self._get("snapshot", DBClusterSnapshotIdentifier)
        if snapshot["Status"] not in ("available", "failed"):
            self._refuse("InvalidDBClusterSnapshotStateFault")
        snapshot["Status"] = "deleting"
        self.after(self.lag, lambda: self.snapshots.pop(DBClusterSnapshotIdentifier))

    def RestoreDBClusterFromSnapshot(self, DBClusterIdentifier, SnapshotIdentifier, Tags, KmsKeyId=None, **given):
        self._get("snapshot", SnapshotIdentifier)
        if DBClusterIdentifier in self.clusters:
            self._refuse("DBClusterAlreadyExistsFault")
        cluster = self.cluster(DBClusterIdentifier, KmsKeyId=KmsKeyId)
        cluster["TagList"] = Tags
        cluster["VpcSecurityGroups"] = [{"VpcSecurityGroupId": name} for name in given.get("VpcSecurityGroupIds", [])]
        self._finish(cluster, "creating")

    def RestoreDBClusterToPointInTime(
        self, DBClusterIdentifier, SourceDBClusterIdentifier, Tags, KmsKeyId=None, **given
    ):
        self._get("cluster", SourceDBClusterIdentifier.rpartition(":")[2])
        if DBClusterIdentifier in self.clusters:
            self._refuse("DBClusterAlreadyExistsFault")
        cluster = self.cluster(DBClusterIdentifier, KmsKeyId=KmsKeyId)
        cluster["TagList"] = Tags
        self._finish(cluster, "creating")

    def CreateDBInstance(self, DBInstanceIdentifier, DBClusterIdentifier, Tags=(), **_):
        if DBInstanceIdentifier in self.instances:
            self._refuse("DBInstanceAlreadyExists")
        if self._get("cluster", DBClusterIdentifier)["Status"] != "available":
            self._refuse("InvalidDBClusterStateFault")
        instance = self.instance(DBInstanceIdentifier, DBClusterIdentifier)
        instance["TagList"] = list(Tags)
        self._finish(instance, "creating", key="DBInstanceStatus")

    def ModifyDBCluster(self, DBClusterIdentifier, ApplyImmediately, NewDBClusterIdentifier=None, **given):
        cluster = self._get("cluster", DBClusterIdentifier)
        assert ApplyImmediately is True
        if cluster["Status"] != "available":
            self._refuse("InvalidDBClusterStateFault", cluster["Status"])
        if NewDBClusterIdentifier:
            if NewDBClusterIdentifier in self.clusters:
                self._refuse("DBClusterAlreadyExistsFault")
            cluster["Status"] = "renaming"
            self.after(self.lag, lambda: self._renamed(DBClusterIdentifier, NewDBClusterIdentifier))
        if "VpcSecurityGroupIds" in given:
            cluster["VpcSecurityGroups"] = [{"VpcSecurityGroupId": name} for name in given["VpcSecurityGroupIds"]]
        if "DeletionProtection" in given:
            cluster["DeletionProtection"] = given["DeletionProtection"]
        if given.get("ManageMasterUserPassword"):
            cluster["MasterUserSecret"] = {"SecretArn": "master", "SecretStatus": "creating"}
            secret = {"SecretArn": "master", "SecretStatus": "active"}
            self._finish(cluster, "resetting-master-credentials", MasterUserSecret=secret)
        if given.get("RotateMasterUserPassword"):
            self.after(self.lag, self.on_rotate)
        if password := given.get("MasterUserPassword"):
            if cluster.get("MasterUserSecret") and given.get("ManageMasterUserPassword") is not False:
                self._refuse("InvalidParameterCombination")
            cluster.pop("MasterUserSecret", None)
            self.after(self.lag, lambda: self.on_password(password))
            # as in AWS, the first look still shows what was before
            self.after(1, lambda: self._finish(cluster, "resetting-master-credentials"))

    def on_rotate(self) -> None:
        """What a rotation does; tests set it."""

    def on_password(self, password: str) -> None:
        """What a new master password does; tests set it."""

    def _renamed(self, old: str, new: str) -> None:
        cluster = self.clusters.pop(old)
        self.clusters[new] = cluster
        cluster.update(
            DBClusterIdentifier=new, DBClusterArn=arn("cluster", new), Status="available", Endpoint=f"{new}.rds"
        )
        for member in cluster["DBClusterMembers"]:
            self.instances[member["DBInstanceIdentifier"]]["DBClusterIdentifier"] = new

    def ModifyDBInstance(self, DBInstanceIdentifier, NewDBInstanceIdentifier, ApplyImmediately):
        instance = self._get("instance", DBInstanceIdentifier)
        if NewDBInstanceIdentifier in self.instances:
            self._refuse("DBInstanceAlreadyExists", NewDBInstanceIdentifier)
        if instance["DBInstanceStatus"] != "available":
            self._refuse("InvalidDBInstanceState")
        instance["DBInstanceStatus"] = "renaming"

        def done() -> None:
            self.instances[NewDBInstanceIdentifier] = self.instances.pop(DBInstanceIdentifier)
            instance.update(DBInstanceIdentifier=NewDBInstanceIdentifier, DBInstanceStatus="available")
            for member in self.clusters[instance["DBClusterIdentifier"]]["DBClusterMembers"]:
                if member["DBInstanceIdentifier"] == DBInstanceIdentifier:
                    member["DBInstanceIdentifier"] = NewDBInstanceIdentifier

        self.after(self.lag, done)

    def DeleteDBInstance(self, DBInstanceIdentifier, SkipFinalSnapshot):
        instance = self._get("instance", DBInstanceIdentifier)
        instance["DBInstanceStatus"] = "deleting"

        def done() -> None:
            self.instances.pop(DBInstanceIdentifier)
            cluster = self.clusters.get(instance["DBClusterIdentifier"], {"DBClusterMembers": []})
            cluster["DBClusterMembers"] = [
                member
                for member in cluster["DBClusterMembers"]
                if member["DBInstanceIdentifier"] != DBInstanceIdentifier
            ]

        self.after(self.lag, done)

    def DeleteDBCluster(self, DBClusterIdentifier, SkipFinalSnapshot, FinalDBSnapshotIdentifier=None):
        cluster = self._get("cluster", DBClusterIdentifier)
        if cluster["DeletionProtection"]:
            self._refuse("InvalidParameterCombination", "deletion protection")
        if cluster["DBClusterMembers"]:
            self._refuse("InvalidDBClusterStateFault", "it has members")
        if cluster["Status"] == "stopped":
            self._refuse("InvalidDBClusterStateFault", "stopped")
        assert SkipFinalSnapshot is (FinalDBSnapshotIdentifier is None)
        cluster["Status"] = "deleting"
        self.after(self.lag, lambda: self.clusters.pop(DBClusterIdentifier))

    def StartDBCluster(self, DBClusterIdentifier):
        cluster = self._get("cluster", DBClusterIdentifier)
        if cluster["Status"] != "stopped":
            self._refuse("InvalidDBClusterStateFault")
        self._finish(cluster, "starting")

    def StopDBCluster(self, DBClusterIdentifier):
        cluster = self._get("cluster", DBClusterIdentifier)
        if cluster["Status"] != "available" or not cluster["DBClusterMembers"]:
            self._refuse("InvalidDBClusterStateFault")
        self._finish(cluster, "stopping", "stopped")

    def AddRoleToDBCluster(self, DBClusterIdentifier, RoleArn):
        role = {"RoleArn": RoleArn, "Status": "PENDING"}
        self._get("cluster", DBClusterIdentifier)["AssociatedRoles"].append(role)
        self.after(self.lag, lambda: role.update(Status="ACTIVE"))

    def _by_arn(self, name: str) -> Item:
        found = [
            item
            for items, key in (
                (self.clusters, "DBClusterArn"),
                (self.instances, "DBInstanceArn"),
                (self.snapshots, "DBClusterSnapshotArn"),
            )
            for item in items.values()
            if item[key] == name
        ]
        return found[0]

    def AddTagsToResource(self, ResourceName, Tags):
        item = self._by_arn(ResourceName)
        names = {tag["Key"] for tag in Tags}
        item["TagList"] = [tag for tag in item["TagList"] if tag["Key"] not in names] + Tags

    def RemoveTagsFromResource(self, ResourceName, TagKeys):
        item = self._by_arn(ResourceName)
        item["TagList"] = [tag for tag in item["TagList"] if tag["Key"] not in TagKeys]

    def DescribeDBSubnetGroups(self, DBSubnetGroupName):
        if DBSubnetGroupName != "staging-db":
            self._refuse("DBSubnetGroupNotFoundFault")
        subnets = [{"SubnetAvailabilityZone": {"Name": zone}} for zone in self.zones]
        return {"DBSubnetGroups": [{"DBSubnetGroupName": DBSubnetGroupName, "VpcId": self.vpc_id, "Subnets": subnets}]}

    vpc_id: str | None = None
    zones = ("eu-west-1a", "eu-west-1b")
    family = "aurora-mysql8.0"

    def DescribeDBClusterParameters(self, DBClusterParameterGroupName, Source):
        found = self.parameters.get(DBClusterParameterGroupName, {})
        return {"Parameters": [{"ParameterName": name, "ParameterValue": value} for name, value in found.items()]}

    def ModifyDBClusterParameterGroup(self, DBClusterParameterGroupName, Parameters):
        group = self.parameters.setdefault(DBClusterParameterGroupName, {})
        group |= {one["ParameterName"]: one["ParameterValue"] for one in Parameters}
        return {"DBClusterParameterGroupName": DBClusterParameterGroupName}

    def DescribeDBClusterParameterGroups(self, DBClusterParameterGroupName):
        if DBClusterParameterGroupName == "none":
            self._refuse("DBParameterGroupNotFound")
        found = {"DBClusterParameterGroupName": DBClusterParameterGroupName, "DBParameterGroupFamily": self.family}
        return {"DBClusterParameterGroups": [found]}

    def DescribeOrderableDBInstanceOptions(self, DBInstanceClass, **_):
        return {"OrderableDBInstanceOptions": [{}] if DBInstanceClass == "db.r6g.large" else []}

    quota = (1, 100)

    def DescribeAccountAttributes(self):
        quotas = {
            "ManualClusterSnapshots": self.quota,
            "DBClusters": (len(self.clusters), 40),
            "DBInstances": (len(self.instances), 40),
        }
        return {
            "AccountQuotas": [
                {"AccountQuotaName": name, "Used": used, "Max": most} for name, (used, most) in quotas.items()
            ]
        }
