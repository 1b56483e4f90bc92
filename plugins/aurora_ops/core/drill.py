"""What a restore drill proves, against its targets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aurora_ops.core.people import span, table


def judge(
    outcome: Mapping[str, Any] | None,
    *,
    environment: str,
    cluster: str,
    run: str,
    moment: datetime,
    rpo_h: float,
    rto_h: float,
    verification: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Put the evidence of a drill together.

    :param outcome: result of ``LookAtOutcomeOperator``; ``None`` where it was not reached.
    :param environment: environment of the drill.
    :param cluster: live cluster that it stands for.
    :param run: names the run.
    :param moment: what the run was for.
    :param rpo_h: hours that the data may be old.
    :param rto_h: hours that the restore may take.
    :param verification: result of the verification; ``None`` where it was not reached.
    :return: plain values; ``missed`` names each target that was missed, and is empty where the drill succeeded.
    """
    rpo_s, rto_s = (outcome or {}).get("rpo_s"), (outcome or {}).get("rto_s")
    missed = []
    if rto_s is None:
        missed.append("the backup was not restored and verified")
    elif rto_s > rto_h * 3600:
        missed.append(f"RTO: restoring took {span(rto_s)}, the target is {span(rto_h * 3600)}")
    if rpo_s is not None and rpo_s > rpo_h * 3600:
        missed.append(f"RPO: the data is {span(rpo_s)} old, the target is {span(rpo_h * 3600)}")
    return {
        "schema_version": 1,
        "environment": environment,
        "cluster": cluster,
        "run": run,
        "moment": moment.isoformat(),
        "rpo_s": rpo_s,
        "rto_s": rto_s,
        "rpo_target_s": rpo_h * 3600,
        "rto_target_s": rto_h * 3600,
        "cost": (outcome or {}).get("cost"),
        "verified": rto_s is not None,
        "verification": dict(verification) if verification else None,
        "missed": missed,
    }


def evidence_key(evidence: Mapping[str, Any]) -> str:
    """Name the object in which the evidence is filed: the same on every try."""
    moment = datetime.fromisoformat(evidence["moment"])
    run = evidence["run"].rpartition("/")[2]
    return f"drills/{evidence['environment']}/{evidence['cluster']}/{moment:%Y-%m-%dT%H%M%S}/{run}.json"


def text(evidence: Mapping[str, Any]) -> str:
    """Write the evidence for people."""
    rows = [
        ("RPO (age of the data)", _span(evidence["rpo_s"]), span(evidence["rpo_target_s"])),
        ("RTO (restored and verified)", _span(evidence["rto_s"]), span(evidence["rto_target_s"])),
    ]
    result = "; ".join(evidence["missed"]) or "every target was met"
    name = f"Restore drill of {evidence['cluster']} ({evidence['environment']})"
    cost = f"Cost: {evidence['cost']}\n" if evidence["cost"] else ""
    return f"{name}: {result}.\n\n{table(('Target', 'Measured', 'At most'), rows)}\n\n{cost}Run: {evidence['run']}\n"


def _span(seconds: float | None) -> str:
    return "not reached" if seconds is None else span(seconds)
