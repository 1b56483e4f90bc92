"""A refresh as it leaves its traces: forty steps with their times, results and neighbours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from aurora_ops.core import report, run_record

STARTED = datetime(2026, 7, 1, 2, 0, tzinfo=UTC)

# step: seconds of calls, waits, SQL; in the order of a run, each after the one above unless ABOVE says otherwise.
STEPS: dict[str, tuple[float, float, float]] = {
    "prepare.check": (3, 0, 1),
    "prepare.take_lock": (0.4, 0, 0),
    "prepare.clear_temporary": (1, 0, 0),
    "prepare.clear_old": (2, 190, 0),
    "source.take_snapshot": (1, 410, 0),
    "source.rekey_snapshot": (0.7, 0, 0),
    "source.share_snapshot": (0.9, 0, 0),
    "source.see_shared_snapshot": (0.6, 10, 0),
    "source.copy_snapshot": (1, 620, 0),
    "files.restore_file_systems": (0, 0, 0),
    "restore.restore_cluster": (1, 540, 0),
    "restore.create_writer": (1, 480, 0),
    "restore.enable_master_secret": (1, 90, 0),
    "restore.create_readers": (1, 430, 0),
    "restore.configure_s3_integration": (1, 60, 0),
    "mask.dump_kept_tables": (2, 0, 8),
    "mask.fingerprint_columns": (1, 0, 110),
    "mask.mask_database": (1, 0, 720),
    "mask.prove_mask": (1, 0, 90),
    "mask.scan_columns": (1, 0, 140),
    "mask.rotate_master_secret": (1, 75, 0),
    "mask.set_users": (2, 0, 3),
    "mask.load_kept_tables": (2, 0, 6),
    "mask.verify_database": (2, 0, 60),
    "approve.approve_switch": (0, 0, 0),
    "switch.open_network": (1, 30, 0),
    "switch.rename_live": (1, 120, 0),
    "switch.rename_restored": (1, 130, 0),
    "switch.move_secrets": (1.2, 0, 0),
    "switch.verify_serving": (1, 0, 4),
    "switch.undo_rename": (0, 0, 0),
    "switch.undo_secrets": (0, 0, 0),
    "publish.publish_cluster": (1, 0, 0),
    "clean_up.retire_old_cluster": (1, 240, 0),
    "clean_up.revoke_share": (1, 0, 0),
    "clean_up.delete_rekeyed_snapshot": (1, 0, 0),
    "clean_up.delete_fresh_snapshot": (1, 35, 0),
    "clean_up.delete_copied_snapshot": (1, 30, 0),
    "clean_up.delete_kept_tables": (1, 0, 0),
    "clean_up.delete_temporary_cluster": (1, 0, 0),
}
ABOVE = {
    "prepare.clear_temporary": ["prepare.take_lock"],
    "prepare.clear_old": ["prepare.take_lock"],
    "source.take_snapshot": ["prepare.take_lock"],
    "files.restore_file_systems": ["prepare.take_lock"],
    "restore.restore_cluster": ["source.copy_snapshot", "prepare.clear_temporary"],
    "restore.create_readers": ["restore.enable_master_secret"],
    "restore.configure_s3_integration": ["restore.enable_master_secret"],
    "mask.dump_kept_tables": ["restore.enable_master_secret"],
    "mask.fingerprint_columns": ["restore.enable_master_secret"],
    "approve.approve_switch": ["mask.verify_database", "restore.create_readers", "files.restore_file_systems"],
    "switch.undo_rename": ["switch.verify_serving"],
    "switch.undo_secrets": ["switch.undo_rename"],
    "publish.publish_cluster": ["switch.verify_serving"],
    "clean_up.retire_old_cluster": ["publish.publish_cluster"],
    "clean_up.revoke_share": ["source.copy_snapshot"],
    "clean_up.delete_rekeyed_snapshot": ["clean_up.revoke_share"],
    "clean_up.delete_fresh_snapshot": ["clean_up.revoke_share"],
    "clean_up.delete_copied_snapshot": ["restore.restore_cluster"],
    "clean_up.delete_kept_tables": ["mask.load_kept_tables"],
    "clean_up.delete_temporary_cluster": ["publish.publish_cluster", "switch.undo_secrets"],
}
SKIPPED = ("switch.undo_rename", "switch.undo_secrets")
EMPTY = ("files.restore_file_systems", "approve.approve_switch")
RESULTS: dict[str, Any] = {
    "prepare.check": {"target_cluster": "staging-shop"},
    "mask.prove_mask": {"columns": {"shop.customers.email": 243_118, "shop.customers.phone": 198_220}, "survivors": 0},
    "mask.scan_columns": {"columns": 214, "warnings": ["shop.orders.note: 3 values look like e-mail addresses"]},
    "mask.verify_database": {"checks": 61, "tables": 24, "rows": 8_412_233},
    "switch.verify_serving": {"endpoint": "staging-shop.cluster-x.rds", "checks": 9},
}
PLAN: dict[str, Any] = {
    "target_cluster": "staging-shop",
    "temporary_cluster": "staging-shop-restore",
    "old_cluster": "staging-shop-old",
    "copy_snapshot_id": "copy-staging-prod-shop-20260701",
    "source_snapshot_id": "rds:prod-shop-2026-06-30-23-10",
    "snapshot_created_at": "2026-06-30T23:10:00+00:00",
    "snapshot_is_fresh": False,
    "columns": ["shop.customers.email", "shop.customers.phone"],
    "readers": 1,
    "tags": {"a": "b"},
}


def upstream() -> dict[str, list[str]]:
    """Each step with those right before it."""
    names = list(STEPS)
    return {name: ABOVE.get(name, [names[number - 1]] if number else []) for number, name in enumerate(names)}


def timings() -> dict[str, Any]:
    """What steps say of their time; a deferral costs three seconds, a task half of one."""
    above, ended, found = upstream(), {}, {}
    for name, (api, wait, sql) in STEPS.items():
        start = max((ended[other] for other in above[name]), default=STARTED.timestamp())
        if name in SKIPPED or name in EMPTY:
            ended[name] = start
            continue
        start += 0.5
        spans = [{"kind": "api", "what": name, "start": start, "end": start + api + sql}]
        end = start + api + sql
        if sql:
            spans.append({"kind": "sql", "what": "statements", "start": start + api / 2, "end": start + api / 2 + sql})
        if wait:
            spans.append({"kind": "aws_wait", "what": "available", "start": end, "end": end + wait})
            spans.append({"kind": "api", "what": name, "start": end + wait + 3, "end": end + wait + 3.4})
            end += wait + 3.4
        ended[name] = end
        found[name] = {"spans": spans, "deferrals": int(bool(wait)), "try": 1}
    return found


def record(states: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    """The record of the run, some states and facts changed."""
    times = timings()
    ended = max(span["end"] for timing in times.values() for span in timing["spans"])
    given = {
        "run": "refresh_staging/scheduled__2026-07-01T02:00:00+00:00",
        "environment": "staging",
        "target_key": "refresh#222222222222#staging-shop",
        "moment": STARTED,
        "started": STARTED,
        "ended": datetime.fromtimestamp(ended, UTC) + timedelta(seconds=1),
        "triggered_by": "scheduled",
        "conf": {},
        "plan": PLAN,
        "states": {name: "skipped" if name in SKIPPED else "success" for name in STEPS} | (states or {}),
        "timings": times,
        "causes": {},
        "best_effort": ("clean_up.",),
        "compensation": SKIPPED,
        "keep_days": 365,
        "durations": dict.fromkeys(EMPTY, 0.2),
        "results": RESULTS,
        "upstream": upstream(),
    }
    found = run_record.build(**{**given, **changes})
    return found | {"links": {"Airflow run": "https://airflow.example/dags/refresh_staging/runs/x"}}


def content(made: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Content of the report of the run."""
    given = {"timings": timings(), "results": RESULTS, "upstream": upstream(), "versions": {"aurora-ops": "0.1.0"}}
    return report.data(made or record(), **{**given, **changes})


def page(made: dict[str, Any] | None = None, **changes: Any) -> str:
    """The report of the run as a page."""
    made = made or record()
    started, ended = (datetime.fromisoformat(made[name]).timestamp() for name in ("started_at", "ended_at"))
    return report.as_html(content(made, **changes), started=started, ended=ended).decode()
