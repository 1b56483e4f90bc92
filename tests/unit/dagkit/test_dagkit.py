"""Where files are found, which environments there are, when they run, and what the form says."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from aurora_ops.core.settings import RUN_PARAMS, RUN_SWITCHES
from aurora_ops.dagkit import environments, paths
from aurora_ops.dagkit.defaults import DAG_DEFAULTS, TASK_DEFAULTS
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

    @pytest.mark.parametrize(
        "content",
        [b"environment: caf\xe9\n", b"environment: a\nschedule: 2026-13-45\n"],
        ids=["not UTF-8", "impossible date"],
    )
    def test_unreadable_file_is_refused_alone(self, config, content) -> None:
        (config / "staging.yaml").write_text(yaml.safe_dump(samples.raw()))
        (config / "a.yaml").write_bytes(content)
        broken, staging = environments.configured()
        assert broken.settings is None
        assert staging.settings is not None

    def test_hidden_file_of_an_editor_is_no_environment(self, config) -> None:
        (config / "staging.yaml").write_text(yaml.safe_dump(samples.raw()))
        (config / ".#staging.yaml").symlink_to("nobody@nowhere.1")
        assert [environment.name for environment in environments.configured()] == ["staging"]

    def test_dangling_link_is_refused_alone(self, config) -> None:
        (config / "staging.yaml").write_text(yaml.safe_dump(samples.raw()))
        (config / "linked.yaml").symlink_to(config / "nowhere")
        assert [bool(environment.settings) for environment in environments.configured()] == [False, True]


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
        assert set(form) == {*RUN_PARAMS, *RUN_SWITCHES}
        assert "Empty: no." in form["approval"].description
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
            "approval": True,
        }
        form = refresh_params(samples.settings())
        for name, value in given.items():
            assert form[name].resolve(value) == value
        samples.settings(conf=given)


def test_defaults_name_an_owner() -> None:
    assert TASK_DEFAULTS["owner"] == "aurora-ops"
    assert DAG_DEFAULTS["default_args"] is TASK_DEFAULTS
