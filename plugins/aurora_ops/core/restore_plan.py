"""The plan of a restore as people read it, before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aurora_ops.core.estimate import Estimate
from aurora_ops.core.people import ago, code
from aurora_ops.core.windows import within


def text(plan: Mapping[str, Any], cost: Estimate) -> str:
    """Write the whole plan as Markdown.

    :param plan: the checked request, and what was decided.
    :param cost: what it costs while it stands.
    """
    return "\n\n".join(
        [
            f"# Restore beside {plan['cluster']}: {plan['data_of']} → {plan['restored_cluster']}",
            "## Backup\n\n" + _backup(plan),
            "## What is made\n\n" + _listed(made(plan)),
            "## What is changed or deleted\n\n" + _listed(changed(plan)),
            "## Estimate\n\n" + _estimate(plan, cost),
        ]
    )


def made(plan: Mapping[str, Any]) -> list[str]:
    """List what is made, in order."""
    new, size = code(plan["restored_cluster"]), f"{1 + plan['readers']} instances of {plan['instance_class']}"
    shared, account = code(plan.get("shared_snapshot_id")), plan["target_account_id"]
    secret = plan["master_secret"]
    steps = [
        (
            plan.get("rekey_key_arn"),
            f"snapshot {shared}, a copy under {code(plan.get('rekey_key_arn'))} that can be shared",
        ),
        (
            plan["mode"] == "share" and not plan.get("was_shared"),
            f"{shared} is shared with account {account} meanwhile",
        ),
        (
            plan["copy_snapshot_id"],
            f"snapshot {code(plan['copy_snapshot_id'])} in {plan['target_region']}, under its key",
        ),
        (True, f"cluster {new} with {size}, in the isolated security groups, until {plan['keep_days']} days from now"),
        (
            True,
            f"its master password is the one of {code(secret)}"
            if secret
            else "a master password that RDS makes and keeps",
        ),
        (plan["app_secret"], f"the users of {code(plan['app_secret'])}; others are dropped"),
        (
            plan["database_users"] and not plan["app_secret"],
            "users " + ", ".join(code(user["username"]) for user in plan["database_users"]) + "; others are dropped",
        ),
    ]
    return [text for applies, text in steps if applies]


def changed(plan: Mapping[str, Any]) -> list[str]:
    """List what is changed or deleted, in order."""
    live, old, new = (code(plan[name]) for name in ("cluster", "old_name", "restored_cluster"))
    snapshot = code(plan["final_snapshot_id"]) if plan["final_snapshot_id"] else "no final snapshot"
    fate = {"keep": "kept running", "stop": "stopped", "delete": f"deleted, with {snapshot}"}[plan["old_cluster"]]
    copy = {"delete": "is deleted", "keep": "stays until its expiry", "archive": "is kept for good"}[
        plan["copied_snapshot"]
    ]
    steps = [
        (
            plan["clear_cluster"],
            f"{code(plan['clear_cluster'])}, which an earlier run left unverified, is deleted first",
        ),
        (
            plan["swap"],
            f"after verification{within(plan['windows'])} {live} becomes {old} and {new} becomes {live}; a failure undoes it",
        ),
        (plan["swap"], f"{old} is {fate}"),
        (plan["copy_snapshot_id"], f"{code(plan['copy_snapshot_id'])} {copy} after verification"),
        (plan.get("rekey_key_arn"), f"{code(plan.get('rekeyed_snapshot_id'))} is deleted, its share taken back"),
    ]
    return [text for applies, text in steps if applies]


def _backup(plan: Mapping[str, Any]) -> str:
    if plan["restore_type"] == "point_in_time":
        return f"The automated backups of {code(plan['data_of'])}, to {plan['data_at']} ({ago(plan['data_at'])})."
    where = f"account {plan[plan['from_account'] + '_account_id']}, {plan[plan['from_account'] + '_region']}"
    age = f"{plan['data_at']} ({ago(plan['data_at'])})"
    return f"Snapshot {code(plan['snapshot_id'])} of {code(plan['data_of'])} in {where}: {age}."


def _estimate(plan: Mapping[str, Any], cost: Estimate) -> str:
    size = f"{plan['size_gib']} GiB are restored." if plan["size_gib"] else "Its size is not known before."
    copied = f" {plan['size_gib']} GiB are copied." if plan["copy_snapshot_id"] else ""
    return f"{size}{copied} Cost: {cost.basis}."


def _listed(items: list[str]) -> str:
    return "\n".join(f"- {item}" for item in items) or "- nothing"
