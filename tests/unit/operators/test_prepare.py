"""The check before a refresh: everything wrong is said at once, with field, value and what is allowed, and nothing is changed."""

# ruff: noqa: N802, N803 - operations and parameters have the names that AWS gave them

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import ClassVar

import pytest
import yaml
from airflow.sdk.exceptions import AirflowSkipException
from aurora_ops.core.errors import ConfigError, MissingError, PermanentError, SafetyError, StateError
from aurora_ops.core.mask_plan import ColumnFacts, IndexFacts, KeyPart, TableFacts
from aurora_ops.core.tables import Table
from aurora_ops.hooks.base import AwsHook
from aurora_ops.operators import prepare_checks
from aurora_ops.operators.prepare import CheckRefreshOperator
from aurora_ops.operators.prepare_checks import guards
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from devstack.settings import REPO
from tests.unit.core import samples
from tests.unit.operators.conftest import ACTIONS
from tests.unit.operators.driver import context, drive

ACCOUNTS = {"aws_source": "111111111111", "aws_destination": "222222222222", "aws_orchestrator": "000000000000"}
KNOWN_TABLES = [("shop", "feature_flags"), ("shop", "customers")]
KNOWN_COLUMNS = {"customers": ["id", "email"]}


FACTS = [
    TableFacts(
        Table("shop", "customers"),
        rows=50_000,
        columns=(ColumnFacts("id", "int", nullable=False), ColumnFacts("email", "varchar", length=190)),
        indexes=(IndexFacts("PRIMARY", unique=True, parts=(KeyPart("id"),)),),
    )
]
KEY, DEFAULT_KEY, VPC = "arn:aws:kms:key/shop", "arn:aws:kms:key/default", "vpc-1"
GROUPS = {"isolated": "sg-isolated", "serving": "sg-serving"}
SECRET = json.dumps({"username": "u", "password": "hunter2"})


class Reads:
    """What the check reads of services other than RDS, by the names of AWS; cheaper than moto by far."""

    keys: ClassVar = {"alias/shop-prod": KEY, "alias/shop-staging": KEY, KEY: KEY, "alias/aws/rds": DEFAULT_KEY}
    secrets = ("master", "staging/app", "prod/readonly")

    def __init__(self) -> None:
        self.disabled = False
        self.records: list[dict[str, str]] = []

    def absent(self, code: str):
        raise ClientError({"Error": {"Code": code, "Message": "there is none"}}, "read")

    def DescribeKey(self, KeyId):
        state = {"Enabled": not self.disabled, "KeyState": "Disabled" if self.disabled else "Enabled"}
        found = self.keys.get(KeyId)
        return {"KeyMetadata": {"Arn": found, **state}} if found else self.absent("NotFoundException")

    def DescribeSecurityGroups(self, **_):
        return {"SecurityGroups": [{"GroupId": i, "GroupName": name, "VpcId": VPC} for name, i in GROUPS.items()]}

    def DescribeSecret(self, SecretId):
        return {} if SecretId in self.secrets else self.absent("ResourceNotFoundException")

    def GetSecretValue(self, SecretId, VersionStage):
        return {"SecretString": SECRET} if SecretId in self.secrets else self.absent("ResourceNotFoundException")

    def HeadBucket(self, Bucket):
        return {} if Bucket == "bucket" else self.absent("404")

    def DescribeTable(self, TableName):
        status = {"Table": {"TableStatus": "ACTIVE"}}
        return status if TableName == "aurora-ops-runs" else self.absent("ResourceNotFoundException")

    def Query(self, TableName, ExpressionAttributeValues, **_):
        assert ExpressionAttributeValues[":pk"] == {"S": "refresh#222222222222#staging-shop"}
        return {"Items": [{name: {"S": value} for name, value in record.items()} for record in self.records]}

    def GetTopicAttributes(self, TopicArn):
        return self.absent("NotFoundException")


@pytest.fixture
def world(rds, aws_session, calls, monkeypatch, tmp_path):
    """Accounts in which a refresh may begin; each test takes something away."""
    rds.vpc_id, key, reads = VPC, KEY, Reads()
    rds.cluster("prod-shop", refresh=False, KmsKeyId=key)
    rds.cluster("staging-shop", instances=1, MasterUserSecret={"SecretArn": "master", "SecretStatus": "active"})
    rds.snapshot("newest", "prod-shop", SnapshotCreateTime=datetime.now(UTC) - timedelta(hours=1), KmsKeyId=key)
    sql = tmp_path / "sql"
    for purpose in ("masking", "validation"):
        (sql / purpose / "shop").mkdir(parents=True)
        (sql / purpose / "shop" / "010.sql").write_text("SELECT 1;")
    (sql / "masking" / "shop" / "columns.yaml").write_text("customers: {email: email}")
    shutil.copy(REPO / "include" / "prices.yaml", tmp_path)

    world = SimpleNamespace(
        rds=rds, key=key, groups=GROUPS, reads=reads, sql=sql,
        raw=samples.raw(), accounts=dict(ACCOUNTS), tables=list(KNOWN_TABLES),
        logins=[], path=tmp_path / "staging.yaml",
    )  # fmt: skip
    world.raw["database"]["users"] = [{"username": "app", "secret": "staging/app"}]

    class Sql:
        """A server that knows its tables and columns."""

        def __init__(self, login, **_):
            world.logins.append(login)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def rows(self, sql, args=None, what=""):
            return [(name,) for name in KNOWN_COLUMNS.get(args[1], [])] if args else world.tables

    beyond = BaseClient._make_api_call

    def call(self, operation, params):
        if operation == "GetCallerIdentity":
            calls.append("sts:GetCallerIdentity")
            return {"Account": world.accounts[world.asking], "Arn": "arn"}
        service = self.meta.service_model.service_name
        if service == "rds":
            return beyond(self, operation, params)
        action = f"{service}:{operation}"
        calls.append(ACTIONS.get(action, action))
        return getattr(reads, operation)(**params)

    require = AwsHook.require_account

    def require_account(self, account_id):
        world.asking = self.aws_conn_id
        require(self, account_id)

    monkeypatch.setattr(prepare_checks, "MySqlHook", Sql)
    monkeypatch.setattr(prepare_checks, "read_table_facts", lambda _, schemas: FACTS if schemas == ["shop"] else [])
    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    monkeypatch.setattr(AwsHook, "require_account", require_account)
    calls.clear()
    yield world
    assert calls.mutating == []
    elsewhere = {action for more in CheckRefreshOperator.permissions_elsewhere.values() for action in more}
    assert set(calls) - {"sts:GetCallerIdentity"} <= {*CheckRefreshOperator.permissions, *elsewhere}


def check(world, conf=None, params=None, ctx=None, *, audits=False, **dag_run):
    world.path.write_text(yaml.safe_dump(world.raw))
    ctx = ctx or context()
    ctx["params"] = params or {}
    vars(ctx["dag_run"]).update(conf=conf, **dag_run)
    operator = lambda: CheckRefreshOperator(  # noqa: E731
        task_id="check",
        path=str(world.path),
        sql_folder=str(world.sql),
        audits=audits,
        aws_conn_id="aws_destination",
        region_name="eu-west-1",
    )
    return drive(operator, ctx)


class TestWindows:
    """A refresh begins inside a window only; a dry run, and one that ignores them, at any time."""

    CLOSED = f"{(datetime.now(UTC) + timedelta(days=3)):%a} 00:00-00:01 UTC"

    def test_none_is_open(self, world) -> None:
        world.raw["safety"]["maintenance_windows"] = [self.CLOSED]
        with pytest.raises(StateError, match="no maintenance window is open"):
            check(world)
        with pytest.raises(AirflowSkipException):
            check(world, {"dry_run": True})
        assert check(world, {"ignore_window": True})["windows"] == []

    def test_one_is_open(self, world) -> None:
        world.raw["safety"]["maintenance_windows"] = ["daily 00:00-00:00 UTC"]
        assert check(world)["windows"] == ["daily 00:00-00:00 UTC"], "the switch looks again"

    def test_what_is_no_window_is_refused(self, world) -> None:
        world.raw["safety"]["maintenance_windows"] = ["at night"]
        with pytest.raises(ConfigError, match="write weekdays, from-to and a time zone"):
            check(world)


def test_a_refresh_that_is_followed_begins_when_all_is_right_and_not_in_a_dry_run(world, monkeypatch) -> None:
    begun = []

    def begin(ctx, settings, *, request):
        begun.append((settings.environment, request))
        return {"name": "x"}

    monkeypatch.setattr("aurora_ops.operators.operations.begin", begin)
    assert "operation" not in check(world)
    with pytest.raises(AirflowSkipException):
        check(world, {"dry_run": True}, audits=True)
    assert begun == []
    assert check(world, {"readers": 2}, audits=True)["operation"] == {"name": "x"}
    assert begun == [("staging", {"readers": 2})]


def refused(world, kind, *texts, conf=None):
    with pytest.raises(PermanentError) as raised:
        check(world, conf)
    assert isinstance(raised.value, kind)
    for text in texts:
        assert text in str(raised.value)
    assert "hunter2" not in str(raised.value)
    return str(raised.value)


def test_plan(world) -> None:
    plan = check(world)
    live = world.rds.clusters["staging-shop"]
    assert plan["source_snapshot_id"] == "newest"
    assert plan["snapshot_was_shared"] is False
    assert plan["snapshot_is_fresh"] is False
    assert plan["rekey_key_arn"] is None
    assert plan["target_key_arn"] == world.key
    assert plan["live_resource_id"] == live["DbClusterResourceId"]
    assert plan["live_instance_ids"] == ["staging-shop-1"]
    assert plan["isolation_security_groups"] == [world.groups["isolated"]]
    assert plan["security_groups"] == ["sg-old"]
    assert plan["parameter_group"] == "group"
    assert plan["run_key"] == "refresh_staging/manual__1"
    assert plan["target_key"] == "refresh#222222222222#staging-shop"
    assert plan["columns"] == ["shop.customers.email"]
    assert plan["keep_tables"] == ["shop.feature_flags"]
    assert plan["readers"] == 1
    assert plan["temporary_cluster"] == "staging-shop-restore"
    assert plan["tags"]["refresh"] == "true"
    assert json.loads(json.dumps(plan)) == plan
    assert "hunter2" not in json.dumps(plan)


def test_same_run_same_plan(world) -> None:
    assert check(world) == check(world)


def test_run_without_logical_date(world) -> None:
    assert check(world, logical_date=None)["copy_snapshot_id"].endswith("20260701t020000")


def test_form_and_conf_are_laid_over_the_file(world) -> None:
    plan = check(world, conf={"old_cluster": "keep"}, params={"readers": 4, "old_cluster": None, "snapshot": None})
    assert (plan["readers"], plan["old_cluster_policy"]) == (4, "keep")


class TestPlanText:
    """The whole plan is left as text; a dry run ends with it."""

    def text(self, world, conf=None):
        ctx = context()
        with suppress(AirflowSkipException):
            check(world, conf, ctx=ctx)
        return ctx["ti"].xcoms["check", "plan"]

    def test_is_left_by_every_run(self, world) -> None:
        text = self.text(world)
        assert "`newest`, 1.0 h old: the newest, and at most 30 h old" in text
        assert "`staging-shop` is renamed `staging-shop-old`" in text
        assert "hunter2" not in text

    def test_dry_run_ends_with_it(self, world) -> None:
        with pytest.raises(AirflowSkipException, match="nothing is changed"):
            check(world, {"dry_run": True})
        assert self.text(world, {"dry_run": True}) == self.text(world)

    def test_dry_run_that_is_off_is_none(self, world) -> None:
        assert check(world, {"dry_run": False}) == check(world)

    def test_what_is_wrong_fails_a_dry_run(self, world) -> None:
        refused(world, ConfigError, "dry_run: 'yes'", "true or false", conf={"dry_run": "yes"})

    def test_tables_with_their_technique(self, world) -> None:
        text = self.text(world)
        assert "Rows as staging-shop estimates them" in text
        assert "| `shop.customers` | rebuild | 50,000 |" in text

    def test_names_what_an_earlier_run_left(self, world) -> None:
        world.rds.cluster("staging-shop-restore")
        assert "cluster `staging-shop-restore`, left by an earlier run" in self.text(world)

    def test_expects_what_the_last_runs_took(self, world) -> None:
        world.reads.records = [
            {"outcome": outcome, "rto_s": took}
            for outcome, took in (("succeeded", "3000"), ("failed", "9"), ("succeeded", "3600"), ("succeeded", "4200"))
        ]
        assert "60 min, the median of the last 3" in self.text(world)


class TestBeforeAnyCall:
    """Settings and guards are judged before AWS is asked anything."""

    @pytest.fixture(autouse=True)
    def no_call(self, world, calls):
        yield
        assert calls == []

    def test_unknown_parameter(self, world) -> None:
        refused(world, ConfigError, "snapshots", "known run parameters are", conf={"snapshots": "newest"})

    def test_wrong_parameter(self, world) -> None:
        refused(world, ConfigError, "target.instances.readers: 99", "less than or equal to 15", conf={"readers": 99})

    def test_bad_cron(self, world) -> None:
        world.raw["schedule"] = "every night"
        refused(world, ConfigError, "schedule: 'every night'", "five cron fields")

    def test_target_is_the_source(self, world) -> None:
        conf = {"target_cluster": "prod-shop", "target_account_id": "111111111111"}
        text = refused(
            world, SafetyError, "must not be the source", "protected_accounts", "allowed_clusters", conf=conf
        )
        assert "target.role_arn" in text

    def test_protected_account(self, world) -> None:
        refused(world, SafetyError, "target.account_id: '111111111111'", conf={"target_account_id": "111111111111"})

    def test_cluster_that_is_not_listed(self, world) -> None:
        refused(world, SafetyError, "'other'", "allowed are ['staging-shop']", conf={"target_cluster": "other"})

    def test_tables_to_keep_and_no_bucket(self, world) -> None:
        world.raw["database"]["keep_bucket"] = None
        refused(world, ConfigError, "database.keep_bucket", "name a bucket")


class TestAccounts:
    """Each connection must lead where the settings say; nothing else is asked before."""

    @pytest.mark.parametrize("name", ACCOUNTS)
    def test_connection_that_leads_elsewhere(self, world, calls, name) -> None:
        world.accounts[name] = "999999999999"
        refused(world, ConfigError, f"connection {name}: '999999999999'", ACCOUNTS[name])
        assert set(calls) == {"sts:GetCallerIdentity"}


def untag(world):
    world.rds.clusters["staging-shop"]["TagList"] = []


def without(*path):
    def change(world):
        node = world.raw
        for part in path[:-2]:
            node = node[part]
        node[path[-2]] = path[-1]

    return change


WRONG = [
    ("target is not tagged", untag, SafetyError, ["staging-shop is not tagged refresh=true"]),
    ("target is stopped", lambda w: w.rds.clusters["staging-shop"].update(Status="stopped"), PermanentError, ["is stopped"]),
    ("leftover is not tagged", lambda w: w.rds.cluster("staging-shop-restore", refresh=False), SafetyError,
     ["staging-shop-restore is not tagged"]),
    ("old is not tagged", lambda w: w.rds.cluster("staging-shop-old", refresh=False), SafetyError,
     ["staging-shop-old is not tagged"]),
    ("no target, but tables of it to keep", lambda w: w.rds.clusters.pop("staging-shop"), PermanentError,
     ["it must exist, since tables of it are to be kept", "target.security_groups"]),
    ("no source", lambda w: w.rds.clusters.pop("prod-shop"), MissingError, ["no cluster prod-shop behind aws_source"]),
    ("snapshot too old", without("source", "snapshot", "newest"), ConfigError, ["source.snapshot: 'newest'", "h old"]),
    ("named snapshot is absent", without("source", "snapshot", "other"), ConfigError, ["'other'", "['newest']"]),
    ("target key is absent", without("target", "kms_key_id", "alias/none"), ConfigError, ["target.kms_key_id: 'alias/none'"]),
    ("target key is disabled", lambda w: setattr(w.reads, "disabled", True), ConfigError,
     ["target.kms_key_id: 'alias/shop-staging'", "it is Disabled"]),
    ("subnet group is absent", without("target", "subnet_group", "none"), ConfigError, ["target.subnet_group: 'none'"]),
    ("isolation group is absent", without("target", "isolation_security_groups", ["none"]), ConfigError,
     ["target.isolation_security_groups: 'none'", "'isolated', 'serving'"]),
    ("security group is absent", without("target", "security_groups", ["none"]), ConfigError, ["target.security_groups"]),
    ("parameter group is absent", without("target", "parameter_group", "none"), ConfigError, ["target.parameter_group: 'none'"]),
    ("class cannot be ordered", without("target", "instances", {"class": "db.z1.large"}), ConfigError,
     ["target.instances.class: 'db.z1.large'", "cannot be ordered"]),
    ("no quota", lambda w: setattr(w.rds, "quota", (100, 100)), StateError, ["100 of 100 manual cluster snapshots"]),
    ("secret is absent", without("database", "users", [{"username": "a", "secret": "none"}]), ConfigError,
     ["database.users.secret: 'none'"]),
    ("bucket is absent", without("database", "keep_bucket", "no-such-bucket"), MissingError, ["no-such-bucket"]),
    ("table of runs is absent", without("orchestrator", "runs_table", "none"), MissingError, ["none"]),
    ("report bucket is absent", without("orchestrator", "report_bucket", "no-reports"), MissingError, ["no-reports"]),
    ("topic is absent", without("orchestrator", "topic_arn", "arn:aws:sns:eu-west-1:000000000000:none"), MissingError, ["none"]),
    ("table to keep is unknown", without("database", "keep_tables", ["shop.flags"]), ConfigError,
     ["database.keep_tables: 'shop.flags'", "['customers', 'feature_flags']"]),
    ("masking rule on a missing column", lambda w: (w.sql / "masking/shop/columns.yaml").write_text("customers: {mail: email}"),
     ConfigError, ["masking columns: 'shop.customers.mail'", "['email', 'id']"]),
    ("masking rule that its column does not allow",
     lambda w: (w.sql / "masking/shop/columns.yaml").write_text("customers: {id: email}"),
     ConfigError, ["masking columns shop.customers.id: 'email'", "its type is int"]),
    ("salt secret is absent", without("database", "masking", {"salt_secret": "none"}), ConfigError,
     ["database.masking.salt_secret: 'none'"]),
    ("masking rule on a missing table", lambda w: (w.sql / "masking/shop/columns.yaml").write_text("people: {mail: email}"),
     ConfigError, ["there is no table shop.people"]),
    ("no masking for a schema", without("database", "schemas", ["other"]), ConfigError, ["masking/other/columns.yaml"]),
    ("empty script", lambda w: (w.sql / "masking/shop/010.sql").write_text("-- nothing"), ConfigError,
     ["shop/010.sql", "no statement"]),
    ("schema secret is absent", without("source", "schema_secret", "none"), ConfigError, ["source.schema_secret: 'none'"]),
    ("master secret is not managed", lambda w: w.rds.clusters["staging-shop"].pop("MasterUserSecret"), PermanentError,
     ["has no managed master secret"]),
]  # fmt: skip


@pytest.mark.parametrize(("change", "kind", "texts"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_what_is_wrong_is_named(world, change, kind, texts) -> None:
    if texts[0].startswith("source.snapshot"):
        world.rds.snapshots["newest"]["SnapshotCreateTime"] -= timedelta(hours=40)
    change(world)
    refused(world, kind, *texts)


def test_all_of_it_is_named_at_once(world) -> None:
    for _, change, _, texts in WRONG[7:8] + WRONG[9:18]:
        if not texts[0].startswith("target.security_groups"):
            change(world)
    text = refused(world, PermanentError, "problems:")
    for _, _, _, texts in WRONG[7:8] + WRONG[9:11] + WRONG[13:18]:
        assert texts[0] in text


class TestSnapshot:
    """Which snapshot, and under which key it will be shared."""

    def test_none_young_enough_takes_a_fresh_one(self, world) -> None:
        world.rds.snapshots.clear()
        plan = check(world)
        assert plan["snapshot_is_fresh"] is True
        assert plan["source_snapshot_id"] == plan["fresh_snapshot_id"]
        assert plan["snapshot_created_at"] is None

    def test_one_that_somebody_shares_already_is_noted(self, world) -> None:
        newest = world.rds.snapshots["newest"]
        newest["SnapshotType"] = "manual"
        world.rds.shares[newest["DBClusterSnapshotIdentifier"]] = {"222222222222"}
        assert check(world)["snapshot_was_shared"] is True

    def test_a_share_that_a_dead_run_left_is_not_somebodys(self, world) -> None:
        newest = world.rds.snapshots["newest"]
        newest["SnapshotType"] = "manual"
        newest["TagList"] = [{"Key": "aurora-ops:share-run:222222222222", "Value": "refresh_staging/dead"}]
        world.rds.shares[newest["DBClusterSnapshotIdentifier"]] = {"222222222222"}
        assert check(world)["snapshot_was_shared"] is False, "so this run ends it"

    def test_automated_one_is_rekeyed_under_its_own_key(self, world) -> None:
        world.rds.snapshots["newest"]["SnapshotType"] = "automated"
        assert check(world)["rekey_key_arn"] == world.key

    def test_or_under_the_one_that_is_named(self, world) -> None:
        world.rds.snapshots["newest"]["SnapshotType"] = "automated"
        world.raw["source"]["kms_key_id"] = "alias/shop-prod"
        assert check(world)["rekey_key_arn"] == world.key

    def test_under_the_default_key_a_customer_key_must_be_named(self, world, calls) -> None:
        world.rds.snapshots["newest"]["KmsKeyId"] = DEFAULT_KEY
        refused(world, ConfigError, "source.kms_key_id", "default key cannot be shared")
        world.raw["source"]["kms_key_id"] = "alias/aws/rds"
        refused(world, ConfigError, "source.kms_key_id: 'alias/aws/rds'")
        world.raw["source"]["kms_key_id"] = "alias/shop-prod"
        assert check(world)["rekey_key_arn"] == world.key

    def test_unencrypted_one_needs_none(self, world) -> None:
        world.rds.snapshots["newest"].update(KmsKeyId="", StorageEncrypted=False, SnapshotType="automated")
        assert check(world)["rekey_key_arn"] is None


class TestStranded:
    """An earlier switch was cut short: nothing has the live name, and what had it runs under the old one."""

    @pytest.fixture
    def old(self, world):
        world.rds._renamed("staging-shop", "staging-shop-old")
        return world.rds.clusters["staging-shop-old"]

    def test_it_is_what_serves_and_not_what_is_cleared_away(self, world, old) -> None:
        ctx = context()
        plan = check(world, ctx=ctx)
        assert plan["live_resource_id"] == old["DbClusterResourceId"]
        assert plan["live_is_stranded"] is True
        assert plan["live_instance_ids"] == ["staging-shop-1"]
        assert "`staging-shop-old` gets its name `staging-shop` back first" in ctx["ti"].xcoms["check", "plan"]
        assert "left by an earlier run" not in ctx["ti"].xcoms["check", "plan"]

    def test_one_that_was_stopped_is_out_of_use(self, world, old) -> None:
        old["Status"] = "stopped"
        world.raw["database"]["keep_tables"] = []
        world.raw["target"]["security_groups"] = ["serving"]
        plan = check(world)
        assert (plan["live_resource_id"], plan["live_is_stranded"]) == ("", False)

    def test_untagged_one_is_not_touched(self, world, old) -> None:
        old["TagList"] = []
        refused(world, SafetyError, "staging-shop-old")

    def test_beside_one_that_serves_it_is_a_leftover(self, world) -> None:
        world.rds.cluster("staging-shop-old", instances=1)
        ctx = context()
        assert check(world, ctx=ctx)["live_is_stranded"] is False
        assert "`staging-shop-old`, left by an earlier run" in ctx["ti"].xcoms["check", "plan"]


class TestFirstRefresh:
    """No cluster serves yet."""

    @pytest.fixture(autouse=True)
    def none_yet(self, world):
        world.rds.clusters.pop("staging-shop")
        world.raw["database"]["keep_tables"] = []
        world.raw["target"]["security_groups"] = ["serving"]

    def test_plan(self, world) -> None:
        plan = check(world)
        assert (plan["live_resource_id"], plan["live_instance_ids"], plan["serving_host"]) == ("", [], "")
        assert plan["security_groups"] == [world.groups["serving"]]
        assert world.logins == []

    def test_source_is_looked_at_with_a_read_only_user(self, world) -> None:
        world.raw["source"]["schema_secret"] = "prod/readonly"
        check(world)
        assert [login.host for login in world.logins] == ["prod-shop.cluster-ro-x.rds"]


def test_guards_of_valid_settings_are_silent() -> None:
    assert guards(samples.settings()) == []
