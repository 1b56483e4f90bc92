"""Runs of a DAG in one process, without Airflow's services: a JSON object a line in, one a line out, after a mark.

In: ``{"dag_id", "conf"}``. Out: ``{"state", "tasks": {task_id: {"state", "operator", "error", "spans"}}}``; spans are the
seconds since the epoch between which the task ran. Airflow prints what it likes, so only lines with the mark are answers.
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.definitions import dag as sdk_dag
from botocore.loaders import JSONFileLoader

MARK = "@@answer "
SPANS: dict[str, list[tuple[float, float]]] = {}
run_task = sdk_dag._run_task


def read_models_once() -> None:
    """Keep what botocore reads of services: each session reads it anew, a tenth of a second of work for every client."""
    read = cache(partial(JSONFileLoader.load_file, JSONFileLoader()))
    JSONFileLoader.load_file = lambda _, path: read(path)


def spanned(*, ti: Any, **kwargs: Any) -> Any:
    """Run a task and keep when it ran."""
    began = time.time()
    try:
        return run_task(ti=ti, **kwargs)
    finally:
        SPANS.setdefault(ti.task_id, []).append((began, time.time()))


def answer(dags: DagBag, asked: dict[str, Any]) -> dict[str, Any]:
    """Run a DAG to its end."""
    SPANS.clear()
    dag = dags.dags[asked["dag_id"]]
    dag.deadline = None  # Airflow cannot keep deadlines of a DAG that no DAG processor has stored
    run = dag.test(run_conf=asked.get("conf") or {}, run_after=datetime.now(UTC), logical_date=None)
    instances = {ti.task_id: ti for ti in run.get_task_instances()}
    tasks = {
        task_id: {
            "state": str(getattr(ti.state, "value", ti.state)),
            "operator": type(dag.task_dict[task_id]).__name__,
            "error": ti.xcom_pull(task_ids=task_id, key="error") if str(ti.state) == "failed" else None,
            "spans": SPANS.get(task_id, []),
        }
        for task_id, ti in instances.items()
    }
    return {"state": str(getattr(run.state, "value", run.state)), "run_id": run.run_id, "tasks": tasks}


def main() -> None:
    """Answer until the input ends."""
    sdk_dag._run_task = spanned
    read_models_once()
    dags = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"], bundle_name="dags-folder")
    reply({"dags": sorted(dags.dags), "errors": dags.import_errors})
    for line in sys.stdin:
        reply(answer(dags, json.loads(line)))


def reply(content: dict[str, Any]) -> None:
    """Write an answer."""
    sys.stdout.write(f"\n{MARK}{json.dumps(content, default=str)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
