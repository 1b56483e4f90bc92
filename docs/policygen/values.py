"""What the placeholders of the statements stand for: values of an environment, or parameters of a template."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import takewhile

from aurora_ops.core import naming, retention_plan
from aurora_ops.core.exports import names as export_names
from aurora_ops.core.partitions import of_region
from aurora_ops.core.requests.aurora import LONGEST_LABEL
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
    temporary = [_restored(cluster) for cluster in clusters]
    old = [naming.old_cluster(cluster) for cluster in clusters]
    return {
        **_of_files(settings, place),
        **_of_retention(settings, place),
        **_of_logs(settings, place),
        **_of_exports(settings, place),
        "Partition": [of_region(here.region)],
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
        "Instances": _shortest([*temporary, *(pattern for name in (*clusters, *old) for pattern in _instances(name))]),
        "TargetKey": [target.kms_key_id],
        "MasterSecretKey": _given(target.master_secret_kms_key_id),
        "SubnetGroup": [target.subnet_group],
        "ParameterGroup": [target.parameter_group or "*"],
        "S3Role": _given(target.s3_role_arn),
        "UserSecrets": [
            f"{secret}-??????" for secret in dict.fromkeys(user.secret for user in settings.database.users)
        ],
        "RestoreSecrets": [f"{secret}-??????" for secret in settings.restore.secrets],
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
        "AuditTable": _given(orchestrator.audit_table),
        "AuditBucket": _given(orchestrator.audit_bucket),
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


def _of_retention(settings: Environment, place: str) -> Values:
    """Fill in what the environment says of keeping snapshots; nothing where no cluster of the account is under a policy."""
    here = [where for of_cluster in retention_plan.places(settings) for where in of_cluster if where.place == place]
    kept = [
        retention_plan.copy_name(settings, where, _MOMENT).removesuffix(naming.stamp(_MOMENT)) + "*" for where in here
    ]
    prefixes = [f"{prefix}*" for where in here for prefix in where.prefixes]
    keys = [where.kms_key_id for where in here if where.copies and where.kms_key_id]
    account = getattr(settings, place).account_id
    copied = _once(where.region for where in here if where.copies)
    sources = [*(f"rds:{where.cluster}-*" for where in here), *kept, *prefixes]
    return {
        "RetainedRegion": _once(where.region for where in here),
        "CopyRegion": copied,
        "KeptSnapshots": _once(kept),
        "RetainedPrefix": _once(prefixes),
        "RetainedSource": _once(sources) if copied else [],
        "CopyKey": _once(key for key in keys if key.startswith("alias/")),
        "CopyKeyArn": _once(
            key if key.startswith("arn:") else f"arn:{of_region(where.region)}:kms:{where.region}:{account}:key/{key}"
            for where in here
            if where.copies and (key := where.kms_key_id) and not key.startswith("alias/")
        ),
    }


def _of_logs(settings: Environment, place: str) -> Values:
    """Fill in what the environment says of audit logs; nothing where none are backed up, and of regions where they are not read."""
    about = settings.audit_logs
    if about is None:
        return {name: [] for name in LOGS}
    connection = getattr(settings, place).aws_conn_id
    return {
        "LogTable": [about.state_table],
        "LogBucket": [about.bucket],
        "LogObjects": [f"{about.prefix}/*" if about.prefix else "*"],
        "LogRecords": [about.compacting.prefix],
        "LogDatabase": _given(about.compaction.database if about.compaction else None),
        "LogKey": _given(about.storage.kms_key_id),
        "LogRegion": _once(one.region for one in about.places if one.aws_conn_id == connection),
    }


def _of_exports(settings: Environment, place: str) -> Values:
    """Fill in what the environment says of exports; nothing of an account none of whose databases is exported."""
    about = settings.exports
    if about is None:
        return {name: [] for name in EXPORTS}
    here = [one for one in about.databases if one.account == place]
    section = getattr(settings, place)
    account, partition = section.account_id, of_region(section.region)
    copied = [one for one in here if one.copy_first]
    return {
        "ExportTable": [about.state_table],
        "ExportRegion": _once(
            region for one in here for region in (section.region, one.copy_first and one.copy_first.region) if region
        ),
        "ExportBucket": _once(one.bucket or export_names.setup(one.name, account) for one in here),
        "ExportRole": _once(
            one.role_arn or f"arn:{partition}:iam::{account}:role/{export_names.role(one.name)}" for one in here
        ),
        "ExportKey": _once(one.kms_key_id or export_names.alias(one.name) for one in here),
        "ExportCopyKey": _once(one.copy_first.kms_key_id for one in here if one.copy_first),
        "ExportDefaultKey": [DEFAULT_KEY_ALIAS] if here else [],
        "ExportAnswers": [export_names.ANSWERS] if here else [],
        "ExportDatabase": _once(one.glue_database for one in here),
        "ExportWorkgroup": _once(one.catalogue.workgroup or export_names.workgroup(one.name) for one in here),
        "ExportCrawler": [export_names.crawler(one.name) for one in here if one.catalogue.by == "crawler"],
        "ExportCopied": ["*"] if copied else [],
        "ExportCopies": [f"export-{settings.environment}-*"] if copied else [],
        "ExportedSnapshots": ["*"] if here else [],
        "EventQueue": [about.events.queue or export_names.queue(settings.environment)] if about.events else [],
        "SnapshotEvents": [export_names.topic(settings.environment)],
    }


def of_template(place: str) -> Values:
    """Fill in references to a template's parameters, as ``Fn::Sub`` reads them."""
    same = {name: [f"${{{name}}}"] for name in PARAMETERS[place]}
    snapshots = "-${Environment}-${SourceCluster}-*"
    return {
        **{name: [] for name in PARAMETERS["source"] | PARAMETERS["target"] | PARAMETERS["orchestrator"]},
        **{name: [] for name in (*RETENTION, *LOGS, *EXPORTS)},
        "Partition": ["${AWS::Partition}"],
        "Account": ["${AWS::AccountId}"],
        "Region": ["${AWS::Region}"],
        "DefaultKey": [DEFAULT_KEY_ALIAS],
        "FreshSnapshots": [f"refresh{snapshots}"],
        "RekeyedSnapshots": [f"rekeyed{snapshots}"],
        "CopiedSnapshots": [f"copy{snapshots}"],
        "ManualSnapshots": ["manual-${Environment}-*", "final-${Environment}-*"],
        "TemporaryCluster": ["${TargetCluster}-restore*"],
        "OldCluster": ["${TargetCluster}-old"],
        "Instances": ["${TargetCluster}-*"],
        **same,
        **(_RETENTION_OF_TEMPLATE if place == "target" else {}),
        "UserSecrets": ["${UserSecretPrefix}*"],
        "RestoreSecrets": ["${RestoreSecretPrefix}*"],
        "RunsTable": ["${RunsTableName}"],
        "AuditTable": ["${AuditTableName}"],
        **({"LogTable": ["${LogTableName}"]} if place == "orchestrator" else {}),
        **({} if place == "orchestrator" else {"LogRegion": ["${AWS::Region}"]}),
        **({"ExportTable": ["${ExportTableName}"]} if place == "orchestrator" else _EXPORTS_OF_TEMPLATE),
        "Topic": ["arn:${AWS::Partition}:sns:${AWS::Region}:${AWS::AccountId}:${TopicName}"],
    }


RETENTION = (
    "RetainedRegion", "CopyRegion", "KeptSnapshots", "RetainedPrefix", "RetainedSource", "CopyKey", "CopyKeyArn",
)  # fmt: skip
_RETENTION_OF_TEMPLATE: Values = {
    "RetainedRegion": ["${AWS::Region}", "${CopyRegion}"],
    "KeptSnapshots": ["kept-${Environment}-${TargetCluster}-*"],
    "RetainedPrefix": ["${RetainedPrefix}*"],
    "RetainedSource": ["rds:${TargetCluster}-*", "kept-${Environment}-${TargetCluster}-*"],
}

# As the setup names things; a pattern stands for several exports.
_EXPORTS_OF_TEMPLATE: Values = {
    "ExportRegion": ["${AWS::Region}"],
    "ExportedSnapshots": ["*"],
    "ExportBucket": ["aurora-ops-export-${ExportName}-${AWS::AccountId}"],
    "ExportRole": ["arn:${AWS::Partition}:iam::${AWS::AccountId}:role/aurora-ops-export-${ExportName}"],
    "ExportKey": ["alias/aurora-ops-export-${ExportName}"],
    "ExportDefaultKey": [DEFAULT_KEY_ALIAS],
    "ExportAnswers": [export_names.ANSWERS],
    "ExportDatabase": ["${ExportDatabase}"],
    "ExportWorkgroup": ["aurora-ops-export-${ExportName}"],
    "ExportCrawler": ["aurora-ops-export-${ExportName}"],
    "SnapshotEvents": ["aurora-ops-*-snapshot-events"],
}

LOGS = ("LogTable", "LogBucket", "LogObjects", "LogRecords", "LogDatabase", "LogKey", "LogRegion")

EXPORTS = (
    "ExportTable",
    "ExportRegion",
    "ExportedSnapshots",
    "ExportBucket",
    "ExportRole",
    "ExportKey",
    "ExportCopyKey",
    "ExportDefaultKey",
    "ExportAnswers",
    "ExportDatabase",
    "ExportWorkgroup",
    "ExportCrawler",
    "ExportCopied",
    "ExportCopies",
    "EventQueue",
    "SnapshotEvents",
)

FILES = ("Vault", "BackupRole", "ProbeRole", "ReplicationRole", "SourceFileSystem", "FilesKey", "FilesParameters")

# Parameters that become values of statements, with what they say.
PARAMETERS: dict[str, dict[str, str]] = {
    "orchestrator": {
        "RunsTableName": "DynamoDB table of locks and records, setting orchestrator.runs_table",
        "TopicName": "SNS topic of announcements, last part of setting orchestrator.topic_arn",
        "ReportBucket": "Bucket for reports of runs, setting orchestrator.report_bucket",
        "MetricsNamespace": "CloudWatch namespace, setting orchestrator.metrics_namespace",
        "AuditTableName": "DynamoDB table of audit trails, setting orchestrator.audit_table",
        "AuditBucket": "Versioned bucket for exported audit trails, setting orchestrator.audit_bucket",
        "LogTableName": "DynamoDB table of what is stored of audit logs, setting audit_logs.state_table",
        "LogBucket": "Bucket for audit logs, setting audit_logs.bucket",
        "LogObjects": "Keys of what is stored of them, as a pattern, setting audit_logs.prefix",
        "LogRecords": "Beginning of the keys of what is made of them, setting audit_logs.compaction.prefix",
        "LogDatabase": "Database of AWS Glue for the table of records, setting audit_logs.compaction.database",
        "LogKey": "Alias of the key that they are encrypted with, setting audit_logs.storage.kms_key_id",
        "ExportTableName": "DynamoDB table of what became of snapshots, setting exports.state_table",
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
        "ExportName": "Name of the export, setting exports.databases[].name; a pattern for several",
        "ExportDatabase": "Database of AWS Glue of the export, its name with underscores, or setting catalogue.database",
        "EventQueue": "SQS queue of snapshots' events, setting exports.events.queue, or the one that snapshot_export_setup makes",
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
        "RestoreSecretPrefix": "Beginning of the names of secrets that a restore may be given, setting restore.secrets",
        "KeepBucket": "Bucket for kept tables, setting database.keep_bucket",
        "Vault": "Backup vault that takes copies, setting files.vault",
        "BackupRole": "ARN of the role that AWS Backup assumes, setting files.backup_role_arn",
        "ProbeRole": "ARN of the role of the function that looks into files, setting files.function_role_arn",
        "FilesKey": "Alias of the key of new file systems, setting files.kms_key_id",
        "FilesParameters": "SSM parameters of the files without their first slash, as a pattern, settings files.*_parameter",
        "CopyRegion": "Region in which copies of snapshots are kept, setting retention.clusters[].copy_to; else the stack's own",
        "CopyKey": "Alias of their key there, setting retention.clusters[].copy_to",
        "RetainedPrefix": "Beginning of the names of other snapshots under the policy, setting retention.clusters[].name_prefixes",
        "EksCluster": "EKS cluster for jobs and storage, setting eks.cluster",
        "Nodegroups": "Node group that jobs may have scaled, setting eks.nodegroups; a pattern for several",
        "SqlBucket": "Bucket with SQL scripts, setting database.sql_bucket",
        "SqlFunction": "Lambda function that runs SQL, setting database.sql_function",
        "ExportName": "Name of the export, setting exports.databases[].name; a pattern for several",
        "ExportDatabase": "Database of AWS Glue of the export, its name with underscores, or setting catalogue.database",
        "EventQueue": "SQS queue of snapshots' events, setting exports.events.queue, or the one that snapshot_export_setup makes",
        "EndpointParameter": "SSM parameter of the endpoint without its first slash, setting target.endpoint_parameter",
    },
}


def _once(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _given(value: str | None) -> list[str]:
    return [value] if value else []


def _snapshots(settings: Environment, purpose: str) -> str:
    """Write the pattern of the snapshots that runs make, whatever their moment."""
    name = naming.snapshot(settings.source.cluster, settings.environment, _MOMENT, purpose)
    return name.removesuffix(naming.stamp(_MOMENT)) + "*"


def _restored(cluster: str) -> str:
    """Write the pattern of the clusters that are restored beside one, and of their instances: a long name is cut for a label."""
    names = (
        naming.temporary_cluster(cluster),
        *(naming.restored_cluster(cluster, label) for label in (None, "l" * LONGEST_LABEL)),
    )
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    return "".join(letters[0] for letters in same) + "*"


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
