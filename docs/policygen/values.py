"""What the placeholders of the statements stand for: values of an environment, or parameters of a template."""

from __future__ import annotations

from datetime import UTC, datetime

from aurora_ops.core import naming
from aurora_ops.core.settings import Environment
from aurora_ops.hooks.rds import DEFAULT_KEY_ALIAS

Values = dict[str, list[str]]
"""Placeholder to what it stands for; several values make several resources, none leaves the statement out."""

ROLE_NAMES = {
    "orchestrator": "aurora-ops-orchestrator",
    "source": "aurora-ops-source",
    "target": "aurora-ops-destination",
}
_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)


def of_environment(settings: Environment, place: str) -> Values:
    """Fill in the values of an environment.

    :param settings: its settings.
    :param place: section of the settings whose account the policy is for.
    """
    source, target, orchestrator = settings.source, settings.target, settings.orchestrator
    here = getattr(settings, place)
    clusters = list(dict.fromkeys([target.cluster, *settings.safety.allowed_clusters]))
    temporary = [naming.temporary_cluster(cluster) for cluster in clusters]
    old = [naming.old_cluster(cluster) for cluster in clusters]
    return {
        **_of_files(settings, place),
        "Partition": ["aws"],
        "Account": [here.account_id],
        "Region": [here.region],
        "Environment": [settings.environment],
        "SourceAccount": [source.account_id],
        "SourceRegion": [source.region],
        "SourceCluster": [source.cluster],
        "SourceKey": _given(source.kms_key_id),
        "DefaultKey": [DEFAULT_KEY_ALIAS],
        "SchemaSecret": _given(source.schema_secret),
        "FreshSnapshots": [_snapshots(settings, "refresh")],
        "RekeyedSnapshots": [_snapshots(settings, "rekeyed")],
        "CopiedSnapshots": [_snapshots(settings, "copy")],
        "ManualSnapshots": [f"{purpose}-{settings.environment}-*" for purpose in ("manual", "final")],
        "TargetRole": [target.role_arn],
        "TargetAccount": [target.account_id],
        "TargetCluster": clusters,
        "TemporaryCluster": temporary,
        "OldCluster": old,
        "Instances": _shortest(pattern for name in (*clusters, *temporary, *old) for pattern in _instances(name)),
        "TargetKey": [target.kms_key_id],
        "MasterSecretKey": _given(target.master_secret_kms_key_id),
        "SubnetGroup": [target.subnet_group],
        "ParameterGroup": [target.parameter_group or "*"],
        "S3Role": _given(target.s3_role_arn),
        "UserSecrets": [f"{user.secret}-??????" for user in settings.database.users],
        "KeepBucket": _given(settings.database.keep_bucket),
        "SqlBucket": _given(settings.database.sql_bucket),
        "SqlFunction": _given(settings.database.sql_function),
        "EndpointParameter": _given(target.endpoint_parameter and target.endpoint_parameter.lstrip("/")),
        "EksCluster": [settings.eks.cluster] if settings.eks else [],
        "Nodegroups": list(settings.eks.nodegroups) if settings.eks else [],
        "RunsTable": [orchestrator.runs_table],
        "Topic": _given(orchestrator.topic_arn),
        "ReportBucket": _given(orchestrator.report_bucket),
        "MetricsNamespace": _given(orchestrator.metrics_namespace),
    }


def _of_files(settings: Environment, place: str) -> Values:
    """Fill in what the environment says of files; nothing where it has none."""
    files = settings.files
    if files is None:
        return {name: [] for name in FILES}
    at_source = place == "source"
    source = files.source_file_system
    return {
        "Vault": [files.source_vault if at_source else files.vault],
        "BackupRole": [files.source_backup_role_arn if at_source else files.backup_role_arn],
        "ProbeRole": _given(files.source_function_role_arn if at_source else files.function_role_arn),
        "ReplicationRole": _given(files.replication_role_arn),
        "SourceFileSystem": [source if source.startswith("fs-") else "*"],
        "FilesKey": [files.kms_key_id or settings.target.kms_key_id],
        "FilesParameters": [files.id_parameter.lstrip("/"), files.subpath_parameter.lstrip("/")],
    }


def of_template(place: str) -> Values:
    """Fill in references to a template's parameters, as ``Fn::Sub`` reads them."""
    same = {name: [f"${{{name}}}"] for name in PARAMETERS[place]}
    snapshots = "-${Environment}-${SourceCluster}-*"
    return {
        **{name: [] for name in PARAMETERS["source"] | PARAMETERS["target"] | PARAMETERS["orchestrator"]},
        "Partition": ["${AWS::Partition}"],
        "Account": ["${AWS::AccountId}"],
        "Region": ["${AWS::Region}"],
        "DefaultKey": [DEFAULT_KEY_ALIAS],
        "FreshSnapshots": [f"refresh{snapshots}"],
        "RekeyedSnapshots": [f"rekeyed{snapshots}"],
        "CopiedSnapshots": [f"copy{snapshots}"],
        "ManualSnapshots": ["manual-${Environment}-*", "final-${Environment}-*"],
        "TemporaryCluster": ["${TargetCluster}-restore"],
        "OldCluster": ["${TargetCluster}-old"],
        "Instances": ["${TargetCluster}-*"],
        **same,
        "Nodegroups": ["*"] if place == "target" else [],
        "UserSecrets": ["${UserSecretPrefix}*"],
        "RunsTable": ["${RunsTableName}"],
        "Topic": ["arn:${AWS::Partition}:sns:${AWS::Region}:${AWS::AccountId}:${TopicName}"],
    }


FILES = ("Vault", "BackupRole", "ProbeRole", "ReplicationRole", "SourceFileSystem", "FilesKey", "FilesParameters")

# Parameters that become values of statements, with what they say.
PARAMETERS: dict[str, dict[str, str]] = {
    "orchestrator": {
        "RunsTableName": "DynamoDB table of locks and records, setting orchestrator.runs_table",
        "TopicName": "SNS topic of announcements, last part of setting orchestrator.topic_arn",
        "ReportBucket": "Bucket for reports of runs, setting orchestrator.report_bucket",
        "MetricsNamespace": "CloudWatch namespace, setting orchestrator.metrics_namespace",
    },
    "source": {
        "Environment": "Name of the environment's file in include/config",
        "SourceCluster": "Cluster that is read, setting source.cluster",
        "SourceKey": "Alias of the key that its snapshots are shared under, setting source.kms_key_id",
        "SchemaSecret": "Secret of a read-only user, setting source.schema_secret",
        "Vault": "Backup vault of the file system, setting files.source_vault",
        "BackupRole": "ARN of the role that AWS Backup assumes, setting files.source_backup_role_arn",
        "ProbeRole": "ARN of the role of the function that looks into files, setting files.source_function_role_arn",
        "ReplicationRole": "ARN of the role that EFS assumes, setting files.replication_role_arn",
        "SourceFileSystem": "Id of the file system, of setting files.source_file_system, or *",
        "TargetRole": "ARN of the role in the target's account, setting target.role_arn",
        "TargetAccount": "Account that may clone the source, setting target.account_id",
    },
    "target": {
        "Environment": "Name of the environment's file in include/config",
        "SourceAccount": "Account that shares snapshots, setting source.account_id",
        "SourceRegion": "Region of the source, setting source.region",
        "SourceCluster": "Cluster that is read, setting source.cluster",
        "TargetCluster": "Cluster that is replaced, setting target.cluster; at most 55 characters",
        "TargetKey": "Alias of the key of the new cluster, setting target.kms_key_id",
        "MasterSecretKey": "Alias of the key of its master secret, setting target.master_secret_kms_key_id",
        "SubnetGroup": "DB subnet group, setting target.subnet_group",
        "ParameterGroup": "DB cluster parameter group, setting target.parameter_group",
        "S3Role": "ARN of the role that is attached to the cluster, setting target.s3_role_arn",
        "UserSecretPrefix": "Beginning of the names of the users' secrets, settings database.users",
        "KeepBucket": "Bucket for kept tables, setting database.keep_bucket",
        "Vault": "Backup vault that takes copies, setting files.vault",
        "BackupRole": "ARN of the role that AWS Backup assumes, setting files.backup_role_arn",
        "ProbeRole": "ARN of the role of the function that looks into files, setting files.function_role_arn",
        "FilesKey": "Alias of the key of new file systems, setting files.kms_key_id",
        "FilesParameters": "SSM parameters of the files without their first slash, as a pattern, settings files.*_parameter",
        "EksCluster": "EKS cluster for jobs and storage, setting eks.cluster",
        "SqlBucket": "Bucket with SQL scripts, setting database.sql_bucket",
        "SqlFunction": "Lambda function that runs SQL, setting database.sql_function",
        "EndpointParameter": "SSM parameter of the endpoint without its first slash, setting target.endpoint_parameter",
    },
}


def _given(value: str | None) -> list[str]:
    return [value] if value else []


def _snapshots(settings: Environment, purpose: str) -> str:
    """Write the pattern of the snapshots that runs make, whatever their moment."""
    name = naming.snapshot(settings.source.cluster, settings.environment, _MOMENT, purpose)
    return name.removesuffix(naming.stamp(_MOMENT)) + "*"


def _instances(cluster: str) -> list[str]:
    """Write the patterns of a cluster's instances: a long name is cut where the number has two digits."""
    return [naming.instance(cluster, number).removesuffix(str(number)) + "*" for number in (1, 10)]


def _shortest(patterns: object) -> list[str]:
    """Leave out patterns that another one covers."""
    wanted = list(dict.fromkeys(patterns))  # type: ignore[call-overload]
    return [
        pattern
        for pattern in wanted
        if not any(other != pattern and pattern.startswith(other.removesuffix("*")) for other in wanted)
    ]
