"""Buckets and keys in stacks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from localcloud.services.stacks.kinds import Resource, tags_of

if TYPE_CHECKING:
    from localcloud.services.stacks.api import Api

US_EAST_1 = "us-east-1"
DEFAULT_WINDOW_DAYS = 30


class Bucket(Resource):
    """``AWS::S3::Bucket``."""

    type_name: ClassVar[str] = "AWS::S3::Bucket"
    name_property: ClassVar[str] = "BucketName"
    attribute_names: ClassVar[tuple[str, ...]] = (
        "Arn",
        "DomainName",
        "RegionalDomainName",
        "DualStackDomainName",
        "WebsiteURL",
    )
    known: ClassVar[tuple[str, ...]] = (
        "BucketName",
        "PublicAccessBlockConfiguration",
        "BucketEncryption",
        "LifecycleConfiguration",
        "VersioningConfiguration",
        "OwnershipControls",
        "ObjectLockEnabled",
        "ObjectLockConfiguration",
        "Tags",
    )
    replacing: ClassVar[tuple[str, ...]] = ("BucketName", "ObjectLockEnabled")
    gone: ClassVar[tuple[str, ...]] = ("NoSuchBucket",)

    def create(self, api: Api) -> None:
        """Make the bucket, then all that belongs to it."""
        place = None if api.region == US_EAST_1 else {"LocationConstraint": api.region}
        locked = self.properties.get("ObjectLockEnabled")
        api(
            "s3",
            "create_bucket",
            Bucket=self.physical_id,
            CreateBucketConfiguration=place,
            ObjectLockEnabledForBucket=locked,
        )
        name = self.physical_id
        self.attributes = {
            "Arn": f"arn:aws:s3:::{name}",
            "DomainName": f"{name}.s3.amazonaws.com",
            "RegionalDomainName": f"{name}.s3.{api.region}.amazonaws.com",
            "DualStackDomainName": f"{name}.s3.dualstack.{api.region}.amazonaws.com",
            "WebsiteURL": f"http://{name}.s3-website-{api.region}.amazonaws.com",
        }
        self.update(api, {})

    def update(self, api: Api, former: dict[str, Any]) -> None:
        """Put what the template says, and take away what it no longer says."""
        given, bucket = self.properties, {"Bucket": self.physical_id}
        tagging = {"Tagging": {"TagSet": tags_of(given)}} if given.get("Tags") else None
        parts = {
            "VersioningConfiguration": ("put_bucket_versioning", ""),
            "PublicAccessBlockConfiguration": ("put_public_access_block", "delete_public_access_block"),
            "BucketEncryption": ("put_bucket_encryption", "delete_bucket_encryption"),
            "OwnershipControls": ("put_bucket_ownership_controls", "delete_bucket_ownership_controls"),
            "ObjectLockConfiguration": ("put_object_lock_configuration", ""),
            "LifecycleConfiguration": ("put_bucket_lifecycle_configuration", "delete_bucket_lifecycle"),
            "Tags": ("put_bucket_tagging", "delete_bucket_tagging"),
        }
        told = {
            **{name: _wrapped(name, given) for name in parts},
            "BucketEncryption": _encryption(given),
            "LifecycleConfiguration": _lifecycle(given),
            "Tags": tagging,
        }
        for name, (put, delete) in parts.items():
            parameters = told[name]
            if given.get(name) == former.get(name):
                continue
            if parameters is not None:
                api("s3", put, **bucket, **parameters)
            elif delete:
                api("s3", delete, **bucket)

    def remove(self, api: Api) -> None:
        """Delete the bucket, which must be empty."""
        api("s3", "delete_bucket", Bucket=self.physical_id)

    @classmethod
    def generated(cls, name: str) -> str:
        """Give a bucket without a name one in small letters."""
        return name.lower()


def _wrapped(name: str, given: dict[str, Any]) -> dict[str, Any] | None:
    return {name: given[name]} if name in given else None


def _encryption(given: dict[str, Any]) -> dict[str, Any] | None:
    if "BucketEncryption" not in given:
        return None
    rules = []
    for rule in given["BucketEncryption"]["ServerSideEncryptionConfiguration"]:
        told = dict(rule)
        told["ApplyServerSideEncryptionByDefault"] = told.pop("ServerSideEncryptionByDefault")
        rules.append(told)
    return {"ServerSideEncryptionConfiguration": {"Rules": rules}}


def _lifecycle(given: dict[str, Any]) -> dict[str, Any] | None:
    if "LifecycleConfiguration" not in given:
        return None
    return {
        "LifecycleConfiguration": {"Rules": [lifecycle_rule(one) for one in given["LifecycleConfiguration"]["Rules"]]}
    }


def lifecycle_rule(rule: dict[str, Any]) -> dict[str, Any]:
    """Say a rule of a template as S3 takes it."""
    told: dict[str, Any] = {"Status": rule["Status"], "Filter": {"Prefix": rule.get("Prefix") or ""}}
    if "Id" in rule:
        told["ID"] = rule["Id"]
    if rule.get("TagFilters"):
        told["Filter"] = {"And": {"Prefix": rule.get("Prefix") or "", "Tags": rule["TagFilters"]}}
    moves = [*(rule.get("Transitions") or []), *([rule["Transition"]] if rule.get("Transition") else [])]
    if moves:
        told["Transitions"] = [{"StorageClass": one["StorageClass"], "Days": one["TransitionInDays"]} for one in moves]
    if "ExpirationInDays" in rule:
        told["Expiration"] = {"Days": rule["ExpirationInDays"]}
    if "ExpiredObjectDeleteMarker" in rule:
        told["Expiration"] = {"ExpiredObjectDeleteMarker": rule["ExpiredObjectDeleteMarker"]}
    if "NoncurrentVersionExpiration" in rule:
        told["NoncurrentVersionExpiration"] = rule["NoncurrentVersionExpiration"]
    if "NoncurrentVersionExpirationInDays" in rule:
        told["NoncurrentVersionExpiration"] = {"NoncurrentDays": rule["NoncurrentVersionExpirationInDays"]}
    if "NoncurrentVersionTransitions" in rule:
        told["NoncurrentVersionTransitions"] = [
            {"StorageClass": one["StorageClass"], "NoncurrentDays": one["TransitionInDays"]}
            for one in rule["NoncurrentVersionTransitions"]
        ]
    if "AbortIncompleteMultipartUpload" in rule:
        told["AbortIncompleteMultipartUpload"] = rule["AbortIncompleteMultipartUpload"]
    return told


class BucketPolicy(Resource):
    """``AWS::S3::BucketPolicy``."""

    type_name: ClassVar[str] = "AWS::S3::BucketPolicy"
    known: ClassVar[tuple[str, ...]] = ("Bucket", "PolicyDocument")
    required: ClassVar[tuple[str, ...]] = known
    replacing: ClassVar[tuple[str, ...]] = ("Bucket",)
    gone: ClassVar[tuple[str, ...]] = ("NoSuchBucket", "NoSuchBucketPolicy")

    def create(self, api: Api) -> None:
        """Set the policy."""
        self.physical_id = str(self.properties["Bucket"])
        self.update(api, {})

    def update(self, api: Api, former: dict[str, Any]) -> None:  # noqa: ARG002 - all of it is put
        """Set the policy."""
        api("s3", "put_bucket_policy", Bucket=self.physical_id, Policy=json.dumps(self.properties["PolicyDocument"]))

    def remove(self, api: Api) -> None:
        """Take the policy away."""
        api("s3", "delete_bucket_policy", Bucket=self.physical_id)


class Key(Resource):
    """``AWS::KMS::Key``."""

    type_name: ClassVar[str] = "AWS::KMS::Key"
    attribute_names: ClassVar[tuple[str, ...]] = ("Arn", "KeyId")
    known: ClassVar[tuple[str, ...]] = (
        "KeyPolicy",
        "Description",
        "EnableKeyRotation",
        "Enabled",
        "PendingWindowInDays",
        "KeySpec",
        "KeyUsage",
        "MultiRegion",
        "Tags",
    )
    replacing: ClassVar[tuple[str, ...]] = ("KeySpec", "KeyUsage", "MultiRegion")
    gone: ClassVar[tuple[str, ...]] = ("NotFoundException", "KMSInvalidStateException")

    def create(self, api: Api) -> None:
        """Make the key."""
        given = self.properties
        policy = json.dumps(given["KeyPolicy"]) if "KeyPolicy" in given else None
        tags = [{"TagKey": one["Key"], "TagValue": one["Value"]} for one in tags_of(given)] or None
        kept = {name: given.get(name) for name in ("Description", "KeySpec", "KeyUsage", "MultiRegion")}
        told = api("kms", "create_key", Policy=policy, Tags=tags, **kept)["KeyMetadata"]
        self.physical_id = told["KeyId"]
        self.attributes = {"Arn": told["Arn"], "KeyId": told["KeyId"]}
        self._switch(api, {})

    def update(self, api: Api, former: dict[str, Any]) -> None:
        """Change what of a key can be changed."""
        given, key = self.properties, {"KeyId": self.physical_id}
        if given.get("KeyPolicy") != former.get("KeyPolicy"):
            api("kms", "put_key_policy", **key, PolicyName="default", Policy=json.dumps(given["KeyPolicy"]))
        if given.get("Description") != former.get("Description"):
            api("kms", "update_key_description", **key, Description=given.get("Description") or "")
        self._switch(api, former)

    def _switch(self, api: Api, former: dict[str, Any]) -> None:
        key = {"KeyId": self.physical_id}
        rotates = str(self.properties.get("EnableKeyRotation", False)).lower() == "true"
        if rotates != (str(former.get("EnableKeyRotation", False)).lower() == "true"):
            api("kms", "enable_key_rotation" if rotates else "disable_key_rotation", **key)
        enabled = str(self.properties.get("Enabled", True)).lower() == "true"
        if enabled != (str(former.get("Enabled", True)).lower() == "true"):
            api("kms", "enable_key" if enabled else "disable_key", **key)

    def remove(self, api: Api) -> None:
        """Let the key be deleted in a while."""
        days = self.properties.get("PendingWindowInDays") or DEFAULT_WINDOW_DAYS
        api("kms", "schedule_key_deletion", KeyId=self.physical_id, PendingWindowInDays=days)


class Alias(Resource):
    """``AWS::KMS::Alias``."""

    type_name: ClassVar[str] = "AWS::KMS::Alias"
    name_property: ClassVar[str] = "AliasName"
    known: ClassVar[tuple[str, ...]] = ("AliasName", "TargetKeyId")
    required: ClassVar[tuple[str, ...]] = known
    replacing: ClassVar[tuple[str, ...]] = ("AliasName",)
    gone: ClassVar[tuple[str, ...]] = ("NotFoundException",)

    def create(self, api: Api) -> None:
        """Make the alias."""
        api("kms", "create_alias", AliasName=self.physical_id, TargetKeyId=self.properties["TargetKeyId"])

    def update(self, api: Api, former: dict[str, Any]) -> None:  # noqa: ARG002 - it has nothing else
        """Let it name another key."""
        api("kms", "update_alias", AliasName=self.physical_id, TargetKeyId=self.properties["TargetKeyId"])

    def remove(self, api: Api) -> None:
        """Delete the alias."""
        api("kms", "delete_alias", AliasName=self.physical_id)
