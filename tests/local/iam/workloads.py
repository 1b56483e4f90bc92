"""Workflows that run something: SQL, from the worker and through a function, and jobs on EKS; nodes and claims for these."""

from __future__ import annotations

import io
import json
import zipfile

from devstack.settings import REPO
from localcloud.names import STAGING
from localcloud.seed.apps import EKS_CLUSTER, MEDIA_APP, NAMESPACE, NODEGROUP
from localcloud.seed.files import STAGING_FILES, find_seeded
from tests.local.cloud.kube_helpers import Kube, pods_of
from tests.local.iam.databases import LIVE, change_environment
from tests.local.iam.lab import Lab
from tests.local.iam.policies import SQL_FUNCTION
from tests.local.iam.recording import Recording, until

BUCKET, PREFIX = f"aurora-ops-sql-{STAGING}", "recorded/"
SQL = "SELECT COUNT(*) FROM feature_flags;"
TABLES = ["shop.feature_flags", "shop.api_endpoints"]


def put_script(lab: Lab) -> None:
    """A script in the bucket."""
    lab.admin(STAGING, "s3").put_object(Bucket=BUCKET, Key=f"{PREFIX}01.sql", Body=SQL.encode())


def make_function(lab: Lab) -> None:
    """A function that runs SQL, with rights of its own, and an environment that names it."""
    iam, lambdas = lab.admin(STAGING, "iam"), lab.admin(STAGING, "lambda")
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}
    reads = {
        "Effect": "Allow",
        "Action": ["rds:DescribeDBClusters", "secretsmanager:GetSecretValue", "kms:Decrypt"],
        "Resource": "*",
    }
    role = iam.create_role(RoleName=SQL_FUNCTION, AssumeRolePolicyDocument=_document(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=SQL_FUNCTION, PolicyName="reads", PolicyDocument=_document(reads))
    lambdas.create_function(
        FunctionName=SQL_FUNCTION,
        Runtime="python3.11",
        Role=role,
        Handler="run_sql.handler",
        Timeout=60,
        Code={"ZipFile": zipped("run_sql.py", (REPO / "include" / "lambda" / "run_sql.py").read_text())},
    )
    until(
        lambda: lambdas.get_function_configuration(FunctionName=SQL_FUNCTION)["State"] == "Active",
        "function to be active",
    )
    change_environment(lab, "database", "sql_function", SQL_FUNCTION)


def zipped(name: str, text: str) -> bytes:
    """Pack one file as Lambda wants it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, text)
    return content.getvalue()


def _document(statement: dict[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def scale(lab: Lab, nodes: int) -> None:
    """Give the node group for jobs so many nodes."""
    eks, which = lab.admin(STAGING, "eks"), {"clusterName": EKS_CLUSTER, "nodegroupName": NODEGROUP}
    eks.update_nodegroup_config(**which, scalingConfig={"desiredSize": nodes})
    until(lambda: eks.describe_nodegroup(**which)["nodegroup"]["status"] == "ACTIVE", "the node group to be scaled")


def end_application(lab: Lab) -> None:
    """Scale what uses the claim to 0, as its owners do."""
    kube = Kube(lab.cloud, EKS_CLUSTER)
    kube.apps.patch_namespaced_deployment(MEDIA_APP, NAMESPACE, {"spec": {"replicas": 0}})
    until(lambda: not pods_of(kube, MEDIA_APP, NAMESPACE), "its pods to end")


def staging_files(lab: Lab) -> str:
    """Return the id of the file system that applications use."""
    return find_seeded(lab.cloud.config, STAGING, STAGING_FILES)


RECORDINGS = (
    Recording("db_run_sql_from_s3", {"cluster": LIVE, "database": "shop", "prefix": PREFIX}, before=put_script),
    Recording("db_run_sql_lambda", {"cluster": LIVE, "database": "shop", "sql": SQL}, path="from the worker"),
    Recording(
        "db_run_sql_lambda",
        {"cluster": LIVE, "database": "shop", "sql": SQL},
        path="through a function",
        before=make_function,
        calls=("lambda:Invoke",),
    ),
    Recording("eks_scale_nodegroup_asg", {"nodes": 1}, before=lambda lab: scale(lab, 0)),
    Recording("eks_scale_nodegroup_asg", {"action": "restore"}, path="restored"),
    Recording("db_run_mysqldump_on_eks", {"cluster": LIVE, "tables": TABLES}),
    Recording("db_run_mysqlimport_on_eks", {"cluster": LIVE, "databases": ["shop"]}),
    Recording("utils_run_archive_job", {"cluster": LIVE}),
    Recording(
        "eks_manage_storage",
        lambda lab: {
            "claim": "media",
            "file_system_id": staging_files(lab),
            "path": "/media",
            "scale_workloads": True,
        },
    ),
    Recording(
        "eks_manage_storage",
        {"claim": "media", "action": "delete", "confirm": "media"},
        path="deleted",
        before=end_application,
    ),
)
