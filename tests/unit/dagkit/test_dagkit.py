"""Where files are found, which environments there are, when they run, and what the form says."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from aurora_ops.core.settings import RUN_PARAMS
from aurora_ops.dagkit import environments, paths
from aurora_ops.dagkit.defaults import DAG_DEFAULTS, TASK_DEFAULTS
from aurora_ops.dagkit.environments import configured
from aurora_ops.dagkit.refresh_params import refresh_params
from aurora_ops.dagkit.schedules import nightly

from tests.unit.core import samples


class TestInclude:
    """``include`` is found beside plugins, inside it, or where the environment says."""

    def folder(self, path: Path) -> Path:
        (path / "sql").mkdir(parents=True)
        return path

    def test_beside_plugins(self, monkeypatch) -> None:
        assert paths.include().name == "include"
        assert (paths.include() / "config" / "staging.yaml").is_file()

    def test_inside_plugins_as_in_managed_airflow(self, monkeypatch, tmp_path) -> None:
        monkeypatch.setattr(paths, "_PLUGINS", tmp_path / "plugins")
        inside = self.folder(tmp_path / "plugins" / "include")
        assert paths.include() == inside
        beside = self.folder(tmp_path / "include")
        assert paths.include() == beside

    def test_where_the_environment_says(self, monkeypatch, tmp_path) -> None:
        monkeypatch.setenv("AURORA_OPS_INCLUDE", str(self.folder(tmp_path / "here")))
        assert paths.include() == tmp_path / "here"

    def test_nowhere_is_an_error_that_names_the_places(self, monkeypatch, tmp_path) -> None:
        monkeypatch.setenv("AURORA_OPS_INCLUDE", str(tmp_path))
        with pytest.raises(FileNotFoundError, match=r"set AURORA_OPS_INCLUDE") as raised:
            paths.include()
        assert str(tmp_path) in str(raised.value)


class TestConfigured:
    """Each file is an environment; a wrong one takes no other away."""

    @pytest.fixture
    def config(self, monkeypatch, tmp_path) -> Path:
        (tmp_path / "sql").mkdir()
        (tmp_path / "config").mkdir()
        monkeypatch.setenv("AURORA_OPS_INCLUDE", str(tmp_path))
        return tmp_path / "config"

    def test_good_and_bad(self, config) -> None:
        (config / "staging.yaml").write_text(yaml.safe_dump(samples.raw()))
        (config / "broken.yaml").write_text("environment: broken")
        broken, staging = environments.configured()
        assert (broken.name, broken.settings) == ("broken", None)
        assert "source: None is not allowed; it is required" in broken.problem
        assert staging.settings == samples.settings()
        assert (staging.path, staging.problem) == (config / "staging.yaml", "")

    def test_none(self, config) -> None:
        assert list(environments.configured()) == []


class TestSchedule:
    """From the file, and never by surprise."""

    def test_of_the_file_in_its_zone(self) -> None:
        timetable = nightly(samples.settings())
        assert timetable.expression == "0 2 * * *"
        assert "Paris" in repr(timetable.timezone) or str(timetable.timezone) == "Europe/Paris"
        assert timetable.run_immediately == timedelta(0)

    def test_none(self) -> None:
        assert nightly(samples.settings({"schedule": None})) is None


class TestForm:
    """The trigger form shows what an empty field means."""

    def test_shows_the_files_values(self) -> None:
        form = refresh_params(samples.settings())
        assert set(form) == set(RUN_PARAMS)
        assert "Empty: newest_or_fresh." in form["snapshot"].description
        assert "Empty: 30." in form["snapshot_max_age_h"].description
        assert "Empty: prod-shop." in form["source_cluster"].description
        assert "Empty: staging-shop." in form["target_cluster"].description
        assert "Empty: 222222222222." in form["target_account_id"].description
        assert "Empty: db.r6g.large." in form["instance_class"].description
        assert "Empty: 1." in form["readers"].description
        assert "Empty: stop." in form["old_cluster"].description
        assert "Empty: shop.feature_flags." in form["keep_tables"].description

    def test_nothing_kept_is_said(self) -> None:
        form = refresh_params(samples.settings({"database.keep_tables": []}))
        assert "Empty: none." in form["keep_tables"].description

    def test_what_the_form_accepts_the_settings_accept(self) -> None:
        given = {
            "snapshot": "rds:prod-2026-07-01-02-00",
            "snapshot_max_age_h": 24 * 366,
            "source_cluster": "prod",
            "target_cluster": "staging-shop",
            "target_account_id": "222222222222",
            "instance_class": "db.serverless",
            "readers": 15,
            "old_cluster": "delete",
            "keep_tables": ["shop.a"],
            "sensitive_columns": ["shop.a.b"],
        }
        form = refresh_params(samples.settings())
        for name, value in given.items():
            assert form[name].resolve(value) == value
        samples.settings(conf=given)


def test_defaults_name_an_owner() -> None:
    assert TASK_DEFAULTS["owner"] == "aurora-ops"
    assert DAG_DEFAULTS["default_args"] is TASK_DEFAULTS


@pytest.fixture
def config(monkeypatch, tmp_path):
    (tmp_path / "sql").mkdir()
    (tmp_path / "config").mkdir()
    monkeypatch.setenv("AURORA_OPS_INCLUDE", str(tmp_path))
    (tmp_path / "config" / "staging.yaml").write_text(yaml.safe_dump(samples.raw()))
    return tmp_path / "config"


@pytest.mark.parametrize(
    ("code", "text", "leak"),
    [
        (1062, "Duplicate entry 'o'hara@example.com' for key 'customers.email'", "hara@example.com"),
        (1062, "Duplicate entry 'it\\' for key 'note'", "it\\"),
        (
            1064,
            "You have an error in your SQL syntax near 'IDENTIFIED BY 'pa55word' ACCOUNT UNLOCK' at line 1",
            "pa55word",
        ),
        (1064, "You have an error in your SQL syntax near ''pa55word' ACCOUNT UNLOCK' at line 1", "pa55word"),
        (1366, "Incorrect string value: 'cut off in the middle of ann@exam", "ann@exam"),
        (1644, "customer ann@example.com must not be changed", "ann@example.com"),
    ],
)
def test_redaction(code, text, leak) -> None:
    assert leak not in described(pymysql.err.DatabaseError(code, text))


# --- 2. a connection lost within a transaction becomes permanent (hooks/mysql.py, transaction)


def test_lost_connection_in_a_transaction_is_transient(server) -> None:
    def gone():
        raise pymysql.err.InterfaceError(0, "")

    with pytest.raises(AuroraOpsError) as raised, MySqlHook(LOGIN) as sql, sql.transaction():
        server.connection.rollback = gone  # as pymysql does once the socket is closed
        server.connection.error = pymysql.err.OperationalError(2013, "Lost connection to MySQL server during query")
        sql.run("UPDATE customers")
    assert isinstance(raised.value, TransientError), traceback.format_exception_only(raised.value)


def test_lost_connection_at_the_ping_is_ours(server, monkeypatch) -> None:
    def gone(reconnect):
        raise pymysql.err.OperationalError(2013, "Lost connection")

    monkeypatch.setattr(server.connection, "ping", gone, raising=False)
    with pytest.raises(TransientError), MySqlHook(LOGIN):
        pass


# --- 3. look() lets raw botocore errors through: the trigger dies instead of sending "failed"


def test_look_translates_every_botocore_error(aws_session, monkeypatch) -> None:
    hook = RdsHook("aws_destination", "eu-west-1")

    def refused(*_, **__):
        raise NoCredentialsError

    monkeypatch.setattr(hook.conn, "_make_api_call", refused)
    with pytest.raises(PermanentError):
        hook.look(Wait("cluster_available", {"DBClusterIdentifier": "app"}))


# --- 4. a wrong environment file takes the others' DAGs away


@pytest.fixture
def config(monkeypatch, tmp_path):
    (tmp_path / "sql").mkdir()
    (tmp_path / "config").mkdir()
    monkeypatch.setenv("AURORA_OPS_INCLUDE", str(tmp_path))
    (tmp_path / "config" / "staging.yaml").write_text(yaml.safe_dump(samples.raw()))
    return tmp_path / "config"


@pytest.mark.parametrize(
    "content",
    [b"environment: caf\xe9\n", b"environment: a\nschedule: 2026-13-45\n"],
    ids=["not UTF-8", "impossible date"],
)
def test_unreadable_file_is_refused_alone(config, content) -> None:
    (config / "a.yaml").write_bytes(content)
    broken, staging = configured()
    assert broken.settings is None
    assert staging.settings is not None


def test_dangling_link_is_refused_alone(config) -> None:
    (config / ".#staging.yaml").symlink_to("nobody@nowhere.1")  # Emacs, while the file is being edited
    assert "staging" in {environment.name for environment in configured() if environment.settings}
