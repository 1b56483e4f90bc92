"""Users of a database: what settings say of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from aurora_ops.core.errors import ConfigError
from aurora_ops.core.grants import DATABASE, Place, Right, parse
from aurora_ops.core.secret_shapes import Role
from aurora_ops.core.section import Folder, Section, refused
from aurora_ops.core.tables import USER_PATTERN

Privilege = Literal["SELECT", "INSERT", "UPDATE", "DELETE", "EXECUTE", "SHOW VIEW"]


def _grant(value: str) -> str:
    try:
        parse(value, "grants")
    except ConfigError as exc:
        raise ValueError(exc.allowed) from None
    return value


class User(Section):
    """A database user that stays; every other one of production's is dropped."""

    username: str = Field(
        "", pattern=rf"{USER_PATTERN}|^$", description="name of the database user; left out where role says who it is"
    )
    secret: str = Field(description="secret in the target's account that holds its password")
    role: Role | None = Field(
        None,
        description="which user of a secret that holds two: its app_username and app_password, or its readonly_username and "
        "readonly_password; they are set as the secret has them",
    )
    as_in_secret: bool = Field(
        False, description="the password in the secret is set as it is; otherwise a new one is made and written there"
    )
    privileges: dict[Folder, list[Privilege]] = Field(
        default_factory=dict, description="schema to privileges, for a user that production does not have"
    )
    grants: list[Annotated[str, AfterValidator(_grant)]] = Field(
        default_factory=list,
        description="what it may do, such as SELECT (id, email), UPDATE (email) ON shop.customers; see docs/how-to/users.md",
    )
    writes: bool = Field(
        False, description="it may write, as the user app of a secret may; a user that may not is proven unable to"
    )

    @model_validator(mode="after")
    def _agrees(self) -> User:
        if bool(self.username) == bool(self.role):
            raise refused("username", self.username, "write either username, or role where the secret holds two users")
        if self.role == "readonly" and self.writes:
            raise refused("writes", self.writes, "the user readonly of a secret only reads")
        asked = [parse(text, "grants") for text in self.grants]
        twice = sorted({grant.place.schema for grant in asked if grant.place.kind == DATABASE} & set(self.privileges))
        if twice:
            raise refused("privileges", twice, "say it once: grants have rights on the whole of these databases too")
        if not self.may_write and (more := sorted({right.privilege for right in self.rights if right.writes})):
            raise refused(
                "writes",
                self.writes,
                f"{self.label} is given {', '.join(more)}: leave them out, or set writes: true",
            )
        return self

    @property
    def label(self) -> str:
        """Who it is, where its secret has not been read."""
        return self.username or f"{self.role} of {self.secret}"

    @property
    def may_write(self) -> bool:
        """Whether it may write."""
        return self.writes or self.role == "app"

    @property
    def as_written(self) -> bool:
        """Whether its password is that of the secret."""
        return self.as_in_secret or self.role is not None

    @property
    def rights(self) -> frozenset[Right]:
        """What it shall be able to do; nothing: what it could in production."""
        asked = [right for text in self.grants for right in parse(text, "grants").rights]
        plain = [
            Right(Place(DATABASE, schema), privilege)
            for schema, privileges in self.privileges.items()
            for privilege in privileges
        ]
        return frozenset([*asked, *plain])
