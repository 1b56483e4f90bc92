"""Addresses of pages that people open: AWS's console, and Airflow's."""

from __future__ import annotations

from urllib.parse import quote

from aurora_ops.core.partitions import of_region

_DOMAINS = {"aws-cn": "amazonaws.cn", "aws-us-gov": "amazonaws-us-gov.com"}


def _console(region: str, path: str) -> str:
    return f"https://{region}.console.{_DOMAINS.get(of_region(region), 'aws.amazon.com')}/{path}"


def _quoted(value: str) -> str:
    return quote(value, safe="")


def cluster(region: str, cluster_id: str) -> str:
    """Page of an Aurora cluster."""
    return _console(region, f"rds/home?region={region}#database:id={_quoted(cluster_id)};is-cluster=true")


def snapshot(region: str, snapshot_id: str) -> str:
    """Page of a cluster snapshot, by identifier or ARN."""
    name = snapshot_id.split(":cluster-snapshot:", 1)[-1]
    return _console(region, f"rds/home?region={region}#db-snapshot:engine=aurora-mysql;id={_quoted(name)}")


def secret(region: str, secret_id: str) -> str:
    """Page of a secret, by name or ARN; the value is shown to nobody who may not read it."""
    name = secret_id
    if ":secret:" in secret_id:
        name = secret_id.split(":secret:", 1)[1].rpartition("-")[0]  # AWS ends the ARN by a hyphen and six characters
    return _console(region, f"secretsmanager/secret?name={_quoted(name)}&region={region}")


def stored_object(region: str, bucket: str, key: str) -> str:
    """Page of an object in S3, with a button that opens it."""
    return _console(region, f"s3/object/{_quoted(bucket)}?region={region}&prefix={_quoted(key)}")


def stored_folder(region: str, bucket: str, prefix: str) -> str:
    """Page of what is in S3 under a prefix."""
    return _console(region, f"s3/buckets/{_quoted(bucket)}?region={region}&prefix={_quoted(prefix)}&showversions=false")


def item(region: str, table: str, pk: str, sk: str) -> str:
    """Page of an item in DynamoDB."""
    where = f"itemMode=2&pk={_quoted(pk)}&route=ROUTE_ITEM_EXPLORER&sk={_quoted(sk)}&table={_quoted(table)}"
    return _console(region, f"dynamodbv2/home?region={region}#edit-item?{where}")


def airflow_run(base_url: str, dag_id: str, run_id: str) -> str:
    """Page of a run in Airflow.

    :param base_url: ``[api] base_url``.
    """
    return f"{base_url.rstrip('/')}/dags/{_quoted(dag_id)}/runs/{_quoted(run_id)}"
