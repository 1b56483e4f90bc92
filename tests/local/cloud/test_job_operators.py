"""Jobs that operators run, against localcloud: what is left of them, in the database, the file system and the cluster."""

from __future__ import annotations

import gzip
import hashlib
from datetime import datetime, timedelta

import pymysql
import pytest
import yaml
from airflow.sdk.exceptions import TaskDeferred
from aurora_ops.core import job_commands
from aurora_ops.core import kubernetes as k8s
from aurora_ops.core.errors import (
    MissingError,
    PermanentError,
    SafetyError,
    StateError,
    TransientError,
    WaitFailedError,
)
from aurora_ops.hooks.kubernetes import KubernetesApi, KubernetesHook
from aurora_ops.operators.kubernetes_jobs import DeleteJobSecretOperator, RunJobOperator
from aurora_ops.operators.kubernetes_storage import CreateStorageOperator
from aurora_ops.operators.reap_jobs import ReapJobsOperator
from aurora_ops.triggers.wait import WaitTrigger

from devstack.settings import REPO
from localcloud.client import admin_operation
from localcloud.seed.apps import EKS_CLUSTER, NAMESPACE, access_of
from tests.local.cloud.eks_operators import IMAGE, INSIDE, PLACING, RUN, connect, context, make_apps
from tests.local.cloud.kube_helpers import STAGING, job, until
from tests.local.cloud.rds_helpers import watch
from tests.unit.operators.driver import run_trigger

pytestmark = [pytest.mark.local, pytest.mark.slow]
DATABASE = "jobs-shop"
ROWS = [(1, 'it\'s; "quoted" \\ and\nnew'), (2, None), (3, "é€😀")]


@pytest.fixture(scope="module")
def seeded(cloud):
    """The seeded cluster with one node."""
    apps = make_apps(cloud)
    apps.settled(1)
    return apps


@pytest.fixture
def apps(seeded, cloud, monkeypatch):
    """The seeded cluster, reached by this process's connections."""
    connect(monkeypatch, cloud)
    return seeded


@pytest.fixture(scope="module")
def database(cloud):
    """A database with a table that has a trigger, and its master login from RDS."""
    rds = cloud.admin(STAGING, "rds")
    tags = [{"Key": "refresh", "Value": "true"}]
    rds.create_db_cluster(
        DBClusterIdentifier=DATABASE,
        Engine="aurora-mysql",
        MasterUsername="admin",
        ManageMasterUserPassword=True,
        Tags=tags,
    )
    status = lambda: rds.describe_db_clusters(DBClusterIdentifier=DATABASE)["DBClusters"][0]["Status"]  # noqa: E731
    watch(status, "available")
    rds.create_db_instance(
        DBInstanceIdentifier=f"{DATABASE}-1",
        DBClusterIdentifier=DATABASE,
        Engine="aurora-mysql",
        DBInstanceClass="db.t4g.medium",
    )
    watch(
        lambda: rds.describe_db_instances(DBInstanceIdentifier=f"{DATABASE}-1")["DBInstances"][0]["DBInstanceStatus"],
        "available",
    )
    cluster = rds.describe_db_clusters(DBClusterIdentifier=DATABASE)["DBClusters"][0]
    secret = cloud.admin(STAGING, "secretsmanager").get_secret_value(SecretId=cluster["MasterUserSecret"]["SecretArn"])
    password = yaml.safe_load(secret["SecretString"])["password"]
    found = pymysql.connect(
        host=cluster["Endpoint"],
        port=cluster["Port"],
        user="admin",
        password=password,
        autocommit=True,
        charset="utf8mb4",
    )
    with found.cursor() as sql:
        sql.execute("CREATE DATABASE shop CHARACTER SET utf8mb4")
        sql.execute("CREATE TABLE shop.`odd$name` (id INT PRIMARY KEY, note TEXT)")
        sql.execute("CREATE TABLE shop.other (id INT PRIMARY KEY)")
        sql.execute("CREATE TRIGGER shop.t BEFORE INSERT ON shop.other FOR EACH ROW SET NEW.id = NEW.id + 1")
        sql.executemany("INSERT INTO shop.`odd$name` VALUES (%s, %s)", ROWS)
        sql.execute("INSERT INTO shop.other VALUES (1)")
    found.master_password = password  # type: ignore[attr-defined]
    return found


@pytest.fixture(scope="module")
def claim(cloud, seeded):
    """A claim on a file system; its directory on this machine."""
    made = cloud.admin(STAGING, "efs").create_file_system(CreationToken="dumps")["FileSystemId"]
    root = cloud.config.home / "efs" / made
    root.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        connect(patch, cloud)
        CreateStorageOperator(task_id="c", claim_name="dumps", file_system_id=made, within_s=20, **INSIDE).execute(
            context()
        )
    return root


@pytest.fixture
def told(monkeypatch) -> list[str]:
    """Every line of a pod's log that is read."""
    lines: list[str] = []
    read = KubernetesApi.log

    def log(self, *arguments, **more):
        for line in read(self, *arguments, **more):
            lines.append(line)
            yield line

    monkeypatch.setattr(KubernetesApi, "log", log)
    return lines


def drop_secret(name: str):
    return DeleteJobSecretOperator(task_id="drop", name=name, **INSIDE).execute(context())


def run(name: str, command: list[str], try_number: int = 1, **more):
    arguments = {**INSIDE, **PLACING, "name": name, "image": IMAGE, "command": command, "run_key": RUN, **more}
    return RunJobOperator(task_id="run", **{"deadline_s": 60, "expires_h": 24, **arguments}).execute(
        context(try_number)
    )


def run_with_login(name: str, command: list[str], **more):
    return run(name, command, db_cluster_id=DATABASE, **more)


def secrets(apps) -> list[str]:
    return [found.metadata.name for found in apps.kube.core.list_namespaced_secret(NAMESPACE).items]


def rows(database, table: str):
    with database.cursor() as sql:
        sql.execute(f"SELECT * FROM shop.`{table}` ORDER BY 1")
        return list(sql.fetchall())


MOUNTS = [{"claim": "dumps", "path": job_commands.DUMP_PATH, "sub_path": "aurora-ops/dumps/kept"}]
TABLES = ["shop.odd$name", "shop.other"]


def test_tables_are_dumped_and_loaded_again_with_triggers(apps, database, claim, cloud, told) -> None:
    result = run_with_login("dump-1", job_commands.dump(TABLES), mounts=MOUNTS)
    assert drop_secret("dump-1") == {"deleted": True}
    assert result["log_lines"] > 1
    assert any(line.startswith("dumped shop") for line in told)
    folder = claim / "aurora-ops" / "dumps" / "kept" / "current"
    assert sorted(path.name for path in folder.iterdir()) == ["SHA256SUMS", "shop.sql.gz", "shop.tables"]
    assert b"CREATE TABLE `odd$name`" in gzip.decompress((folder / "shop.sql.gz").read_bytes())

    with database.cursor() as sql:
        sql.execute("DELETE FROM shop.`odd$name`")
        sql.execute("DROP TABLE shop.other")
    run_with_login("load-1", job_commands.load(["shop"]), mounts=MOUNTS, writes=True)
    drop_secret("load-1")
    assert rows(database, "odd$name") == ROWS
    assert rows(database, "other") == [(2,)]
    with database.cursor() as sql:
        sql.execute("INSERT INTO shop.other VALUES (10)")
    assert rows(database, "other") == [(2,), (11,)], "the trigger is back"

    assert database.master_password not in cloud.config.calls_file.read_text() + "".join(told)
    assert secrets(apps) == []


def test_a_broken_dump_is_not_loaded(apps, database, claim, told) -> None:
    file = claim / "aurora-ops" / "dumps" / "kept" / "current" / "shop.sql.gz"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    before = rows(database, "odd$name")
    with pytest.raises(StateError, match=r"job load-2 in staging failed: BackoffLimitExceeded.*exit code 1"):
        run_with_login("load-2", job_commands.load(["shop"]), mounts=MOUNTS, writes=True)
    assert "shop.sql.gz: FAILED" in told
    assert rows(database, "odd$name") == before
    file.write_bytes(whole)
    drop_secret("load-2")


def test_rows_that_read_otherwise_than_they_were_dumped_fail_the_job(apps, database, claim, told) -> None:
    folder = claim / "aurora-ops" / "dumps" / "kept" / "current"
    files = [folder / name for name in ("shop.tables", "SHA256SUMS")]
    whole = [file.read_text() for file in files]
    files[0].write_text("other\n")  # so that not all rows of the dump are read again
    was, now = (hashlib.sha256(text.encode()).hexdigest() for text in (whole[0], "other\n"))
    files[1].write_text(whole[1].replace(was, now))
    with pytest.raises(StateError, match=r"job load-3 in staging failed: .*exit code 4"):
        run_with_login("load-3", job_commands.load(["shop"]), mounts=MOUNTS, writes=True)
    assert "rows of shop are not those that were dumped" in told
    drop_secret("load-3")
    for file, text in zip(files, whole, strict=True):
        file.write_text(text)


def test_a_failed_dump_leaves_the_former_one(apps, database, claim) -> None:
    folder = claim / "aurora-ops" / "dumps" / "kept" / "current"
    before = (folder / "shop.sql.gz").read_bytes()
    with pytest.raises(StateError, match="dump-2"):
        run_with_login("dump-2", job_commands.dump(["shop.none"]), mounts=MOUNTS)
    drop_secret("dump-2")
    assert (folder / "shop.sql.gz").read_bytes() == before


def test_the_manifest_is_bounded_pinned_and_without_secrets(apps, database) -> None:
    run_with_login("shape", ["sh", "-c", "test -f /run/aurora-ops/my.cnf"], environment={"A": "b"})
    found = apps.kube.batch.read_namespaced_job("shape", NAMESPACE)
    spec, pod = found.spec, found.spec.template.spec
    assert (spec.backoff_limit, spec.active_deadline_seconds, spec.ttl_seconds_after_finished) == (0, 60, 86400)
    container = pod.containers[0]
    assert [(entry.name, entry.value, entry.value_from) for entry in container.env] == [("A", "b", None)]
    assert container.resources.limits == {"memory": "1Gi"}
    assert pod.security_context.run_as_non_root is True
    assert container.security_context.read_only_root_filesystem is True
    assert pod.automount_service_account_token is False
    assert found.metadata.labels["app.kubernetes.io/managed-by"] == "aurora-ops"
    assert found.metadata.annotations["aurora-ops/run"] == RUN
    expires = datetime.fromisoformat(found.metadata.annotations["aurora-ops/expires"])
    assert abs(expires - found.metadata.creation_timestamp - timedelta(hours=24)) < timedelta(minutes=1)
    drop_secret("shape")


def test_a_second_task_of_the_run_adopts_the_job(apps) -> None:
    assert run("adopted", ["sh", "-c", "echo once"])["log_lines"] == 1
    assert apps.quiet(lambda: run("adopted", ["sh", "-c", "echo twice"], try_number=2))["log_lines"] == 1


def test_a_running_job_of_the_run_is_waited_for(apps) -> None:
    operator = RunJobOperator(
        task_id="run", name="running", image=IMAGE, command=["sh", "-c", "sleep 2; echo done"], run_key=RUN, deadline_s=60,
        expires_h=24,
        **{**INSIDE, **PLACING, "deferrable": True},
    )  # fmt: skip
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(context())
    assert deferred.value.timeout.total_seconds() > 60
    path, arguments = deferred.value.trigger.serialize()
    assert path.endswith("WaitTrigger")
    [event] = run_trigger(WaitTrigger(**arguments))
    assert event["status"] == "success", event
    assert apps.quiet(lambda: operator.resume(context(), event))["log_lines"] == 1


def test_a_failed_job_fails_the_task_and_the_next_try_replaces_it(apps, claim) -> None:
    command, mounts = ["sh", "-c", "test -f /m/flag"], [{"claim": "dumps", "path": "/m", "sub_path": ""}]
    with pytest.raises(StateError, match="exit code 1"):
        run("again", command, mounts=mounts)
    with pytest.raises(StateError, match="clear the task"):
        run("again", command, mounts=mounts)
    (claim / "flag").touch()
    assert run("again", command, try_number=2, mounts=mounts)["job"] == "again"


def test_jobs_of_other_runs(apps) -> None:
    run("shared", ["true"], run_key="other/run")
    assert run("shared", ["sh", "-c", "echo mine"])["log_lines"] == 1
    other = RunJobOperator(
        task_id="run", name="busy", image=IMAGE, command=["sleep", "30"], run_key="other/run", deadline_s=60, expires_h=24,
        **{**INSIDE, **PLACING, "deferrable": True},
    )  # fmt: skip
    with pytest.raises(TaskDeferred):
        other.execute(context())
    with pytest.raises(StateError, match="runs for other/run"):
        apps.quiet(lambda: run("busy", ["true"]))
    apps.kube.batch.delete_namespaced_job("busy", NAMESPACE, propagation_policy="Background")
    apps.kube.batch.create_namespaced_job(NAMESPACE, job("theirs", "true"))
    with pytest.raises(SafetyError, match="kubectl label jobs theirs"):
        apps.quiet(lambda: run("theirs", ["true"]))


def test_a_pod_that_cannot_start_fails_at_once(apps) -> None:
    with pytest.raises(WaitFailedError, match=r"cannot start: .*ImagePullBackOff"):
        run("stuck", ["true"], image="registry.invalid/tools:1")
    apps.kube.batch.delete_namespaced_job("stuck", NAMESPACE, propagation_policy="Background")


def test_a_deadline_ends_the_job_and_the_task(apps) -> None:
    with pytest.raises(StateError, match="DeadlineExceeded"):
        run("late", ["sleep", "60"], deadline_s=1)


def test_writing_needs_a_tagged_cluster_and_nothing_is_left_of_what_is_refused(apps, database, cloud) -> None:
    rds = cloud.admin(STAGING, "rds")
    arn = rds.describe_db_clusters(DBClusterIdentifier=DATABASE)["DBClusters"][0]["DBClusterArn"]
    rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["refresh"])
    with pytest.raises(SafetyError, match="refresh=true"):
        apps.quiet(lambda: run_with_login("untagged", ["true"], writes=True))
    rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "refresh", "Value": "true"}])
    with pytest.raises(MissingError):
        apps.quiet(lambda: run("nowhere", ["true"], db_cluster_id="nowhere"))


def owner_of(apps, name: str) -> str:
    [owner] = apps.kube.core.read_namespaced_secret(name, NAMESPACE).metadata.owner_references
    assert (owner.kind, owner.block_owner_deletion) == ("Job", None)
    return str(owner.uid)


def test_a_secret_goes_with_its_job(apps, database) -> None:
    run_with_login("owner", ["true"])
    assert owner_of(apps, "owner") == apps.kube.batch.read_namespaced_job("owner", NAMESPACE).metadata.uid
    apps.kube.batch.delete_namespaced_job("owner", NAMESPACE, propagation_policy="Background")
    until(lambda: "owner" not in secrets(apps))
    run_with_login("brief", ["true"], keep_s=5)
    until(lambda: "brief" not in secrets(apps))


def test_a_job_that_is_made_anew_has_a_login_of_its_own(apps, database, claim) -> None:
    mounts = [{"claim": "dumps", "path": "/m", "sub_path": ""}]
    command = ["sh", "-c", "test -f /m/login-flag && test -f /run/aurora-ops/my.cnf"]
    with pytest.raises(StateError):
        run_with_login("anew", command, mounts=mounts)
    first = owner_of(apps, "anew")
    (claim / "login-flag").touch()
    run_with_login("anew", command, mounts=mounts, try_number=2)
    assert owner_of(apps, "anew") != first
    assert drop_secret("anew") == {"deleted": True}
    assert apps.quiet(lambda: drop_secret("anew")) == {"deleted": False}


@pytest.mark.parametrize(
    ("action", "effect"),
    [
        ("CreateJob", "lost"), ("CreateSecret", "lost"), ("PatchJob", "lost"),
        ("CreateSecret", "throttle"), ("PatchJob", "throttle"),
    ],
)  # fmt: skip
def test_a_job_begins_with_its_login_whatever_was_lost_before(apps, database, cloud, action, effect) -> None:
    name = f"cut-{action.lower()}-{effect}"
    command = ["sh", "-c", "test -f /run/aurora-ops/my.cnf"]
    admin_operation("faults-add", cloud.config, service="kubernetes", action=action, effect=effect)
    with pytest.raises(TransientError):
        run_with_login(name, command)
    assert run_with_login(name, command, try_number=2)["job"] == name
    assert len(apps.kube.core.list_namespaced_pod(NAMESPACE, label_selector=f"job-name={name}").items) == 1
    assert owner_of(apps, name) == apps.kube.batch.read_namespaced_job(name, NAMESPACE).metadata.uid
    admin_operation("faults-clear", cloud.config)
    drop_secret(name)


def test_a_secret_of_somebody_else_is_not_taken(apps, database) -> None:
    apps.kube.core.create_namespaced_secret(NAMESPACE, {"metadata": {"name": "login"}, "stringData": {"a": "b"}})
    with pytest.raises(SafetyError, match="not labelled"):
        apps.quiet(lambda: drop_secret("login"))
    with pytest.raises(SafetyError, match="secrets login is not labelled"):
        run_with_login("login", ["true"])
    assert apps.kube.batch.read_namespaced_job("login", NAMESPACE).spec.suspend is True, "it never begins"
    apps.kube.core.delete_namespaced_secret("login", NAMESPACE)
    apps.kube.batch.delete_namespaced_job("login", NAMESPACE, propagation_policy="Background")


# ---- what dead runs leave --------------------------------------------------------------------------------------------


def reap(**more):
    place = {"cluster": EKS_CLUSTER, "namespace": NAMESPACE}
    given = {"policy": "remove", "environments": ["staging"], "locks": [], "namespaces": [place], "protected": False}
    at = {key: INSIDE[key] for key in ("aws_conn_id", "region_name", "deferrable")}
    return ReapJobsOperator(task_id="reap", **{**at, **given, **more}).execute(context())


def test_an_expired_job_of_a_dead_run_goes_with_its_login(apps, database, cloud) -> None:
    admin_operation("faults-add", cloud.config, service="kubernetes", action="PatchJob", effect="throttle")
    with pytest.raises(TransientError):
        run_with_login("dead", ["true"], run_key="dag/dead", expires_h=-1)
    admin_operation("faults-add", cloud.config, service="kubernetes", action="PatchJob", effect="throttle")
    with pytest.raises(TransientError):
        run_with_login("young", ["true"], run_key="dag/dead")
    apps.kube.batch.create_namespaced_job(NAMESPACE, job("of-others", "true"))
    name = f"job {EKS_CLUSTER}/{NAMESPACE}/dead"
    told = apps.quiet(lambda: reap(policy="report"))
    assert [line.split(":")[0] for line in told["expired"]] == [name]
    assert apps.quiet(lambda: reap(protected=True))["removed"] == []
    found = reap()
    assert (found["removed"], found["counts"]["failed"]) == ([name], 0)
    until(lambda: "dead" not in secrets(apps))
    names = {found.metadata.name for found in apps.kube.batch.list_namespaced_job(NAMESPACE).items}
    assert "dead" not in names
    assert {"young", "of-others"} <= names
    assert "young" in secrets(apps)
    apps.kube.batch.delete_namespaced_job("young", NAMESPACE, propagation_policy="Background")


def test_an_answer_that_was_lost_is_looked_for(apps, cloud) -> None:
    admin_operation("faults-add", cloud.config, service="kubernetes", action="CreateJob", effect="lost")
    with pytest.raises(TransientError):
        run("lost", ["true"])
    assert run("lost", ["true"], try_number=2)["job"] == "lost"
    assert len(apps.kube.core.list_namespaced_pod(NAMESPACE, label_selector="job-name=lost").items) == 1
    admin_operation("faults-clear", cloud.config)


def test_a_role_without_rights_is_told_what_to_do(apps, cloud) -> None:
    admin_operation(
        "faults-add", cloud.config, service="kubernetes", action="GetJob", code="Forbidden", status=403, times=0
    )
    with pytest.raises(PermanentError, match=r"kubernetes-access\.yaml"):
        run("denied", ["true"])
    admin_operation("faults-clear", cloud.config)


def test_lists_are_read_to_their_last_page(apps, monkeypatch) -> None:
    monkeypatch.setattr("aurora_ops.hooks.kubernetes._PAGE", 2)
    api = KubernetesHook("aws_destination", "eu-west-1").api(EKS_CLUSTER)
    everybody = apps.kube.batch.list_namespaced_job(NAMESPACE).items
    assert len(everybody) > 4
    pods = apps.kube.core.list_namespaced_pod(NAMESPACE).items
    assert {pod["metadata"]["name"] for pod in api.list(k8s.PODS, NAMESPACE)} == {pod.metadata.name for pod in pods}


def test_the_manifest_of_rights_is_what_was_enough_here() -> None:
    text = (REPO / "include" / "templates" / "kubernetes-access.yaml").read_text()
    assert list(yaml.safe_load_all(text)) == access_of("staging")[1:]
