"""What secrets of databases look like: whose passwords they hold, and what they lack. Never a value is shown, only fields."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from aurora_ops.core.errors import ConfigError
from aurora_ops.core.tables import USER_PATTERN

# ``app``: two users in one secret; ``master``: the master user and a database; ``managed``: what RDS writes for a master user;
# ``user``: one user, mostly with engine, host, port beside it.
Shape = Literal["app", "master", "managed", "user"]
Role = Literal["app", "readonly"]
ROLES: tuple[Role, ...] = ("app", "readonly")
FIELDS: dict[Shape, tuple[str, ...]] = {
    "app": ("app_username", "app_password", "readonly_username", "readonly_password"),
    "master": ("database", "username", "password"),
    "managed": ("username", "password"),
    "user": ("username", "password"),
}
# Aurora MySQL: 8 to 41 printable ASCII characters without / " @ and blank (ModifyDBCluster).
_MASTER_PASSWORD = re.compile(r"[!#-.0-?A-~]{8,41}")


@dataclass(frozen=True)
class Seen:
    """What a secret looks like.

    :param shape: the nearest shape; ``None`` where it has no field of any.
    :param missing: fields of the shape that are absent, empty or no text.
    """

    shape: Shape | None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Credentials:
    """Somebody's name and password.

    :param username: of the database.
    :param password: never shown.
    """

    username: str
    password: str = field(repr=False)


def look(value: Mapping[str, Any]) -> Seen:
    """Recognise a secret's shape by its fields."""
    if any(name in value for name in FIELDS["app"]):
        shape: Shape = "app"
    elif not any(name in value for name in FIELDS["user"]):
        return Seen(None)
    elif "database" in value:
        shape = "master"
    else:
        shape = "managed" if set(value) <= set(FIELDS["managed"]) else "user"
    return Seen(shape, tuple(name for name in FIELDS[shape] if not isinstance(value.get(name), str) or not value[name]))


def require(secret_id: str, value: Mapping[str, Any], *shapes: Shape) -> Shape:
    """Make sure that a secret has one of some shapes, complete.

    :param secret_id: name or ARN of the secret, for the error.
    :param value: its JSON.
    :param shapes: those accepted.
    :return: the one it has.
    :raises ConfigError: it has another one, or a field lacks; fields are named, never a value.
    """
    seen = look(value)
    if seen.shape not in shapes:
        forms = " or ".join(f"{{{', '.join(names)}}}" for names in dict.fromkeys(FIELDS[shape] for shape in shapes))
        raise ConfigError(f"secret {secret_id}", seen.shape, f"write {forms} into it")
    if seen.missing:
        raise ConfigError(f"secret {secret_id}", seen.shape, f"it lacks {', '.join(seen.missing)}: each is a text")
    return seen.shape


def credentials(secret_id: str, value: Mapping[str, Any], role: Role | None = None) -> Credentials:
    """Read the credentials of one user.

    :param secret_id: name or ARN of the secret, for the error.
    :param value: its JSON.
    :param role: which of two users; ``None``: the secret holds one.
    :raises ConfigError: as ``require`` does.
    """
    accepted: Sequence[Shape] = ("app",) if role else ("master", "managed", "user")
    require(secret_id, value, *accepted)
    prefix = f"{role}_" if role else ""
    return Credentials(value[f"{prefix}username"], value[f"{prefix}password"])


def require_username(secret_id: str, role: Role, username: str) -> None:
    """Make sure that a secret names its user as settings would: only such users are made.

    :raises ConfigError: it does not.
    """
    if not re.fullmatch(USER_PATTERN, username):
        raise ConfigError(
            f"secret {secret_id}", f"{role}_username", "a user has 1 to 32 letters, digits and underscores"
        )


def require_master_password(secret_id: str, password: str) -> None:
    """Make sure that RDS takes a master password.

    :raises ConfigError: it does not.
    """
    if not _MASTER_PASSWORD.fullmatch(password):
        raise ConfigError(
            f"secret {secret_id}",
            "password",
            'a master password has 8 to 41 printable ASCII characters, without / " @ and blanks',
        )
