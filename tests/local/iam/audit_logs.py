"""Audit logs: stored, what chunks cannot carry and an object of several parts among them; lost; compacted; proven."""

from __future__ import annotations

import base64
import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from localcloud.names import PRODUCTION, SHARED, STAGING
from localcloud.seed.accounts import LOGS_BUCKET
from tests.local.audit_logs.helpers import Kept, date_stored
from tests.local.iam.databases import LIVE, change_environment
from tests.local.iam.lab import Lab
from tests.local.iam.policies import LOG_KEY, environment, with_more
from tests.local.iam.recording import AUDIT_LOGS, Recording

BACKUP, COMPACT, VERIFY = AUDIT_LOGS
PREFIX, TABLE = "audit-records", "records"
AUDITED = {PRODUCTION: "prod-shop", STAGING: LIVE}
YESTERDAY = datetime.now(UTC) - timedelta(days=1)
# Nothing compresses it: an object of it has several parts.
SEVERAL_PARTS = random.Random(6).randbytes(10 * 2**20).hex().encode()
# What chunks cannot carry, and a line that is no record.
ODD = b"nul \0 and \x01"
NO_RECORD = b"this is no record\n"


def append(lab: Lab, account: str, *texts: bytes, slot: int = 0) -> tuple[str, str]:
    """Have the writer of an account's cluster log statements; give its name, and that of the file."""
    [cluster] = lab.admin(account, "rds").describe_db_clusters(DBClusterIdentifier=AUDITED[account])["DBClusters"]
    [writer] = [one["DBInstanceIdentifier"] for one in cluster["DBClusterMembers"] if one["IsClusterWriter"]]
    now = int(datetime.now(UTC).timestamp() * 1_000_000)
    records = [
        text if text is NO_RECORD else b"%d,%s,app,10.0.0.1,7,%d,QUERY,shop,'%s',0\n" % (now, writer.encode(), n, text)
        for n, text in enumerate(texts)
    ]
    data = base64.b64encode(b"".join(records)).decode()
    files = lab.operation("log-append", account=account, instances=[writer], data=data, slot=slot)["files"]
    return writer, str(files[writer][slot])


def keep_under_a_key(lab: Lab) -> None:
    """Have objects encrypted under a key of their own."""
    kms = lab.admin(SHARED, "kms")
    kms.create_alias(AliasName=LOG_KEY, TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
    about = with_more(environment()).audit_logs
    assert about is not None
    change_environment(lab, "audit_logs", "storage", about.storage.model_dump(exclude_unset=True))
    lab.reread()


def write_logs(lab: Lab) -> None:
    """Statements in both accounts, kept under a key; uploads in parts fail."""
    keep_under_a_key(lab)
    append(lab, PRODUCTION, b"SELECT 1", ODD, SEVERAL_PARTS, NO_RECORD)
    append(lab, STAGING, b"SELECT 1", ODD)
    fail_parts(lab)
    # so that an object is there which nobody has written down
    lab.operation("faults-add", service="dynamodb", action="TransactWriteItems", effect="error", code="AccessDenied")


def fail_parts(lab: Lab) -> None:
    """Have every upload in parts fail."""
    lab.operation("faults-add", service="s3", action="UploadPart", effect="error", code="AccessDenied", times=0)


def refuse_reading(lab: Lab) -> None:
    """Have more in a log, which cannot be read."""
    append(lab, STAGING, b"SELECT 2", slot=1)
    for action in ("DownloadDBLogFilePortion", "DownloadCompleteDBLogFile"):
        lab.operation("faults-add", service="rds", action=action, effect="error", code="InvalidParameterValue", times=0)


def lose_a_file(lab: Lab) -> None:
    """Have that log deleted before it was read."""
    writer, name = append(lab, STAGING, slot=1)
    folder = lab.operation("log-folder", account=STAGING, instance=writer)["folder"]
    (Path(folder) / name).unlink()


def let_a_day_pass(lab: Lab) -> None:
    """What is stored was stored yesterday; uploads in parts fail."""
    date_stored(Kept(lab), YESTERDAY)
    fail_parts(lab)


def change_the_table(lab: Lab) -> None:
    """The table has other columns, and the manifest a file that the day has not."""
    glue = lab.admin(SHARED, "glue")
    found: dict[str, Any] = glue.get_tables(DatabaseName="audit_logs")["TableList"][0]
    kept = {key: found[key] for key in ("Name", "PartitionKeys", "Parameters", "TableType") if key in found}
    storage = {**found["StorageDescriptor"], "Columns": found["StorageDescriptor"]["Columns"][:-1]}
    glue.update_table(DatabaseName="audit_logs", TableInput={**kept, "StorageDescriptor": storage})
    s3 = lab.admin(SHARED, "s3")
    listed = s3.list_objects_v2(Bucket=LOGS_BUCKET, Prefix=f"{PREFIX}/manifests/")["Contents"]
    key = listed[0]["Key"]
    manifest = json.loads(s3.get_object(Bucket=LOGS_BUCKET, Key=key)["Body"].read())
    manifest["parquet"].append({**manifest["parquet"][0], "key": f"{PREFIX}/records/day=2020-01-01/beyond.parquet"})
    s3.put_object(Bucket=LOGS_BUCKET, Key=key, Body=json.dumps(manifest).encode())


RECORDINGS = (
    Recording(
        BACKUP,
        path="an upload that fails",
        before=write_logs,
        fails="back_up_logs[0]",
        calls=("s3:AbortMultipartUpload",),
    ),
    Recording(
        BACKUP,
        calls=("rds:DownloadDBLogFilePortion", "rds:DownloadCompleteDBLogFile", "s3:CompleteMultipartUpload"),
    ),
    Recording(BACKUP, path="a log that cannot be read", before=refuse_reading, fails="back_up_logs[0]"),
    Recording(BACKUP, path="a log that is lost", before=lose_a_file, calls=("sns:Publish",)),
    Recording(
        COMPACT,
        path="an upload that fails",
        before=let_a_day_pass,
        fails="compact_logs[0]",
        calls=("s3:AbortMultipartUpload", "glue:CreateTable"),
    ),
    Recording(COMPACT, calls=("glue:BatchCreatePartition", "sns:Publish")),
    Recording(VERIFY, calls=("s3:ListObjectVersions",)),
    Recording(COMPACT, path="again", before=change_the_table, calls=("glue:UpdateTable", "s3:DeleteObjects")),
)
