"""The hooks that can wait, by service or by a name of their own: how a trigger finds the one it was serialised with."""

from __future__ import annotations

from aurora_ops.hooks.backup import BackupHook
from aurora_ops.hooks.base import AwsHook
from aurora_ops.hooks.catalogue import CatalogueHook
from aurora_ops.hooks.efs import EfsHook
from aurora_ops.hooks.eks import EksHook
from aurora_ops.hooks.export_tasks import ExportTasksHook
from aurora_ops.hooks.functions import FunctionsHook
from aurora_ops.hooks.kubernetes import KubernetesHook
from aurora_ops.hooks.queries import QueriesHook
from aurora_ops.hooks.ram import RamHook
from aurora_ops.hooks.rds import RdsHook
from aurora_ops.hooks.secrets import SecretsHook

HOOKS: dict[str, type[AwsHook]] = {
    hook.waits_as or hook.service: hook
    for hook in (
        RdsHook,
        SecretsHook,
        EfsHook,
        BackupHook,
        FunctionsHook,
        EksHook,
        KubernetesHook,
        RamHook,
        ExportTasksHook,
        QueriesHook,
        CatalogueHook,
    )
}
