"""The plan of a refresh as people read it, before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from aurora_ops.core.estimate import Estimate
from aurora_ops.core.people import ago, code, span, table
from aurora_ops.core.settings import Environment
from aurora_ops.core.windows import within

_MOST_TABLES = 200


class TableLine(Protocol):
    """What the plan says of a table."""

    @property
    def table(self) -> Any:
        """Its name."""

    @property
    def technique(self) -> str:
        """How it is masked."""

    @property
    def rows(self) -> int:
        """Estimated number of rows."""

    @property
    def why(self) -> str:
        """Why so."""


def plan_text(
    settings: Environment,
    plan: Mapping[str, Any],
    *,
    tables: Sequence[TableLine] | None,
    tables_from: str,
    leftovers: Sequence[str],
    estimate: Estimate,
) -> str:
    """Write the whole plan as Markdown.

    :param settings: settings of the run.
    :param plan: what ``prepare.check`` decided.
    :param tables: how each table will be masked; ``None`` where no database could be looked at.
    :param tables_from: which database the estimates come from.
    :param leftovers: clusters of earlier runs that are in the way and will be deleted.
    :param estimate: time and cost.
    """
    return "\n\n".join(
        [
            f"# Refresh of {settings.environment}: {plan['source_cluster']} → {plan['target_cluster']}",
            "## Snapshot\n\n" + _snapshot(settings, plan),
            "## Names and keys\n\n" + _names(settings, plan),
            "## Masking\n\n" + _masking(plan, tables, tables_from),
            "## What is changed\n\n" + _listed(changes(settings, plan)),
            "## What is deleted\n\n" + _listed(deletions(settings, plan, leftovers)),
            "## Estimate\n\n" + _estimate(estimate),
        ]
    )


def changes(settings: Environment, plan: Mapping[str, Any]) -> list[str]:
    """List what is made or changed, in order, that outlives the run or touches what serves."""
    target, database = settings.target, settings.database
    live, old, new = (code(plan[f"{name}_cluster"]) for name in ("target", "old", "temporary"))
    size = f"{1 + target.instances.readers} instances of {target.instances.instance_class}"
    users = ", ".join(code(user.label) for user in database.users) or "none"
    instances = ", ".join(map(code, plan["live_instance_ids"])) or "none"
    after = {"stop": "stopped", "keep": "kept running", "delete": "deleted"}[plan["old_cluster_policy"]]
    steps = [
        (
            plan["live_is_stranded"],
            f"{old} gets its name {live} back first: a switch was cut short, and nothing serves under the name",
        ),
        (
            plan["snapshot_is_fresh"],
            f"snapshot {code(plan['fresh_snapshot_id'])} of {code(plan['source_cluster'])} is taken",
        ),
        (
            plan["rekey_key_arn"],
            f"it is copied under {code(plan['rekey_key_arn'])} as {code(plan['rekeyed_snapshot_id'])}, since it cannot be shared",
        ),
        (
            not plan["snapshot_was_shared"],
            f"it is shared with account {target.account_id}, whose role may use its key meanwhile",
        ),
        (
            True,
            f"cluster {new} is restored, {size}, reached through {', '.join(plan['isolation_security_groups'])} only",
        ),
        (True, f"in it: data masked, every user of production's dropped but {users}, whose passwords are set anew"),
        (
            plan["keep_tables"],
            f"tables of the target put back into it as they are, {'by jobs on EKS' if settings.keeping_eks else 'through S3'}: "
            + ", ".join(map(code, plan["keep_tables"])),
        ),
        (plan["approval_required"], f"a person is asked, and has {span(settings.approval.within_h * 3600)} to answer"),
        (
            plan["live_resource_id"],
            f"{live}{within(plan['windows'])} is renamed {old}, its instances ({instances}) likewise",
        ),
        (True, f"{new} is renamed {live} and serves; secrets of users move along"),
        (target.endpoint_parameter, f"parameter {code(target.endpoint_parameter)} is given the endpoint"),
        (plan["live_resource_id"], f"{old} is {after}"),
        *_files(settings, plan),
    ]
    return [text for happens, text in steps if happens]


def _files(settings: Environment, plan: Mapping[str, Any]) -> list[tuple[Any, str]]:
    files = settings.refreshed_files
    if files is None:
        return []
    parameters = f"{code(files.id_parameter)} and {code(files.subpath_parameter)}"
    scaled = [(code(name), count) for name, count in plan["scaled_workloads"].items() if count]
    backup = f"{code(files.source_file_system)}, backed up {ago(plan['files_backed_up_at'])}"
    return [
        (
            True,
            f"beside all that, files of {backup}, are restored into a new file system {code(files.name)} and looked at",
        ),
        (True, f"{parameters} name that file system once the new cluster serves"),
        *((True, f"{name} is scaled to 0, from {count} pods") for name, count in scaled),
        *((True, f"claim {code(claim)} is made anew to show its files") for claim in files.claims),
        *((True, f"{name} is scaled back to {count}, whatever has become of its claim") for name, count in scaled),
    ]


def deletions(settings: Environment, plan: Mapping[str, Any], leftovers: Sequence[str]) -> list[str]:
    """List what is deleted, in order."""
    at_source = f"in account {settings.source.account_id}"
    deletes_old = plan["live_resource_id"] and plan["old_cluster_policy"] == "delete"
    keeps_failed = settings.safety.keep_failed_cluster
    steps = [
        *((True, f"cluster {code(name)}, left by an earlier run, at the beginning") for name in leftovers),
        (deletes_old, f"cluster {code(plan['old_cluster'])} once the new one serves"),
        (not plan["snapshot_was_shared"], "the share of the snapshot, and the use of its key"),
        (plan["rekey_key_arn"], f"snapshot {code(plan['rekeyed_snapshot_id'])} {at_source}"),
        (plan["snapshot_is_fresh"], f"snapshot {code(plan['fresh_snapshot_id'])} {at_source}"),
        (True, f"snapshot {code(plan['copy_snapshot_id'])} in account {settings.target.account_id}"),
        (
            plan["keep_tables"] and settings.keeping_eks is None,
            f"dumps of kept tables under {code(plan['keep_prefix'])}",
        ),
        (
            settings.refreshed_files and settings.refreshed_files.old_file_system == "delete",
            "the file system that was published before, once no volume shows it",
        ),
        (not keeps_failed, f"if the run fails: cluster {code(plan['temporary_cluster'])}, with its instances"),
        (settings.refreshed_files, "if the run fails: the file system that it has restored"),
    ]
    return [text for happens, text in steps if happens]


def _snapshot(settings: Environment, plan: Mapping[str, Any]) -> str:
    wanted = settings.source
    if plan["snapshot_is_fresh"]:
        if wanted.snapshot == "fresh":
            return "A fresh one is taken, as `source.snapshot` says."
        return f"A fresh one is taken: none is at most {wanted.snapshot_max_age_h:g} h old."
    named = wanted.snapshot not in ("newest", "newest_or_fresh")
    why = "named in `source.snapshot`" if named else f"the newest, and at most {wanted.snapshot_max_age_h:g} h old"
    return f"{code(plan['source_snapshot_id'])}, {ago(plan['snapshot_created_at'])}: {why}."


def _names(settings: Environment, plan: Mapping[str, Any]) -> str:
    rows = [
        ("source", f"{code(plan['source_cluster'])} in {settings.source.account_id} {settings.source.region}"),
        ("target", f"{code(plan['target_cluster'])} in {settings.target.account_id} {settings.target.region}"),
        ("restored beside it as", code(plan["temporary_cluster"])),
        ("serves now, afterwards", code(plan["old_cluster"]) if plan["live_resource_id"] else "nothing: first refresh"),
        ("copy of the snapshot", code(plan["copy_snapshot_id"])),
        ("key of the new cluster", code(plan["target_key_arn"])),
        ("key of the shared snapshot", code(plan["rekey_key_arn"]) if plan["rekey_key_arn"] else "its own"),
        ("parameter group", code(plan["parameter_group"])),
    ]
    return table(["", "name"], rows)


def _masking(plan: Mapping[str, Any], tables: Sequence[TableLine] | None, tables_from: str) -> str:
    proven = f"{len(plan['columns'])} columns are proven masked."
    if tables is None:
        return f"{proven} Tables: not known before the restore; name `source.schema_secret` to see them here."
    ordered = sorted(tables, key=lambda line: (-line.rows, str(line.table)))
    lines = [(code(line.table), line.technique, f"{line.rows:,}", line.why) for line in ordered[:_MOST_TABLES]]
    more = f"\n\n... and {len(ordered) - _MOST_TABLES} smaller tables." if len(ordered) > _MOST_TABLES else ""
    estimated = f"{proven} Rows as {tables_from} estimates them:\n\n"
    return estimated + table(["table", "technique", "rows", "why"], lines) + more


def _estimate(estimate: Estimate) -> str:
    if estimate.seconds is None:
        time = "Time: not known, no refresh of this target has succeeded yet."
    else:
        time = f"Time: {span(estimate.seconds)}, the median of the last {estimate.runs} that succeeded."
    cost = "not known" if estimate.dollars is None else f"about USD {estimate.dollars:.2f}"
    return f"{time}\n\nCost of what exists only meanwhile: {cost} ({estimate.basis})."


def _listed(lines: Sequence[str]) -> str:
    return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1))
