"""The hooks that can wait, by service: how a trigger finds the one it was serialised with."""

from __future__ import annotations

from aurora_ops.hooks.base import AwsHook
from aurora_ops.hooks.ram import RamHook
from aurora_ops.hooks.rds import RdsHook
from aurora_ops.hooks.secrets import SecretsHook

HOOKS: dict[str, type[AwsHook]] = {hook.service: hook for hook in (RamHook, RdsHook, SecretsHook)}
