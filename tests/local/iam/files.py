"""Workflows on file systems: made, replicated, restored, published, deleted, and what looks into them."""

from __future__ import annotations

from typing import Any

from aurora_ops.core import naming, refresh_plan
from aurora_ops.core.ownership import EXPIRES_TAG, OWNER, OWNER_TAG, RUN_TAG

from localcloud.names import PRODUCTION, STAGING
from localcloud.seed.apps import ID_PARAMETER, SUBPATH_PARAMETER
from tests.local.iam.lab import Lab
from tests.local.iam.recording import Recording, until
from tests.local.iam.workloads import zipped

NAME, MOMENT = "staging-media", "2026-07-01T02:00:00+00:00"
PUBLISH = "efs_get_subpath_and_store_in_ssm"
PAST = "2020-01-01T00:00:00+00:00"


def made_by_us(lab: Lab) -> str:
    """Find the one file system that a workflow has made and that is there."""
    found = lab.admin(STAGING, "efs").describe_file_systems()["FileSystems"]
    tagged = {one["FileSystemId"]: {tag["Key"]: tag["Value"] for tag in one["Tags"]} for one in found}
    [name] = [name for name, tags in tagged.items() if tags.get(OWNER_TAG) == OWNER]
    return str(name)


def forget_files(lab: Lab) -> None:
    """Nothing is published, and of two parameters the second cannot be written."""
    lab.admin(STAGING, "ssm").delete_parameters(Names=[ID_PARAMETER, SUBPATH_PARAMETER])
    lab.fail(service="ssm", action="PutParameter", match=ID_PARAMETER, code="AccessDeniedException")


def leave_blind_function(lab: Lab) -> None:
    """An earlier try has left its function, whose access point is gone."""
    file_system = made_by_us(lab)
    run_key = refresh_plan.run_key(PUBLISH, f"manual__{MOMENT}")
    probe(lab, STAGING, naming.probe("staging", file_system, run_key), {}, file_system)
    efs = lab.admin(STAGING, "efs")
    points = efs.describe_access_points(FileSystemId=file_system)["AccessPoints"]
    [gone] = [point["AccessPointId"] for point in points if point["ClientToken"].startswith(naming.PROBE_PREFIX)]
    efs.delete_access_point(AccessPointId=gone)


def leave_probes(lab: Lab) -> None:
    """What looked into file systems is left in both accounts."""
    for account in (STAGING, PRODUCTION):
        name = f"{naming.PROBE_PREFIX}staging-dead"
        tags = {OWNER_TAG: OWNER, RUN_TAG: "refresh_staging/dead", EXPIRES_TAG: PAST}
        found = lab.admin(account, "efs").describe_file_systems()["FileSystems"]
        mounted = next(one["FileSystemId"] for one in found if one["NumberOfMountTargets"])
        probe(lab, account, name, tags, mounted)


def probe(lab: Lab, account: str, name: str, tags: dict[str, str], file_system: str) -> None:
    """Make a function that mounts a file system, with its access point, as a run does."""
    efs, lambdas = lab.admin(account, "efs"), lab.admin(account, "lambda")
    target = efs.describe_mount_targets(FileSystemId=file_system)["MountTargets"][0]
    groups = efs.describe_mount_target_security_groups(MountTargetId=target["MountTargetId"])["SecurityGroups"]
    marked = [{"Key": key, "Value": value} for key, value in {"Name": name, **tags}.items()]
    point = efs.create_access_point(ClientToken=name, FileSystemId=file_system, Tags=marked)["AccessPointId"]
    arn = available_point(efs, point)
    lambdas.create_function(
        FunctionName=name,
        Runtime="python3.12",
        Handler="efs_probe.handler",
        Role=f"arn:aws:iam::{account}:role/aurora-ops-efs-probe",
        Code={"ZipFile": zipped("efs_probe.py", "")},
        VpcConfig={"SubnetIds": [target["SubnetId"]], "SecurityGroupIds": groups},
        FileSystemConfigs=[{"Arn": arn, "LocalMountPath": "/mnt/efs"}],
        Tags=tags,
    )


def available_point(efs: Any, point: str) -> str:
    """Wait until an access point is available; return its ARN."""

    def found() -> dict[str, Any]:
        return dict(efs.describe_access_points(AccessPointId=point)["AccessPoints"][0])

    until(lambda: found()["LifeCycleState"] == "available", f"access point {point}")
    return str(found()["AccessPointArn"])


RECORDINGS = (
    Recording("efs_create_filesystem"),
    Recording(
        "efs_setup_cross_account_replication",
        lambda lab: {"destination_file_system_id": made_by_us(lab), "confirm": made_by_us(lab)},
    ),
    Recording("efs_wait_replication_complete", {"flag_proof": True}),
    Recording("efs_check_replication_sync", {"since": "2026-01-01T00:00:00Z"}),
    Recording(
        "efs_delete_filesystem",
        lambda lab: {"file_system_id": made_by_us(lab), "confirm": made_by_us(lab)},
        calls=("efs:DeleteReplicationConfiguration",),
    ),
    Recording("efs_restore_from_backup"),
    Recording(
        PUBLISH,
        lambda lab: {"file_system_id": made_by_us(lab)},
        path="taken back",
        before=forget_files,
        fails="publish_files",
    ),
    Recording(
        PUBLISH,
        lambda lab: {"file_system_id": made_by_us(lab)},
        before=leave_blind_function,
        moment=MOMENT,
    ),
    Recording("efs_cleanup_efs_lambdas", before=leave_probes),
)
