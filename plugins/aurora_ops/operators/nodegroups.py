"""Managed node groups of EKS: nodes for a while, and the former size again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core.errors import ConfigError, MissingError, SafetyError, StateError
from aurora_ops.core.kubernetes import takes
from aurora_ops.core.ownership import RUN_TAG
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.eks import EksHook, Nodegroup
from aurora_ops.hooks.kubernetes import KubernetesHook
from aurora_ops.operators.base import RefreshOperator, Result

FORMER_TAG = "aurora-ops:former-size"
_FORMER = re.compile(r"(\d+)/(\d+)/(\d+)")


class NodegroupOperator(RefreshOperator[EksHook]):
    """Work on a managed node group that the environment allows to be scaled.

    :param cluster_name: EKS cluster (templated).
    :param allowed_nodegroups: node groups that may be scaled, ``eks.nodegroups`` of the environment (templated).
    :param within_s: seconds that EKS may take to change it.
    """

    hook_class = EksHook
    template_fields: Sequence[str] = (*RefreshOperator.template_fields, "cluster_name", "allowed_nodegroups")

    def __init__(
        self, *, cluster_name: str, allowed_nodegroups: list[str], within_s: int = 1800, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.cluster_name = cluster_name
        self.allowed_nodegroups = allowed_nodegroups
        self.within_s = within_s

    def require_nodegroup(self, name: str) -> Nodegroup:
        """Read a node group that must exist and be one that may be scaled.

        :raises SafetyError: it is not on the list.
        :raises MissingError: it does not exist.
        :raises StateError: it is broken or being deleted.
        """
        if name not in self.allowed_nodegroups:
            raise SafetyError(f"nodegroup: {name!r} is not in eks.nodegroups; allowed are {self.allowed_nodegroups}")
        found = self.hook.find_nodegroup(self.cluster_name, name)
        if found is None:
            raise MissingError(f"no node group {name} in EKS cluster {self.cluster_name}; correct eks.nodegroups")
        if found.status not in ("ACTIVE", "UPDATING", "CREATING"):
            told = "; ".join(found.issues) or "EKS gives no reason"
            raise StateError(f"node group {name} is {found.status} ({told}); mend it before it can be scaled")
        return found

    def wait_for_change(self, name: str, context: Context) -> Result:
        """Wait until EKS is done with a node group, then take the next pass."""
        return self.wait_until(
            Wait(
                waiter="nodegroup_changed",
                args={"clusterName": self.cluster_name, "nodegroupName": name},
                show="nodegroup.status",
                within_s=self.within_s,
                every_s=15,
            ),
            context,
        )

    def wait_for_nodes(self, name: str, count: int, context: Context) -> Result:
        """Wait until a node group has so many nodes that take pods."""
        hook = KubernetesHook(self.aws_conn_id, self.region_name)
        args = {"cluster": self.cluster_name, "nodegroup": name, "count": count}
        until = Wait(waiter="nodes_ready", args=args, within_s=self.within_s, every_s=15)
        return self.wait_until(until, context, hook)

    def restore_pass(self, names: list[str], run_key: str | None, context: Context) -> Result:
        """Give the first node group that carries a note its former size, or take the note off.

        :param run_key: whose notes count; ``None``: any run's.
        """
        restored: dict[str, dict[str, int]] = {}
        for name in names:
            found = self.require_nodegroup(name)
            former = parse_former(found.tags.get(FORMER_TAG))
            if former is None or run_key not in (None, found.tags.get(RUN_TAG)):
                continue
            if found.status != "ACTIVE":
                return self.wait_for_change(name, context)
            if found.sizes["desiredSize"] != former["desiredSize"]:
                self.log.info("node group %s: back to %d nodes", name, former["desiredSize"])
                self.hook.scale_nodegroup(self.cluster_name, name, {"desiredSize": former["desiredSize"]})
                return self.wait_for_change(name, context)
            self.hook.untag(found.arn, [FORMER_TAG, RUN_TAG])
            restored[name] = former
        return {"restored": restored}

    def nodes_are_ready(self, name: str, count: int) -> bool:
        """Look whether a node group has so many nodes that take pods."""
        args = {"cluster": self.cluster_name, "nodegroup": name, "count": count}
        hook = KubernetesHook(self.aws_conn_id, self.region_name)
        return hook.look(Wait(waiter="nodes_ready", args=args)).value == "reached"


class ScaleNodegroupOperator(NodegroupOperator):
    """Give a node group so many nodes, wait until they take pods, and remember its former size on a tag.

    Which one is given, or found: the only one of those allowed whose labels and taints let the jobs' pods in. The managed node
    group's own API is used (``UpdateNodegroupConfig``), not its Auto Scaling group, so EKS and it agree. The former size is a tag
    of the node group, set before the change: however often this is tried again, and by whichever run,
    ``RestoreNodegroupSizeOperator`` finds the size from before the first.

    :param nodegroup: its name; ``None``: the one that fits (templated).
    :param node_selector: labels that the jobs' pods ask for (templated).
    :param tolerations: taints that they bear (templated).
    :param count: nodes it shall have; ``None`` is nothing to do (templated).
    :param shrink: fewer nodes than there are is meant; otherwise more than enough is enough (templated).
    :param run_key: the run, as ``refresh_plan.run_key`` writes it (templated).
    :return: ``{"nodegroup", "nodes", "former": {"minSize", "maxSize", "desiredSize"}, "changed"}``.
    :raises SafetyError: the node group is not on the list.
    :raises ConfigError: none fits, or more than one does.
    :raises StateError: its bounds do not allow so many nodes, or it is broken.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        "eks:DescribeCluster",
        "eks:DescribeNodegroup",
        "eks:UpdateNodegroupConfig",
        "eks:TagResource",
    )
    template_fields: Sequence[str] = (
        *NodegroupOperator.template_fields,
        "nodegroup",
        "node_selector",
        "tolerations",
        "count",
        "shrink",
        "run_key",
    )

    def __init__(
        self,
        *,
        run_key: str,
        nodegroup: str | None = None,
        node_selector: Mapping[str, str] | None = None,
        tolerations: list[dict[str, str]] | None = None,
        count: int | None = 1,
        shrink: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.run_key = run_key
        self.nodegroup = nodegroup
        self.node_selector = node_selector or {}
        self.tolerations = tolerations or []
        self.count = count
        self.shrink = shrink

    def take_pass(self, context: Context) -> Result:
        """Look; remember, change, wait for EKS, wait for the nodes."""
        if self.count is None:
            return {"nodegroup": None, "nodes": 0, "former": None, "changed": False}
        found = self.require_nodegroup(self.nodegroup or self._fitting())
        wanted, now = int(self.count), found.sizes["desiredSize"]
        self._check_bounds(found, wanted)
        if found.status != "ACTIVE":
            return self.wait_for_change(found.name, context)
        former = parse_former(found.tags.get(FORMER_TAG))
        if now < wanted or (self.shrink and now > wanted):
            self._remember(found)
            self.log.info("node group %s: from %d to %d nodes", found.name, now, wanted)
            self.hook.scale_nodegroup(self.cluster_name, found.name, {"desiredSize": wanted})
            return self.wait_for_change(found.name, context)
        if former is not None:
            self._remember(found)
        if not self.nodes_are_ready(found.name, wanted):
            return self.wait_for_nodes(found.name, wanted, context)
        return {
            "nodegroup": found.name,
            "nodes": now,
            "former": former or found.sizes,
            "changed": former is not None,
        }

    def _remember(self, found: Nodegroup) -> None:
        """Note the size from before the first change; the note of a run that has died is taken over."""
        sizes = "/".join(str(found.sizes[key]) for key in ("minSize", "desiredSize", "maxSize"))
        note = {FORMER_TAG: found.tags.get(FORMER_TAG, sizes), RUN_TAG: self.run_key}
        if any(found.tags.get(key) != value for key, value in note.items()):
            self.hook.tag(found.arn, note)

    def _fitting(self) -> str:
        # others of the cluster are none of the role's business
        looked_at = [self.hook.find_nodegroup(self.cluster_name, name) for name in self.allowed_nodegroups]
        known = [found for found in looked_at if found is not None]
        fitting = [
            found.name for found in known if takes(found.labels, found.taints, self.node_selector, self.tolerations)
        ]
        if len(fitting) == 1:
            return fitting[0]
        seen = {found.name: {"labels": found.labels, "taints": found.taints} for found in known}
        wrong = "none fits" if not fitting else f"{fitting} fit"
        raise ConfigError(
            "nodegroup",
            self.nodegroup,
            f"{wrong} node_selector {dict(self.node_selector)} and tolerations {self.tolerations} among eks.nodegroups "
            f"{self.allowed_nodegroups}; the cluster has {seen}; name one, or correct eks.node_selector and eks.tolerations",
        )

    def _check_bounds(self, found: Nodegroup, wanted: int) -> None:
        low, high = found.sizes["minSize"], found.sizes["maxSize"]
        if wanted > high or (self.shrink and wanted < low):
            raise StateError(
                f"count: {wanted} nodes are outside the bounds of node group {found.name}, {low} to {high}; "
                f"change its bounds where it is defined, or ask for another count"
            )


class RestoreNodegroupSizeOperator(NodegroupOperator):
    """Give node groups the size that they had before a run scaled them, and take the note of it off.

    Node groups without a note are left alone, so running it again is harmless, also after a check that refused the run and named
    none. Nodes are not waited for: EKS drains those that go.

    :param run_key: the run whose notes count, as ``refresh_plan.run_key`` writes it; ``None``: any run's (templated).
    :param nodegroup: only this one; ``None``: all that may be scaled (templated).
    :return: ``{"restored": {nodegroup: {"minSize", "maxSize", "desiredSize"}}}``: what a pass has found restored last.
    :raises SafetyError: the node group is not on the list.
    :raises StateError: it is broken.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        "eks:DescribeNodegroup",
        "eks:UpdateNodegroupConfig",
        "eks:UntagResource",
    )
    template_fields: Sequence[str] = (*NodegroupOperator.template_fields, "run_key", "nodegroup")

    def __init__(self, *, run_key: str | None, nodegroup: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_key = run_key
        self.nodegroup = nodegroup

    def take_pass(self, context: Context) -> Result:
        """Look at each; change, wait for EKS, forget."""
        names = [self.nodegroup] if self.nodegroup else self.allowed_nodegroups or []
        return self.restore_pass(names, self.run_key, context)


class ManageNodegroupOperator(ScaleNodegroupOperator):
    """Scale a node group or give it its former size again, as asked for while the run goes on.

    :param action: ``scale`` or ``restore``; the latter goes by the note of any run (templated).
    :return: what :class:`ScaleNodegroupOperator` or :class:`RestoreNodegroupSizeOperator` return.
    """

    permissions: ClassVar[tuple[str, ...]] = (*ScaleNodegroupOperator.permissions, "eks:UntagResource")
    template_fields: Sequence[str] = (*ScaleNodegroupOperator.template_fields, "action")

    def __init__(self, *, action: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.action = action

    def take_pass(self, context: Context) -> Result:
        """Take a pass of one or the other."""
        if self.action == "scale":
            return super().take_pass(context)
        return self.restore_pass([self.nodegroup] if self.nodegroup else self.allowed_nodegroups, None, context)


def parse_former(text: str | None) -> dict[str, int] | None:
    """Read the note of a former size, ``min/desired/max``; ``None`` where there is none."""
    found = _FORMER.fullmatch(text or "")
    if found is None:
        return None
    low, wanted, high = (int(number) for number in found.groups())
    return {"minSize": low, "maxSize": high, "desiredSize": wanted}
