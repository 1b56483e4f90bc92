"""``make demo``: production data arrives in staging, on this machine, with proof.

Starts localcloud and Airflow, seeds the accounts, triggers the DAG ``refresh_staging`` through Airflow's REST API,
follows it, and compares both databases from outside afterwards.
"""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path

import pymysql
from botocore.exceptions import ClientError

from devstack import report, timings
from devstack.airflow_api import Run, TaskTry
from devstack.errors import DevstackError
from devstack.evidence import Evidence, Masked
from devstack.progress import Progress
from devstack.report import Proof
from devstack.settings import StackConfig
from devstack.stack import Stack

ENVIRONMENT = "staging"
DAG_ID = f"refresh_{ENVIRONMENT}"
BATCH_USER = "shop_prod_batch"
EVENT = re.compile(r"\d{4}-\d\d-\d\dT|::endgroup::")
ERROR_LINE = re.compile(r"\bERROR\b|\bCRITICAL\b|Error: |Exception: ")


def demo(config: StackConfig) -> int:
    """Run the demo and return its exit code: 0 if the run succeeded and every proof holds.

    ``DEMO_EXIT=1`` ends it after the report; otherwise Airflow's UI stays up until Ctrl-C.
    """
    progress = Progress()
    stack = Stack(config, progress.say)
    good = False
    try:
        stack.claim()
        with stack.until_signal():
            good = _show(stack, progress)
            if not os.environ.get("DEMO_EXIT"):
                progress.say(f"\nAirflow: {config.airflow_url}   (no login; stays up until Ctrl-C)")
                progress.say(f"AWS:     {config.cloud_url}   (`{_status_command(config)}` shows accounts)")
                stack.stay()
    except KeyboardInterrupt:
        progress.say("\nstopped")
    except (DevstackError, ClientError, pymysql.err.Error) as error:
        progress.say(f"\nerror: {error}")
        return 1
    return 0 if good else 1


def _show(stack: Stack, progress: Progress) -> bool:
    config = stack.config
    progress.title("Start")
    progress.step(f"localcloud on {config.cloud_url}", stack.start_cloud)
    # Airflow's processes need several seconds; the accounts are filled meanwhile.
    progress.step("PostgreSQL for Airflow", stack.start_postgres)
    stack.start_components()
    progress.step(f"accounts and databases, about {config.seed_rows:,} rows", stack.seed)
    progress.step(f"Airflow on {config.airflow_url}", stack.wait_healthy)
    progress.step(f"DAG {DAG_ID}", lambda: stack.api.wait_for_dag(DAG_ID, since=stack.started))

    progress.title("Before")
    evidence = Evidence(config, ENVIRONMENT)
    evidence.notifications()
    before = evidence.state(evidence.target)
    production = evidence.state(evidence.production)
    for side, state in ((evidence.production, production), (evidence.target, before)):
        where = f"{side.cluster} at {state.endpoint.address}:{state.endpoint.port}"
        progress.say(f"  {side.name}: {where}, {len(state.rows)} tables, {sum(state.rows.values()):,} rows")

    progress.title(f"Run of {DAG_ID}")
    run = stack.api.trigger(DAG_ID)
    # Unpaused second: a nightly run that Airflow thinks is due must not get in before ours.
    stack.api.set_paused(DAG_ID, paused=False)
    progress.say(f"  {config.airflow_url}/dags/{DAG_ID}/runs/{run.run_id}")
    run = progress.follow(stack.api, run, check=stack.check, stop=stack.stopping)
    progress.say(f"  {run.state} after {(run.ended or 0) - (run.started or 0):.1f} s")
    page = evidence.save_report(run.run_id, config.home / "reports")
    if run.state != "success":
        _say_failures(stack, progress, run)
        _say_report(progress, page)
        return False

    progress.title("After")
    after = evidence.state(evidence.target)
    kept = evidence.kept_tables
    for line in report.rows_per_table(production, before, after, kept):
        progress.say(line)
    columns: list[Masked] = []
    progress.step("masked columns compared value by value", lambda: columns.extend(evidence.mask_proof()))
    for line in report.mask_proof(columns):
        progress.say(line)

    progress.title("Proofs")
    found = [
        *report.judge(production, before, after, kept, columns),
        _batch_user(evidence),
        _files(evidence),
        *_traces(evidence, run, page),
    ]
    for line in report.proofs(found):
        progress.say(line)

    progress.title("Durations")
    for line in report.durations(_split(stack, run)):
        progress.say(line)
    holds = all(proof.holds for proof in found)
    _say_report(progress, page)
    progress.say(f"\n{'every proof holds' if holds else 'NOT every proof holds'}")
    return holds


def _say_report(progress: Progress, page: Path | None) -> None:
    """Say where the run's report is, for a browser."""
    if page is not None:
        progress.say(f"\nReport: {page.as_uri()}   (timeline, plan, masking, every step; report.json beside it)")


def _status_command(config: StackConfig) -> str:
    """Return the command that shows the accounts, with the ports that are not the usual ones."""
    ports = {"LOCALCLOUD_PORT": (config.cloud_port, 5566), "LOCALCLOUD_DB_PORT": (config.db_port, 13306)}
    unusual = [f"{name}={port} " for name, (port, usual) in ports.items() if port != usual]
    return f"{''.join(unusual)}.venv/bin/python -m localcloud status"


def _split(stack: Stack, run: Run) -> timings.Split:
    tasks = stack.api.request("GET", f"/dags/{run.dag_id}/tasks")["tasks"]
    upstream: dict[str, list[str]] = {}
    for task in tasks:
        for name in task["downstream_task_ids"]:
            upstream.setdefault(name, []).append(task["task_id"])
    return timings.split(run, stack.api.task_instances(run), upstream, stack.api.xcoms(run, "timing"))


def _batch_user(evidence: Evidence) -> Proof:
    """Prove that production's own user did not come along."""
    there, here = (evidence.has_user(side, BATCH_USER) for side in (evidence.production, evidence.target))
    seen = f"production {'has' if there else 'lacks'} it, {evidence.target.name} {'has' if here else 'lacks'} it"
    return Proof(f"{BATCH_USER}, a user of production only, cannot log in", there and not here, seen)


def _files(evidence: Evidence) -> Proof:
    """Prove that production's files are where the applications of the target look."""
    theirs, place, ours = evidence.files()
    same = sum(ours.get(path) == digest for path, digest in theirs.items())
    seen = f"{same} of {len(theirs)} files are the same at {place}"
    return Proof("production's files are where applications look", bool(theirs) and ours == theirs, seen)


def _traces(evidence: Evidence, run: Run, page: Path | None) -> list[Proof]:
    """Prove that the run left its record, its report and its notification."""
    records = evidence.run_record(run.run_id)
    texts = [text for text in evidence.notifications() if run.run_id in text or DAG_ID in text]
    return [
        Proof("the run is recorded", bool(records), f"{len(records)} item(s) in DynamoDB {evidence.runs_table}"),
        Proof("the run has a report", page is not None, str(page.name) if page else "the record names none"),
        Proof("a notification was sent", bool(texts), f"{len(texts)} message(s) in SQS aurora-ops-inbox"),
    ]


def _say_failures(stack: Stack, progress: Progress, run: Run) -> None:
    """Say which task failed, with its error and where its log lies."""
    failed = [task for task in stack.api.task_instances(run) if task.state == "failed"]
    for task in failed:
        progress.say(f"\n  failed: {task.name} (try {task.try_number})")
        for line in error_lines(stack.api.log(run, task)):
            progress.say(f"    {line}")
        progress.say(f"    log: {_log_path(stack.config, run, task)}")
    if not failed:
        progress.say(f"  no task failed; see {stack.config.logs}/scheduler.log")


def error_lines(log: str) -> list[str]:
    """Return the lines of a log that say why the task failed: the last error and how its message goes on."""
    lines = [line.strip()[:500] for line in log.splitlines() if line.strip()] or ["the log is empty"]
    last = max((turn for turn, line in enumerate(lines) if ERROR_LINE.search(line)), default=len(lines) - 1)
    more = itertools.takewhile(lambda line: not EVENT.match(line), lines[last + 1 :])
    return [lines[last], *itertools.islice(more, 4)]


def _log_path(config: StackConfig, run: Run, task: TaskTry) -> str:
    parts = [f"dag_id={run.dag_id}", f"run_id={run.run_id}", f"task_id={task.task_id}"]
    if task.map_index >= 0:
        parts.append(f"map_index={task.map_index}")
    return str(config.logs.joinpath(*parts, f"attempt={task.try_number}.log"))
