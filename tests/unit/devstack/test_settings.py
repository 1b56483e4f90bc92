"""What a stack hands to its processes, and what it keeps from them."""

from __future__ import annotations

import json
import socket

import pytest

from devstack.settings import EXTERNAL_ID, StackConfig, connection, free_port, spare_loopback


@pytest.fixture
def config(tmp_path):
    return StackConfig(tmp_path, tmp_path / "dags", tmp_path / "plugins", 8081, 5567, 13307, 0.2, 0.5, 3000)


def test_nothing_of_the_callers_aws_or_airflow_reaches_airflow(config, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "theirs")
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    env = config.airflow_env("postgresql://")
    assert "AKIAREAL" not in env.values()
    assert not {"AWS_PROFILE", "AIRFLOW_CONN_AWS_DEFAULT", "PYTHONDONTWRITEBYTECODE"} & set(env)
    assert env["AIRFLOW__CORE__FERNET_KEY"] == ""
    assert env["AWS_ENDPOINT_URL"] == "http://127.0.0.1:5567"
    assert env["AWS_EC2_METADATA_DISABLED"] == "true"


def test_everything_listens_on_loopback(config):
    env = config.airflow_env("postgresql://")
    assert env["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert config.airflow_url == "http://127.0.0.1:8081"


def test_secrets_are_made_once_and_private(config):
    first, second = (config.airflow_env("postgresql://")["AIRFLOW__API_AUTH__JWT_SECRET"] for _ in range(2))
    assert first == second
    assert len(first) == 64
    assert (config.airflow_home / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_connection_assumes_its_role_with_the_external_id():
    extra = json.loads(connection("arn:aws:iam::111111111111:role/x"))["extra"]
    assert extra["role_arn"] == "arn:aws:iam::111111111111:role/x"
    assert extra["assume_role_kwargs"] == {"ExternalId": EXTERNAL_ID}


def test_a_taken_port_is_passed_over():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port < free_port(port) < port + 200


@pytest.mark.parametrize("value", ["many", "-1", "0"])
def test_a_wrong_number_names_its_variable(value):
    with pytest.raises(ValueError, match=f"SEED_ROWS='?{value}'?"):
        StackConfig.from_env({"SEED_ROWS": value})


@pytest.mark.parametrize(
    ("before", "after"),
    [("", "127.0.0.1,localhost"), ("intranet", "intranet,127.0.0.1,localhost"), ("localhost", "localhost,127.0.0.1")],
)
def test_proxies_never_see_this_machine(before, after):
    env = {"NO_PROXY": before}
    spare_loopback(env)
    assert env == {"NO_PROXY": after, "no_proxy": "127.0.0.1,localhost"}
