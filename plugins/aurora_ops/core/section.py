"""What the models of settings share: sections, and the shapes of values that several of them have."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import croniter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from aurora_ops.core.naming import is_identifier

AccountId = Annotated[str, Field(pattern=r"^\d{12}$", description="AWS account id, 12 digits, quoted")]
Region = Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="AWS region, such as eu-west-1")]
BucketName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
RoleArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$")]
TableName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{3,255}$")]
Folder = Annotated[str, Field(pattern=r"^[0-9A-Za-z_$]{1,64}$")]


def _cron(value: str) -> str:
    if len(value.split()) != 5 or not croniter.is_valid(value):  # type: ignore[no-untyped-call]
        raise ValueError("write five cron fields: minute hour day month weekday, such as 0 2 * * *")
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:  # OSError: a folder of zones, such as Europe
        raise ValueError("write an IANA time zone, such as Europe/Paris") from exc
    return value


def _identifier(value: str) -> str:
    if not is_identifier(value):
        raise ValueError("write letters, digits and single hyphens, none at the end, such as staging-shop")
    return value


Cron = Annotated[str, AfterValidator(_cron)]
Zone = Annotated[str, AfterValidator(_zone)]
Identifier = Annotated[
    str,
    Field(min_length=1, max_length=63, pattern=r"^[a-z][a-z0-9-]*$", description="RDS identifier, lower case"),
    AfterValidator(_identifier),
]


class Section(BaseModel):
    """A part of the settings; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def refused(field: str, value: object, allowed: str) -> PydanticCustomError:
    """Make the error of a setting that another one forbids; see ``environments.problems_of``.

    :param field: name of the setting, within the part that is checked.
    :param value: the value given.
    :param allowed: what would have been accepted.
    """
    return PydanticCustomError("setting", "{allowed}", {"field": field, "value": value, "allowed": allowed})
