"""Roles in stacks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from localcloud.services.stacks.kinds import Resource, tags_of

if TYPE_CHECKING:
    from localcloud.services.stacks.api import Api


class Role(Resource):
    """``AWS::IAM::Role`` with its policies."""

    type_name: ClassVar[str] = "AWS::IAM::Role"
    name_property: ClassVar[str] = "RoleName"
    attribute_names: ClassVar[tuple[str, ...]] = ("Arn", "RoleId")
    known: ClassVar[tuple[str, ...]] = (
        "RoleName",
        "AssumeRolePolicyDocument",
        "Path",
        "Description",
        "ManagedPolicyArns",
        "MaxSessionDuration",
        "PermissionsBoundary",
        "Policies",
        "Tags",
    )
    required: ClassVar[tuple[str, ...]] = ("AssumeRolePolicyDocument",)
    replacing: ClassVar[tuple[str, ...]] = ("RoleName", "Path")
    gone: ClassVar[tuple[str, ...]] = ("NoSuchEntity",)

    def create(self, api: Api) -> None:
        """Make the role."""
        given = self.properties
        kept = {name: given.get(name) for name in ("Path", "Description", "MaxSessionDuration", "PermissionsBoundary")}
        told = api(
            "iam",
            "create_role",
            RoleName=self.physical_id,
            AssumeRolePolicyDocument=json.dumps(given["AssumeRolePolicyDocument"]),
            Tags=tags_of(given) or None,
            **kept,
        )["Role"]
        self.attributes = {"Arn": told["Arn"], "RoleId": told["RoleId"]}
        self._policies(api, {})

    def update(self, api: Api, former: dict[str, Any]) -> None:
        """Change trust, policies and the rest."""
        given, role = self.properties, {"RoleName": self.physical_id}
        if given["AssumeRolePolicyDocument"] != former["AssumeRolePolicyDocument"]:
            document = json.dumps(given["AssumeRolePolicyDocument"])
            api("iam", "update_assume_role_policy", **role, PolicyDocument=document)
        if any(given.get(name) != former.get(name) for name in ("Description", "MaxSessionDuration")):
            kept = {name: given.get(name) for name in ("Description", "MaxSessionDuration")}
            api("iam", "update_role", **role, **kept)
        boundary = given.get("PermissionsBoundary")
        if boundary != former.get("PermissionsBoundary"):
            if boundary:
                api("iam", "put_role_permissions_boundary", **role, PermissionsBoundary=boundary)
            else:
                api("iam", "delete_role_permissions_boundary", **role)
        if tags_of(given) != tags_of(former):
            kept_keys = {one["Key"] for one in tags_of(given)}
            removed = [one["Key"] for one in tags_of(former) if one["Key"] not in kept_keys]
            if removed:
                api("iam", "untag_role", **role, TagKeys=removed)
            if kept_keys:
                api("iam", "tag_role", **role, Tags=tags_of(given))
        self._policies(api, former)

    def _policies(self, api: Api, former: dict[str, Any]) -> None:
        role = {"RoleName": self.physical_id}
        old, new = _inline(former), _inline(self.properties)
        for name in sorted(old.keys() - new.keys()):
            api("iam", "delete_role_policy", **role, PolicyName=name)
        for name, document in new.items():
            if old.get(name) != document:
                api("iam", "put_role_policy", **role, PolicyName=name, PolicyDocument=json.dumps(document))
        attached, wanted = former.get("ManagedPolicyArns") or [], self.properties.get("ManagedPolicyArns") or []
        for arn in attached:
            if arn not in wanted:
                api("iam", "detach_role_policy", **role, PolicyArn=arn)
        for arn in wanted:
            if arn not in attached:
                api("iam", "attach_role_policy", **role, PolicyArn=arn)

    def remove(self, api: Api) -> None:
        """Delete the role and what the stack has given it."""
        role = {"RoleName": self.physical_id}
        for name in api("iam", "list_role_policies", **role)["PolicyNames"]:
            if name in _inline(self.properties):
                api("iam", "delete_role_policy", **role, PolicyName=name)
        held = [one["PolicyArn"] for one in api("iam", "list_attached_role_policies", **role)["AttachedPolicies"]]
        for arn in self.properties.get("ManagedPolicyArns") or []:
            if arn in held:
                api("iam", "detach_role_policy", **role, PolicyArn=arn)
        api("iam", "delete_role", **role)


def _inline(properties: dict[str, Any]) -> dict[str, Any]:
    return {str(one["PolicyName"]): one["PolicyDocument"] for one in properties.get("Policies") or []}
