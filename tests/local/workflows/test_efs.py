"""Workflows on file systems, in a real Airflow: files and AWS afterwards, a second run, and what is refused."""

from __future__ import annotations

import io
import json
import shutil
import time
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from devstack import waiting
from localcloud.client import admin_operation
from localcloud.names import PRODUCTION, STAGING
from localcloud.seed.files import production_files

pytestmark = [pytest.mark.local, pytest.mark.slow]

ID, SUBPATH = "/staging/shop/files/id", "/staging/shop/files/subpath"


class Files:
    """File systems of the running cloud."""

    def __init__(self, workflows) -> None:
        self.stack = workflows.stack
        self.staging, self.production = (self.stack.aws(account, "efs") for account in (STAGING, PRODUCTION))

    def directory(self, name) -> Path:
        return Path(admin_operation("efs-directory", self.stack.cloud, file_system=name)["directory"])

    def tree(self, name) -> dict[str, bytes]:
        folder = self.directory(name)
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def described(self, name, efs=None):
        [found] = (efs or self.staging).describe_file_systems(FileSystemId=name)["FileSystems"]
        return found

    def named(self, name, efs=None) -> list[str]:
        found = (efs or self.staging).describe_file_systems()["FileSystems"]
        return [one["FileSystemId"] for one in found if one.get("Name") == name]

    def production_id(self) -> str:
        [found] = self.named("prod-media", self.production)
        return found

    def parameters(self) -> dict[str, str]:
        found = self.stack.aws(STAGING, "ssm").get_parameters(Names=[ID, SUBPATH])["Parameters"]
        return {one["Name"]: one["Value"] for one in found}

    def forget(self) -> None:
        self.stack.aws(STAGING, "ssm").delete_parameters(Names=[ID, SUBPATH])

    def probes(self) -> list[str]:
        """Functions and access points that look into file systems."""
        found = []
        for account in (STAGING, PRODUCTION):
            functions = self.stack.aws(account, "lambda").list_functions()["Functions"]
            points = self.stack.aws(account, "efs").describe_access_points()["AccessPoints"]
            found += [one["FunctionName"] for one in functions if one["FunctionName"].startswith("aurora-ops-efs-")]
            found += [
                one["AccessPointId"]
                for one in points
                if (one.get("Name") or "").startswith("aurora-ops-efs-") and one["LifeCycleState"] != "deleting"
            ]
        return found


@pytest.fixture
def files(workflows):
    return Files(workflows)


@pytest.fixture
def made(workflows):
    """A file system that the workflow has made."""
    return workflows.result(workflows.run("efs_create_filesystem"), "filesystem.create_file_system")["file_system_id"]


def outcome(workflows, run, task_id):
    return workflows.result(run, task_id)


class TestCreateAndDelete:
    def test_creates_and_deletes_all_that_belongs_to_it(self, workflows, files, made) -> None:
        shown = files.described(made)
        assert (shown["LifeCycleState"], shown["Encrypted"], shown["NumberOfMountTargets"]) == ("available", True, 3)
        key = workflows.stack.aws(STAGING, "kms").describe_key(KeyId="alias/shop-staging")["KeyMetadata"]["Arn"]
        assert shown["KmsKeyId"] == key
        tags = {tag["Key"]: tag["Value"] for tag in shown["Tags"]}
        assert (tags["Name"], tags["refresh"], tags["aurora-ops:owner"]) == ("staging-media", "true", "aurora-ops")
        targets = files.staging.describe_mount_targets(FileSystemId=made)["MountTargets"]
        assert {one["AvailabilityZoneName"][-1]: one["LifeCycleState"] for one in targets} == dict.fromkeys(
            "abc", "available"
        )
        [point] = files.staging.describe_access_points(FileSystemId=made)["AccessPoints"]
        assert (point["Name"], point["PosixUser"]["Uid"], point["RootDirectory"]["Path"]) == ("media", 1000, "/media")
        rules = files.staging.describe_lifecycle_configuration(FileSystemId=made)["LifecyclePolicies"]
        assert rules == [{"TransitionToIA": "AFTER_30_DAYS"}]

        began = time.time()
        again = workflows.run("efs_create_filesystem")
        assert outcome(workflows, again, "filesystem.create_file_system")["file_system_id"] == made
        assert workflows.mutations(began) == []

        directory = files.directory(made)
        run = workflows.run("efs_delete_filesystem", file_system_id=made, confirm=made)
        assert outcome(workflows, run, "delete_file_system")["status"] == "absent"
        assert made not in files.named("staging-media")
        assert not directory.exists()
        assert workflows.record(run)["outcome"] == "succeeded"
        began = time.time()
        workflows.run("efs_delete_filesystem", file_system_id=made, confirm=made)
        assert workflows.mutations(began) == []

    def test_create_refuses(self, workflows) -> None:
        wrong = [
            ({"name": "prod-media"}, ["name", "prod-media", "safety.allowed_file_systems"]),
            ({"performance_mode": "maxIO"}, ["performance_mode", "throughput_mode bursting"]),
            ({"throughput_mode": "fast"}, ["throughput_mode", "fast"]),
            ({"size": 3}, ["size", "known run parameters are"]),
        ]
        workflows.refuses("efs_create_filesystem", wrong)

    def test_delete_refuses(self, workflows, files) -> None:
        untagged = files.staging.create_file_system(CreationToken="untagged")["FileSystemId"]
        other = files.staging.create_file_system(
            CreationToken="other", Tags=[{"Key": "refresh", "Value": "true"}, {"Key": "Name", "Value": "other"}]
        )["FileSystemId"]
        workflows.refuses(
            "efs_delete_filesystem",
            [
                ({"file_system_id": untagged, "confirm": untagged}, ["not tagged refresh=true"]),
                ({"file_system_id": other, "confirm": other}, ["safety.allowed_file_systems"]),
                ({"file_system_id": other, "confirm": "fs-00000000"}, ["confirm"]),
                ({"file_system_id": "staging-media", "confirm": "x"}, ["file_system_id"]),
                ({"confirm": "x"}, ["file_system_id"]),
            ],
        )


class TestRestore:
    def test_restores_the_newest_good_backup_and_publishes_where_it_is(self, workflows, files) -> None:
        backup = workflows.stack.aws(PRODUCTION, "backup")
        started = backup.start_backup_job(
            BackupVaultName="prod-vault",
            ResourceArn=files.described(files.production_id(), files.production)["FileSystemArn"],
            IamRoleArn=f"arn:aws:iam::{PRODUCTION}:role/aurora-ops-backup",
        )
        job, spoilt = started["BackupJobId"], started["RecoveryPointArn"]
        waiting.until(
            lambda: backup.describe_backup_job(BackupJobId=job)["State"] == "COMPLETED", what="the backup", timeout_s=60
        )
        newer = (datetime.now(UTC) + timedelta(minutes=5)).timestamp()
        admin_operation(
            "backup-recovery-point",
            workflows.stack.cloud,
            account=PRODUCTION,
            region="eu-west-1",
            arn=spoilt,
            status="EXPIRED",
            created=newer,
        )
        files.forget()
        run = workflows.run("efs_restore_from_backup")
        assert outcome(workflows, run, "restore.choose_recovery_point")["recovery_point_arn"] != spoilt
        assert f":{STAGING}:" in outcome(workflows, run, "restore.copy_recovery_point")["recovery_point_arn"]
        restored = outcome(workflows, run, "restore.restore_file_system")["file_system_id"]
        found = files.tree(restored)
        [folder] = {path.split("/")[0] for path in found}
        assert folder.startswith("aws-backup-restore_")
        assert {path.split("/", 1)[1]: content for path, content in found.items()} == production_files()
        shown = files.described(restored)
        tags = {tag["Key"]: tag["Value"] for tag in shown["Tags"]}
        assert (tags["Name"], tags["refresh"], shown["NumberOfMountTargets"]) == ("staging-media", "true", 3)

        began = time.time()
        workflows.stack.api.clear(run, only_failed=False)
        assert workflows.stack.wait(run).state == "success"
        assert workflows.mutations(began) == [], "it adopts what it has made"

        older = files.directory(restored) / "aws-backup-restore_2020-01-01T00-00-00-000Z"
        older.mkdir()
        run = workflows.run("efs_get_subpath_and_store_in_ssm", file_system_id=restored)
        assert files.parameters() == {ID: restored, SUBPATH: f"/{folder}"}
        assert outcome(workflows, run, "proof.find_restore_directory")["directories"] == 2
        assert files.probes() == []
        began = time.time()
        workflows.run("efs_get_subpath_and_store_in_ssm", file_system_id=restored)
        assert "PutParameter" not in workflows.mutations(began)
        assert files.probes() == []
        workflows.run("efs_delete_filesystem", file_system_id=restored, confirm=restored)

    def test_too_old_a_backup_is_an_error_that_changes_nothing(self, workflows) -> None:
        began = time.time()
        said = workflows.fails("efs_restore_from_backup", max_age_h=0.000001)
        assert "younger than 1e-06 h" in said
        assert workflows.mutations(began) == []

    def test_restore_refuses(self, workflows) -> None:
        wrong = [
            ({"name": "prod-media"}, ["safety.allowed_file_systems"]),
            ({"max_age_h": 0}, ["max_age_h"]),
            ({"items": ["relative"]}, ["items"]),
            ({"source": "prod-media"}, ["known run parameters are"]),
        ]
        workflows.refuses("efs_restore_from_backup", wrong)

    def test_a_second_parameter_that_cannot_be_written_takes_the_first_back(self, workflows, files, made) -> None:
        folder = files.directory(made) / "aws-backup-restore_2026-01-01T00-00-00-000Z"
        folder.mkdir(parents=True)
        files.forget()
        assert "nothing was restored into" in workflows.fails("efs_get_subpath_and_store_in_ssm", file_system_id=made)
        (folder / "a.txt").write_text("restored")
        admin_operation(
            "faults-add",
            workflows.stack.cloud,
            service="ssm",
            action="PutParameter",
            resource=ID,
            code="AccessDeniedException",
            times=0,
        )
        said = workflows.fails("efs_get_subpath_and_store_in_ssm", file_system_id=made)
        assert "AccessDeniedException" in said
        assert files.parameters() == {}
        assert files.probes() == []

    def test_where_nothing_was_restored_nothing_is_published(self, workflows, files) -> None:
        [name] = files.named("staging-media")[:1]
        for folder in files.directory(name).glob("aws-backup-restore_*"):
            shutil.rmtree(folder)
        files.forget()
        assert "no directory aws-backup-restore_" in workflows.fails(
            "efs_get_subpath_and_store_in_ssm", file_system_id=name
        )
        assert files.parameters() == {}
        assert files.probes() == []

    def test_publishing_refuses(self, workflows, files) -> None:
        untagged = files.staging.create_file_system(CreationToken="untagged too")["FileSystemId"]
        wrong = [
            ({"file_system_id": untagged}, ["not tagged refresh=true"]),
            ({}, ["file_system_id"]),
            ({"file_system_id": "fs-1"}, ["file_system_id"]),
        ]
        workflows.refuses("efs_get_subpath_and_store_in_ssm", wrong)


class TestReplication:
    def test_replicates_proves_it_and_ends(self, workflows, files, made) -> None:
        source = files.production_id()
        (files.directory(made) / "lost").write_text("x")
        conf = {"destination_file_system_id": made, "confirm": made}
        run = workflows.run("efs_setup_cross_account_replication", **conf)
        assert outcome(workflows, run, "replication.replicate")["status"] == "ENABLED"
        policy = json.loads(files.production.describe_file_system_policy(FileSystemId=source)["Policy"])
        assert [statement["Sid"] for statement in policy["Statement"]] == [
            "AuroraOpsClients",
            "AuroraOpsEndReplication",
        ]
        began = time.time()
        workflows.run("efs_setup_cross_account_replication", **conf)
        assert workflows.mutations(began) == []

        (files.directory(source) / "late.txt").write_bytes(b"late")
        run = workflows.run("efs_wait_replication_complete", flag_proof=True)
        assert outcome(workflows, run, "sync.read_flag") == {"asked": True, "proven": True}
        assert files.tree(made)["late.txt"] == b"late"
        (files.directory(source) / "late.txt").unlink()
        assert not list((files.directory(source) / ".aurora-ops").iterdir())
        assert files.probes() == []

        began = time.time()
        run = workflows.run("efs_check_replication_sync", since="2026-01-01T00:00:00Z")
        assert outcome(workflows, run, "sync.see_synced")["destination_file_system_id"] == made
        future = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="seconds")
        assert f"not at {future}" in workflows.fails("efs_check_replication_sync", since=future)
        assert workflows.mutations(began) == []

        admin_operation(
            "faults-add",
            workflows.stack.cloud,
            service="efs",
            action="DescribeReplicationConfigurations",
            account=PRODUCTION,
            effect="status",
            becomes="PAUSED",
        )
        assert "is PAUSED" in workflows.fails("efs_wait_replication_complete")
        workflows.run("efs_delete_filesystem", file_system_id=made, confirm=made)
        with pytest.raises(files.production.exceptions.ReplicationNotFound):
            files.production.describe_replication_configurations(FileSystemId=source)
        assert files.tree(source) == production_files()
        assert "part of no replication" in workflows.fails("efs_check_replication_sync")

    def test_refuses(self, workflows, files) -> None:
        untagged = files.staging.create_file_system(CreationToken="not to be overwritten")["FileSystemId"]
        other = {"destination_file_system_id": "fs-00000000", "confirm": "fs-00000001"}
        wrong = [
            ("efs_setup_cross_account_replication", {}, ["destination_file_system_id"]),
            ("efs_setup_cross_account_replication", other, ["confirm"]),
            (
                "efs_setup_cross_account_replication",
                {"destination_file_system_id": untagged, "confirm": untagged},
                ["not tagged refresh=true"],
            ),
            ("efs_wait_replication_complete", {"since": "yesterday"}, ["since"]),
            ("efs_check_replication_sync", {"since": "2026-01-01T00:00:00"}, ["since"]),
            ("efs_check_replication_sync", {"waits": True}, ["known run parameters are"]),
        ]
        workflows.refuses_each(wrong)


class TestCleanup:
    def test_deletes_what_is_ours_and_has_expired(self, workflows, files) -> None:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("efs_probe.py", "")
        functions = workflows.stack.aws(STAGING, "lambda")
        for name, expires in (("expired", "2020-01-01T00:00:00+00:00"), ("running", "2099-01-01T00:00:00+00:00")):
            functions.create_function(
                FunctionName=f"aurora-ops-efs-staging-{name}",
                Runtime="python3.12",
                Handler="efs_probe.handler",
                Role=f"arn:aws:iam::{STAGING}:role/aurora-ops-efs-probe",
                Code={"ZipFile": content.getvalue()},
                Tags={"aurora-ops:owner": "aurora-ops", "aurora-ops:run": name, "aurora-ops:expires": expires},
            )
        run = workflows.run("efs_cleanup_efs_lambdas")
        assert outcome(workflows, run, "remove_target_probes") == {
            "functions": ["aurora-ops-efs-staging-expired"],
            "access_points": [],
            "left": ["aurora-ops-efs-staging-running"],
        }
        assert files.probes() == ["aurora-ops-efs-staging-running"]
        began = time.time()
        workflows.run("efs_cleanup_efs_lambdas")
        assert workflows.mutations(began) == []
        workflows.run("efs_cleanup_efs_lambdas", also_running=True)
        assert files.probes() == []
        assert "known run parameters are" in workflows.refused("efs_cleanup_efs_lambdas", contexts=["a"])
