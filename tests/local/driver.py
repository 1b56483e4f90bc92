"""Runs of a DAG in one process, without Airflow's services: a JSON object a line in, one a line out, after a mark.

In: ``{"dag_id", "conf"}``, with ``"moment"`` where the run's id must be known before: it is ``manual__<moment>``, and a moment that
there was already runs all of that run anew. Out: ``{"state", "run_id", "tasks": {name: {"state", "operator", "error", "spans"}}}``;
spans are the seconds since the epoch between which the task ran; a mapped task's are ``task_id[0]`` and so on. ``"xcoms": true`` in
the question adds ``"xcoms"``: ``[[task, key, value], ...]``. Where the form refuses the parameters, the answer is
``{"refused": why}``. First of all, and to an empty object, for which the files of DAGs are read anew, it is ``{"dags", "errors"}``.
Airflow prints what it likes, so only lines with the mark are answers.
"""

from __future__ import annotations

import copy
import json
import os
import sys
import threading
import time
from datetime import UTC, datetime
from functools import cache, partial
from types import SimpleNamespace
from typing import Any

from airflow.dag_processing import dagbag
from airflow.dag_processing.dagbag import DagBag
from airflow.models.xcom import XComModel  # noqa: TID251 - there is no API server to ask
from airflow.sdk.definitions import dag as sdk_dag
from airflow.sdk.exceptions import ParamValidationError
from airflow.utils.session import create_session
from botocore.loaders import JSONFileLoader

MARK = "@@answer "
PAUSE_S = 0.01
SPANS: dict[str, list[tuple[float, float]]] = {}
run_task = sdk_dag._run_task


def read_models_once() -> None:
    """Keep what botocore reads of services: each session reads it anew, a tenth of a second of work for every client."""
    read = cache(partial(JSONFileLoader.load_file, JSONFileLoader()))
    JSONFileLoader.load_file = lambda _, path: read(path)


def store_dags_once() -> None:
    """Keep Airflow from reading and storing every DAG file anew for each run: what is stored is told by a run's own DAG too."""
    dagbag.BundleDagBag = cache(dagbag.BundleDagBag)
    dagbag.sync_bag_to_db = cache(dagbag.sync_bag_to_db)


def settle_quickly() -> None:
    """Have a run not pause for a second at every step of what a failure skips: nobody else is to be waited for."""
    pause = threading.Event()
    sdk_dag.time = SimpleNamespace(sleep=lambda _: pause.wait(PAUSE_S))


def read_dags() -> DagBag:
    """Read the files of DAGs, and have them stored before the next run."""
    dagbag.BundleDagBag.cache_clear()
    dagbag.sync_bag_to_db.cache_clear()
    found = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"], bundle_name="dags-folder")
    reply({"dags": sorted(found.dags), "errors": found.import_errors})
    return found


def spanned(*, ti: Any, **kwargs: Any) -> Any:
    """Run a task and keep when it ran."""
    began = time.time()
    try:
        return run_task(ti=ti, **kwargs)
    finally:
        SPANS.setdefault(name_of(ti), []).append((began, time.time()))


def name_of(ti: Any) -> str:
    """Name a task instance, one of a mapped task by its number."""
    return str(ti.task_id) if ti.map_index < 0 else f"{ti.task_id}[{ti.map_index}]"


def answer(dags: DagBag, asked: dict[str, Any]) -> dict[str, Any]:
    """Run a DAG to its end."""
    SPANS.clear()
    dag = dags.dags[asked["dag_id"]]
    params = copy.deepcopy(dag.params)
    dag.deadline = None  # Airflow cannot keep deadlines of a DAG that no DAG processor has stored
    moment = datetime.fromisoformat(asked["moment"]) if "moment" in asked else None
    try:
        run = dag.test(run_conf=asked.get("conf") or {}, run_after=moment or datetime.now(UTC), logical_date=moment)
    except ParamValidationError as exc:
        return {"refused": str(exc)}
    finally:
        dag.params = params  # Airflow lays the run's own over them, and the next run would find them
    tasks = {
        name_of(ti): {
            "state": str(getattr(ti.state, "value", ti.state)),
            "operator": operator_of(dag.task_dict[ti.task_id]),
            "error": error_of(ti) if str(ti.state) == "failed" else None,
            "label": ti.rendered_map_index,
            "spans": SPANS.get(name_of(ti), []),
        }
        for ti in run.get_task_instances()
    }
    found = {"state": str(getattr(run.state, "value", run.state)), "run_id": run.run_id, "tasks": tasks}
    return found | ({"xcoms": xcoms_of(run)} if asked.get("xcoms") else {})


def xcoms_of(run: Any) -> list[tuple[str, str, Any]]:
    """Return everything that the tasks of a run have pushed: task, key and value."""
    with create_session() as session:
        rows = session.scalars(XComModel.get_many(run_id=run.run_id, dag_ids=run.dag_id)).all()
        return [
            (row.task_id if row.map_index < 0 else f"{row.task_id}[{row.map_index}]", row.key, read_value(row))
            for row in rows
        ]


def read_value(row: Any) -> Any:
    """Return the value of an XCom."""
    return XComModel.deserialize_value(row)


def operator_of(task: Any) -> str:
    """Name the class of a task, that of a mapped one's instances too."""
    return str((getattr(task, "operator_class", None) or type(task)).__name__)


def error_of(ti: Any) -> Any:
    """Return what a failed task has left as its error."""
    return ti.xcom_pull(task_ids=ti.task_id, key="error", map_indexes=ti.map_index)


def main() -> None:
    """Answer until the input ends."""
    sdk_dag._run_task = spanned
    read_models_once()
    store_dags_once()
    settle_quickly()
    dags = read_dags()
    for line in sys.stdin:
        asked = json.loads(line)
        if asked:
            reply(answer(dags, asked))
        else:
            dags = read_dags()


def reply(content: dict[str, Any]) -> None:
    """Write an answer."""
    sys.stdout.write(f"\n{MARK}{json.dumps(content, default=str)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
