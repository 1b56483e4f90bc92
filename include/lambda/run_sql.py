"""A Lambda function that runs SQL in the VPC, for db_run_sql_lambda (setting database.sql_function).

Python 3.11 or later, a layer with PyMySQL, the VPC and subnets of the cluster, a timeout as long as the longest SQL. Its role may
``rds:DescribeDBClusters`` and ``secretsmanager:GetSecretValue`` (and ``kms:Decrypt``) of the cluster's master secret. It logs line
numbers only, answers counts only, and an error's text without what is quoted in it, which may be data.
"""

from __future__ import annotations

import json
import re
from typing import Any

import boto3
import pymysql

QUOTED = re.compile(r"['\"].*['\"]|['\"].*", re.S)


class StatementError(Exception):
    """A statement failed; the message names its line."""


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Run the statements one after another, until the first that fails.

    :param event: ``{"cluster", "dbname", "secretname", "statements": [{"line", "text"}]}``.
    :return: ``{"statements": count, "rows": rows affected}``.
    :raises StatementError: one failed; those before it have taken effect.
    """
    cluster = boto3.client("rds").describe_db_clusters(DBClusterIdentifier=event["cluster"])["DBClusters"][0]
    secret = json.loads(boto3.client("secretsmanager").get_secret_value(SecretId=event["secretname"])["SecretString"])
    connection = pymysql.connect(
        host=cluster["Endpoint"],
        port=cluster["Port"],
        user=secret["username"],
        password=secret["password"],
        database=event["dbname"],
        charset="utf8mb4",
        autocommit=True,
        connect_timeout=10,
    )
    rows = 0
    with connection, connection.cursor() as cursor:
        for number, statement in enumerate(event["statements"], 1):
            try:
                affected = cursor.execute(statement["text"])
                rows += 0 if cursor.description else affected
                while cursor.nextset():
                    continue
            except pymysql.MySQLError as error:
                code, text = (*error.args, 0, "")[:2]
                raise StatementError(
                    f"line {statement['line']}: statement {number} of {len(event['statements'])} failed: "
                    f"MySQL error {code}: {QUOTED.sub('...', str(text), count=1)}"
                ) from None
    return {"statements": len(event["statements"]), "rows": rows}
