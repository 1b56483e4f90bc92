"""The trigger form of a refresh: what a person may change for one run."""

from __future__ import annotations

from airflow.sdk import Param

from aurora_ops.core.naming import LONGEST
from aurora_ops.core.settings import Environment
from aurora_ops.core.tables import COLUMN_PATTERN, TABLE_PATTERN

_CLUSTER = "^[a-z][a-z0-9-]*$"


def refresh_params(settings: Environment) -> dict[str, Param]:
    """Build the form; every field may be left empty, which means what the environment's file says.

    :param settings: settings of the environment, shown as what an empty field means.
    """
    source, target, database = settings.source, settings.target, settings.database
    return {
        "dry_run": Param(
            False,
            type="boolean",
            title="Dry run: show the plan, change nothing",
            description="The plan is in the log of prepare.check and in its XCom `plan`.",
        ),
        "ignore_window": Param(
            False,
            type="boolean",
            title="Outside maintenance windows",
            description="Begin and switch although none is open. Windows: "
            f"{', '.join(settings.safety.maintenance_windows) or 'none, so at any time'}.",
            section="Target",
        ),
        "approval": Param(
            None,
            type=["null", "boolean"],
            title="Ask a person before the switch",
            description=f"Empty: {'yes' if settings.approval.required else 'no'}.",
            enum=[None, True, False],
            section="Target",
        ),
        "snapshot": Param(
            None,
            type=["null", "string"],
            title="Source snapshot",
            description=f"newest, newest_or_fresh, fresh, or a snapshot identifier. Empty: {source.snapshot}.",
            examples=["newest", "newest_or_fresh", "fresh"],
            pattern="^(newest|newest_or_fresh|fresh|[A-Za-z][A-Za-z0-9:-]{0,254})$",
            section="Source",
        ),
        "snapshot_max_age_h": Param(
            None,
            type=["null", "number"],
            title="Oldest snapshot accepted (hours)",
            description=f"Empty: {source.snapshot_max_age_h:g}.",
            exclusiveMinimum=0,
            maximum=24 * 366,
            section="Source",
        ),
        "source_cluster": _cluster("Source cluster", source.cluster, "Source"),
        "target_cluster": _cluster("Target cluster, which is replaced", target.cluster, "Target"),
        "target_account_id": Param(
            None,
            type=["null", "string"],
            title="Target account",
            description=f"12 digits; the connection must lead there. Empty: {target.account_id}.",
            examples=[target.account_id],
            pattern=r"^\d{12}$",
            section="Target",
        ),
        "instance_class": Param(
            None,
            type=["null", "string"],
            title="Instance class",
            description=f"Such as db.r6g.large or db.serverless. Empty: {target.instances.instance_class}.",
            examples=["db.r6g.large", "db.serverless"],
            pattern=r"^db\.[a-z0-9]+(\.[a-z0-9-]+)?$",
            section="Target",
        ),
        "readers": Param(
            None,
            type=["null", "integer"],
            title="Readers beside the writer",
            description=f"Empty: {target.instances.readers}.",
            minimum=0,
            maximum=15,
            section="Target",
        ),
        "old_cluster": Param(
            None,
            type=["null", "string"],
            title="What becomes of the old cluster",
            description=f"Empty: {target.old_cluster}.",
            enum=[None, "stop", "delete", "keep"],
            section="Target",
        ),
        "keep_tables": Param(
            None,
            type=["null", "array"],
            title="Tables of the target that are kept",
            description=f"One schema.table a line. Empty: {', '.join(database.keep_tables) or 'none'}.",
            items={"type": "string", "pattern": TABLE_PATTERN},
            section="Data",
        ),
        "sensitive_columns": Param(
            None,
            type=["null", "array"],
            title="Columns proven masked, beside those of columns.yaml",
            description="One schema.table.column a line.",
            items={"type": "string", "pattern": COLUMN_PATTERN},
            section="Data",
        ),
    }


def _cluster(title: str, default: str, section: str) -> Param:
    return Param(
        None,
        type=["null", "string"],
        title=title,
        description=f"Identifier of an Aurora cluster. Empty: {default}.",
        examples=[default],
        pattern=_CLUSTER,
        maxLength=LONGEST,
        section=section,
    )
