"""The four accounts with what a company has there before the first refresh. Through the AWS API; harmless to repeat."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from localcloud.client import admin_client
from localcloud.names import (
    ACCOUNT_NAMES,
    AIRFLOW_USER,
    AIRFLOW_USER_ARN,
    EXTERNAL_ID,
    ORCHESTRATOR_ROLE_ARN,
    PRODUCTION,
    ROLES,
    SHARED,
    STAGING,
)
from localcloud.seed.apps import seed_apps, seed_claims
from localcloud.seed.clusters import seed_production_cluster, seed_staging_cluster
from localcloud.seed.files import PRODUCTION_FILES, STAGING_FILES, seed_production_files, seed_staging_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from localcloud.config import CloudConfig

RUNS_TABLE = "aurora-ops-runs"
AUDIT_TABLE = "aurora-ops-audit"
TOPIC = "aurora-ops"
QUEUE = "aurora-ops-inbox"
BUCKET = f"aurora-ops-{STAGING}"
SQL_BUCKET = f"aurora-ops-sql-{STAGING}"
REPORT_BUCKET = f"aurora-ops-{SHARED}"
COPY_REGION = "eu-central-1"
AUDIT_BUCKET = f"aurora-ops-audit-{SHARED}"
LOGS_TABLE = "aurora-ops-audit-logs"
EXPORTS_TABLE = "aurora-ops-exports"
LOGS_BUCKET = f"aurora-ops-audit-logs-{SHARED}"
# Who was there and which statements were run, but not every SET: sessions are given secrets in variables.
AUDITED = "CONNECT,QUERY_DCL,QUERY_DDL,QUERY_DML,TABLE"
ENDPOINT_PARAMETER = "/staging/shop/database/endpoint"
S3_ROLE = "staging-shop-aurora-s3"
POLICY = "aurora-ops"
POLICY_FILES = {SHARED: "orchestrator", PRODUCTION: "source", STAGING: "destination"}


def seed(config: CloudConfig, say: Callable[[str], None] = print) -> None:
    """Fill everything; what is there already stays as it is.

    :param say: told about each step.
    """
    seed_roles(config)
    say("accounts: a role for Airflow in each of " + ", ".join(ACCOUNT_NAMES))
    if config.iam_policies is not None:
        attach_policies(config, config.iam_policies)
        say(f"accounts: identity policies of {config.iam_policies}")
    with ThreadPoolExecutor(4, thread_name_prefix="seed") as pool:
        for part in [pool.submit(part, config, say) for part in (_shared, _production, _staging, _apps)]:
            part.result()
    seed_claims(config, say)
    config.seeded_file.touch()


def seed_roles(config: CloudConfig) -> None:
    """Create the role of every account by which Airflow works there."""
    for account in ACCOUNT_NAMES:
        trusted = [AIRFLOW_USER_ARN] if account == SHARED else [AIRFLOW_USER_ARN, ORCHESTRATOR_ROLE_ARN]
        _create(
            admin_client(account, "iam", config).create_role,
            "EntityAlreadyExists",
            RoleName=ROLES[account],
            AssumeRolePolicyDocument=_trust_policy(*trusted),
            MaxSessionDuration=43200,
            Description="Airflow's work on Aurora",
        )


def attach_policies(config: CloudConfig, folder: Path) -> None:
    """Attach the policies of a folder to the identities by which Airflow works; those of another seed are replaced.

    :param folder: ``orchestrator.json``, ``source.json``, ``destination.json`` for the roles, and what else begins with one of
        these names and a hyphen; ``worker.json`` for the user.
    """
    for account, name in POLICY_FILES.items():
        for file in (folder / f"{name}.json", *folder.glob(f"{name}-*.json")):
            admin_client(account, "iam", config).put_role_policy(
                RoleName=ROLES[account],
                PolicyName=f"{POLICY}{file.stem.removeprefix(name)}",
                PolicyDocument=file.read_text(encoding="utf-8"),
            )
    worker = (folder / "worker.json").read_text(encoding="utf-8")
    admin_client(SHARED, "iam", config).put_user_policy(UserName=AIRFLOW_USER, PolicyName=POLICY, PolicyDocument=worker)


def _shared(config: CloudConfig, say: Callable[[str], None]) -> None:
    for table in (RUNS_TABLE, AUDIT_TABLE, LOGS_TABLE, EXPORTS_TABLE):
        _table(config, table)
    topic = admin_client(SHARED, "sns", config).create_topic(Name=TOPIC)["TopicArn"]
    sqs = admin_client(SHARED, "sqs", config)
    url = sqs.create_queue(QueueName=QUEUE)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": _topic_may_send(topic, arn)})
    admin_client(SHARED, "sns", config).subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    _bucket(config, SHARED, REPORT_BUCKET)
    for bucket in (AUDIT_BUCKET, LOGS_BUCKET):
        _bucket(config, SHARED, bucket, locks=True)
    say(
        f"shared services: tables {RUNS_TABLE}, {AUDIT_TABLE}, {LOGS_TABLE} and {EXPORTS_TABLE}, topic {TOPIC}, queue {QUEUE},"
        f" buckets {REPORT_BUCKET}, {AUDIT_BUCKET} and {LOGS_BUCKET}"
    )


def _production(config: CloudConfig, say: Callable[[str], None]) -> None:
    key = _key(config, PRODUCTION, "alias/shop-prod")
    vpc, subnets = _network(config, PRODUCTION, "production", "10.1")
    _subnet_group(config, PRODUCTION, "prod-db", subnets)
    group = _security_group(config, PRODUCTION, vpc, "prod-shop-db", "10.1.0.0/16")
    _audited_group(config, PRODUCTION, "prod-shop", "shop in production")
    say("production: network and key alias/shop-prod")
    with ThreadPoolExecutor(1, thread_name_prefix="files") as pool:
        files = pool.submit(seed_production_files, config, key, vpc, subnets)
        seed_production_cluster(config, key, group, say)
        say(f"production: file system {PRODUCTION_FILES} {files.result()} and a backup of it")


def _staging(config: CloudConfig, say: Callable[[str], None]) -> None:
    key = _key(config, STAGING, "alias/shop-staging")
    _key(replace(config, region=COPY_REGION), STAGING, "alias/shop-staging")  # copies of snapshots are kept there
    vpc, subnets = _network(config, STAGING, "staging", "10.2")
    _subnet_group(config, STAGING, "staging-db", subnets)
    group = _security_group(config, STAGING, vpc, "staging-shop-db", "10.2.0.0/16")
    # No rule lets anybody in: a database restored from production is reached by nobody but the refresh.
    _security_group(config, STAGING, vpc, "staging-shop-restore", None)
    _audited_group(config, STAGING, "staging-shop", "shop in staging")
    _create(
        admin_client(STAGING, "iam", config).create_role,
        "EntityAlreadyExists",
        RoleName=S3_ROLE,
        AssumeRolePolicyDocument=_document(Principal={"Service": "rds.amazonaws.com"}, Action="sts:AssumeRole"),
    )
    _bucket(config, STAGING, BUCKET)
    _bucket(config, STAGING, SQL_BUCKET)
    say(f"staging: network, key alias/shop-staging, role {S3_ROLE}, buckets {BUCKET} and {SQL_BUCKET}")
    with ThreadPoolExecutor(1, thread_name_prefix="files") as pool:
        files = pool.submit(seed_staging_files, config, key, vpc, subnets)
        endpoint = seed_staging_cluster(config, key, group, say)
        say(f"staging: file system {STAGING_FILES} {files.result()}")
    _create(
        admin_client(STAGING, "ssm", config).put_parameter,
        "ParameterAlreadyExists",
        Name=ENDPOINT_PARAMETER,
        Type="String",
        Value=endpoint,
        Description="where the applications of staging find the shop database",
    )


def _apps(config: CloudConfig, say: Callable[[str], None]) -> None:
    """Beside the rest of staging, since a cluster takes its time."""
    _, subnets = _network(config, STAGING, "staging-apps", "10.3")
    seed_apps(config, subnets, say)


def _audited_group(config: CloudConfig, account: str, name: str, description: str) -> None:
    """Create a cluster parameter group by which clusters are audited."""
    rds = admin_client(account, "rds", config)
    _create(
        rds.create_db_cluster_parameter_group,
        "DBParameterGroupAlreadyExists",
        DBClusterParameterGroupName=name,
        DBParameterGroupFamily="aurora-mysql8.0",
        Description=description,
    )
    values = {"server_audit_events": AUDITED, "server_audit_logging": "1"}
    rds.modify_db_cluster_parameter_group(
        DBClusterParameterGroupName=name,
        Parameters=[
            {"ParameterName": key, "ParameterValue": values[key], "ApplyMethod": "immediate"} for key in values
        ],
    )


def _table(config: CloudConfig, name: str) -> None:
    """Create a table whose items have two keys and may expire."""
    dynamodb = admin_client(SHARED, "dynamodb", config)
    _create(
        dynamodb.create_table,
        "ResourceInUseException",
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    _create(
        dynamodb.update_time_to_live,
        "ValidationException",
        TableName=name,
        TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"},
    )


def _bucket(config: CloudConfig, account: str, name: str, *, locks: bool = False) -> None:
    """Create a bucket that encrypts what it is given and that nobody outside can read.

    :param locks: it keeps versions, and may keep them from being changed (Object Lock).
    """
    s3 = admin_client(account, "s3", config)
    place = {} if config.region == "us-east-1" else {"LocationConstraint": config.region}
    _create(
        s3.create_bucket,
        "BucketAlreadyOwnedByYou",
        Bucket=name,
        **({"CreateBucketConfiguration": place} if place else {}),
        **({"ObjectLockEnabledForBucket": True} if locks else {}),
    )
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [rule]})
    s3.put_public_access_block(
        Bucket=name,
        PublicAccessBlockConfiguration=dict.fromkeys(
            ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
        ),
    )


def _create(operation: Callable[..., dict[str, Any]], exists: str, **parameters: Any) -> None:
    """Call a creating operation; the error ``exists`` says that the thing is there already."""
    try:
        operation(**parameters)
    except ClientError as error:
        if error.response["Error"]["Code"] != exists:
            raise


def _document(**statement: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


def _trust_policy(*principals: str) -> str:
    """Trust exactly these principals, and only with the ExternalId."""
    return _document(
        Principal={"AWS": list(principals)},
        Action="sts:AssumeRole",
        Condition={"StringEquals": {"sts:ExternalId": EXTERNAL_ID}},
    )


def _topic_may_send(topic_arn: str, queue_arn: str) -> str:
    return _document(
        Principal={"Service": "sns.amazonaws.com"},
        Action="sqs:SendMessage",
        Resource=queue_arn,
        Condition={"ArnEquals": {"aws:SourceArn": topic_arn}},
    )


def _key(config: CloudConfig, account: str, alias: str) -> str:
    """ARN of the customer key behind an alias. Its policy is KMS's default: the own account, so others need a grant."""
    kms = admin_client(account, "kms", config)
    try:
        return str(kms.describe_key(KeyId=alias)["KeyMetadata"]["Arn"])
    except kms.exceptions.NotFoundException:
        key = kms.create_key(Description=f"{alias.removeprefix('alias/')} databases")["KeyMetadata"]
        kms.create_alias(AliasName=alias, TargetKeyId=key["KeyId"])
        return str(key["Arn"])


def _network(config: CloudConfig, account: str, name: str, prefix: str) -> tuple[str, list[str]]:
    """VPC and its subnets, one in each of three zones.

    :param prefix: first half of the VPC's /16.
    """
    ec2 = admin_client(account, "ec2", config)
    found = ec2.describe_vpcs(Filters=[{"Name": "tag:Name", "Values": [name]}])["Vpcs"]
    if found:
        subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [found[0]["VpcId"]]}])["Subnets"]
        return found[0]["VpcId"], [subnet["SubnetId"] for subnet in subnets]
    tags = [{"Key": "Name", "Value": name}]
    vpc = ec2.create_vpc(CidrBlock=f"{prefix}.0.0/16", TagSpecifications=[{"ResourceType": "vpc", "Tags": tags}])[
        "Vpc"
    ]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"{prefix}.{number}.0/24", AvailabilityZone=f"{config.region}{zone}")
        for number, zone in enumerate("abc")
    ]
    return vpc, [subnet["Subnet"]["SubnetId"] for subnet in subnets]


def _subnet_group(config: CloudConfig, account: str, name: str, subnets: list[str]) -> None:
    rds = admin_client(account, "rds", config)
    try:
        rds.describe_db_subnet_groups(DBSubnetGroupName=name)
    except rds.exceptions.DBSubnetGroupNotFoundFault:
        rds.create_db_subnet_group(
            DBSubnetGroupName=name, DBSubnetGroupDescription="private subnets for databases", SubnetIds=subnets
        )


def _security_group(config: CloudConfig, account: str, vpc: str, name: str, allowed: str | None) -> str:
    """Id of a security group that lets MySQL in from a network, or nobody."""
    ec2 = admin_client(account, "ec2", config)
    filters = [{"Name": "group-name", "Values": [name]}, {"Name": "vpc-id", "Values": [vpc]}]
    found = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    if found:
        return str(found[0]["GroupId"])
    group = str(ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"])
    if allowed:
        ranges = [{"CidrIp": allowed, "Description": "applications"}]
        ec2.authorize_security_group_ingress(
            GroupId=group,
            IpPermissions=[
                {"IpProtocol": "tcp", "FromPort": config.db_port, "ToPort": config.db_port, "IpRanges": ranges}
            ],
        )
    return group
