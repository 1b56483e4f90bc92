"""Every AWS identifier this package makes: a pure function of configuration and the run's moment.

The same run makes the same names, so a retry finds what an earlier try made. Rules: RDS identifiers are 1 to 63 letters,
digits and hyphens, begin with a letter, have no double hyphen and no hyphen at the end, and are stored in lower case
(Amazon RDS API Reference, CreateDBCluster); snapshot identifiers may have 255, we keep them to 63 too.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from datetime import UTC, datetime

LONGEST = 63
_IDENTIFIER = re.compile(r"^[A-Za-z](?:[A-Za-z0-9]|-(?=[A-Za-z0-9])){0,62}$")
_DIGEST = 6
_OF_A_RUN = re.compile(r"(refresh|rekeyed|copy|manual|final|export)-[a-z0-9-]+-\d{8}t\d{6}")
_KEPT = re.compile(r"kept-[a-z0-9-]+-\d{8}t\d{6}")
_GRANT = re.compile(r"aurora-ops-(\d{12})-(.+)")


def is_identifier(name: str) -> bool:
    """Tell whether AWS accepts this as a cluster, instance or snapshot identifier."""
    return _IDENTIFIER.fullmatch(name) is not None


def fit(stem: str, suffix: str, longest: int = LONGEST) -> str:
    """Join a stem and a suffix into a legal identifier.

    A stem that is too long is cut and gets six hexadecimal digits of its hash, so that two long stems stay two names.

    :param stem: beginning of the name; illegal characters become hyphens.
    :param suffix: end of the name, such as ``-restore``; always kept whole.
    :param longest: characters the result may have.
    """
    clean = re.sub(r"-{2,}", "-", re.sub(r"[^a-z0-9-]", "-", stem.lower())).strip("-")
    if not clean or not clean[0].isalpha():
        clean = f"r-{clean}".rstrip("-")
    if len(clean) + len(suffix) > longest:
        digest = hashlib.sha256(stem.lower().encode()).hexdigest()[:_DIGEST]
        clean = clean[: longest - len(suffix) - _DIGEST - 1].rstrip("-") + "-" + digest
    return clean + suffix


def temporary_cluster(target: str) -> str:
    """Name the cluster that is restored, masked and verified before it serves."""
    return fit(target, "-restore")


def restored_cluster(target: str, label: str | None = None) -> str:
    """Name a cluster that is restored beside a target, and that no refresh clears away.

    :param target: cluster that it stands beside.
    :param label: tells several of one target apart.
    """
    return fit(target, f"-restored-{label}" if label else "-restored")


def is_restored_beside(cluster: str, target: str) -> bool:
    """Tell whether ``restored_cluster`` makes a name for a target, with a label or without."""
    label = cluster.rpartition("-restored-")[2]
    return cluster in (restored_cluster(target), restored_cluster(target, label))


def old_cluster(target: str) -> str:
    """Name what served before, once it has been moved aside."""
    return fit(target, "-old")


def instance(cluster: str, number: int) -> str:
    """Name an instance of a cluster.

    :param cluster: cluster identifier.
    :param number: 1 is the writer.
    """
    return fit(cluster, f"-{number}")


def stamp(moment: datetime) -> str:
    """Write a moment as it appears in names: UTC, to the second, digits and a ``t``."""
    return moment.astimezone(UTC).strftime("%Y%m%dt%H%M%S")


def snapshot(source: str, environment: str, moment: datetime, purpose: str = "refresh") -> str:
    """Name a snapshot that a run takes or copies.

    :param source: source cluster identifier.
    :param environment: environment that it is for.
    :param moment: the run's logical date, or the time it was to run after.
    :param purpose: ``refresh`` (taken), ``rekeyed``, ``copy``, ``manual`` (by a person), ``final`` (before a deletion), ``export``
        (a copy that is exported) or ``kept`` (a copy kept by policy); of these two the moment is that of the data.
    """
    return fit(f"{purpose}-{environment}-{source}", f"-{stamp(moment)}")


def job(purpose: str, environment: str, moment: datetime) -> str:
    """Name a Kubernetes job and its secret: at most 63 lower-case letters, digits and hyphens.

    :param purpose: such as ``mysqldump``.
    :param environment: environment that it is for.
    :param moment: the run's logical date, or the time it was to run after.
    """
    return fit(f"{purpose}-{environment}", f"-{stamp(moment)}")


def cluster_share(source: str, environment: str) -> str:
    """Name the resource share through which an environment's account clones the source."""
    return fit(f"clone-{environment}-{source}", "")


def is_snapshot_of_a_run(name: str) -> bool:
    """Tell whether a name is one that ``snapshot`` makes: tags alone may have been copied from a cluster."""
    return _OF_A_RUN.fullmatch(name) is not None


def is_kept_copy(name: str) -> bool:
    """Tell whether a name is that of a copy which is kept by policy; no run removes it as its leaving."""
    return _KEPT.fullmatch(name) is not None


def grant(snapshot_id: str, account_id: str) -> str:
    """Name the KMS grant that lets an account read a shared snapshot (1 to 256 characters)."""
    return f"aurora-ops-{account_id}-{snapshot_id}"


def parse_grant(name: str) -> tuple[str, str] | None:
    """Read the name of a grant: account id and snapshot; ``None`` where ``grant`` did not make it."""
    found = _GRANT.fullmatch(name)
    return (found[1], found[2]) if found else None


def is_secret_version_of_a_run(version_id: str) -> bool:
    """Tell whether a version id is of the kind that ``secret_version`` makes: by name (5), where others' are random (4)."""
    try:
        return uuid.UUID(version_id).version == 5
    except ValueError:
        return False


def secret_version(run_key: str, secret_id: str) -> str:
    """Name the secret version that a run writes: a UUID (``ClientRequestToken``), the same on every try."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"aurora-ops:{run_key}:{secret_id}"))


def file_system(environment: str, name: str, moment: datetime | None = None) -> str:
    """Name the creation token of a file system (1 to 64 characters): a token makes one file system only.

    :param environment: environment that it is for.
    :param name: its tag ``Name``.
    :param moment: the run's moment, where each run makes one of its own; ``None`` makes one for all runs.
    """
    return fit(f"efs-{environment}-{name}", f"-{stamp(moment)}" if moment else "", 64)


def access_point(file_system_id: str, name: str) -> str:
    """Name the client token of an access point (1 to 64 characters).

    :param file_system_id: file system that it belongs to.
    :param name: its tag ``Name``.
    """
    return fit(f"{file_system_id}-{name}", "", 64)


def backup_job(token: str, recovery_point_arn: str) -> str:
    """Name the idempotency token of a copy or restore job: a UUID, the same on every try.

    :param token: what it is for, such as the creation token or the vault.
    :param recovery_point_arn: recovery point that is copied or restored.
    """
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"aurora-ops:{token}:{recovery_point_arn}"))


PROBE_PREFIX = "aurora-ops-efs-"


def probe(environment: str, file_system_id: str, run_key: str) -> str:
    """Name the function that looks into a file system for a run (1 to 64 letters, digits and hyphens).

    :param environment: environment of the run.
    :param file_system_id: file system that it mounts.
    :param run_key: names the run, so that two runs do not share one.
    """
    digest = hashlib.sha256(f"{file_system_id}#{run_key}".encode()).hexdigest()[:12]
    return fit(f"{PROBE_PREFIX}{environment}", f"-{digest}", 64)


def flag(run_key: str) -> str:
    """Name the file that a run writes to see it replicated."""
    return f"replication-check-{hashlib.sha256(run_key.encode()).hexdigest()[:16]}"
