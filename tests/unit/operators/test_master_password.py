"""The master password as a secret has it: set once, proven, shown nowhere."""

from __future__ import annotations

import json

import pymysql
import pytest
from airflow.sdk.exceptions import TaskDeferred
from aurora_ops.core.errors import ConfigError, MissingError, SafetyError, StateError, VerificationError
from aurora_ops.hooks import mysql
from aurora_ops.operators.master_password import SetMasterPasswordOperator

from tests.unit.operators.driver import context, drive, once
from tests.unit.operators.test_sql import Server

AT = {"aws_conn_id": "aws_destination", "region_name": "eu-west-1", "cluster_id": "app"}
NEW, FORMER = "hunter22", "production-1"
SECRET = {"database": "shop", "username": "admin", "password": NEW}


@pytest.fixture
def server(rds, aws_session, calls, monkeypatch) -> Server:
    """A restored cluster, which only the snapshot's password opens."""
    server = Server()
    server.passwords["admin"] = {FORMER}
    server.answer("SHOW DATABASES", (("mysql",), ("shop",)))
    rds.on_password = lambda password: server.passwords.update(admin={password})
    monkeypatch.setattr(mysql.pymysql, "connect", server.connect)
    rds.cluster("app", instances=1, MasterUsername="admin")
    secrets = aws_session.client("secretsmanager")
    secrets.create_secret(Name="master", SecretString=json.dumps(SECRET))
    secrets.create_secret(Name="former", SecretString=json.dumps({"username": "admin", "password": FORMER}))
    calls.clear()
    return server


def make(**given):
    return lambda: SetMasterPasswordOperator(task_id="m", **{**AT, "secret_id": "master", **given})


def write(aws_session, **value) -> None:
    aws_session.client("secretsmanager").put_secret_value(SecretId="master", SecretString=json.dumps(value))


def test_is_set_once_and_shown_nowhere(rds, server, calls, caplog) -> None:
    ctx = context()
    result = drive(make(former_secret_id="former"), ctx)
    assert result == {"cluster_id": "app", "secret_id": "master", "username": "admin", "former_refused": True}
    assert [(name, params["MasterUserPassword"]) for name, params in rds.mutations] == [("ModifyDBCluster", NEW)]
    assert drive(make(former_secret_id="former"), ctx) == result
    assert len(rds.mutations) == 1
    assert set(calls) <= set(SetMasterPasswordOperator.permissions)
    seen = json.dumps(list(ctx["ti"].xcoms.values())) + json.dumps(result) + caplog.text + "".join(server.said)
    assert NEW not in seen
    assert FORMER not in seen


def test_waits_before_it_looks_since_aws_lags(rds, server) -> None:
    deferred = once(make())
    assert isinstance(deferred, TaskDeferred)
    assert NEW not in json.dumps(deferred.trigger.serialize()[1])
    assert rds.clusters["app"]["Status"] == "available"


def test_managed_secret_is_given_up(rds, server) -> None:
    rds.clusters["app"]["MasterUserSecret"] = {"SecretArn": "managed", "SecretStatus": "active"}
    server.passwords["admin"] = {NEW}  # opens it by chance: the managed secret must go all the same
    assert drive(make())["former_refused"] is None
    [(_, params)] = rds.mutations
    assert params["ManageMasterUserPassword"] is False
    assert "MasterUserSecret" not in rds.clusters["app"]


def test_cluster_that_is_being_changed_is_waited_for(rds, server) -> None:
    rds.clusters["app"]["Status"] = "modifying"
    rds.after(4, lambda: rds.clusters["app"].update(Status="available"))
    drive(make())
    assert len(rds.mutations) == 1


def test_former_password_that_still_opens(rds, server) -> None:
    rds.on_password = lambda password: server.passwords["admin"].add(password)
    with pytest.raises(VerificationError, match="the master password in former still logs in to app"):
        drive(make(former_secret_id="former"))


def test_database_that_is_not_there(rds, server, aws_session) -> None:
    write(aws_session, **SECRET | {"database": "shopp"})
    with pytest.raises(VerificationError, match="names is not in app; it has mysql, shop"):
        drive(make())


@pytest.mark.parametrize(
    ("value", "given", "error", "why"),
    [
        (SECRET | {"password": ""}, {}, ConfigError, "it lacks password"),
        (SECRET | {"username": "root"}, {}, ConfigError, "it must be admin"),
        (SECRET | {"password": "hunter2"}, {}, ConfigError, "8 to 41"),
        (SECRET | {"password": FORMER}, {"former_secret_id": "former"}, ConfigError, "it is that of former"),
        ({"app_username": "x"}, {}, ConfigError, "write {database, username, password}"),
        (SECRET, {"secret_id": "none"}, MissingError, "none"),
        (SECRET, {"former_secret_id": "none"}, MissingError, "none"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_changed(
    rds, server, aws_session, value, given, error, why
) -> None:
    write(aws_session, **value)
    with pytest.raises(error, match=why) as raised:
        drive(make(**given))
    assert not {"hunter2", FORMER, "root"} & set(str(raised.value).split())
    assert rds.mutations == []


def test_nobody_could_log_in(rds, server) -> None:
    rds.clusters["app"]["DBClusterMembers"] = []
    with pytest.raises(StateError, match="has no instance"):
        drive(make())
    assert rds.mutations == []


def test_untagged(rds, server) -> None:
    rds.clusters["app"]["TagList"] = []
    with pytest.raises(SafetyError):
        drive(make())
    assert rds.mutations == []


def test_server_that_cannot_be_reached_says_nothing_of_the_password(rds, server, monkeypatch) -> None:
    def refuse(**_):
        raise pymysql.err.OperationalError(2003, "Can't connect")

    monkeypatch.setattr(mysql.pymysql, "connect", refuse)
    with pytest.raises(Exception, match="2003") as raised:
        drive(make())
    assert NEW not in str(raised.value)
    assert rds.mutations == []


def test_without_a_secret_nothing_is_to_be_done(rds) -> None:
    rds.cluster("app", instances=1)
    assert drive(lambda: SetMasterPasswordOperator(task_id="m", **{**AT, "secret_id": None}))["secret_id"] is None
    assert rds.mutations == []
