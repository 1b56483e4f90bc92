"""What the tests of exports share: a bucket, a key and a role as AWS documents them, and reading what was exported."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.local.cloud.rds_helpers import in_region, watch

if TYPE_CHECKING:
    from tests.local.cloud.conftest import LocalCloud

ENDS = ("COMPLETE", "FAILED", "CANCELED")
SERVICE = "export.rds.amazonaws.com"
ACTIONS = ["s3:PutObject*", "s3:GetObject*", "s3:ListBucket", "s3:DeleteObject*", "s3:GetBucketLocation"]


@dataclass(frozen=True)
class Place:
    """Where exports of an account go."""

    cloud: LocalCloud
    account: str
    bucket: str
    role: str
    key: str

    def arguments(self, task: str, source: str, **changes: Any) -> dict[str, Any]:
        """Arguments of StartExportTask."""
        return {
            "ExportTaskIdentifier": task,
            "SourceArn": source,
            "S3BucketName": self.bucket,
            "IamRoleArn": self.role,
            "KmsKeyId": self.key,
            **changes,
        }

    def start(self, task: str, source: str, **changes: Any) -> dict[str, Any]:
        """Start a task."""
        rds = self.cloud.client(self.account, "rds")
        started: dict[str, Any] = rds.start_export_task(**self.arguments(task, source, **changes))
        return started

    def describe(self, task: str) -> dict[str, Any]:
        """Describe a task."""
        rds = self.cloud.client(self.account, "rds")
        found: dict[str, Any] = rds.describe_export_tasks(ExportTaskIdentifier=task)["ExportTasks"][0]
        return found

    def wait(self, task: str, *goals: str) -> dict[str, Any]:
        """Wait until a task has ended, and describe it."""
        watch(lambda: str(self.describe(task)["Status"]), *(goals or ENDS))
        return self.describe(task)

    def run(self, task: str, source: str, **changes: Any) -> dict[str, Any]:
        """Start a task and wait until it has ended."""
        self.start(task, source, **changes)
        return self.wait(task)

    def objects(self, prefix: str) -> dict[str, int]:
        """Keys and sizes of objects."""
        s3 = self.cloud.admin(self.account, "s3")
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", ())}

    def read(self, key: str) -> bytes:
        """Content of an object."""
        content: bytes = self.cloud.admin(self.account, "s3").get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return content

    def json(self, key: str) -> dict[str, Any]:
        """JSON content of an object."""
        content: dict[str, Any] = json.loads(self.read(key))
        return content

    def table(self, folder: str) -> pa.Table:
        """Rows of a table of an export, from all its parts."""
        parts = [key for key in self.objects(f"{folder}/") if key.endswith(".parquet")]
        return pa.concat_tables(pq.read_table(io.BytesIO(self.read(key))) for key in sorted(parts))

    def schema(self, folder: str) -> Any:
        """Parquet schema of a table of an export."""
        key = next(key for key in self.objects(f"{folder}/") if key.endswith(".parquet"))
        return pq.ParquetFile(io.BytesIO(self.read(key))).schema


def trust(**conditions: Any) -> str:
    """Trust policy of an export role."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": SERVICE},
        "Action": "sts:AssumeRole",
        "Condition": conditions,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def permissions(bucket: str, actions: list[str] | None = None) -> str:
    """Identity policy of an export role."""
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    statement = {"Effect": "Allow", "Action": ACTIONS if actions is None else actions, "Resource": resources}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def make_bucket(cloud: LocalCloud, account: str, name: str, region: str = "eu-west-1") -> str:
    """Create a bucket; harmless to repeat."""
    s3 = in_region(cloud, cloud.admin(account, "s3"), region)
    if name not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})
    return name


def make_role(cloud: LocalCloud, account: str, name: str, trust_policy: str, policy: str | None) -> str:
    """ARN of a new role."""
    iam = cloud.admin(account, "iam")
    arn = str(iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust_policy)["Role"]["Arn"])
    if policy is not None:
        iam.put_role_policy(RoleName=name, PolicyName="export", PolicyDocument=policy)
    return arn


def make_place(cloud: LocalCloud, account: str, name: str) -> Place:
    """Make a bucket, a role that may write to it, and a key."""
    bucket = make_bucket(cloud, account, f"{name}-{account}")
    role = make_role(cloud, account, name, trust(StringEquals={"aws:SourceAccount": account}), permissions(bucket))
    key = cloud.admin(account, "kms").create_key()["KeyMetadata"]["Arn"]
    return Place(cloud, account, bucket, role, key)
