"""Types of resources that are made by calling the services, with all that these check."""

from __future__ import annotations

from typing import Any, ClassVar

from botocore.exceptions import BotoCoreError, ClientError
from moto.core.common_models import CloudFormationModel

from localcloud.services.stacks.api import Api, current


class ResourceError(Exception):
    """A resource cannot be made, changed or deleted; the text is the reason that its event tells."""


class Resource(CloudFormationModel):
    """A resource of a stack.

    :ivar physical_id: what ``Ref`` gives.
    :ivar attributes: what ``Fn::GetAtt`` gives.
    """

    type_name: ClassVar[str] = ""
    name_property: ClassVar[str] = ""
    attribute_names: ClassVar[tuple[str, ...]] = ()
    known: ClassVar[tuple[str, ...]] = ()
    required: ClassVar[tuple[str, ...]] = ()
    replacing: ClassVar[tuple[str, ...]] = ()  # properties that only another resource can have otherwise
    gone: ClassVar[tuple[str, ...]] = ()  # errors that say that it is not there

    def __init__(self, physical_id: str, properties: dict[str, Any]) -> None:
        self.physical_id, self.properties = physical_id, properties
        self.attributes: dict[str, str] = {}

    # ---- what moto asks ----------------------------------------------------------------------------------------------

    @property
    def physical_resource_id(self) -> str:
        """What ``Ref`` gives."""
        return self.physical_id

    @staticmethod
    def cloudformation_name_type() -> str:
        """Nothing: names are told by the properties."""
        return ""

    @classmethod
    def cloudformation_type(cls) -> str:
        """Type in templates."""
        return cls.type_name

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        """Whether ``Fn::GetAtt`` knows an attribute."""
        return attr in cls.attribute_names

    def get_cfn_attribute(self, attribute_name: str) -> str:
        """Give an attribute."""
        return self.attributes[attribute_name]

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,  # noqa: ARG003 - the clients know where
        region_name: str,  # noqa: ARG003
        **_: Any,
    ) -> Resource:
        """Make it.

        :raises ResourceError: it cannot be made.
        """
        given = _without_none(cloudformation_json.get("Properties") or {})
        cls._check(given)
        made = cls(str(given.get(cls.name_property) or cls.generated(resource_name)), given)
        _doing(made.create, current())
        return made

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Resource,
        new_resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
    ) -> Resource:
        """Change it; where it must be another one, that is made, and the former is left to the stack.

        :raises ResourceError: it cannot be changed.
        """
        given = _without_none(cloudformation_json.get("Properties") or {})
        cls._check(given)
        if any(given.get(name) != original_resource.properties.get(name) for name in cls.replacing):
            return cls.create_from_cloudformation_json(new_resource_name, cloudformation_json, account_id, region_name)
        changed = cls(original_resource.physical_id, given)
        changed.attributes = original_resource.attributes
        _doing(lambda api: changed.update(api, original_resource.properties), current())
        return changed

    def delete(self, *_: Any) -> None:
        """Delete it; what is gone already is fine.

        :raises ResourceError: it cannot be deleted.
        """
        try:
            self.remove(current())
        except ClientError as error:
            if error.response["Error"]["Code"] not in self.gone:
                raise ResourceError(str(error)) from None

    @classmethod
    def _check(cls, given: dict[str, Any]) -> None:
        if missing := [name for name in cls.required if name not in given]:
            raise ResourceError(f"Properties validation failed: required key {missing} not found")
        if unknown := sorted(set(given) - set(cls.known)):
            raise ResourceError(f"localcloud does not support the properties {', '.join(unknown)} of {cls.type_name}")

    # ---- what each type does -----------------------------------------------------------------------------------------

    @classmethod
    def generated(cls, name: str) -> str:
        """Physical id of one that has no name; ``name`` is unique."""
        return name

    def create(self, api: Api) -> None:
        """Make it."""
        raise NotImplementedError

    def update(self, api: Api, former: dict[str, Any]) -> None:
        """Make it what the properties say now."""
        raise NotImplementedError

    def remove(self, api: Api) -> None:
        """Delete it."""
        raise NotImplementedError


def _doing(action: Any, api: Api) -> None:
    try:
        action(api)
    except (ClientError, BotoCoreError) as error:
        raise ResourceError(str(error)) from None


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    return [_without_none(inner) for inner in value if inner is not None] if isinstance(value, list) else value


def tags_of(properties: dict[str, Any]) -> list[dict[str, str]]:
    """Tags as most services take them."""
    return [{"Key": str(one["Key"]), "Value": str(one["Value"])} for one in properties.get("Tags") or []]


def tag_map(properties: dict[str, Any]) -> dict[str, str]:
    """Tags as the others take them."""
    tags = properties.get("Tags") or {}
    return (
        {str(key): str(value) for key, value in tags.items()}
        if isinstance(tags, dict)
        else {one["Key"]: one["Value"] for one in tags_of(properties)}
    )
