"""Each error has one retry answer; layers hold; nothing sleeps, nothing is swallowed."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import aurora_ops
import pytest
from airflow.sdk import RetryAction
from aurora_ops.core import errors
from aurora_ops.dagkit.defaults import DAG_DEFAULTS, RETRY_POLICY, TASK_DEFAULTS

from devstack.settings import REPO
from tests.contracts.conftest import PACKAGE


def subclasses(kind: type) -> set[type]:
    return {kind}.union(*(subclasses(child) for child in kind.__subclasses__()))


ERRORS = sorted(subclasses(errors.AuroraOpsError) - {errors.AuroraOpsError}, key=lambda kind: kind.__name__)


def made(kind: type) -> Exception:
    return kind("field", "value", "allowed") if issubclass(kind, errors.ConfigError) else kind("why")


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_each_error_has_exactly_one_retry_answer(kind) -> None:
    matching = [rule for rule in RETRY_POLICY.rules if issubclass(kind, rule.exception)]
    assert len(matching) == 1
    transient = issubclass(kind, errors.TransientError)
    assert matching[0].action is (RetryAction.RETRY if transient else RetryAction.FAIL)
    decision = RETRY_POLICY.evaluate(exception=made(kind), try_number=1, max_tries=5)
    assert decision.action is matching[0].action


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_each_error_says_what_it_means(kind) -> None:
    assert kind.__doc__
    assert kind.__doc__ is not errors.AuroraOpsError.__doc__
    assert str(made(kind))


def test_no_error_is_both() -> None:
    assert not subclasses(errors.PermanentError) & subclasses(errors.TransientError)


def test_transient_errors_get_several_tries_and_every_task_ends() -> None:
    assert TASK_DEFAULTS["retries"] >= 3
    assert TASK_DEFAULTS["retry_policy"] is RETRY_POLICY
    assert TASK_DEFAULTS["execution_timeout"]
    assert DAG_DEFAULTS["max_active_runs"] == 1
    assert DAG_DEFAULTS["catchup"] is False


SOURCES = sorted([*PACKAGE.rglob("*.py"), *(REPO / "dags").rglob("*.py")])
# What may be done once, and why is said there.
ALLOWED = Counter({("operators/base.py", "time.sleep"): 1})


def findings(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="time"), attr="sleep")):
                found.append("time.sleep")
            case ast.ImportFrom(module="time", names=names) if any(name.name == "sleep" for name in names):
                found.append("time.sleep")
            case ast.ExceptHandler(type=None):
                found.append("except:")
            case ast.ExceptHandler(type=kinds):
                names = [kind.id for kind in ast.walk(kinds) if isinstance(kind, ast.Name)]
                raises = any(isinstance(inner, ast.Raise) for statement in node.body for inner in ast.walk(statement))
                if "Exception" in names or ("BaseException" in names and not raises):
                    found.append("except Exception")
            case ast.ImportFrom(level=level) if level:
                found.append("relative import")
    return found


def test_nothing_sleeps_and_nothing_is_swallowed() -> None:
    found = Counter(
        (str(path.relative_to(PACKAGE if PACKAGE in path.parents else REPO)), finding)
        for path in SOURCES
        for finding in findings(path)
    )
    assert found == ALLOWED


def test_modules_stay_readable() -> None:
    long = {path.name: n for path in SOURCES if (n := len(path.read_text().splitlines())) > 620}
    assert long == {}


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    assert aurora_ops.__version__ == project["version"]


def test_layers_hold() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [command, "--no-cache"],
        cwd=REPO,
        env=os.environ | {"PYTHONPATH": str(REPO / "plugins")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout
