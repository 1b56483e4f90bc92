"""What a person is shown who is asked whether the switch may happen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aurora_ops.core.fitting import warnings_cut
from aurora_ops.core.people import ago, code, table

_MOST_WARNINGS = 20


def subject(plan: Mapping[str, Any]) -> str:
    """Ask in one line."""
    return f"Let {plan['temporary_cluster']} serve as {plan['target_cluster']}?"


def body(plan: Mapping[str, Any], results: Mapping[str, Mapping[str, Any] | None]) -> str:
    """Write what was verified, and what a yes and a no mean, as Markdown.

    :param plan: what was decided before the run.
    :param results: what steps returned, by ``verified``, ``proved``, ``scanned``, ``files_restored``, ``files_proved``; ``None``
        for one that returned nothing.
    """
    verified, proved, scanned = (results.get(name) or {} for name in ("verified", "proved", "scanned"))
    data = "not verified"
    if verified:
        data = f"{verified['rows']:,} rows in {verified['tables']} tables; as many as the snapshot had"
    checked = [
        ("Data", data),
        ("Checks passed", str(verified.get("checks", "none"))),
        (
            "Masking",
            f"{len(proved.get('columns') or {})} columns proven, {proved.get('survivors', '?')} original values left",
        ),
        ("Snapshot", f"{code(plan.get('source_snapshot_id'))}, {ago(plan.get('snapshot_created_at'))}"),
    ]
    if scanned:
        checked.insert(3, ("Scan", f"{scanned['scanned']} columns scanned, {len(scanned['found'])} with findings"))
    restored, found = (results.get(name) or {} for name in ("files_restored", "files_proved"))
    if restored:
        counted = (
            f"{found.get('files', 0):,} found" if found.get("complete") else f"{found.get('files', 0):,} and more found"
        )
        checked.append(("Files", f"{counted}, of the backup of {ago(restored['created'])}"))
    warnings = [str(text) for name in sorted(results) for text in (results[name] or {}).get("warnings") or []]
    parts = [table(["", "verified"], checked)]
    if warnings:
        parts.append("**Warnings**\n\n" + "\n".join(f"- {text}" for text in warnings_cut(warnings, _MOST_WARNINGS)))
    live, old = code(plan["target_cluster"]), code(plan["old_cluster"])
    parts.append(
        f"**Approve**: {live} is renamed {old}, and the new cluster takes its name and its endpoint; connections are cut for "
        f"the time of the rename. Afterwards {old} is dealt with by policy: {plan.get('old_cluster_policy')}.\n\n"
        f"**Reject**: {live} goes on serving as it is; what was restored is deleted."
    )
    return "\n\n".join(parts)
