"""What refreshes that have ended left of snapshots: shares taken back, copies deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core import naming, ownership, reaping, refresh_plan
from aurora_ops.core.ownership import RUN_TAG
from aurora_ops.hooks.rds import RdsHook, Snapshot
from aurora_ops.hooks.runs import RunsHook
from aurora_ops.operators.base import RefreshOperator, Result
from aurora_ops.operators.snapshots import delete_step, revoke_share


class ClearSnapshotsOperator(RefreshOperator[RdsHook]):
    """Take back the shares, and delete the snapshots, that ended refreshes of an environment left in an account.

    Whether they have expired does not matter; what a live refresh works with stays: each target's lock names its run. A snapshot
    counts if it carries our tags, and a name that a run makes.

    :param runs_of: how the names of the refresh's runs begin, ``refresh_<environment>/`` (templated).
    :param account_id: account that snapshots were shared with (templated).
    :param lock_keys: locks of the environment's targets (templated).
    :param home_conn_id: connection of the account with the table of runs (templated).
    :param home_region: its region (templated).
    :param table: table of runs (templated).
    :param within_s: seconds that each deletion may take.
    :return: ``{"revoked": [snapshots], "deleted": [snapshots], "in_use": [snapshots]}``.
    """

    hook_class = RdsHook
    permissions: ClassVar[tuple[str, ...]] = (
        "rds:DescribeDBClusterSnapshots",
        "rds:DescribeDBClusterSnapshotAttributes",
        "rds:ModifyDBClusterSnapshotAttribute",
        "rds:RemoveTagsFromResource",
        "rds:DeleteDBClusterSnapshot",
        "kms:ListGrants",
        "kms:RevokeGrant",
    )
    permissions_in: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "target": ("rds:DescribeDBClusterSnapshots", "rds:DeleteDBClusterSnapshot")
    }
    permissions_elsewhere: ClassVar[Mapping[str, tuple[str, ...]]] = {"orchestrator": ("dynamodb:GetItem",)}
    template_fields: Sequence[str] = (
        *RefreshOperator.template_fields,
        "runs_of",
        "account_id",
        "lock_keys",
        "home_conn_id",
        "home_region",
        "table",
    )

    def __init__(
        self,
        *,
        runs_of: str,
        account_id: str | None,
        lock_keys: list[str],
        home_conn_id: str,
        home_region: str,
        table: str,
        within_s: int = 3600,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.runs_of = runs_of
        self.account_id = account_id
        self.lock_keys = lock_keys
        self.home_conn_id = home_conn_id
        self.home_region = home_region
        self.table = table
        self.within_s = within_s

    def take_pass(self, context: Context) -> Result:
        """Revoke all, then delete one after another."""
        live = self._live_runs()
        found = [(snapshot, run) for snapshot in self.hook.list_manual_snapshots() if (run := self._run_of(snapshot))]
        ended = [snapshot for snapshot, run in found if run not in live]
        revoked = [
            snapshot.snapshot_id
            for snapshot in ended
            if self.account_id and snapshot.status == "available" and revoke_share(self.hook, snapshot, self.account_id)
        ]
        ours = [
            snapshot
            for snapshot in ended
            if ownership.is_ours(snapshot.tags) and naming.is_snapshot_of_a_run(snapshot.snapshot_id)
        ]
        self._note(context, revoked, [snapshot.snapshot_id for snapshot in ours])
        if ours:
            return self.wait_until(delete_step(self.hook, ours[0], self.within_s), context)
        done = self._noted(context)
        return {**done, "in_use": [snapshot.snapshot_id for snapshot, run in found if run in live]}

    def _run_of(self, snapshot: Snapshot) -> str | None:
        """Name the refresh that made or shares a snapshot; ``None`` where it is none of this environment."""
        tags = snapshot.tags
        shared = tags.get(ownership.share_tags(self.account_id)[0]) if self.account_id else None
        run = tags.get(RUN_TAG) if ownership.is_ours(tags) else shared
        return run if run and run.startswith(self.runs_of) else None

    def _live_runs(self) -> set[str]:
        runs = RunsHook(self.home_conn_id, self.home_region)
        locks = [runs.find(self.table, key, "lock") for key in self.lock_keys]
        holders = reaping.live_holders(locks, datetime.now(UTC))
        return {refresh_plan.run_key(*holder.split("/", 1)) for holder in holders if "/" in holder}

    def _note(self, context: Context, revoked: list[str], doomed: list[str]) -> None:
        """Remember for the result what each pass has found; the state itself is AWS's."""
        known = self._noted(context)
        self._push(
            context,
            "cleared",
            {
                "revoked": list(dict.fromkeys([*known["revoked"], *revoked])),
                "deleted": list(dict.fromkeys([*known["deleted"], *doomed])),
            },
        )

    def _noted(self, context: Context) -> dict[str, list[str]]:
        found = context["ti"].xcom_pull(task_ids=self.task_id, key="cleared", map_indexes=context["ti"].map_index)
        return dict(found) if found else {"revoked": [], "deleted": []}
