"""What the servers wrote, what is kept of it, and statements that are hard on logs."""

from __future__ import annotations

import itertools
import json
import random
import threading
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pymysql
import zstandard
from aurora_ops.core.audit_logs import names

from localcloud.names import PRODUCTION, SHARED, STAGING
from localcloud.seed.accounts import LOGS_BUCKET, LOGS_TABLE
from tests.local.cloud.rds_helpers import PASSWORD, connect
from tests.local.iam.lab import Lab
from tests.unit.operators.fake_logs import Stored

NASTY = [
    "SELECT 'it''s', \"double\", 'a,b,c', '\\\\'",
    "SELECT 'line\nbreak\n1700000000000000,x,y', 'tab\t'",
    "SELECT 'caf\u00e9 \U0001f600 \u4f60\u597d'",
    "/* ,0\n20261121 11:10:57,x,u,h,1,2,QUERY,s,'forged',0\n */ SELECT 1",
    "SELECT 'carriage\rreturn\r\n'",
]
BINARY = [b"SELECT 'nul \0 and \x01\x1b'", b"SELECT _latin1'\xe9\xff'", b"SELECT x'00', '\0'"]


def long_statement(size: int) -> str:
    """One that makes a line of more than a page."""
    return f"SELECT LENGTH('{'x' * size}')"


class Load(threading.Thread):
    """Sessions that send statements until they are told to stop.

    :param where: endpoint and port.
    :param nasty: whether there are statements that chunks cannot carry.
    """

    def __init__(self, where: tuple[str, int], login: dict[str, Any], *, seed: int, nasty: bool = True) -> None:
        super().__init__(daemon=True)
        self._where, self._login = where, login
        self._random = random.Random(seed)
        self._nasty = nasty
        self._stop_it = threading.Event()
        self.sent = 0
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            with connect(*self._where, **self._login) as connection, connection.cursor() as cursor:
                for number in itertools.count():
                    if self._stop_it.is_set():
                        return
                    self._one(cursor, number)
                    self.sent += 1
        except pymysql.err.Error as exc:  # told by stop()
            self.failure = exc

    def _one(self, cursor: Any, number: int) -> None:
        chance = self._random.random()
        if chance < 0.05:
            cursor.execute(self._random.choice(NASTY))
        elif chance < 0.0503 and self._nasty:
            with suppress(pymysql.err.Error):
                cursor.execute(self._random.choice(BINARY))
        elif number % 4000 == 3999 and self._nasty:
            cursor.execute(long_statement(1_200_000))
        else:
            cursor.execute(f"SELECT {number} FROM DUAL WHERE 'a' = 'b' AND {self._random.random()} < 1")

    def stop(self) -> None:
        self._stop_it.set()
        self.join(30)
        assert self.failure is None, self.failure


class Kept(Stored):
    """What is kept of logs, and what there is to be kept.

    :param lab: the cloud.
    """

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.s3 = lab.admin(SHARED, "s3")
        self.dynamodb = lab.admin(SHARED, "dynamodb")
        self.bucket, self.table = LOGS_BUCKET, LOGS_TABLE

    def instances(self) -> dict[str, tuple[str, str]]:
        """Resource id to account and identifier of every instance that is backed up."""
        found = {}
        for account in (PRODUCTION, STAGING):
            for one in self.lab.admin(account, "rds").describe_db_instances()["DBInstances"]:
                if account == STAGING or one.get("DBClusterIdentifier") == "prod-shop":
                    found[one["DbiResourceId"]] = account, one["DBInstanceIdentifier"]
        return found

    def written(self) -> dict[tuple[str, str], bytes]:
        """Resource id and content of every file that a server has written, by the hash of what is in it."""
        found = {}
        for resource_id, (account, name) in self.instances().items():
            folder = Path(self.lab.operation("log-folder", account=account, instance=name)["folder"]) / "audit"
            for path in sorted(folder.iterdir()) if folder.exists() else []:
                if content := path.read_bytes():
                    found[resource_id, path.name] = content
        return found

    def by_file(self) -> dict[tuple[str, str], bytes]:
        """Resource id and identity to the bytes that are kept, put together in the order of the table."""
        items = [item for item in self.items() if item["sk"].startswith("object#")]
        found: dict[tuple[str, str], bytes] = {}
        for item in sorted(items, key=lambda item: (item["pk"], item["sk"])):
            file = item["pk"].rpartition("#")[2], item["sk"].split("#")[1]
            body = self.s3.get_object(Bucket=self.bucket, Key=item["key"])["Body"].read()
            content = zstandard.ZstdDecompressor().decompressobj().decompress(body)
            assert int(item["begin"]) == len(found.get(file, b"")), item["sk"]
            found[file] = found.get(file, b"") + content
            assert int(item["end"]) == len(found[file]), item["sk"]
        return found

    def marks(self) -> dict[tuple[str, str], list[dict[str, Any]]]:
        """Resource id and identity to what of the file is marked."""
        found: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for item in self.items():
            if item["sk"].startswith("object#") and item.get("marks"):
                found.setdefault((item["pk"].rpartition("#")[2], item["sk"].split("#")[1]), []).extend(item["marks"])
        return found

    def keys(self) -> set[str]:
        """Every key of the bucket."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return {item["Key"] for page in pages for item in page.get("Contents", [])}

    def object_keys(self) -> set[str]:
        """Every key that is written down."""
        return {item["key"] for item in self.items() if item["sk"].startswith("object#")}


def date_stored(kept: Kept, moment: datetime) -> None:
    """Let everything that is kept have been stored at another moment, as the states say."""
    for item in kept.items():
        if item["sk"].startswith("object#"):
            kept.dynamodb.update_item(
                TableName=kept.table,
                Key={"pk": {"S": item["pk"]}, "sk": {"S": item["sk"]}},
                UpdateExpression="SET stored_at = :at",
                ExpressionAttributeValues={":at": {"S": moment.isoformat(timespec="seconds")}},
            )


def login_of(cluster: dict[str, Any], secrets: Any) -> dict[str, Any]:
    if arn := (cluster.get("MasterUserSecret") or {}).get("SecretArn"):
        secret = json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"])
        return {"user": secret["username"], "password": secret["password"]}
    return {"user": cluster["MasterUsername"], "password": PASSWORD}


def expected(kept: Kept) -> dict[tuple[str, str], bytes]:
    """Resource id and identity to what the server wrote."""
    found = {}
    for (resource_id, name), content in kept.written().items():
        full = f"audit/{name}"
        identity = names.identity_of_head(content) if names.shifts(full) else names.fixed_identity(full)
        found[resource_id, str(identity)] = content
    return found


def assert_exact(kept: Kept) -> None:
    """Every byte of every file, once, in order; and nothing else is in the bucket."""
    stored, wanted = kept.by_file(), expected(kept)
    assert set(stored) == set(wanted)
    for file, content in wanted.items():
        # a growing file may have grown since; and ends with the last whole record
        assert content.startswith(stored[file]), file
        assert b"\n" not in content[len(stored[file]) :].removesuffix(b"\n") or len(stored[file]) == len(content), file
    assert kept.keys() == kept.object_keys()
