"""What a call needs, by service. A service without rules here needs its action on every resource.

Actions and resources as in https://docs.aws.amazon.com/service-authorization/latest/reference/.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from localcloud.iam import efs_needs, lake_needs, rds_needs
from localcloud.iam.model import ANY, Call, Need
from localcloud.iam.rds_needs import key_needs, request_tags, resource_tags

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from localcloud.iam.facts import Facts
    from localcloud.policy import Values

    Rules = Callable[[Call, Facts], Iterator[Need]]

# Prefix of a service's actions, where it is not the name of the service in boto3.
PREFIX = {
    "efs": "elasticfilesystem",
    "resourcegroupstaggingapi": "tag",
    "logs": "logs",
    "events": "events",
    "dynamodbstreams": "dynamodb",
}
# Answered to everybody.
FREE = {("sts", "GetCallerIdentity"), ("sts", "GetSessionToken")}
S3_ACTIONS = {
    "HeadBucket": "ListBucket",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "ListBuckets": "ListAllMyBuckets",
    "HeadObject": "GetObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject",
    "DeleteObjects": "DeleteObject",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListParts": "ListMultipartUploadParts",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
}
# What writing an object under a KMS key asks of the key; parts are decrypted when the upload is put together.
ENCRYPTED = {
    "PutObject": ("GenerateDataKey",),
    "CopyObject": ("GenerateDataKey",),
    "CreateMultipartUpload": ("GenerateDataKey",),
    "UploadPart": ("GenerateDataKey", "Decrypt"),
}
TRANSACTED = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
    "Get": "GetItem",
}
WRITES_SECRET = {"CreateSecret", "PutSecretValue", "UpdateSecret"}
KEY_ID_LENGTH = 36


def needs_of(call: Call, facts: Facts) -> list[Need]:
    """Say everything that a call needs, in the order in which AWS would complain."""
    if (call.service, call.action) in FREE:
        return []
    return list(RULES.get(call.service, _anything)(call, facts))


def _anything(call: Call, _facts: Facts) -> Iterator[Need]:
    yield Need(f"{PREFIX.get(call.service, call.service)}:{call.action}")


def _kms(call: Call, facts: Facts) -> Iterator[Need]:
    if call.action == "RetireGrant":
        return  # allowed by the grant itself
    alias = call.text("AliasName")
    if alias:  # both the alias and its key
        yield Need(f"kms:{call.action}", call.arn("kms", alias))
    name = call.text("TargetKeyId") or call.text("KeyId") or call.text("DestinationKeyId") or alias
    if not name and call.action == "Decrypt":
        # moto's ciphertexts begin with the id of their key
        name = _key_of_blob(call.text("CiphertextBlob"))
    tags = request_tags({str(tag["TagKey"]): str(tag.get("TagValue", "")) for tag in call.parameters.get("Tags") or ()})
    if not name:
        yield Need(f"kms:{call.action}", ANY, tags)
        return
    key = facts.key(call.account, call.region, name)
    if key is None:
        return  # KMS says that there is none
    grantee = {"GranteePrincipal": "kms:GranteePrincipal", "RetiringPrincipal": "kms:RetiringPrincipal"}
    own = resource_tags(facts.key_tags(key))
    context: dict[str, Values] = {"kms:ResourceAliases": tuple(key.aliases), **tags, **own}
    if call.action in {"CreateGrant", "RevokeGrant", "ListGrants"}:
        context["kms:GrantIsForAWSResource"] = "false"
        context |= {condition: call.text(field) for field, condition in grantee.items() if call.text(field)}
        if call.parameters.get("Operations"):
            context["kms:GrantOperations"] = tuple(call.parameters["Operations"])
    by_key = facts.key_allows_directly(key, call.caller, call.action)
    yield Need(f"kms:{call.action}", key.arn, context, by_resource=by_key)


def _key_of_blob(blob: str) -> str:
    try:
        return base64.b64decode(blob)[:KEY_ID_LENGTH].decode("ascii", "replace")
    except (binascii.Error, ValueError):
        return ""


def _secretsmanager(call: Call, facts: Facts) -> Iterator[Need]:
    action = f"secretsmanager:{call.action}"
    name = call.text("SecretId") or (call.text("Name") if call.action == "CreateSecret" else "")
    if not name:
        yield Need(action)
        return
    secret = None if call.action == "CreateSecret" else facts.secret(call.account, call.region, name)
    # a secret's ARN ends in six characters that nobody knows before it exists
    arn = secret.arn if secret else call.arn("secretsmanager", f"secret:{name}-000000")
    held = {tag["Key"]: tag["Value"] for tag in (secret.tags if secret else None) or ()}
    asked = {tag["Key"]: tag.get("Value", "") for tag in call.parameters.get("Tags") or ()}
    context = {
        **resource_tags(held, "secretsmanager:ResourceTag"),
        **request_tags(asked),
        **({"secretsmanager:SecretId": arn} if secret else {"secretsmanager:Name": name}),
    }
    if call.text("VersionStage"):
        context["secretsmanager:VersionStage"] = call.text("VersionStage")
    yield Need(action, arn, context)
    if asked and call.action == "CreateSecret":
        yield Need("secretsmanager:TagResource", arn, context)
    key = call.text("KmsKeyId") or getattr(secret, "kms_key_id", None)
    if key and call.action == "GetSecretValue":
        yield from key_needs(call, facts, key, ("Decrypt",), via="secretsmanager")
    if key and call.action in WRITES_SECRET:
        yield from key_needs(call, facts, key, ("GenerateDataKey", "Decrypt"), via="secretsmanager")


def _sts(call: Call, facts: Facts) -> Iterator[Need]:
    if call.action != "AssumeRole":
        yield Need(f"sts:{call.action}")
        return
    role = call.text("RoleArn")
    keys = {"ExternalId": "sts:ExternalId", "RoleSessionName": "sts:RoleSessionName"}
    context: dict[str, Values] = {key: call.text(name) for name, key in keys.items() if call.text(name)}
    yield Need("sts:AssumeRole", role, context, by_resource=facts.trusts_directly(role, call.caller))


def _dynamodb(call: Call, facts: Facts) -> Iterator[Need]:
    tables = {call.text("TableName")} | set(call.parameters.get("RequestItems") or ())
    for item in call.parameters.get("TransactItems") or ():  # a transaction needs what each of its parts would
        for what, part in item.items():
            yield from _dynamodb(replace(call, action=TRANSACTED[what], parameters=part), facts)
    named = sorted(filter(None, tables))
    for table in named:
        index = f"/index/{call.text('IndexName')}" if call.text("IndexName") else ""
        arn = call.arn("dynamodb", table if ":" in table else f"table/{table}{index}")
        keys = _leading_keys(call, facts.partition_key(call.account, call.region, table))
        yield Need(f"dynamodb:{call.action}", arn, {"dynamodb:LeadingKeys": keys} if keys else {})
    if not named and "TransactItems" not in call.parameters:
        yield Need(f"dynamodb:{call.action}", call.text("ResourceArn") or ANY)


def _leading_keys(call: Call, name: str | None) -> tuple[str, ...]:
    """Values of the partition key that a call is about; none for calls on several items at once, and for those on none."""
    item = call.parameters.get("Key") or call.parameters.get("Item") or {}
    if name in item:
        return tuple(str(value) for value in item[name].values())
    asked = re.match(r"\s*#?(\w+)\s*=\s*(:\w+)", call.text("KeyConditionExpression"))
    if asked is None:
        return ()
    names = {key.lstrip("#"): value for key, value in (call.parameters.get("ExpressionAttributeNames") or {}).items()}
    if names.get(asked[1], asked[1]) != name:
        return ()
    value = (call.parameters.get("ExpressionAttributeValues") or {}).get(asked[2]) or {}
    return tuple(str(inner) for inner in value.values())


def _sns(call: Call, _facts: Facts) -> Iterator[Need]:
    arn = call.text("TopicArn") or call.text("TargetArn") or call.text("ResourceArn")
    arn = arn or call.text("SubscriptionArn").rpartition(":")[0]  # a subscription is no resource, its topic is
    if not arn and call.action == "CreateTopic":
        arn = call.arn("sns", call.text("Name"))
    yield Need(f"sns:{call.action}", arn or ANY)


def _sqs(call: Call, _facts: Facts) -> Iterator[Need]:
    owner, _, queue = call.text("QueueUrl").rpartition("/")
    queue = queue or call.text("QueueName")
    account = owner.rpartition("/")[2] or call.account  # a URL tells whose queue it is
    yield Need(
        f"sqs:{call.action.removesuffix('Batch')}", f"arn:aws:sqs:{call.region}:{account}:{queue}" if queue else ANY
    )


def _ssm(call: Call, _facts: Facts) -> Iterator[Need]:
    names = [call.text("Name")] if call.text("Name") else list(call.parameters.get("Names") or ())
    if not names and call.text("Path"):
        names = [call.text("Path")]
    for name in names:
        yield Need(f"ssm:{call.action}", call.arn("ssm", f"parameter/{name.lstrip('/')}"))
    if not names:
        yield Need(f"ssm:{call.action}")


def _s3(call: Call, facts: Facts) -> Iterator[Need]:
    action = f"s3:{S3_ACTIONS.get(call.action, call.action)}"
    bucket = call.text("Bucket")
    if not bucket:
        yield Need(action)
        return
    arn = f"arn:aws:s3:::{bucket}"
    keys = [call.text("Key")] if call.text("Key") else list(call.parameters.get("Keys") or ())
    prefix = call.text("prefix") or call.text("Prefix")
    context: dict[str, Values] = {"s3:prefix": prefix} if prefix else {}
    if not keys:
        yield Need(action, arn, context)
    versioned = (call.text("VersionId") or call.text("versionId")) and action in ("s3:GetObject", "s3:DeleteObject")
    for key in keys:
        yield Need(f"{action}Version" if versioned else action, f"{arn}/{key}")
        if call.text("ObjectLockMode"):
            yield Need("s3:PutObjectRetention", f"{arn}/{key}")
        if call.action in ("GetObject", "HeadObject") and not facts.has_object(bucket, key):
            yield Need("s3:ListBucket", arn)  # only who may list a bucket is told that something is not in it
        if call.action == "GetObject" and (encrypted_by := facts.object_key(bucket, key)):
            yield from key_needs(call, facts, encrypted_by, ("Decrypt",), via="s3")
        if call.action in ENCRYPTED and (encrypts_with := _key_of_write(call, facts, bucket)):
            yield from key_needs(call, facts, encrypts_with, ENCRYPTED[call.action], via="s3")
    copied = call.text("CopySource").lstrip("/").partition("?versionId=")[0]
    if copied:
        yield Need("s3:GetObject", f"arn:aws:s3:::{copied}")
        source, _, key = copied.partition("/")
        if encrypted_by := facts.object_key(source, key):
            yield from key_needs(call, facts, encrypted_by, ("Decrypt",), via="s3")


def _key_of_write(call: Call, facts: Facts, bucket: str) -> str | None:
    """Name the KMS key that what is written is encrypted under: the call's, its upload's, or the bucket's."""
    if upload := call.text("UploadId") or call.text("uploadId"):
        return facts.upload_key(bucket, upload)
    algorithm = call.text("ServerSideEncryption")
    if algorithm:
        return call.text("SSEKMSKeyId") if algorithm == "aws:kms" else None
    return facts.default_key(bucket)


def _iam(call: Call, _facts: Facts) -> Iterator[Need]:
    kinds = {"RoleName": "role", "UserName": "user", "GroupName": "group", "PolicyArn": "policy"}
    for parameter, kind in kinds.items():
        name = call.text(parameter)
        if name:
            yield Need(f"iam:{call.action}", call.arn("iam", f"{kind}/{name}" if ":" not in name else name, region=""))
            return
    yield Need(f"iam:{call.action}")


def _cloudwatch(call: Call, _facts: Facts) -> Iterator[Need]:
    namespace = call.text("Namespace")
    context: dict[str, Values] = {"cloudwatch:namespace": namespace} if namespace else {}
    yield Need(f"cloudwatch:{call.action}", ANY, context)


def _eks(call: Call, _facts: Facts) -> Iterator[Need]:
    cluster, group = call.text("name") or call.text("clusterName"), call.text("nodegroupName")
    if not cluster:
        yield Need(f"eks:{call.action}", call.text("resourceArn") or ANY)
        return
    # The end of a node group's ARN is random; policies leave it open.
    resource = f"nodegroup/{cluster}/{group}/00000000" if group else f"cluster/{cluster}"
    yield Need(f"eks:{call.action}", call.arn("eks", resource))


def _ram(call: Call, facts: Facts) -> Iterator[Need]:
    action = f"ram:{call.action}"
    if call.action == "CreateResourceShare":
        tags = {tag["key"]: tag.get("value", "") for tag in call.parameters.get("tags") or ()}
        kinds = tuple("rds:Cluster" if ":cluster:" in arn else arn for arn in call.parameters.get("resourceArns") or ())
        context: dict[str, Values] = {
            **request_tags(tags),
            "ram:Principal": tuple(call.parameters.get("principals") or ()),
        }
        if kinds:
            context["ram:RequestedResourceType"] = kinds[0] if len(kinds) == 1 else kinds
        yield Need(action, ANY, context)
    elif call.text("resourceShareArn"):
        arn = call.text("resourceShareArn")
        yield Need(action, arn, resource_tags(facts.share_tags(arn)))
    else:
        yield Need(action, call.text("resourceShareInvitationArn") or ANY)


def _tagging(call: Call, facts: Facts) -> Iterator[Need]:
    yield Need(f"tag:{call.action}")
    tags = {str(key): str(value) for key, value in (call.parameters.get("Tags") or {}).items()}
    for arn in call.parameters.get("ResourceARNList") or () if call.action == "TagResources" else ():
        if ":rds:" in arn:
            yield Need("rds:AddTagsToResource", arn, {**request_tags(tags), **resource_tags(facts.rds_tags(arn))})


def _cloudformation(call: Call, _facts: Facts) -> Iterator[Need]:
    name = call.text("StackName")
    # The end of a stack's ARN is random; policies leave it open.
    yield Need(
        f"cloudformation:{call.action}",
        call.arn("cloudformation", name if ":" in name else f"stack/{name}/0") if name else ANY,
    )


def _cloudtrail(call: Call, _facts: Facts) -> Iterator[Need]:
    name = call.text("Name")
    yield Need(
        f"cloudtrail:{call.action}", name if ":" in name else call.arn("cloudtrail", f"trail/{name}") if name else ANY
    )


RULES: dict[str, Any] = {
    "rds": rds_needs.needs,
    "kms": _kms,
    "secretsmanager": _secretsmanager,
    "sts": _sts,
    "dynamodb": _dynamodb,
    "sns": _sns,
    "sqs": _sqs,
    "ssm": _ssm,
    "s3": _s3,
    "iam": _iam,
    "cloudwatch": _cloudwatch,
    "ram": _ram,
    "resourcegroupstaggingapi": _tagging,
    "efs": efs_needs.efs,
    "backup": efs_needs.backup,
    "lambda": efs_needs.functions,
    "eks": _eks,
    "cloudformation": _cloudformation,
    "cloudtrail": _cloudtrail,
    "athena": lake_needs.athena,
    "glue": lake_needs.glue,
}
