"""The note of a run, written when the run ends.

A task cannot set it: it has no database, and the Execution API has no call for it; REST would need a credential that plain,
managed and hosted Airflow each give out differently. Listeners of runs are called where the run's row is about to be saved
anyway (in the scheduler; in the API server when a person marks a run), so the note costs two indexed reads and no credential.
"""

from __future__ import annotations

import logging
from typing import Any

from airflow.listeners import hookimpl

from aurora_ops.core.announcement import NOTE_KEY, is_note, noted

log = logging.getLogger(__name__)


@hookimpl
def on_dag_run_success(dag_run: Any, msg: str) -> None:  # noqa: ARG001 - the names are Airflow's
    """Set the note of a run that succeeded."""
    set_note(dag_run)


@hookimpl
def on_dag_run_failed(dag_run: Any, msg: str) -> None:  # noqa: ARG001 - the names are Airflow's
    """Set the note of a run that failed."""
    set_note(dag_run)


def set_note(dag_run: Any) -> None:
    """Make what the run's record left the note of its run, below what people wrote; other runs are left alone.

    Nothing here may hold up or break the scheduler: reads by primary key, no network, nothing is committed.

    :param dag_run: the row, in the session that will save it.
    """
    # Imported here: every task loads this plugin, and none of them needs the tables.
    from airflow.models.xcom import XComModel  # noqa: TID251 - a listener of runs works in the scheduler's own session
    from sqlalchemy import inspect, select
    from sqlalchemy.exc import SQLAlchemyError

    session = inspect(dag_run).session
    if session is None:
        return
    query = select(XComModel.value).where(XComModel.dag_run_id == dag_run.id, XComModel.key == NOTE_KEY)
    try:
        with session.no_autoflush:
            found = session.scalar(query)
            if isinstance(found, str) and is_note(found):  # Airflow keeps a text as it is, not as JSON
                dag_run.note = noted(dag_run.note, found)
    except SQLAlchemyError as exc:
        log.warning("the note of run %s of %s was not written: %s", dag_run.run_id, dag_run.dag_id, exc)
