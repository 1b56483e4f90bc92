"""What uses stored audit logs: compaction by days, verification by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from airflow.sdk.exceptions import ParamValidationError
from airflow.timetables.base import TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable
from pendulum import instance as pendulum

from tests.graph.conftest import mutating, simulator


@pytest.fixture(scope="module")
def compact(bag):
    return bag.dags["audit_log_compact_staging"]


@pytest.fixture(scope="module")
def verify(bag):
    return bag.dags["audit_log_verify_staging"]


def test_each_run_is_for_the_day_before(compact) -> None:
    """Also in a backfill: each day has a run of its own."""
    about = compact.timetable
    timetable = CronTriggerTimetable("0 4 * * *", timezone="UTC", interval=about.interval)
    assert (about.expression, str(about.timezone)) == ("0 4 * * *", "UTC")
    moment = pendulum(datetime(2026, 11, 10, tzinfo=UTC))
    found = timetable.next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(earliest=moment, latest=None, catchup=True)
    )
    assert found is not None
    assert (found.run_after - found.data_interval.start).days == 1
    assert found.run_after.hour == 4


def test_compaction_plans_compacts_publishes_and_announces(compact) -> None:
    assert [task.task_id for task in compact.topological_sort()][:3] == [
        "plan_compaction",
        "list_instances_of_day",
        "compact_logs",
    ]
    assert compact.get_task("compact_logs").downstream_task_ids == {"publish_table", "announce_compaction", "all_done"}
    states = simulator(compact)({"compact_logs": "failed"})
    assert states["publish_table"] == states["announce_compaction"] == "success", "of the others something was written"


def test_verification_only_reads_and_reports_whatever_happened(verify) -> None:
    assert verify.timetable.can_be_scheduled is False
    changed = {task.task_id: mutating(task) - {"s3:GetObject", "s3:ListBucket"} for task in verify.tasks}
    assert changed["report_verification"] == {"s3:PutObject"}
    assert not changed["plan_verification"] | changed["list_stored"]
    mapped = verify.get_task("verify_logs").operator_class
    assert all(action.split(":")[1].startswith(("Query", "Get", "List", "Decrypt")) for action in mapped.permissions)
    assert simulator(verify)({"verify_logs": "failed"})["report_verification"] == "success"


@pytest.mark.parametrize(("name", "bad"), [("first_day", "21.11.2026"), ("last_day", "x"), ("instance", "prod-shop-1")])
def test_forms_explain_and_check_themselves(verify, name, bad) -> None:
    param = verify.params.get_param(name)
    assert param.value is None
    assert param.schema["title"]
    assert param.description
    with pytest.raises(ParamValidationError):
        param.resolve(bad)


def test_a_day_is_asked_for_as_one(compact) -> None:
    with pytest.raises(ParamValidationError):
        compact.params.get_param("day").resolve("yesterday")
    assert compact.params.get_param("day").resolve("2026-11-21") == "2026-11-21"
