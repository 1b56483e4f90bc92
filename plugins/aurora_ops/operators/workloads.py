"""Deployments and StatefulSets on claims: stopped while their claims are made anew, and started as they were."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core import kubernetes as k8s
from aurora_ops.core import workloads as rules
from aurora_ops.core.errors import BusyError, MissingError, StateError
from aurora_ops.core.kubernetes import Object
from aurora_ops.core.workloads import Workload
from aurora_ops.hooks.kubernetes import KubernetesApi
from aurora_ops.operators.base import Result
from aurora_ops.operators.kubernetes_jobs import KubernetesOperator


class WorkloadsOperator(KubernetesOperator):
    """Work on the workloads of a namespace.

    :param workloads: ``Deployment/<name>`` or ``StatefulSet/<name>`` each; none, or ``None``, is nothing to do (templated).
    :param run_key: the run, as ``refresh_plan.run_key`` writes it; ``None`` is a run that was refused (templated).
    :param within_s: seconds that a wait may take.
    """

    permissions: ClassVar[tuple[str, ...]] = ("eks:DescribeCluster",)
    template_fields: Sequence[str] = (*KubernetesOperator.template_fields, "workloads", "run_key")

    def __init__(
        self, *, workloads: Sequence[str] | None, run_key: str | None, within_s: int = 600, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.workloads = workloads
        self.run_key = run_key
        self.within_s = within_s

    def change(self, workload: Workload, found: Object, patch: Object) -> None:
        """Change a workload as it was looked at.

        :raises BusyError: somebody else has changed it since.
        """
        self.log.info("%s: %s", workload, patch)
        self.api.patch(workload.kind, found, patch)

    def known(self) -> list[tuple[Workload, Object | None]]:
        """Read every workload."""
        named = [Workload.parse(text) for text in self.workloads or ()]
        return [(workload, self.api.find(workload.kind, workload.name, self.namespace)) for workload in named]


class StopWorkloadsOperator(WorkloadsOperator):
    """Scale what uses claims to 0, and wait until no pod uses them.

    What each had is an annotation of its own, ``aurora-ops/replicas``, written with the 0 in one patch: however often this is
    tried again, and by whichever run, :class:`StartWorkloadsOperator` finds the count from before the first. A workload that uses
    none of the claims is left alone, and so is one that is at 0. Where a pod belongs to nothing that is named, nothing is stopped.

    :param claims: claims that are to be unused (templated).
    :return: ``{"stopped": {"Deployment/<name>": former count}}``.
    :raises MissingError: there is no such workload.
    :raises StateError: a pod on the claims belongs to none of them.
    """

    template_fields: Sequence[str] = (*WorkloadsOperator.template_fields, "claims")

    def __init__(self, *, claims: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.claims = claims

    def take_pass(self, context: Context) -> Result:
        """Look at pods, then at workloads; scale those that have pods; wait."""
        if not self.workloads or self.run_key is None:
            return {"stopped": {}}
        waits = bool(require_named(self.api, self.namespace, self.claims, self.workloads))
        on_claims = self._on_claims()
        try:
            for workload, found in on_claims:
                if (patch := rules.to_stop(found, self.run_key)) is not None:
                    self.change(workload, found, patch)
                waits = waits or patch is not None or not rules.is_stopped(found)
        except BusyError as exc:
            self.log.info("%s; looking again", exc)
            return self._next_pass(context)
        if waits:
            where: dict[str, Any] = {"namespace": self.namespace, "claims": list(self.claims)}
            names = [str(workload) for workload, _ in on_claims]
            return self.wait_for_object("workloads_stopped", self.within_s, context, workloads=names, **where)
        counts = {str(workload): rules.returns_to(found) for workload, found in on_claims}
        return {"stopped": {name: count for name, count in counts.items() if count}}

    def _on_claims(self) -> list[tuple[Workload, Object]]:
        """Read the workloads whose pods use the claims; each that is named must exist."""
        known = self.known()
        if missing := [str(workload) for workload, found in known if found is None]:
            raise MissingError(f"no {missing} in {self.namespace} of {self.cluster_name}; correct eks.workloads")
        return [(workload, found) for workload, found in known if found and rules.mounts(found, self.claims)]


class StartWorkloadsOperator(WorkloadsOperator):
    """Give the workloads that this run has stopped the count they had, and wait until their pods are ready.

    Those that it has not stopped are left alone, so it may run whatever happened. One that somebody has scaled meanwhile keeps that
    count. The note of the former count goes with the change, that of the run when the pods are ready.

    :param lock: what taking the target's lock has left, ``None`` where this run has not got it: with it, what any other run has
        stopped counts too, since that run is dead (templated).
    :param within_s: seconds that pods may take to get ready.
    :return: ``{"started": {"Deployment/<name>": count}}``.
    :raises WaitFailedError: pods are not ready in time. It is not tried again: they go on starting, and a run that waited longer
        would hold the lock and tell nobody.
    """

    template_fields: Sequence[str] = (*WorkloadsOperator.template_fields, "lock")

    def __init__(self, *, lock: Any = None, within_s: int = 1800, **kwargs: Any) -> None:
        super().__init__(within_s=within_s, **kwargs)
        self.lock = lock

    def take_pass(self, context: Context) -> Result:
        """Look; scale; wait until all are ready; take the notes off."""
        if not self.workloads or self.run_key is None:
            return {"started": {}}
        ours = [(workload, found) for workload, found in self.known() if found is not None and self._is_ours(found)]
        try:
            for workload, found in ours:
                if (patch := rules.to_start(found)) is not None:
                    self.change(workload, found, patch)
            if any(rules.to_start(found) or not rules.is_ready(found) for _, found in ours):
                where: dict[str, Any] = {"namespace": self.namespace, "workloads": [str(one) for one, _ in ours]}
                return self.wait_for_object("workloads_ready", self.within_s, context, **where)
            for workload, found in ours:
                self.change(workload, found, rules.to_let_go())
        except BusyError as exc:
            self.log.info("%s; looking again", exc)
            return self._next_pass(context)
        return {"started": {str(workload): rules.replicas(found) for workload, found in ours}}

    def resume(self, context: Context, event: dict[str, Any]) -> Result:
        """Go on after a wait; one that has taken too long is the end."""
        if event["status"] == "timeout":
            told = f"{list(self.workloads or ())} in {self.namespace} are scaled back, and not all ready after {self.within_s} s"
            event = {
                **event,
                "status": "failed",
                "message": f"{told}; their pods' events say why (kubectl describe pod)",
            }
        return super().resume(context, event)

    def _is_ours(self, found: Object) -> bool:
        holder = rules.held_by(found)
        return holder is not None and (holder == self.run_key or self.lock is not None)


def require_named(api: KubernetesApi, namespace: str, claims: Iterable[str], workloads: Sequence[str]) -> list[Object]:
    """Find the pods on claims, each of which must belong to a workload that is named.

    :param workloads: ``Deployment/<name>`` or ``StatefulSet/<name>`` each.
    :raises StateError: one does not; all such are named.
    """
    pods = api.list(k8s.PODS, namespace)
    users = {pod["metadata"]["name"]: (claim, pod) for claim in claims for pod in k8s.users_of(claim, pods)}
    sets: dict[str, str | None] = {}
    strangers = [
        f"{claim} by {name} ({owner or 'nothing that makes another'})"
        for name, (claim, pod) in sorted(users.items())
        if (owner := _owner(api, namespace, pod, sets, look=bool(workloads))) not in workloads
    ]
    if strangers:
        raise StateError(
            f"claims in {namespace} are used by pods that belong to nothing of eks.workloads {list(workloads)}: {strangers}, and "
            f"a claim cannot be pointed elsewhere under running pods; end them, or name in eks.workloads what runs them"
        )
    return [pod for _, pod in users.values()]


def _owner(
    api: KubernetesApi, namespace: str, pod: Mapping[str, Any], sets: dict[str, str | None], *, look: bool
) -> str | None:
    """Name what runs a pod: ``StatefulSet/<name>``, ``Deployment/<name>`` by its ReplicaSet, or whatever has made it.

    :param sets: owners of ReplicaSets that were looked up already.
    :param look: look ReplicaSets up; a role that scales nothing may not.
    """
    owner = rules.controller_of(pod)
    if owner is None:
        return None
    kind, name = owner
    if kind != "ReplicaSet" or not look:
        return f"{kind}/{name}"
    if name not in sets:
        found = api.find(k8s.REPLICA_SETS, name, namespace)
        above = rules.controller_of(found) if found else None
        sets[name] = "/".join(above or owner)
    return sets[name]
