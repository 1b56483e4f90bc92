"""The command that checks a trail: what it says, and how it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from aurora_ops import audit
from aurora_ops.core import trail as trails
from aurora_ops.core.operation import RUNNING, SUCCEEDED, Progress
from aurora_ops.hooks.operations import OperationsHook
from aurora_ops.hooks.trail import Trail, TrailHook

from tests.unit.operators.following import BUCKET, NAME, REGION, RUNS, TRAILS, Home

REPO = Path(__file__).parents[2]
AT = {"aws_conn_id": None, "region_name": REGION, "fresh": True}  # as the command does it


def chain(length: int = 4) -> list[trails.Event]:
    events: list[trails.Event] = []
    for number in range(length):
        head = trails.head_of(NAME, events)
        kind = trails.BEGUN if number == 0 else trails.FINISHED if number == length - 1 else trails.MUTATION
        events.append(trails.seal(NAME, head.sequence + 1, head.hash, {"kind": kind}))
    return events


def manifest(events: list[trails.Event]) -> bytes:
    head = trails.head_of(NAME, events)
    return trails.canonical(trails.manifest(NAME, head, bucket="b", key="k", version_id=None)).encode()


@pytest.fixture
def file(tmp_path) -> Path:
    """A trail with its manifest beside it."""
    path = tmp_path / "run.jsonl"
    path.write_bytes(trails.as_jsonl(chain()))
    (tmp_path / "run.manifest.json").write_bytes(manifest(chain()))
    return path


@pytest.fixture
def check(capsys) -> Any:
    """Run the command; how it ended and what it said."""

    def run(*arguments: str) -> tuple[int, str]:
        ended = audit.main(list(arguments))
        told = capsys.readouterr()
        return ended, told.out + told.err

    return run


class TestFile:
    """A file that was downloaded."""

    def test_a_whole_one(self, file, check) -> None:
        ended, told = check(str(file))
        assert ended == 0
        head = trails.head_of(NAME, chain())
        assert told == f"whole: 4 events of {NAME}, head {head.hash}; ends as run.manifest.json says\n"

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda lines: [lines[0], lines[1].replace("mutation", "mutatioN"), *lines[2:]], "event 2 was changed"),
            (lambda lines: lines[:1] + lines[2:], "event 2 is missing"),
            (lambda lines: lines[:3], "event 4 is missing: the trail ends before it"),
            (lambda lines: [lines[0], lines[2], lines[1], lines[3]], "event 2 is out of order"),
            (lambda lines: [], "event 1 is missing"),
            (lambda lines: ["{"], "event 1 is no event"),
        ],
    )
    def test_a_broken_one(self, file, check, change, said) -> None:
        file.write_text("".join(f"{line}\n" for line in change(file.read_text().splitlines())))
        ended, told = check(str(file))
        assert ended == 1
        assert told.startswith(f"BROKEN: {said}")

    def test_without_a_manifest_its_end_is_not_proven(self, file, check) -> None:
        file.with_name("run.manifest.json").unlink()
        ended, told = check(str(file))
        assert ended == 1
        assert told.startswith("NOT PROVEN")
        head = trails.head_of(NAME, chain())
        assert check(str(file), "--head", f"4:{head.hash}")[0] == 0
        assert check(str(file), "--head", f"5:{head.hash}")[0] == 1
        assert check(str(file), "--head", f"4:{'0' * 64}")[0] == 1

    def test_the_head_of_the_record_counts_more_than_the_manifest(self, file, check) -> None:
        shorter = chain()[:3]
        file.write_bytes(trails.as_jsonl(shorter))
        file.with_name("run.manifest.json").write_bytes(manifest(shorter))
        assert check(str(file))[0] == 0
        ended, told = check(str(file), "--head", f"4:{trails.head_of(NAME, chain()).hash}")
        assert (ended, told.startswith("BROKEN: event 4 is missing")) == (1, True)

    def test_what_was_interrupted_is_a_remark(self, file, check) -> None:
        events = chain(1)
        before = {"kind": trails.MUTATION, "phase": trails.BEFORE, "what": "rds:DeleteDBCluster old", "task": "t"}
        events.append(trails.seal(NAME, 2, events[0]["hash"], before))
        file.write_bytes(trails.as_jsonl(events))
        file.with_name("run.manifest.json").write_bytes(manifest(events))
        ended, told = check(str(file))
        assert ended == 0
        assert "remark: event 2: rds:DeleteDBCluster old of t has no end" in told

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            (["nowhere"], "there is no such file"),
            (["{file}", "--head", "abc"], "--head"),
            (["{file}", "--head", "4:"], "--head"),
        ],
    )
    def test_wrong_arguments_are_explained(self, file, check, wrong, said) -> None:
        ended, told = check(*(text.format(file=file) for text in wrong))
        assert ended == 1
        assert told.startswith("cannot be read: ")
        assert said in told

    @pytest.mark.parametrize("content", ["{}", "no JSON", '{"events": "x", "head": "y"}'])
    def test_a_manifest_that_says_nothing_is_said(self, file, check, content) -> None:
        file.with_name("run.manifest.json").write_text(content)
        ended, told = check(str(file))
        assert ended == 1
        assert told.startswith("cannot be read: ")

    def test_as_a_program_without_airflow(self, file) -> None:
        """Nothing but the package's own core is imported for a file."""
        code = (
            "import sys, runpy; sys.argv = ['audit', sys.argv[1]]\n"
            "try: runpy.run_module('aurora_ops.audit', run_name='__main__')\n"
            "except SystemExit as end:\n"
            "    assert not {'airflow', 'boto3', 'pydantic'} & sys.modules.keys()\n"
            "    sys.exit(end.code)\n"
        )
        command = [sys.executable, "-c", code, str(file)]
        done = subprocess.run(
            command, env={"PYTHONPATH": str(REPO / "plugins")}, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        file.write_text("x")
        done = subprocess.run(
            command, env={"PYTHONPATH": str(REPO / "plugins")}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1


@pytest.fixture
def home(aws, monkeypatch) -> Home:
    """Tables and bucket, reached with the credentials that boto3 finds."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    return Home(boto3.session.Session(region_name=REGION))


class TestObject:
    """An object in S3."""

    def put(self, home: Home, key: str, body: bytes) -> str:
        return home.session.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)["VersionId"]

    def test_a_whole_one_and_one_of_its_versions(self, home, check) -> None:
        first = self.put(home, "audit/d/run.jsonl", trails.as_jsonl(chain()))
        self.put(home, "audit/d/run.manifest.json", manifest(chain()))
        url = f"s3://{BUCKET}/audit/d/run.jsonl"
        assert check(url)[0] == 0
        self.put(home, "audit/d/run.jsonl", trails.as_jsonl(chain()[:3]))
        ended, told = check(url)
        assert (ended, "event 4 is missing" in told) == (1, True)
        assert check(f"{url}?versionId={first}")[0] == 0

    def test_without_a_manifest(self, home, check) -> None:
        self.put(home, "run.jsonl", trails.as_jsonl(chain()))
        assert check(f"s3://{BUCKET}/run.jsonl")[1].startswith("NOT PROVEN")

    def test_one_that_is_not_there(self, home, check) -> None:
        assert check(f"s3://{BUCKET}/none.jsonl") == (1, f"cannot be read: there is no s3://{BUCKET}/none.jsonl\n")


class TestTable:
    """An operation in the tables."""

    TABLES = ("--table", TRAILS, "--runs-table", RUNS, "--region", REGION)

    @pytest.fixture
    def going_on(self, home) -> Trail:
        """An operation in which a step has written two events."""
        OperationsHook(**AT).begin(RUNS, NAME, {})
        trail = Trail(TrailHook(**AT), TRAILS, NAME)
        trail.append(trails.BEGUN, {})
        trail.append(trails.MUTATION, {})
        OperationsHook(**AT).put_step(RUNS, NAME, "t", Progress(SUCCEEDED, 1, 0, "now", head=trail.written))
        return trail

    def finish(self, trail: Trail) -> None:
        trail.append(trails.FINISHED, {})
        head = trail.written
        about = {"outcome": "succeeded", "trail": {"events": head.sequence, "head": head.hash}}
        OperationsHook(**AT).finish(RUNS, NAME, about, ends={}, expires_at=2_000_000_000)

    def delete(self, home: Home, place: int) -> None:
        key = {"pk": {"S": trails.partition(NAME)}, "sk": {"S": trails.sort_key(place)}}
        home.session.client("dynamodb").delete_item(TableName=TRAILS, Key=key)

    def test_one_that_goes_on(self, going_on, check) -> None:
        ended, told = check(NAME, *self.TABLES)
        assert ended == 0
        assert "the operation goes on" in told

    def test_one_that_ended(self, going_on, check) -> None:
        self.finish(going_on)
        ended, told = check(NAME, *self.TABLES)
        assert ended == 0
        assert "ends as the operation's state says" in told

    def test_one_that_was_cut_off_while_it_goes_on(self, home, going_on, check) -> None:
        self.delete(home, 2)
        assert check(NAME, *self.TABLES) == (
            1, "BROKEN: event 2 is missing: the trail ends before it, and should have 2 events\n",
        )  # fmt: skip

    def test_one_that_was_cut_off_at_its_end(self, home, going_on, check) -> None:
        self.finish(going_on)
        self.delete(home, 3)
        assert check(NAME, *self.TABLES)[1].startswith("BROKEN: event 3 is missing")

    def test_one_whose_tasks_were_cleared_has_grown(self, going_on, check) -> None:
        self.finish(going_on)
        going_on.append(trails.MUTATION, {})
        ended, told = check(NAME, *self.TABLES)
        assert ended == 0
        assert "remark: 1 events were added after the end" in told

    def test_one_whose_state_is_gone_is_not_proven(self, home, going_on, check) -> None:
        self.finish(going_on)
        key = {"pk": {"S": f"operation#{NAME}"}, "sk": {"S": "state"}}
        home.session.client("dynamodb").delete_item(TableName=RUNS, Key=key)
        assert check(NAME, *self.TABLES)[1].startswith("NOT PROVEN")

    def test_one_that_never_was(self, home, check) -> None:
        assert check("d/none", *self.TABLES) == (1, "BROKEN: event 1 is missing: there is no event at all\n")

    def test_a_state_that_runs_again_still_knows_where_it_had_ended(self, going_on, check) -> None:
        self.finish(going_on)
        OperationsHook(**AT).put_step(RUNS, NAME, "t", Progress(RUNNING, 2, 0, "now"))
        ended, told = check(NAME, *self.TABLES)
        assert (ended, "ends as" in told) == (0, True)

    def test_a_table_that_is_not_there(self, home, check) -> None:
        assert check("d/r", "--table", "none", "--region", REGION)[1].startswith("cannot be read: dynamodb:query")
