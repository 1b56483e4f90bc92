"""What is true of resources: their tags, keys and secrets. Asked while a call is judged, before it is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.athena.models import athena_backends
from moto.awslambda.models import lambda_backends
from moto.dynamodb.models import dynamodb_backends
from moto.kms.models import kms_backends
from moto.s3.models import FakeBucket, FakeKey, s3_backends
from moto.secretsmanager.models import secretsmanager_backends

from localcloud import policy
from localcloud.accounts import find_role
from localcloud.services.kms_rules import find_key

if TYPE_CHECKING:
    from moto.kms.models import Key
    from moto.secretsmanager.models import FakeSecret, ReplicaSecret

    from localcloud.cloud import Caller, Cloud
    from localcloud.rds.model import Cluster, Instance, Snapshot


class Facts:
    """Look-ups for the rules of what a call needs. Thread-safe.

    :param cloud: whose state is looked at.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def rds_tags(self, arn: str) -> dict[str, str]:
        """Tags of a cluster, member or cluster snapshot; none for what does not exist yet."""
        core = self._cloud.rds
        parts = arn.split(":", 6)
        if core is None or len(parts) < 7:
            return {}
        with core.lock:
            region = core.region(parts[4], parts[3])
            found: Cluster | Instance | Snapshot | None = None
            if parts[5] == "cluster":
                found = region.clusters.get(parts[6])
            elif parts[5] == "db":
                found = region.instances.get(parts[6])
            elif parts[5] == "cluster-snapshot":
                found = region.snapshots.get(parts[6])
            return dict(found.tags) if found else {}

    def share_tags(self, arn: str) -> dict[str, str]:
        """Tags of a resource share."""
        ram = self._cloud.ram
        return next((dict(share.tags) for share in ram.shares if share.arn == arn), {}) if ram else {}

    def partition_key(self, account: str, region: str, table: str) -> str | None:
        """Name of a table's partition key; None for a table that does not exist."""
        found = dynamodb_backends[account][region].tables.get(table.rpartition("/")[2])
        return str(found.hash_key_attr) if found else None

    @staticmethod
    def key_tags(key: Key) -> dict[str, str]:
        """Tags of a KMS key."""
        return dict(kms_backends[key.account_id][key.region].tagger.get_tag_dict_for_resource(key.id))

    def has_object(self, bucket: str, key: str) -> bool:
        """Whether there is an object; so there is for nobody in a bucket that does not exist, which is said as such."""
        found = _bucket(bucket)
        return found is None or key in found.keys

    def efs_tags(self, arn: str) -> dict[str, str]:
        """Tags of a file system or access point; none for what does not exist."""
        files = self._cloud.efs
        parts = arn.split(":", 5)
        if files is None or len(parts) < 6:
            return {}
        with files.lock:
            region, key = files.region(parts[4], parts[3]), parts[5].rpartition("/")[2]
            system, point = region.file_systems.get(key), region.access_points.get(key)
            return dict(system.tags if system else point.tags if point else {})

    def file_system_of(self, account: str, region: str, kind: str, name: str) -> str:
        """Id of the file system that a mount target or access point belongs to; empty for one that does not exist."""
        files = self._cloud.efs
        if files is None:
            return ""
        with files.lock:
            here = files.region(account, region)
            target, point = here.mount_targets.get(name), here.access_points.get(name)
            found = target if kind == "mount-target" else point
            return found.file_system_id if found else ""

    def function_tags(self, account: str, region: str, name: str) -> dict[str, str]:
        """Tags of a Lambda function; none for what does not exist."""
        return next(
            (
                dict(one.tags)
                for one in list(lambda_backends[account][region].list_functions())
                if one.function_name == name
            ),
            {},
        )

    def cluster(self, account: str, region: str, name: str) -> Cluster | None:
        """Cluster by identifier or ARN."""
        core = self._cloud.rds
        if core is None:
            return None
        with core.lock:
            return core.region(account, region).clusters.get(name.rpartition(":cluster:")[2].lower())

    def snapshot(self, account: str, region: str, name: str) -> Snapshot | None:
        """Cluster snapshot by identifier, or by the ARN of any account."""
        core = self._cloud.rds
        if core is None:
            return None
        if name.startswith("arn:"):
            _, _, _, region, account, _, name = name.split(":", 6)
        with core.lock:
            return core.region(account, region).snapshots.get(name.lower())

    def key(self, account: str, region: str, name: str) -> Key | None:
        """KMS key by any of its names."""
        with self._cloud.lock("kms"):
            return find_key(account, region, name)

    def key_allows_directly(self, key: Key, caller: Caller, operation: str) -> bool:
        """Whether a grant, or the key policy by naming the caller, allows an operation without an identity policy.

        That is so in the key's account only: elsewhere the caller's own account must agree.
        """
        if caller.account != key.account_id:
            return False
        with self._cloud.lock("kms"):
            granted = any(
                operation in grant.operations and grant.grantee_principal == caller.principal_arn
                for grant in key.grants.values()
            )
        return granted or names_directly(key.policy, f"kms:{operation}", caller)

    @staticmethod
    def execution(account: str, region: str, number: str) -> Any:
        """Find a query that was started in Athena, an :class:`~localcloud.services.athena.model.Execution`; None without."""
        return athena_backends[account][region].executions.get(number)

    @staticmethod
    def object_key(bucket: str, key: str) -> str | None:
        """KMS key that an object is encrypted under; None without, and for what does not exist."""
        owned = _bucket(bucket)
        found = owned.keys.get(key) if owned else None
        return found.kms_key_id if isinstance(found, FakeKey) and found.encryption == "aws:kms" else None

    @staticmethod
    def default_key(bucket: str) -> str | None:
        """KMS key that a bucket encrypts what it is sent under; None without one of a customer's."""
        owned = _bucket(bucket)
        told = owned.encryption["Rule"]["ApplyServerSideEncryptionByDefault"] if owned and owned.encryption else {}
        return told.get("KMSMasterKeyID") if told.get("SSEAlgorithm") == "aws:kms" else None

    @staticmethod
    def upload_key(bucket: str, upload: str) -> str | None:
        """KMS key that a multipart upload is encrypted under; None without, and for what does not exist."""
        owned = _bucket(bucket)
        found = owned.multiparts.get(upload) if owned else None
        if found is None:
            return None
        if found.sse_encryption is None:
            return Facts.default_key(bucket)
        return found.kms_key_id if found.sse_encryption == "aws:kms" else None

    def secret(self, account: str, region: str, name: str) -> FakeSecret | ReplicaSecret | None:
        """Secret by name or ARN."""
        with self._cloud.lock("secretsmanager"):
            secrets = secretsmanager_backends[account][region].secrets
            # moto's store finds partial ARNs by "in" and [] only
            return secrets[name] if name in secrets else None  # noqa: SIM401

    @staticmethod
    def trusts_directly(role_arn: str, caller: Caller) -> bool:
        """Whether a role of the caller's account trusts the caller by name, which makes an identity policy needless."""
        role = find_role(role_arn)
        if role is None or role.account_id != caller.account:
            return False
        return names_directly(role.assume_role_policy_document, "sts:AssumeRole", caller)


def names_directly(document: str, action: str, caller: Caller) -> bool:
    """Whether a resource policy allows an action to the caller by name rather than to the whole account.

    Conditions are not looked at here: the service does that when it answers.
    """
    for statement in policy.statements(document):
        principal = statement.get("Principal")
        named = principal.get("AWS") if isinstance(principal, dict) else None
        names = [named] if isinstance(named, str) else list(named or ())
        actions = statement.get("Action") or ()
        patterns = [actions] if isinstance(actions, str) else actions
        asked = any(policy.matches(pattern.lower(), action.lower()) for pattern in patterns)
        if asked and statement["Effect"] == "Allow" and caller.principal_arn in names:
            return True
    return False


def _bucket(name: str) -> FakeBucket | None:
    partition, account = s3_backends.bucket_accounts.get(name, ("aws", ""))
    return s3_backends[account][partition].buckets.get(name) if account else None
