"""Telling applications where the files are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core import ownership
from aurora_ops.core.errors import AuroraOpsError, ConfigError
from aurora_ops.core.ownership import EXPIRES_TAG, REPLACES_TAG, RUN_TAG
from aurora_ops.core.safety import is_refreshable
from aurora_ops.hooks.efs import EfsHook, FileSystem
from aurora_ops.hooks.parameters import ParametersHook
from aurora_ops.operators.base import RefreshOperator, Result


class PublishFilesOperator(RefreshOperator[ParametersHook]):
    """Write the id of a file system and the directory in it where applications look: both parameters, or neither.

    Parameter Store has no transaction: when the second write fails, the first is taken back. What is right already is not
    written (``ssm:PutParameter``). The file system is not temporary any more: it loses its expiry, and a tag says which one it
    replaces, so that a try that was killed after it had written still tells.

    :param file_system_id: file system (templated).
    :param subpath: directory in it, beginning with a slash (templated).
    :param id_parameter: parameter for the id (templated).
    :param subpath_parameter: parameter for the directory (templated).
    :param former_expires_h: hours after which ``reap_expired`` may remove the one that it replaces, where the run does not come to
        that itself; ``None``: it is kept, or nobody's to remove.
    :return: ``{"file_system_id", "subpath", "replaces", "previous": {"file_system_id", "subpath"}}``; ``replaces`` is the id of the
        file system that was published before, ``None`` where there was none.
    :raises ConfigError: both go by the same name.
    """

    hook_class = ParametersHook
    permissions: ClassVar[tuple[str, ...]] = (
        "elasticfilesystem:DescribeFileSystems",
        "elasticfilesystem:TagResource",
        "elasticfilesystem:UntagResource",
        "ssm:GetParameter",
        "ssm:PutParameter",
        "ssm:DeleteParameter",
    )
    template_fields: Sequence[str] = (
        *RefreshOperator.template_fields,
        "file_system_id",
        "subpath",
        "id_parameter",
        "subpath_parameter",
    )

    def __init__(
        self,
        *,
        file_system_id: str,
        subpath: str,
        id_parameter: str,
        subpath_parameter: str,
        former_expires_h: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.file_system_id = file_system_id
        self.subpath = subpath
        self.id_parameter = id_parameter
        self.subpath_parameter = subpath_parameter
        self.former_expires_h = former_expires_h

    def take_pass(self, context: Context) -> Result:
        """Write what differs."""
        hook: ParametersHook = self.hook
        if self.id_parameter == self.subpath_parameter:
            raise ConfigError(
                "subpath_parameter", self.subpath_parameter, "it must differ from the parameter of the id"
            )
        efs = EfsHook(self.aws_conn_id, self.region_name)
        system = efs.require_file_system(self.file_system_id)
        wanted = {self.subpath_parameter: self.subpath, self.id_parameter: self.file_system_id}
        former = {name: hook.find(name) for name in wanted}
        replaces = self._replaces(efs, system, former[self.id_parameter])
        written: list[str] = []
        try:
            for name, value in wanted.items():
                if former[name] != value:
                    hook.put(name, value)
                    written.append(name)
        except AuroraOpsError:
            for name in written:
                self._restore(hook, name, former[name])
            raise
        if EXPIRES_TAG in system.tags:
            efs.remove_tags(self.file_system_id, [EXPIRES_TAG])
        if replaces and self.former_expires_h is not None:
            self._give_up(efs, replaces, self.former_expires_h)
        return {
            "file_system_id": self.file_system_id,
            "subpath": self.subpath,
            "replaces": replaces,
            "previous": {"file_system_id": former[self.id_parameter], "subpath": former[self.subpath_parameter]},
        }

    def _replaces(self, efs: EfsHook, system: FileSystem, published: str | None) -> str | None:
        """Say which file system it replaces, and note it before it does."""
        if published in (None, self.file_system_id):
            return system.tags.get(REPLACES_TAG)
        if system.tags.get(REPLACES_TAG) != published:
            efs.set_tags(self.file_system_id, {REPLACES_TAG: str(published)})
        return published

    @staticmethod
    def _give_up(efs: EfsHook, former: str, hours: float) -> None:
        """Let the one that was replaced expire: a run that fails later, and is not tried again, would leave it for ever."""
        found = efs.find_file_system(former)
        if found is None or EXPIRES_TAG in found.tags or not is_refreshable(found.tags):
            return
        efs.set_tags(former, ownership.temporary(found.tags.get(RUN_TAG), hours, datetime.now(UTC)))

    @staticmethod
    def _restore(hook: ParametersHook, name: str, value: str | None) -> None:
        if value is None:
            hook.delete(name)
        else:
            hook.put(name, value)
