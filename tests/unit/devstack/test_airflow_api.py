"""The client against a server that answers as Airflow does."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from devstack.airflow_api import AirflowApi, Run
from devstack.errors import ApiError, TimedOutError

RUN = {"dag_id": "d", "dag_run_id": "m+1", "state": "running", "queued_at": "2026-01-01T00:00:00Z"}


@pytest.fixture
def airflow():
    """Server with a table of answers: path to JSON, or (status, JSON), or a function of the query."""
    answers: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            url = urlsplit(self.path)
            answer = answers.get(url.path.removeprefix("/api/v2"), (404, {"detail": "not found"}))
            if callable(answer):
                answer = answer({key: values[0] for key, values in parse_qs(url.query).items()})
            status, body = answer if isinstance(answer, tuple) else (200, answer)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        do_POST = do_PATCH = do_GET  # noqa: N815  names of the standard library

        def log_message(self, *args):
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    api = AirflowApi(f"http://127.0.0.1:{server.server_port}")
    yield api, answers
    server.shutdown()
    server.server_close()


def health(**beats):
    return {
        "metadatabase": {"status": "healthy"},
        **{
            name: {"status": "healthy", f"latest_{name}_heartbeat": beat}
            for name, beat in {
                "scheduler": "2026-01-01T00:00:10Z",
                "triggerer": "2026-01-01T00:00:10Z",
                "dag_processor": "2026-01-01T00:00:10Z",
                **beats,
            }.items()
        },
    }


NOON = 1767225600.0  # 2026-01-01T00:00:00Z


def test_heartbeats_of_an_earlier_process_do_not_count(airflow):
    api, answers = airflow
    answers["/monitor/health"] = health(triggerer="2025-12-31T23:59:59Z", scheduler=None)
    assert api.health(since=NOON) == {
        "metadatabase": True,
        "scheduler": False,
        "triggerer": False,
        "dag_processor": True,
    }


def test_nothing_is_well_while_nothing_answers():
    assert not any(AirflowApi("http://127.0.0.1:1").health().values())


def test_lists_page_to_the_end(airflow):
    api, answers = airflow
    names = [f"dag{n}" for n in range(250)]

    def page(query):
        start = int(query["offset"])
        items = [{"dag_id": name} for name in names[start : start + int(query["limit"])]]
        return {"dags": items, "total_entries": len(names)}

    answers["/dags"] = page
    assert api.dag_ids() == names


def test_a_refusal_carries_airflows_explanation(airflow):
    api, answers = airflow
    answers["/dags/d/dagRuns"] = (400, {"detail": "Invalid input for param readers: -1"})
    with pytest.raises(ApiError, match="400 Invalid input for param readers") as refused:
        api.trigger("d", {"readers": -1})
    assert refused.value.status == 400


def test_run_ids_are_quoted(airflow):
    api, answers = airflow
    answers["/dags/d/dagRuns/m%2B1"] = RUN
    assert api.run("d", "m+1") == Run("d", "m+1", "running", NOON, None, None)


def test_waiting_for_a_dag_that_does_not_import_shows_why(airflow):
    api, answers = airflow
    broken = {"filename": "dags/refresh/d.py", "stack_trace": "NameError: x"}
    answers["/importErrors"] = {"import_errors": [broken], "total_entries": 1}
    with pytest.raises(ApiError, match="NameError: x"):
        api.wait_for_dag("d", timeout_s=5)


def test_waiting_for_a_dag_that_is_missing_shows_every_broken_file(airflow):
    api, answers = airflow
    broken = {"filename": "dags/refresh.py", "stack_trace": "NameError: y"}
    answers["/importErrors"] = {"import_errors": [broken], "total_entries": 1}
    with pytest.raises(ApiError, match=r"not within 0\.1 s(.|\n)*NameError: y"):
        api.wait_for_dag("refresh_staging", timeout_s=0.1)


def test_a_stale_dag_is_waited_for(airflow):
    api, answers = airflow
    answers["/importErrors"] = {"import_errors": [], "total_entries": 0}
    turns = iter(
        [
            {"is_stale": True, "last_parsed_time": "2026-01-01T00:00:09Z"},
            {"is_stale": False, "last_parsed_time": "2025-12-01T00:00:00Z"},
            {"is_stale": False, "last_parsed_time": "2026-01-01T00:00:09Z"},
        ]
    )
    answers["/dags/d"] = lambda _query: next(turns)
    api.wait_for_dag("d", since=NOON, timeout_s=5)
    assert next(turns, None) is None


def test_a_run_that_does_not_end_is_given_up(airflow):
    api, answers = airflow
    answers["/dags/d/dagRuns/m%2B1"] = RUN
    with pytest.raises(TimedOutError, match=r"run m\+1 of d"):
        api.wait_for_run(Run("d", "m+1", "queued", None, None, None), timeout_s=0.1, every_s=0.05)


def test_all_tries_asks_only_for_what_was_retried(airflow):
    api, answers = airflow
    item = {"map_index": -1, "state": "success", "start_date": None, "end_date": None}
    once, twice = {**item, "task_id": "a", "try_number": 1}, {**item, "task_id": "b", "try_number": 2}
    answers["/dags/d/dagRuns/m%2B1/taskInstances"] = {"task_instances": [once, twice], "total_entries": 2}
    first = {**twice, "try_number": 1, "state": "failed"}
    answers["/dags/d/dagRuns/m%2B1/taskInstances/b/tries"] = {"task_instances": [first, twice]}
    tries = api.all_tries(Run("d", "m+1", "success", None, None, None))
    assert [(item.task_id, item.try_number, item.state) for item in tries] == [
        ("a", 1, "success"),
        ("b", 1, "failed"),
        ("b", 2, "success"),
    ]


def test_log_shows_level_and_exception(airflow):
    api, answers = airflow
    event = {"timestamp": "T", "level": "error", "event": "Task failed"}
    detail = [{"exc_type": "BusyError", "exc_value": "cluster app is busy"}]
    path = "/dags/d/dagRuns/m%2B1/taskInstances/a/logs/1"
    answers[path] = {"content": [{**event, "error_detail": detail}, "plain"]}
    answers["/dags/d/dagRuns/m%2B1/taskInstances"] = {
        "task_instances": [{"task_id": "a", "map_index": -1, "try_number": 1, "state": "failed"}],
        "total_entries": 1,
    }
    run = Run("d", "m+1", "failed", None, None, None)
    (task,) = api.task_instances(run)
    assert api.log(run, task) == "T ERROR Task failed\nBusyError: cluster app is busy\nplain"
