"""What calls to RDS need, and what RDS then does in the caller's name with keys, secrets, roles and tags.

Resource types as in https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonrds.html; what is done
with keys and secrets as in the Aurora User Guide ("Encrypting Amazon Aurora resources", "Password management with Amazon
Aurora and AWS Secrets Manager").
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from localcloud.iam.model import ANY, Call, Need

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from localcloud.iam.facts import Facts
    from localcloud.policy import Values

TAG = re.compile(r"^Tags\.(?:\w+\.)?(\d+)\.(Key|Value)$")
# Condition key of a resource type's tags beside aws:ResourceTag.
TAG_KEY = {
    "cluster": "rds:cluster-tag",
    "cluster-snapshot": "rds:cluster-snapshot-tag",
    "db": "rds:db-tag",
    "cluster-pg": "rds:cluster-pg-tag",
    "subgrp": "rds:subgrp-tag",
}
DEFAULT_OPTIONS = "og:default:aurora-mysql-8-0"
# Resource type, and the parameter that names it, of what each operation acts on.
ACTS_ON: dict[str, list[tuple[str, str]]] = {
    "AddRoleToDBCluster": [("cluster", "DBClusterIdentifier")],
    "CopyDBClusterSnapshot": [
        ("cluster-snapshot", "SourceDBClusterSnapshotIdentifier"),
        ("cluster-snapshot", "TargetDBClusterSnapshotIdentifier"),
    ],
    "CreateDBCluster": [
        ("cluster", "DBClusterIdentifier"),
        ("subgrp", "DBSubnetGroupName"),
        ("cluster-pg", "DBClusterParameterGroupName"),
    ],
    "CreateDBClusterParameterGroup": [("cluster-pg", "DBClusterParameterGroupName")],
    "CreateDBClusterSnapshot": [
        ("cluster", "DBClusterIdentifier"),
        ("cluster-snapshot", "DBClusterSnapshotIdentifier"),
    ],
    "CreateDBInstance": [
        ("db", "DBInstanceIdentifier"),
        ("cluster", "DBClusterIdentifier"),
        ("pg", "DBParameterGroupName"),
        ("subgrp", "DBSubnetGroupName"),
    ],
    "CreateDBSubnetGroup": [("subgrp", "DBSubnetGroupName")],
    "DeleteDBCluster": [("cluster", "DBClusterIdentifier"), ("cluster-snapshot", "FinalDBSnapshotIdentifier")],
    "DeleteDBClusterSnapshot": [("cluster-snapshot", "DBClusterSnapshotIdentifier")],
    "DeleteDBInstance": [("db", "DBInstanceIdentifier")],
    "DescribeDBClusterSnapshotAttributes": [("cluster-snapshot", "DBClusterSnapshotIdentifier")],
    "FailoverDBCluster": [("cluster", "DBClusterIdentifier")],
    "ModifyDBCluster": [("cluster", "DBClusterIdentifier"), ("cluster-pg", "DBClusterParameterGroupName")],
    "DescribeDBClusterParameters": [("cluster-pg", "DBClusterParameterGroupName")],
    "ModifyDBClusterParameterGroup": [("cluster-pg", "DBClusterParameterGroupName")],
    "ModifyDBClusterSnapshotAttribute": [("cluster-snapshot", "DBClusterSnapshotIdentifier")],
    "ModifyDBInstance": [("db", "DBInstanceIdentifier"), ("pg", "DBParameterGroupName")],
    "RebootDBInstance": [("db", "DBInstanceIdentifier")],
    "RemoveRoleFromDBCluster": [("cluster", "DBClusterIdentifier")],
    "RestoreDBClusterFromSnapshot": [
        ("cluster", "DBClusterIdentifier"),
        ("cluster-snapshot", "SnapshotIdentifier"),
        ("subgrp", "DBSubnetGroupName"),
        ("cluster-pg", "DBClusterParameterGroupName"),
    ],
    "RestoreDBClusterToPointInTime": [
        ("cluster", "SourceDBClusterIdentifier"),
        ("cluster", "DBClusterIdentifier"),
        ("subgrp", "DBSubnetGroupName"),
        ("cluster-pg", "DBClusterParameterGroupName"),
    ],
    "StartDBCluster": [("cluster", "DBClusterIdentifier")],
    "StopDBCluster": [("cluster", "DBClusterIdentifier")],
}
# Reading: without a name everything of the type is asked for.
READS: dict[str, tuple[str, str]] = {
    "DescribeDBClusterParameterGroups": ("cluster-pg", "DBClusterParameterGroupName"),
    "DescribeDBClusterSnapshots": ("cluster-snapshot", "DBClusterSnapshotIdentifier"),
    "DescribeDBClusters": ("cluster", "DBClusterIdentifier"),
    "DescribeDBInstances": ("db", "DBInstanceIdentifier"),
    "DescribeDBSnapshots": ("snapshot", "DBSnapshotIdentifier"),
    "DescribeDBLogFiles": ("db", "DBInstanceIdentifier"),
    "DescribeDBSubnetGroups": ("subgrp", "DBSubnetGroupName"),
    "DescribeExportTasks": ("cluster-snapshot", "SourceArn"),
    "DownloadCompleteDBLogFile": ("db", "DBInstanceIdentifier"),
    "DownloadDBLogFilePortion": ("db", "DBInstanceIdentifier"),
}
# What AWS takes where nothing is named.
DEFAULTS = {"cluster-pg": "default.aurora-mysql8.0", "pg": "default.aurora-mysql8.0", "subgrp": "default"}
# Operations that make something: which parameter names it.
MAKES = {
    "CopyDBClusterSnapshot": ("cluster-snapshot", "TargetDBClusterSnapshotIdentifier"),
    "CreateDBCluster": ("cluster", "DBClusterIdentifier"),
    "CreateDBClusterSnapshot": ("cluster-snapshot", "DBClusterSnapshotIdentifier"),
    "CreateDBInstance": ("db", "DBInstanceIdentifier"),
    "RestoreDBClusterFromSnapshot": ("cluster", "DBClusterIdentifier"),
    "RestoreDBClusterToPointInTime": ("cluster", "DBClusterIdentifier"),
}
EXPORTER = "export.rds.amazonaws.com"
TAGGING = {"AddTagsToResource", "RemoveTagsFromResource", "ListTagsForResource"}
NEW_SECRET = "secret:rds!cluster-00000000-0000-0000-0000-000000000000-000000"  # noqa: S105 - RDS chooses the name


def needs(call: Call, facts: Facts) -> Iterator[Need]:
    """Say what a call to RDS needs, what RDS does in the caller's name included."""
    action = f"rds:{call.action}"
    tags = _tags(call)
    asked = request_tags(tags)
    if call.action in TAGGING:
        arn = call.text("ResourceName")
        untagged = tuple(str(value) for name, value in call.parameters.items() if name.startswith("TagKeys."))
        if untagged:
            asked = {"aws:TagKeys": untagged}
        yield Need(action, arn, {**asked, **_resource_tags(arn, facts)})
        return
    if call.action in READS:
        kind, parameter = READS[call.action]
        arn = _arn(call, kind, call.text(parameter) or ANY)
        yield Need(action, arn, _resource_tags(arn, facts))
        return
    if call.action == "StartExportTask":
        yield Need(action, call.text("SourceArn") or ANY)
        yield Need("iam:PassRole", call.text("IamRoleArn"), {"iam:PassedToService": EXPORTER}, via="rds")
        yield from _keys(call, facts)
        return
    if call.action not in ACTS_ON:
        subscription = call.text("SubscriptionName")
        yield Need(action, _arn(call, "es", subscription), asked) if subscription else Need(action)
        return
    for arn in _acted_on(call):
        yield Need(action, arn, {**asked, **_resource_tags(arn, facts)})
    if tags:
        kind, parameter = MAKES[call.action]
        yield Need("rds:AddTagsToResource", _arn(call, kind, call.text(parameter)), asked, via="rds")
    if call.action == "AddRoleToDBCluster":
        yield Need("iam:PassRole", call.text("RoleArn"), {"iam:PassedToService": "rds.amazonaws.com"}, via="rds")
    yield from _keys(call, facts)
    if call.text("ManageMasterUserPassword") == "true":
        yield from _new_master_secret(call, facts)
    if call.text("RotateMasterUserPassword") == "true":
        cluster = facts.cluster(call.account, call.region, call.text("DBClusterIdentifier"))
        if cluster is not None and cluster.secret is not None:
            secret = facts.secret(call.account, call.region, cluster.secret.arn)
            context = resource_tags({tag["Key"]: tag["Value"] for tag in (secret.tags if secret else None) or ()})
            yield Need("secretsmanager:RotateSecret", cluster.secret.arn, context, via="rds")


def request_tags(tags: dict[str, str]) -> dict[str, Values]:
    """Condition keys of the tags that a call sets."""
    if not tags:
        return {}
    return {"aws:TagKeys": tuple(tags), **{f"aws:RequestTag/{key}": value for key, value in tags.items()}}


def resource_tags(tags: dict[str, str], own: str = "") -> dict[str, Values]:
    """Condition keys of the tags that a resource has.

    :param own: the service's own condition key, such as ``rds:cluster-tag``.
    """
    prefixes = ["aws:ResourceTag", *([own] if own else [])]
    return {f"{prefix}/{key}": value for prefix in prefixes for key, value in tags.items()}


def _tags(call: Call) -> dict[str, str]:
    found: dict[str, dict[str, str]] = {}
    for name, value in call.parameters.items():
        match = TAG.match(name)
        if match:
            found.setdefault(match[1], {})[match[2]] = str(value)
    return {tag["Key"]: tag.get("Value", "") for tag in found.values() if "Key" in tag}


def _resource_tags(arn: str, facts: Facts) -> dict[str, Values]:
    kind = (arn.split(":", 6) + [""] * 6)[5]
    return resource_tags(facts.rds_tags(arn), TAG_KEY.get(kind, ""))


def _arn(call: Call, kind: str, name: str) -> str:
    return call.arn("rds", name if name.startswith("arn:") else f"{kind}:{name.lower()}")


def _acted_on(call: Call) -> Iterable[str]:
    """ARNs that a call acts on, what AWS takes by default included."""
    makes_database = call.action in MAKES and MAKES[call.action][0] in {"cluster", "db"}
    for kind, parameter in ACTS_ON[call.action]:
        name = call.text(parameter)
        # a member is in the subnets of its cluster
        if not name and makes_database and not (kind == "subgrp" and call.action == "CreateDBInstance"):
            name = DEFAULTS.get(kind, "")
        if name:
            yield _arn(call, kind, name)
    if makes_database:
        yield call.arn("rds", DEFAULT_OPTIONS)


def _keys(call: Call, facts: Facts) -> Iterator[Need]:
    """Keys that RDS looks at and grants itself the use of: that of the copy or cluster, and that of the snapshot."""
    source = call.text("SourceDBClusterSnapshotIdentifier") or call.text("SnapshotIdentifier")
    names = [call.text("KmsKeyId")]
    snapshot = facts.snapshot(call.account, call.region, source) if source else None
    if snapshot is not None and snapshot.kms_key_id:
        names.append(snapshot.kms_key_id)
    seen = set()
    for name in filter(None, names):
        for need in key_needs(call, facts, name, ("DescribeKey", "CreateGrant"), via="rds"):
            if (need.action, need.resource) not in seen:
                seen.add((need.action, need.resource))
                yield need


def key_needs(call: Call, facts: Facts, name: str, operations: Iterable[str], *, via: str) -> Iterator[Need]:
    """Say what a service needs of a key in the caller's name; AWS managed keys let their service do it for everybody."""
    key = facts.key(call.account, call.region, name)
    if key is None or key.key_manager == "AWS":
        return
    region = key.arn.split(":")[3]  # a copy from another region uses the source's key there
    context: dict[str, Values] = {
        "kms:ViaService": f"{via}.{region}.amazonaws.com",
        "kms:ResourceAliases": tuple(key.aliases),
    }
    for operation in operations:
        granting: dict[str, Values] = {"kms:GrantIsForAWSResource": "true"} if operation == "CreateGrant" else {}
        by_key = facts.key_allows_directly(key, call.caller, operation)
        yield Need(f"kms:{operation}", key.arn, {**context, **granting}, by_resource=by_key, via=via)


def _new_master_secret(call: Call, facts: Facts) -> Iterator[Need]:
    """RDS makes the secret of the master user in the caller's name."""
    cluster = _arn(call, "cluster", call.text("DBClusterIdentifier"))
    asked = request_tags({"aws:rds:primaryDBClusterArn": cluster})
    secret = call.arn("secretsmanager", NEW_SECRET)
    yield Need("secretsmanager:CreateSecret", secret, asked, via="rds")
    yield Need("secretsmanager:TagResource", secret, asked, via="rds")
    name = call.text("MasterUserSecretKmsKeyId")
    if name:
        yield from key_needs(call, facts, name, ("DescribeKey", "CreateGrant"), via="rds")
        yield from key_needs(call, facts, name, ("GenerateDataKey", "Decrypt"), via="secretsmanager")
