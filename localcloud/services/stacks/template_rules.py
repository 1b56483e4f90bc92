"""What CloudFormation refuses before it does anything: capabilities, parameters, types that there are not."""

from __future__ import annotations

import re
from typing import Any

from moto.cloudformation import parsing
from moto.cloudformation.exceptions import CloudFormationError, ValidationError
from moto.cloudformation.parsing import NULL_MODELS

# Types that need an acknowledgement, and the property that names them.
IAM_TYPES = {
    "AWS::IAM::AccessKey": "",
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Policy": "",
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::User": "UserName",
    "AWS::IAM::UserToGroupAddition": "",
}
PLAIN, NAMED = "CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"


class InsufficientCapabilities(CloudFormationError):  # noqa: N818 - named after AWS's InsufficientCapabilitiesException
    """The template makes IAM resources, and nobody has said that this is wanted."""

    __module__ = "moto.cloudformation.exceptions"
    code = "InsufficientCapabilitiesException"


def check_capabilities(template: dict[str, Any], given: list[str]) -> None:
    """Make sure that who makes IAM resources has said so.

    :raises InsufficientCapabilities: not so.
    """
    needed = ""
    for resource in (template.get("Resources") or {}).values():
        kind = resource.get("Type", "")
        if kind in IAM_TYPES:
            named = IAM_TYPES[kind] and IAM_TYPES[kind] in (resource.get("Properties") or {})
            needed = NAMED if named or needed == NAMED else PLAIN
    if needed and not (NAMED in given or (needed == PLAIN and PLAIN in given)):
        raise InsufficientCapabilities(f"Requires capabilities : [{needed}]")


def check_types(template: dict[str, Any]) -> None:
    """Make sure that localcloud can make every resource; moto would leave out silently what it does not know.

    :raises NotImplementedError: it cannot.
    """
    kinds = {one.get("Type", "") for one in (template.get("Resources") or {}).values()}
    lacking = sorted(
        kind
        for kind in kinds
        if kind not in NULL_MODELS
        and not kind.startswith("Custom::")
        and parsing.resource_class_from_type(kind) is None
    )
    if lacking:
        raise NotImplementedError(f"localcloud's CloudFormation has no {', '.join(lacking)}")


def check_parameters(template: dict[str, Any], given: dict[str, Any]) -> None:
    """Make sure that every parameter has a legal value.

    :raises ValidationError: one has not, or is not in the template.
    """
    declared = template.get("Parameters") or {}
    if unknown := sorted(set(given) - set(declared)):
        raise ValidationError(message=f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    if missing := [name for name, told in declared.items() if "Default" not in told and name not in given]:
        raise ValidationError(message=f"Parameters: [{', '.join(missing)}] must have values")
    for name, value in given.items():
        _check_value(name, declared[name], "" if value is None else str(value))


def _check_value(name: str, told: dict[str, Any], value: str) -> None:
    values = value.split(",") if str(told.get("Type")) in {"CommaDelimitedList"} else [value]
    allowed = [_plain(one) for one in told.get("AllowedValues") or []]
    if allowed and any(one not in allowed for one in values):
        message = f"Parameter '{name}' must be one of AllowedValues"
        raise ValidationError(message=message)
    if "AllowedPattern" in told and any(not re.fullmatch(str(told["AllowedPattern"]), one) for one in values):
        message = f"Parameter {name} failed to satisfy constraint: {told.get('ConstraintDescription') or told['AllowedPattern']}"
        raise ValidationError(message=message)
    if "MinLength" in told and len(value) < int(told["MinLength"]):
        raise ValidationError(message=f"Parameter '{name}' must contain at least {told['MinLength']} characters")
    if "MaxLength" in told and len(value) > int(told["MaxLength"]):
        raise ValidationError(message=f"Parameter '{name}' must contain at most {told['MaxLength']} characters")
    if str(told.get("Type")) == "Number":
        _check_number(name, told, value)


def _check_number(name: str, told: dict[str, Any], value: str) -> None:
    try:
        number = float(value)
    except ValueError:
        raise ValidationError(message=f"Parameter '{name}' must be a number.") from None
    if "MinValue" in told and number < float(told["MinValue"]):
        raise ValidationError(message=f"Parameter '{name}' must be a number not less than {told['MinValue']}")
    if "MaxValue" in told and number > float(told["MaxValue"]):
        raise ValidationError(message=f"Parameter '{name}' must be a number not greater than {told['MaxValue']}")


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
