"""What dead runs left in Kubernetes: jobs that never began, or that nobody waits for any more, with the logins they own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, NamedTuple, TypedDict

from aurora_ops.core import kubernetes as k8s
from aurora_ops.core.kubernetes import Object
from aurora_ops.core.reaping import Leftover
from aurora_ops.hooks.kubernetes import KubernetesHook
from aurora_ops.operators.reaping import ReapOperator


class Namespace(TypedDict):
    """Where jobs of an environment run."""

    cluster: str
    namespace: str


class _Found(NamedTuple):
    cluster: str
    job: Object


class ReapJobsOperator(ReapOperator[KubernetesHook]):
    """Delete expired jobs that runs made, with their pods and the secrets they own.

    A job that has ended is removed by Kubernetes a day later; what is left are those that were killed between being made and being
    let begin, and any that a run no longer waits for. Known are they by their label, run and expiry by their annotations.

    :param namespaces: each ``{"cluster", "namespace"}``.
    :param protected: nothing may be removed in this account.
    :return: ``{"mode", "counts", "removed", "failed", "expired", "to_look_at"}``.
    :raises StateError: something could not be removed; each is named.
    """

    hook_class = KubernetesHook
    permissions: ClassVar[tuple[str, ...]] = ("eks:DescribeCluster",)

    def __init__(self, *, namespaces: Sequence[Namespace], protected: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.namespaces = list(namespaces)
        self.protected = protected

    def find(self) -> list[Leftover]:
        """List the jobs of ours."""
        return [
            self._item(_Found(place["cluster"], job))
            for place in self.namespaces
            for job in self.hook.api(place["cluster"]).list(k8s.JOBS, place["namespace"], labels=k8s.marks(None))
        ]

    def look_again(self, item: Leftover) -> Leftover | None:
        """Look it up alone; another one of its name is another."""
        found: _Found = item.subject
        meta = found.job["metadata"]
        job = self.hook.api(found.cluster).find(k8s.JOBS, meta["name"], meta["namespace"])
        if job is None or job["metadata"]["uid"] != meta["uid"] or not k8s.is_ours(job):
            return None
        return self._item(_Found(found.cluster, job))

    def remove(self, item: Leftover) -> None:
        """Delete it; Kubernetes deletes what it owns."""
        found: _Found = item.subject
        self.hook.api(found.cluster).delete(k8s.JOBS, found.job)

    def _item(self, found: _Found) -> Leftover:
        meta = found.job["metadata"]
        noted = meta.get("annotations") or {}
        return Leftover(
            "job",
            f"{found.cluster}/{meta['namespace']}/{meta['name']}",
            noted.get(k8s.RUN_LABEL, ""),
            noted.get(k8s.EXPIRES_ANNOTATION, ""),
            datetime.fromisoformat(meta["creationTimestamp"]),
            barred="nothing is removed in a protected account" if self.protected else "",
            subject=found,
        )
