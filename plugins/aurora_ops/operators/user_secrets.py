"""Users as their secrets name them, and the passwords that these hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from aurora_ops.core.errors import ConfigError, PermanentError, report
from aurora_ops.core.secret_shapes import credentials, look, require_username
from aurora_ops.core.users import User
from aurora_ops.hooks.secrets import SecretsHook
from aurora_ops.operators.accounts import SYSTEM_USERS

_FIELD = "database.users"


def read_users(users: Sequence[Mapping[str, Any]], secrets: SecretsHook, master: str) -> list[User]:
    """Read users from their settings; those that only a secret names are given their names.

    :param users: ``core.users.User`` as dictionaries.
    :param secrets: secrets of the account.
    :param master: name of the master user.
    :raises ConfigError: a name or a secret stands there twice, or a name is the master user's or the server's own.
    :raises MissingError: there is no such secret.
    """
    found = [_named(User.model_validate(user), secrets) for user in users]
    named = Counter(user.username for user in found)
    problems: list[PermanentError] = [
        ConfigError(_FIELD, name, "name a user once") for name, times in named.items() if times > 1
    ]
    problems += [
        ConfigError(_FIELD, name, "the master user and the server's own accounts cannot be among the users")
        for name in sorted(set(named) & {master, *SYSTEM_USERS})
    ]
    shared = Counter((user.secret, user.role) for user in found)
    problems += [
        ConfigError(f"{_FIELD}.secret", secret, "each user has a secret of its own, or a role in one that holds two")
        for (secret, _), times in shared.items()
        if times > 1
    ]
    report(problems)
    return found


def refuse_two_in_one(user: User, secrets: SecretsHook) -> None:
    """Make sure that a secret which gets a new password of one user is not one that holds two.

    :raises ConfigError: it is.
    :raises MissingError: there is no such secret.
    """
    if look(secrets.require_secret(user.secret)).shape == "app":
        raise ConfigError(
            f"{_FIELD}.secret", user.secret, f"it holds two users: say which one {user.username} is by role"
        )


def written_password(user: User, secrets: SecretsHook) -> str:
    """Read the password that an owner has chosen.

    :raises ConfigError: the secret has another shape, lacks a field, or is another user's.
    :raises MissingError: there is no such secret.
    """
    found = credentials(user.secret, secrets.require_secret(user.secret), user.role)
    if found.username != user.username:
        raise ConfigError(_FIELD, user.username, f"secret {user.secret} holds the password of another user")
    return found.password


def current_password(user: User, secrets: SecretsHook, versions: Mapping[str, str] | None) -> str:
    """Read the password that a user logs in with; empty where there is none.

    :param user: the user.
    :param secrets: secrets of the account.
    :param versions: secret id to the version to read; what is not among them, or ``None``, is what is current.
    """
    version = (versions or {}).get(user.secret)
    value = (secrets.find_version(user.secret, version) if version else secrets.find_secret(user.secret)) or {}
    return str(value.get(f"{user.role}_password" if user.role else "password") or "")


def _named(user: User, secrets: SecretsHook) -> User:
    if user.role is None:
        return user
    found = credentials(user.secret, secrets.require_secret(user.secret), user.role)
    require_username(user.secret, user.role, found.username)
    return user.model_copy(update={"username": found.username})
