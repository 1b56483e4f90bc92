"""The guards that every act which deletes, renames over, stops or writes passes first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aurora_ops.core.errors import ConfigError, PermanentError, SafetyError

REFRESH_TAG = "refresh"


def is_refreshable(tags: Mapping[str, str]) -> bool:
    """Tell whether somebody has marked a resource as one that may be overwritten and deleted: ``refresh=true``."""
    return tags.get(REFRESH_TAG) == "true"


def require_refreshable(cluster_id: str, tags: Mapping[str, str]) -> None:
    """Refuse to change a cluster that nobody has marked for it.

    :param cluster_id: cluster about to be changed.
    :param tags: its tags.
    :raises SafetyError: it is not tagged ``refresh=true``.
    """
    if not is_refreshable(tags):
        raise SafetyError(
            f"{cluster_id} is not tagged {REFRESH_TAG}=true; if it may be overwritten and deleted, "
            f"tag it so: aws rds add-tags-to-resource --tags Key={REFRESH_TAG},Value=true --resource-name ARN"
        )


def require_listed(cluster_id: str, allowed: Iterable[str]) -> None:
    """Refuse to change a cluster outside the environment's allow-list.

    :param cluster_id: cluster about to be changed.
    :param allowed: names listed in ``safety.allowed_clusters``.
    :raises SafetyError: it is not listed.
    """
    names = sorted(allowed)
    if cluster_id not in names:
        raise SafetyError(f"target.cluster: {cluster_id!r} is not in safety.allowed_clusters; allowed are {names}")


def refusals(
    *,
    source: tuple[str, str, str],
    target: tuple[str, str, str],
    protected_accounts: Iterable[str],
    allowed_clusters: Iterable[str],
) -> list[PermanentError]:
    """Say why a refresh of ``target`` from ``source`` must not happen.

    :param source: account id, region and cluster that is read.
    :param target: account id, region and cluster that is replaced.
    :param protected_accounts: account ids in which nothing may be replaced.
    :param allowed_clusters: cluster names that may be replaced.
    :return: the reasons; an empty list is consent.
    """
    found: list[PermanentError] = []
    if source == target:
        found.append(ConfigError("target.cluster", target[2], "the target must not be the source itself"))
    if target[0] in set(protected_accounts):
        found.append(
            SafetyError(
                f"target.account_id: {target[0]!r} is in safety.protected_accounts; nothing is ever replaced there"
            )
        )
    try:
        require_listed(target[2], allowed_clusters)
    except SafetyError as refusal:
        found.append(refusal)
    return found
