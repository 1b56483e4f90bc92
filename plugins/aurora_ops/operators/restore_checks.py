"""What every restore needs of the account it is made in, and of the snapshot it is made from; looked at, nothing changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aurora_ops.core import ownership
from aurora_ops.core.errors import ConfigError, Problems
from aurora_ops.hooks.kms import KmsHook
from aurora_ops.hooks.network import NetworkHook
from aurora_ops.hooks.rds import DEFAULT_KEY_ALIAS, RdsHook, Snapshot


@dataclass(frozen=True)
class Surroundings:
    """What a new cluster is to stand in.

    :param kms_key_id: its key.
    :param subnet_group: its DB subnet group.
    :param security_groups: names or ids of its security groups.
    :param parameter_group: its cluster parameter group; ``None`` is that of ``like_cluster``.
    :param like_cluster: the live cluster.
    :param instance_class: class of its instances.
    """

    kms_key_id: str
    subnet_group: str
    security_groups: list[str]
    parameter_group: str | None
    like_cluster: str
    instance_class: str

    def find(self, hook: RdsHook, engine_version: str, problems: Problems) -> dict[str, Any]:
        """Look everything up; what is missing or cannot be used is added to the problems.

        :param hook: account and region of the new cluster.
        :param engine_version: version that it will have.
        :param problems: what has been found wrong.
        :return: ``{"kms_key_arn", "security_groups", "parameter_group"}``.
        """
        found = {
            "kms_key_arn": problems.attempt(lambda: enabled_key("target.kms_key_id", self.kms_key_id, hook)),
            "security_groups": problems.attempt(
                lambda: self.groups(hook, self.security_groups, "target.isolation_security_groups")
            ),
            "parameter_group": problems.attempt(lambda: self._parameters(hook)),
        }
        problems.attempt(lambda: require_orderable(hook, engine_version, "instance_class", self.instance_class))
        return found

    def groups(self, hook: RdsHook, names: list[str], field: str) -> list[str]:
        """Find the ids of security groups, which must be in the network of the subnet group.

        :param hook: account and region of the new cluster.
        :param names: names or ids.
        :param field: setting that names them.
        """
        group = require_subnet_group(hook, self.subnet_group)
        network = NetworkHook(hook.aws_conn_id or "", hook.region_name)
        return network.security_group_ids(names, group.get("VpcId"), field)

    def _parameters(self, hook: RdsHook) -> str | None:
        live = None if self.parameter_group else hook.find_cluster(self.like_cluster)
        group = self.parameter_group or (live.parameter_group if live else None)
        if group:
            require_parameter_group(hook, group)
        return group


def require_subnet_group(hook: RdsHook, name: str) -> dict[str, Any]:
    """Find ``target.subnet_group``, as ``DescribeDBSubnetGroups`` gives it.

    :raises ConfigError: it is not there.
    """
    group = hook.find_subnet_group(name)
    if group is None:
        raise ConfigError("target.subnet_group", name, "it must be a DB subnet group of the account")
    return group


def require_parameter_group(hook: RdsHook, name: str) -> dict[str, Any]:
    """Find ``target.parameter_group``, as ``DescribeDBClusterParameterGroups`` gives it.

    :raises ConfigError: it is not there.
    """
    group = hook.find_cluster_parameter_group(name)
    if group is None:
        raise ConfigError("target.parameter_group", name, "it must be a DB cluster parameter group of the account")
    return group


def require_orderable(hook: RdsHook, engine_version: str, field: str, instance_class: str) -> None:
    """Make sure that instances of a class can be had.

    :param field: setting that names the class.
    :raises ConfigError: they cannot, for this version.
    """
    if not hook.is_orderable(engine_version, instance_class):
        raise ConfigError(field, instance_class, f"it cannot be ordered for {engine_version or 'any version'}")


def enabled_key(field: str, key_id: str, hook: RdsHook) -> str:
    """Find the ARN of a key that can be used.

    :param field: setting that names it.
    :param key_id: key id, ARN or alias.
    :param hook: account and region of the key.
    :raises ConfigError: it is not there, or not enabled.
    """
    found = KmsHook(hook.aws_conn_id or "", hook.region_name).find_key(key_id)
    if found is None:
        raise ConfigError(field, key_id, "it must be a key of the account and region: key id, ARN or alias/...")
    if not found.get("Enabled", True):
        raise ConfigError(field, key_id, f"it must be enabled; it is {found.get('KeyState')}")
    return str(found["Arn"])


def find_rekey_arn(hook: RdsHook, snapshot: Snapshot | None, cluster_key_arn: str, wanted: str | None) -> str | None:
    """Find the customer key under which a snapshot that cannot be shared as it is will be copied.

    :param hook: account and region of the snapshot.
    :param snapshot: the snapshot; ``None`` where one is still to be taken.
    :param cluster_key_arn: key of its cluster, which a new snapshot will have.
    :param wanted: ``source.kms_key_id``.
    :return: ``None`` where it can be shared as it is.
    :raises ConfigError: no customer key is named where one is needed.
    """
    default = KmsHook(hook.aws_conn_id or "", hook.region_name).find_key(DEFAULT_KEY_ALIAS)
    shared_key = snapshot.kms_key_arn if snapshot else cluster_key_arn
    under_default = bool(default and shared_key == default["Arn"])
    automated = snapshot is not None and snapshot.type != "manual"
    if not shared_key or not (under_default or automated):
        return None
    key = wanted or (None if under_default else shared_key)
    if key is None:
        raise ConfigError(
            "source.kms_key_id", None, "name a customer key: snapshots under the default key cannot be shared"
        )
    arn = enabled_key("source.kms_key_id", key, hook)
    if default and arn == default["Arn"]:
        raise ConfigError("source.kms_key_id", key, "name a customer key; the default key cannot be shared")
    return arn


def is_shared_by_others(hook: RdsHook, snapshot: Snapshot | None, account_id: str) -> bool:
    """Tell whether somebody shares a snapshot with an account already; then a run does not end that.

    :param hook: account and region of the snapshot.
    :param snapshot: the snapshot; ``None`` where one is still to be taken.
    :param account_id: account it would be shared with.
    """
    if snapshot is None or snapshot.type != "manual":
        return False
    if ownership.share_tags(account_id)[0] in snapshot.tags:
        return False  # a dead run's share: this one takes it over, and ends it
    return account_id in hook.list_shared_with(snapshot.snapshot_id)
