"""What dead runs left of files: file systems that were restored and never published, and what looked into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from aurora_ops.core import ownership
from aurora_ops.core.errors import SafetyError
from aurora_ops.core.files import require_changeable
from aurora_ops.core.ownership import EXPIRES_TAG, RUN_TAG
from aurora_ops.core.reaping import Leftover
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.efs import EfsHook, FileSystem
from aurora_ops.hooks.parameters import ParametersHook
from aurora_ops.operators import file_system_removal
from aurora_ops.operators.reaping import ReapOperator


class ReapFileSystemsOperator(ReapOperator[EfsHook]):
    """Remove expired file systems that runs restored, with mount targets and access points.

    Never removed: one that a parameter names, one that a volume of EKS shows, one that is not tagged ``refresh=true`` or not on the
    allow-list, and any in a protected account. What is published has lost its expiry and is no leftover.

    :param allowed_names: values of the tag ``Name`` in ``safety.allowed_file_systems`` of the environments here.
    :param id_parameters: SSM parameters that name the file systems in use.
    :param eks_clusters: EKS clusters whose volumes may show them.
    :param protected: nothing may be removed in this account.
    :param within_s: seconds that each wait may take.
    :return: ``{"mode", "counts", "removed", "failed", "expired", "to_look_at"}``.
    :raises StateError: something could not be removed; each is named.
    """

    hook_class = EfsHook
    permissions: ClassVar[tuple[str, ...]] = (
        *file_system_removal.DeleteFileSystemOperator.permissions,
        "ssm:GetParameter",
        "eks:DescribeCluster",
    )

    def __init__(
        self,
        *,
        allowed_names: Sequence[str],
        id_parameters: Sequence[str],
        eks_clusters: Sequence[str],
        protected: bool,
        within_s: int = 1800,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.allowed_names = list(allowed_names)
        self.id_parameters = list(id_parameters)
        self.eks_clusters = list(eks_clusters)
        self.protected = protected
        self.within_s = within_s

    def find(self) -> list[Leftover]:
        """Read all file systems, and keep those that say a run of ours made them for a while."""
        return [self._item(found) for found in self.hook.list_file_systems() if _is_leftover(found)]

    def look_again(self, item: Leftover) -> Leftover | None:
        """Look it up alone; an id is never given twice."""
        found = self.hook.find_file_system(item.name)
        return self._item(found) if found is not None and _is_leftover(found) else None

    def remove(self, item: Leftover) -> Wait:
        """Take a step towards its end."""
        return file_system_removal.delete_step(self.hook, item.subject, self.within_s)

    def _item(self, found: FileSystem) -> Leftover:
        return Leftover(
            "file system",
            found.file_system_id,
            found.tags.get(RUN_TAG, ""),
            found.tags.get(EXPIRES_TAG, ""),
            found.created,
            barred=self._bars(found),
            subject=found,
        )

    def _bars(self, found: FileSystem) -> str:
        name = found.file_system_id
        if self.protected:
            return "nothing is removed in a protected account"
        try:
            require_changeable(name, found.tags, self.allowed_names)
        except SafetyError as refusal:
            return str(refusal)
        parameters = ParametersHook(self.aws_conn_id, self.region_name)
        naming_it = [parameter for parameter in self.id_parameters if parameters.find(parameter) == name]
        if naming_it:
            return f"{', '.join(naming_it)} names it"
        for cluster in self.eks_clusters:
            if users := file_system_removal.volumes_of(self.aws_conn_id, self.region_name, cluster, name):
                return f"volumes {users} of EKS cluster {cluster} show it"
        return ""


def _is_leftover(found: FileSystem) -> bool:
    return ownership.is_ours(found.tags) and EXPIRES_TAG in found.tags and found.status != "deleted"
