"""A small client for Airflow's REST API v2; loopback only, hence no token (every user of a local stack is an admin)."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from devstack import waiting
from devstack.errors import ApiError, TimedOutError

FINAL_STATES = frozenset({"success", "failed"})
COMPONENTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")


@dataclass(frozen=True)
class Run:
    """A DAG run."""

    dag_id: str
    run_id: str
    state: str
    queued: float | None
    started: float | None
    ended: float | None

    @property
    def done(self) -> bool:
        """Whether the run has ended, well or not."""
        return self.state in FINAL_STATES


@dataclass(frozen=True)
class TaskTry:
    """One try of a task instance; times are epoch seconds."""

    task_id: str
    map_index: int
    try_number: int
    state: str | None
    operator: str | None
    scheduled: float | None
    started: float | None
    ended: float | None

    @property
    def name(self) -> str:
        """Task id, with the index of a mapped task."""
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"

    @property
    def seconds(self) -> float | None:
        """Seconds from start to end, or to now while it goes on."""
        if self.started is None:
            return None
        return (self.ended or time.time()) - self.started


class AirflowApi:
    """Airflow at ``base_url``.

    :param base_url: such as ``http://127.0.0.1:8080``.
    :param timeout_s: seconds one request may take.
    """

    def __init__(self, base_url: str, *, timeout_s: float = 30) -> None:
        self.base_url = base_url
        self.timeout_s = timeout_s
        # A proxy of the environment must not see, or answer, a request to this machine.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def request(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        **query: Any,
    ) -> dict[str, Any]:
        """Send one request below ``/api/v2`` and return the answer's JSON.

        :raises ApiError: no answer, or one of 400 and above; the message has Airflow's explanation.
        """
        url = f"{self.base_url}/api/v2{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        request = urllib.request.Request(  # noqa: S310  the base is http on loopback
            url,
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Content-Type": "application/json", "Accept": "application/json"},
        )
        try:
            with self._opener.open(request, timeout=self.timeout_s) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise ApiError(error.code, f"{method} {path}: {error.code} {_explanation(error)}") from error
        except (OSError, http.client.HTTPException) as error:
            raise ApiError(0, f"{method} {path}: no answer from {self.base_url}: {error}") from error
        return json.loads(text) if text else {}

    def health(self, *, since: float = 0) -> dict[str, bool]:
        """Return which components are well: ``{"scheduler": True, ...}``; all False while nothing answers.

        :param since: epoch seconds; a heartbeat before it is of an earlier process.
        """
        try:
            answer = self.request("GET", "/monitor/health")
        except ApiError:
            return dict.fromkeys(COMPONENTS, False)
        well = {}
        for name in COMPONENTS:
            part = answer.get(name) or {}
            beat = _epoch(part.get(f"latest_{name}_heartbeat"))
            well[name] = part.get("status") == "healthy" and (name == "metadatabase" or (beat or 0) >= since)
        return well

    def warm_up(self) -> bool:
        """Make Airflow build the API that tasks talk to, which it else does, for 3 s, when the first task starts."""
        try:
            with self._opener.open(f"{self.base_url}/execution/health", timeout=self.timeout_s):
                return True
        except (OSError, http.client.HTTPException):
            return False

    def import_errors(self) -> dict[str, str]:
        """Return the import errors of DAG files: file name to traceback."""
        return {item["filename"]: item["stack_trace"] for item in self._pages("/importErrors", "import_errors")}

    def plugin_errors(self) -> dict[str, str]:
        """Return the import errors of plugins: source to error."""
        return {item["source"]: item["error"] for item in self._pages("/plugins/importErrors", "import_errors")}

    def wait_for_dag(self, dag_id: str, *, since: float = 0, timeout_s: float = 120) -> None:
        """Wait until a DAG has been parsed and can be triggered.

        :param since: epoch seconds; an earlier parse does not count.
        :raises ApiError: its file, or any other while it is missing at the end, does not import.
        """

        def parsed() -> bool:
            for name, trace in self.import_errors().items():
                if name.rsplit("/", 1)[-1] == f"{dag_id}.py":
                    raise ApiError(0, f"{name} does not import:\n{trace}")
            try:
                dag = self.request("GET", f"/dags/{dag_id}")
            except ApiError as error:
                if error.status == 404:
                    return False
                raise
            return not dag["is_stale"] and (_epoch(dag["last_parsed_time"]) or 0) >= since

        try:
            waiting.until(parsed, what=f"DAG {dag_id} to be parsed", timeout_s=timeout_s, every_s=0.25)
        except TimedOutError as error:
            broken = [f"{name} does not import:\n{trace}" for name, trace in self.import_errors().items()]
            raise ApiError(404, "\n".join([str(error), *broken])) from error

    def dag_ids(self) -> list[str]:
        """Return the ids of all DAGs."""
        return [item["dag_id"] for item in self._pages("/dags", "dags")]

    def parse_again(self, dag_id: str) -> None:
        """Have the file of a DAG parsed now. What watches its assets begins and ends when it is parsed, not when it is switched."""
        token = self.request("GET", f"/dags/{_quoted(dag_id)}/details")["file_token"]
        self.request("PUT", f"/parseDagFile/{_quoted(token)}")

    def set_paused(self, dag_id: str, *, paused: bool) -> None:
        """Pause or unpause a DAG; a paused one keeps its runs queued."""
        self.request("PATCH", f"/dags/{dag_id}", {"is_paused": paused}, update_mask="is_paused")

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None, *, logical_date: str | None = None) -> Run:
        """Start a run.

        :param logical_date: ISO date and time with an offset; unique per DAG, hence None for any number of runs.
        :raises ApiError: 400 if a Param refuses ``conf``.
        """
        return _run(self.request("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": logical_date, "conf": conf or {}}))

    def run(self, dag_id: str, run_id: str) -> Run:
        """Return a run as it is now."""
        return _run(self.request("GET", f"/dags/{dag_id}/dagRuns/{_quoted(run_id)}"))

    def runs(self, dag_id: str) -> list[Run]:
        """Return all runs of a DAG, oldest first."""
        return [_run(item) for item in self._pages(f"/dags/{dag_id}/dagRuns", "dag_runs", order_by="id")]

    def wait_for_run(self, run: Run, *, timeout_s: float = 600, every_s: float = 0.3) -> Run:
        """Wait until a run has ended, and return it."""

        def ended() -> Run | None:
            now = self.run(run.dag_id, run.run_id)
            return now if now.done else None

        what = f"run {run.run_id} of {run.dag_id} to end"
        return waiting.until(ended, what=what, timeout_s=timeout_s, every_s=every_s)

    def task_instances(self, run: Run) -> list[TaskTry]:
        """Return the latest try of every task instance of a run."""
        return [_task(item) for item in self._pages(f"{self._of(run)}/taskInstances", "task_instances")]

    def all_tries(self, run: Run) -> list[TaskTry]:
        """Return every try of every task instance of a run."""
        tries: list[TaskTry] = []
        for task in self.task_instances(run):
            if task.try_number <= 1:
                tries.append(task)
                continue
            path = f"{self._of(run)}/taskInstances/{_quoted(task.task_id)}"
            path += f"/{task.map_index}/tries" if task.map_index >= 0 else "/tries"
            tries += [_task(item) for item in self.request("GET", path)["task_instances"]]
        return tries

    def xcoms(self, run: Run, key: str = "return_value") -> dict[str, Any]:
        """Return the values that a run's tasks pushed under ``key``, by task name (mapped: ``task[0]``)."""
        values = {}
        path = f"{self._of(run)}/taskInstances/~/xcomEntries"
        for entry in self._pages(path, "xcom_entries", xcom_key_pattern=key):
            if entry["key"] != key:
                continue
            task_id, index = entry["task_id"], entry["map_index"]
            found = self.request(
                "GET", f"{self._of(run)}/taskInstances/{_quoted(task_id)}/xcomEntries/{_quoted(key)}", map_index=index
            )
            value = found["value"]
            values[task_id if index < 0 else f"{task_id}[{index}]"] = _decoded(value)
        return values

    def all_xcoms(self, run: Run) -> list[tuple[str, str, Any]]:
        """Return ``(task id, key, value)`` of everything a run's tasks pushed."""
        entries = list(self._pages(f"{self._of(run)}/taskInstances/~/xcomEntries", "xcom_entries"))
        keys = sorted({entry["key"] for entry in entries})
        return [(name, key, value) for key in keys for name, value in self.xcoms(run, key).items()]

    def log(self, run: Run, task: TaskTry) -> str:
        """Return the log of one try as text, an event per line."""
        path = f"{self._of(run)}/taskInstances/{_quoted(task.task_id)}/logs/{task.try_number}"
        answer = self.request("GET", path, map_index=task.map_index, full_content="true")
        content = answer.get("content") or []
        if isinstance(content, str):
            return content
        return "\n".join(_line(event) for event in content)

    def clear(self, run: Run, *, only_failed: bool = True) -> None:
        """Clear a run's tasks so that they run again."""
        self.request("POST", f"{self._of(run)}/clear", {"dry_run": False, "only_failed": only_failed})

    @staticmethod
    def _of(run: Run) -> str:
        return f"/dags/{run.dag_id}/dagRuns/{_quoted(run.run_id)}"

    def _pages(self, path: str, key: str, **query: Any) -> Iterator[dict[str, Any]]:
        offset = 0
        while True:
            page = self.request("GET", path, limit=100, offset=offset, **query)
            yield from page[key]
            offset += len(page[key])
            if not page[key] or offset >= page["total_entries"]:
                return


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def _epoch(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).timestamp()


def _run(item: dict[str, Any]) -> Run:
    return Run(
        item["dag_id"],
        item["dag_run_id"],
        item["state"],
        _epoch(item.get("queued_at")),
        _epoch(item.get("start_date")),
        _epoch(item.get("end_date")),
    )


def _task(item: dict[str, Any]) -> TaskTry:
    return TaskTry(
        item["task_id"],
        item["map_index"],
        item["try_number"],
        item["state"],
        item.get("operator_name") or item.get("operator"),
        _epoch(item.get("scheduled_when")),
        _epoch(item.get("start_date")),
        _epoch(item.get("end_date")),
    )


def _decoded(value: Any) -> Any:
    """Return an XCom's value; the API gives structures as JSON text or as they are, by their type."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _line(event: Any) -> str:
    if not isinstance(event, dict):
        return str(event)
    level = str(event.get("level") or "").upper()
    line = f"{event.get('timestamp') or ''} {level} {event.get('event', '')}".strip()
    for error in event.get("error_detail") or []:
        line += f"\n{error.get('exc_type')}: {error.get('exc_value')}"
    return line


def _explanation(error: urllib.error.HTTPError) -> str:
    text = error.read().decode(errors="replace")
    try:
        detail = json.loads(text).get("detail", text)
    except (ValueError, AttributeError):
        return text[:2000]
    return detail if isinstance(detail, str) else json.dumps(detail)
