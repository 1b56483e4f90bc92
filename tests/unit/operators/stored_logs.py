"""Logs as the backup stores them, for those who use what is stored: objects in S3, states in DynamoDB."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import zstandard
from aurora_ops.core.audit_logs import chain, names, states
from aurora_ops.hooks.log_states import LogStatesHook

BUCKET, TABLE, ACCOUNT, REGION = "stored-logs", "states", "222222222222", "eu-west-1"
HOME = {"aws_conn_id": "aws_orchestrator", "region_name": REGION}
SETTINGS: dict[str, Any] = {
    "bucket": BUCKET,
    "state_table": TABLE,
    "places": [{"aws_conn_id": "aws_destination", "account_id": ACCOUNT, "region": REGION}],
    "compaction": {},
}
PACK = {
    "zstd": zstandard.ZstdCompressor().compress,
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "none": lambda data: data,
}


class StoredLogs:
    """What is stored, and ways to store more of it and to harm it."""

    def __init__(self, session: Any) -> None:
        self.s3, self.glue = session.client("s3"), session.client("glue")
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        session.client("dynamodb").create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            BillingMode="PAY_PER_REQUEST",
        )
        self.states = LogStatesHook("aws_orchestrator", REGION)

    def store(
        self,
        contents: Sequence[bytes],
        *,
        instance: str = "db-1",
        identity: str = "audit~audit.log.0.2026-06-01-00-00.0",
        at: datetime | Sequence[datetime] = datetime(2026, 6, 1, 12, tzinfo=UTC),
        compression: str = "zstd",
        status: str = "complete",
        cluster: str = "shop",
        size: int | None = None,
        first_seen: str = "2026-06-01T00:00:00+00:00",
    ) -> list[str]:
        """Store a file in one object for each content; the keys."""
        moments = [at] * len(contents) if isinstance(at, datetime) else list(at)
        partition = names.partition(ACCOUNT, REGION, instance)
        folder = names.folder("audit-logs", ACCOUNT, REGION, cluster, instance)
        begin, link, keys = 0, chain.FIRST, []
        for content, moment in zip(contents, moments, strict=True):
            end, digest = begin + len(content), hashlib.sha256(content).hexdigest()
            link = chain.link(link, begin, end, digest)
            key = names.object_key(folder, first_seen[:10], identity, begin, end, compression)
            body = PACK[compression](content)
            self.s3.put_object(Bucket=BUCKET, Key=key, Body=body, Metadata={"sha256": digest, "chain": link})
            item = {"key": key, "begin": begin, "end": end, "sha256": digest, "chain": link, "source": "rest"}
            self.put(
                partition,
                states.object_key(identity, begin),
                **item,
                stored_bytes=len(body),
                stored_at=moment.isoformat(),
            )
            keys.append(key)
            begin = end
        self.put(
            partition,
            states.file_key(identity),
            name=identity.replace("~", "/"),
            cluster=cluster,
            size=begin if size is None else size,
            position=begin,
            chain=link if contents else None,
            status=status,
            first_seen=first_seen,
            updated_at=(moments[-1] if moments else datetime(2026, 6, 1, 12, tzinfo=UTC)).isoformat(),
            version=1,
        )
        self.put(names.register(ACCOUNT, REGION), f"{states.INSTANCE}{instance}", instance=instance)
        return keys

    def put(self, pk: str, sk: str, **values: Any) -> None:
        self.states.put(TABLE, {"pk": pk, "sk": sk, **values})

    def item(self, pk: str, sk: str) -> dict[str, Any]:
        [found] = self.states.list_items(TABLE, pk, sk)
        return found

    def listed(self, prefix: str = "audit-records/") -> list[str]:
        found = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return sorted(one["Key"] for one in found)

    def read(self, key: str) -> bytes:
        return bytes(self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
