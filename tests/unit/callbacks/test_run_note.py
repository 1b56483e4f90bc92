"""The note of a run, on the tables of Airflow itself."""

# ruff: noqa: TID251 - the listener works on the scheduler's tables

from __future__ import annotations

import logging
from datetime import UTC, datetime

import pytest
from airflow.models import import_all_models
from airflow.models.base import Base
from airflow.models.dagrun import DagRun
from airflow.models.xcom import XComModel
from aurora_ops.callbacks import run_note
from aurora_ops.core.announcement import NOTE_MARK
from sqlalchemy import create_engine, event, text
from sqlalchemy.orm import Session

NOTE = f"{NOTE_MARK}staging succeeded** in 3 s"


@pytest.fixture(scope="module")
def engine():
    import_all_models()
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    return engine


@pytest.fixture
def session(engine):
    with engine.connect() as connection, connection.begin() as whole, Session(connection) as session:
        yield session
        whole.rollback()


@pytest.fixture
def run(session):
    moment = datetime(2026, 7, 1, tzinfo=UTC)
    run = DagRun(dag_id="refresh_staging", run_id="r", run_type="manual", run_after=moment, start_date=moment)
    session.add(run)
    session.flush()
    return run


def leave(session, run, value: object, key: str = "run_note") -> None:
    session.execute(
        XComModel.__table__.insert().values(
            dag_run_id=run.id, task_id="record.record_run", map_index=-1, key=key, dag_id=run.dag_id, run_id=run.run_id,
            value=value, timestamp=datetime(2026, 7, 1, tzinfo=UTC),
        )
    )  # fmt: skip


def read(session, run) -> str | None:
    session.flush()
    return session.scalar(text("SELECT content FROM dag_run_note"))


@pytest.mark.parametrize("ended", [run_note.on_dag_run_success, run_note.on_dag_run_failed])
def test_note_is_what_the_record_left(session, run, ended) -> None:
    leave(session, run, NOTE)
    ended(dag_run=run, msg="")
    assert read(session, run) == NOTE


def test_what_people_wrote_stays_and_a_second_end_replaces_ours(session, run) -> None:
    run.note = "asked for by QA"
    leave(session, run, NOTE)
    run_note.set_note(run)
    run_note.set_note(run)
    assert read(session, run) == f"asked for by QA\n\n{NOTE}"


def test_other_runs_are_left_alone(session, run) -> None:
    leave(session, run, NOTE, key="return_value")
    run_note.set_note(run)
    assert read(session, run) is None


def test_nothing_is_committed_and_two_reads_are_enough(session, run) -> None:
    leave(session, run, NOTE)
    seen = []
    event.listen(session, "before_commit", lambda _: seen.append("commit"))
    event.listen(session.connection(), "before_execute", lambda *arguments: seen.append(str(arguments[1]).split()[0]))
    run_note.set_note(run)
    assert seen == ["SELECT", "SELECT"]


@pytest.mark.parametrize("found", ["another text", {"a": 1}, 7, None])
def test_what_is_not_a_note_of_ours_is_left_alone(session, run, found) -> None:
    leave(session, run, found)
    run_note.set_note(run)
    assert read(session, run) is None


def test_a_database_that_fails_is_said_and_breaks_nothing(session, run, caplog) -> None:
    session.execute(text("ALTER TABLE xcom RENAME TO hidden"))
    with caplog.at_level(logging.WARNING):
        run_note.set_note(run)
    assert "was not written" in caplog.text


def test_a_row_without_a_session_is_left_alone() -> None:
    run_note.set_note(DagRun(dag_id="d", run_id="r", run_type="manual"))
