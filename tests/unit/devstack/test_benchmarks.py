"""The benchmarks' own parts: what they run is what they say, and what they divide by is right."""

from __future__ import annotations

import ast

from benchmarks import dags, overhead, parse
from benchmarks.overhead import Measured


def test_overhead_counts_per_task_and_against_its_own_floor():
    best = {
        "empty": Measured(1.5, 0, 0),
        "bare": Measured(dags.TASKS * 0.2, 0, 0),
        "ours": Measured(dags.TASKS * 0.3, 0, 0),
        "deferral": Measured(dags.DEFERRALS * 3, 0, dags.DEFERRALS),
        "ours_deferral": Measured(dags.DEFERRALS * 3.4, dags.DEFERRALS * 0.1, dags.DEFERRALS),
    }
    laid_out = {row[0]: row[3:] for row in overhead.rows(best)}
    assert laid_out["ours, one look"] == ("0.300", "1.50")
    assert laid_out["ours, one deferral"] == ("3.300", "1.10")
    assert laid_out["bare operator"] == ("0.200", "-")


def test_chains_are_one_dag_each(tmp_path):
    dags.write(tmp_path)
    tree = ast.parse((tmp_path / "chains.py").read_text())
    (loop,) = [node for node in tree.body if isinstance(node, ast.For)]
    assert ast.literal_eval(loop.iter) == tuple(dags.CHAINS)
    assert "{{ params.turn }}" in repr(eval(compile(ast.Expression(snapshot_id(tree)), "", "eval"), {"number": 1}))


def snapshot_id(tree):
    """The template of the snapshot's name in the DAG file."""
    return next(
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "snapshot_id"
    )


def test_environments_are_as_many_and_each_names_itself(tmp_path):
    include = parse.environments(tmp_path, 3)
    names = sorted(path.stem for path in (include / "config").glob("*.yaml"))
    assert names == ["staging", "staging1", "staging2"]
    assert "environment: staging2" in (include / "config" / "staging2.yaml").read_text()


def test_import_times_are_read_as_python_writes_them():
    line = "import time:      1234 |      99999 |   airflow.providers.amazon.aws"
    assert parse.IMPORT_LINE.findall(line) == [("1234", "airflow.providers.amazon.aws")]
