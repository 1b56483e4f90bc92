"""What holds for every DAG file; and an environment whose file is wrong."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from airflow.sdk import CronTriggerTimetable, XComArg
from airflow.sdk.exceptions import ParamValidationError
from aurora_ops.core.settings import RUN_PARAMS, RUN_SWITCHES

from tests.graph.conftest import DAGS, read_dags, simulator, write_environment

FILES = sorted(DAGS.rglob("*.py"))
PER_ENVIRONMENT = (
    "refresh",
    "snapshot_retention",
    "audit_log_backup",
    "audit_log_compact",
    "audit_log_verify",
    "snapshot_export_events",
    "snapshot_export_setup",
)
FACTORIES = {stem: rf"{stem}_[a-z][a-z0-9_]*" for stem in PER_ENVIRONMENT}
LONGEST = 80


def code_lines(path: Path) -> int:
    """Lines of code: the docstring, which is the DAG's page, and blank lines aside."""
    text = path.read_text()
    docstring = ast.parse(text).body[0]
    rest = text.splitlines()[docstring.end_lineno :]
    return len([line for line in rest if line.strip()])


def refreshes(bag) -> set[str]:
    """DAGs that refresh, one an environment."""
    return {dag_id for dag_id, dag in bag.dags.items() if Path(dag.fileloc).stem == "refresh"}


def test_all_import(bag) -> None:
    assert bag.import_errors == {}
    assert bag.dags


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file_is_a_page_and_documented(path) -> None:
    assert code_lines(path) <= LONGEST
    assert len((ast.get_docstring(ast.parse(path.read_text())) or "").splitlines()) >= 3


def test_outputs_of_other_tasks_are_given_to_template_fields_only(bag) -> None:
    """Elsewhere a task would get the reference instead of the value."""
    wrong = [
        f"{dag.dag_id}.{task.task_id}.{name}"
        for dag in bag.dags.values()
        for task in dag.tasks
        for name, value in vars(task).items()
        if isinstance(value, XComArg) and name not in task.template_fields
    ]
    assert wrong == []


def test_dag_id_follows_from_the_file(bag) -> None:
    for dag_id, dag in bag.dags.items():
        stem = Path(dag.fileloc).stem
        assert re.fullmatch(FACTORIES.get(stem, stem), dag_id), dag_id


def test_each_dag_is_documented_tagged_owned_and_runs_once_at_a_time(bag) -> None:
    for dag in bag.dags.values():
        assert dag.doc_md.strip()
        assert "Safe to run again" in dag.doc_md
        assert "Triage" in dag.doc_md
        assert Path(dag.fileloc).parent.name in dag.tags
        assert dag.catchup is False
        assert dag.max_active_runs == 1
        assert {task.owner for task in dag.tasks} == {"aurora-ops"}


def test_each_task_ends_and_retries_by_the_one_policy(bag) -> None:
    for dag in bag.dags.values():
        for task in dag.tasks:
            assert task.execution_timeout, task.task_id
            assert task.retry_policy is not None, task.task_id
            assert task.retries >= 3, task.task_id


def decides(dag, task) -> bool:
    """Whether a run ends as this task does: nothing comes after it but what tears down (``DagRun._tis_for_dagrun_state``)."""
    below = [dag.get_task(name) for name in task.downstream_task_ids]
    return not task.is_teardown and all(one.is_teardown and not one.on_failure_fail_dagrun for one in below)


def test_no_failure_is_a_success(bag) -> None:
    """Whatever task fails, so does the run; what tears down is a warning in the record, or the next run's to do."""
    hidden = []
    for dag_id, dag in bag.dags.items():
        play, last = simulator(dag), [task.task_id for task in dag.tasks if decides(dag, task)]
        for task in dag.tasks:
            states = play({task.task_id: "failed"})
            failed = {states[name] for name in last} & {"failed", "upstream_failed"}
            if states[task.task_id] == "failed" and not task.is_teardown and not failed:
                hidden.append(f"{dag_id}: {task.task_id}")
    assert hidden == []


def test_no_secret_in_any_task(bag) -> None:
    for dag in bag.dags.values():
        for task in dag.tasks:
            given = {name: str(getattr(task, name, "")) for name in task.template_fields}
            assert not re.search(r"password", str(given), re.I), task.task_id


class TestForm:
    """The trigger form explains and checks itself."""

    def params(self, dag):
        return {name: dag.params.get_param(name) for name in dag.params}

    def test_is_what_may_be_changed_for_a_run(self, dag) -> None:
        assert set(self.params(dag)) == {*RUN_PARAMS, *RUN_SWITCHES}

    def test_explains_itself(self, dag) -> None:
        for name, param in self.params(dag).items():
            assert param.schema.get("title"), name
            assert param.description, name
            if name in RUN_SWITCHES:
                assert param.value is False, f"{name}: off unless asked for"
                assert param.schema["type"] == "boolean", name
                continue
            assert param.schema.get("section"), name
            assert param.value is None, f"{name}: an empty field means the file's value"
            assert "null" in param.schema["type"], name

    def test_is_bounded(self, dag) -> None:
        bounds = {"string": {"pattern", "enum"}, "number": {"maximum"}, "integer": {"maximum"}, "array": {"items"},
                  "boolean": {"enum"}}  # fmt: skip
        for name, param in self.params(dag).items():
            if name in RUN_SWITCHES:
                continue
            (kind,) = set(param.schema["type"]) - {"null"}
            assert bounds[kind] & set(param.schema), name
            if kind in ("number", "integer"):
                assert {"minimum", "exclusiveMinimum"} & set(param.schema), name

    @pytest.mark.parametrize(
        ("name", "good", "bad"),
        [
            ("snapshot", "rds:prod-2026-07-01", "new est"),
            ("snapshot_max_age_h", 0.5, 0),
            ("source_cluster", "prod-shop", "Prod"),
            ("target_cluster", "staging-shop", "a" * 64),
            ("target_account_id", "222222222222", "22"),
            ("instance_class", "db.r6g.large", "large"),
            ("readers", 15, 16),
            ("old_cluster", "keep", "burn"),
            ("keep_tables", ["shop.flags"], ["flags"]),
            ("sensitive_columns", ["shop.a.b"], ["shop.a"]),
            ("approval", True, "yes"),
        ],
    )
    def test_checks_itself(self, dag, name, good, bad) -> None:
        param = self.params(dag)[name]
        assert param.resolve(good) == good
        param.resolve(None)
        with pytest.raises(ParamValidationError):
            param.resolve(bad)


class TestEnvironments:
    """One DAG for each file; a wrong file is refused alone."""

    def test_second_environment_is_a_second_dag(self, include) -> None:
        write_environment(include, "dev", schedule=None)
        bag = read_dags()
        assert refreshes(bag) == {"refresh_staging", "refresh_dev"}
        assert bag.dags["refresh_dev"].timetable.can_be_scheduled is False
        assert bag.dags["refresh_dev"].tags == {"refresh", "dev"}
        assert set(bag.dags["refresh_dev"].task_ids) == set(bag.dags["refresh_staging"].task_ids)

    def test_schedule_and_zone_come_from_the_file(self, include) -> None:
        write_environment(include, "staging", schedule="30 4 * * 1", timezone="Europe/Paris")
        timetable = read_dags().dags["refresh_staging"].timetable
        assert isinstance(timetable, CronTriggerTimetable)
        assert timetable.expression == "30 4 * * 1"
        assert str(timetable.timezone) == "Europe/Paris" or "Paris" in repr(timetable.timezone)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("environment: broken\n", "target: None is not allowed; it is required"),
            ("a: [", "valid YAML"),
            ("environment: other\n", "it must be the file's name, 'broken'"),
            ("", "write a mapping"),
        ],
    )
    def test_wrong_file_is_refused_alone(self, include, text, said) -> None:
        (include / "config" / "broken.yaml").write_text(text)
        bag = read_dags()
        assert bag.import_errors == {}
        assert refreshes(bag) == {"refresh_staging", "refresh_broken"}
        broken = bag.dags["refresh_broken"]
        assert said in broken.doc_md
        assert "broken.yaml is wrong" in broken.doc_md
        assert "refused" in broken.tags
        assert broken.timetable.can_be_scheduled is False
        assert len(broken.tasks) == 1
        assert len(bag.dags["refresh_staging"].tasks) > 30

    def test_wrong_value_is_refused_alone(self, include) -> None:
        write_environment(include, "dev", schedule="every night")
        bag = read_dags()
        assert "schedule: 'every night'" in bag.dags["refresh_dev"].doc_md
        assert "refused" not in bag.dags["refresh_staging"].tags

    @pytest.mark.parametrize("name", ["staging (1)", "staging copy", "stagé"])
    def test_file_name_that_makes_no_dag_id_is_refused_alone(self, include, name) -> None:
        (include / "config" / f"{name}.yaml").write_text("environment: x")
        bag = read_dags()
        assert bag.import_errors == {}
        assert len(refreshes(bag)) == 2
        assert "refused" not in bag.dags["refresh_staging"].tags

    def test_no_environment_no_dag(self, include) -> None:
        (include / "config" / "staging.yaml").unlink()
        bag = read_dags()
        assert (bag.dags, bag.import_errors) == ({}, {})
